from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_smartlive.metastudio.callback_auth import (
    SECRET_HEADER,
    SECRET_PARAMETER,
    TIME_HEADER,
    TIME_PARAMETER,
    AuthType,
    CallbackAuthError,
    CallbackAuthProblem,
    SignedForm,
    sign,
    verify,
)

# Key and time of the worked example in Huawei's documentation of the live platforms.
KEY = "GCTbw44s6MPLh4GqgDpnfuFHgy25Enly"
NOW = datetime(2024, 9, 10, 0, 30, tzinfo=UTC)
EXAMPLE_URL = "https://api.example.com/v1/products?live_id=111&limit=10&offset=0"
EXAMPLE = "5e7fe8869a12a87ea966d9edbc02e38cd4ce62c73b8b05c638f15835e78902d7"
OUR_URL = "https://api.example.com/hooks/metastudio"
OURS = "1b7c42d1d0e58c5c0ff01262b96a571a3462780651920fb56b31b7de92e85b0b"
WINDOW = timedelta(minutes=5)


def headers_for(url: str = OUR_URL, form: SignedForm = SignedForm.HOST_PATH_QUERY) -> dict[str, str]:
    return sign(url, auth_type=AuthType.MSS_A_HEAD, key=KEY, now=NOW, form=form)[1]


def check(
    *,
    url: str = OUR_URL,
    auth_type: AuthType = AuthType.MSS_A_HEAD,
    key: str = KEY,
    query: str | dict[str, str] = "",
    headers: dict[str, str] | None = None,
    now: datetime = NOW,
    forms: tuple[SignedForm, ...] = (SignedForm.HOST_PATH_QUERY,),
) -> datetime | None:
    return verify(
        url,
        auth_type=auth_type,
        key=key,
        query=query,
        headers=headers or {},
        now=now,
        window=WINDOW,
        forms=forms,
    )


@pytest.mark.parametrize(("url", "secret"), [(EXAMPLE_URL, EXAMPLE), (OUR_URL, OURS)])
def test_known_answers(url: str, secret: str) -> None:
    assert headers_for(url) == {SECRET_HEADER: secret, TIME_HEADER: "66df9308"}


def test_the_published_example_fits_no_other_form() -> None:
    others = [form for form in SignedForm if form is not SignedForm.HOST_PATH_QUERY]
    assert EXAMPLE not in [headers_for(EXAMPLE_URL, form)[SECRET_HEADER] for form in others]
    assert headers_for(EXAMPLE_URL, SignedForm.FULL_URL)[SECRET_HEADER].startswith("da6b03f3")


def test_signed_in_the_head() -> None:
    headers = {"X-HW-MSS-Secret": OURS, "X-HW-MSS-Time": "66df9308"}
    assert check(headers=headers) == NOW


@pytest.mark.parametrize("url", [OUR_URL, EXAMPLE_URL])
def test_signed_in_the_query(url: str) -> None:
    called, headers = sign(url, auth_type=AuthType.MSS_A, key=KEY, now=NOW)
    assert headers == {}
    assert called.startswith(url)
    query = urlsplit(called).query
    assert check(url=url, auth_type=AuthType.MSS_A, query=query) == NOW
    decoded = {name: values[0] for name, values in parse_qs(query).items()}
    assert decoded[SECRET_PARAMETER] in (EXAMPLE, OURS)
    assert check(url=url, auth_type=AuthType.MSS_A, query=decoded) == NOW


def test_none_asks_for_nothing() -> None:
    assert sign(OUR_URL, auth_type=AuthType.NONE, key="", now=NOW) == (OUR_URL, {})
    assert check(auth_type=AuthType.NONE, key="") is None


@pytest.mark.parametrize("form", list(SignedForm))
def test_only_the_accepted_forms_pass(form: SignedForm) -> None:
    headers = headers_for(EXAMPLE_URL, form)
    assert check(url=EXAMPLE_URL, headers=headers, forms=tuple(SignedForm)) == NOW
    others = tuple(other for other in SignedForm if other is not form)
    with pytest.raises(CallbackAuthError) as caught:
        check(url=EXAMPLE_URL, headers=headers, forms=others)
    assert caught.value.reason is CallbackAuthProblem.MISMATCH


@pytest.mark.parametrize(
    ("headers", "query", "auth_type"),
    [
        ({}, "", AuthType.MSS_A_HEAD),
        ({SECRET_HEADER: OURS}, "", AuthType.MSS_A_HEAD),
        ({TIME_HEADER: "66df9308"}, "", AuthType.MSS_A_HEAD),
        ({SECRET_HEADER: "", TIME_HEADER: "66df9308"}, "", AuthType.MSS_A_HEAD),
        # The other place does not count.
        ({}, f"{SECRET_PARAMETER}={OURS}&{TIME_PARAMETER}=66df9308", AuthType.MSS_A_HEAD),
        ({SECRET_HEADER: OURS, TIME_HEADER: "66df9308"}, "", AuthType.MSS_A),
        # Nor does one of two values.
        ({}, f"{SECRET_PARAMETER}={OURS}&{TIME_PARAMETER}=66df9308&{TIME_PARAMETER}=0", AuthType.MSS_A),
    ],
)
def test_missing(headers: dict[str, str], query: str, auth_type: AuthType) -> None:
    with pytest.raises(CallbackAuthError) as caught:
        check(headers=headers, query=query, auth_type=auth_type)
    assert caught.value.reason is CallbackAuthProblem.MISSING


@pytest.mark.parametrize(
    "time", ["x", "0x66df9308", "-1", " 66df9308", "6" * 17, "f" * 16, "\uff16\uff16df9308"]
)
def test_malformed_time(time: str) -> None:
    with pytest.raises(CallbackAuthError) as caught:
        check(headers={SECRET_HEADER: OURS, TIME_HEADER: time})
    assert caught.value.reason is CallbackAuthProblem.MALFORMED_TIME


@pytest.mark.parametrize(
    ("offset", "problem"),
    [
        (WINDOW + timedelta(seconds=1), CallbackAuthProblem.EXPIRED),
        (-WINDOW - timedelta(seconds=1), CallbackAuthProblem.FROM_THE_FUTURE),
    ],
)
def test_outside_of_the_window(offset: timedelta, problem: CallbackAuthProblem) -> None:
    with pytest.raises(CallbackAuthError) as caught:
        check(headers=headers_for(), now=NOW + offset)
    assert caught.value.reason is problem


@pytest.mark.parametrize("offset", [WINDOW, -WINDOW])
def test_edge_of_the_window(offset: timedelta) -> None:
    assert check(headers=headers_for(), now=NOW + offset) == NOW


def changed(secret: str) -> str:
    return ("0" if secret[0] != "0" else "1") + secret[1:]


@pytest.mark.parametrize(
    "call",
    [
        {"key": "another-fake-key"},
        {"url": f"{OUR_URL}/other"},
        {"url": OUR_URL.replace("api.", "evil.")},
        {"headers": {SECRET_HEADER: OURS, TIME_HEADER: "66df9309"}},
        {"headers": {SECRET_HEADER: changed(OURS), TIME_HEADER: "66df9308"}},
        {"headers": {SECRET_HEADER: "é", TIME_HEADER: "66df9308"}},
    ],
)
def test_mismatch(call: dict[str, object]) -> None:
    arguments = {"headers": headers_for(), **call}
    with pytest.raises(CallbackAuthError) as caught:
        check(**arguments)  # type: ignore[arg-type]  # keyword arguments of any type are the point here
    assert caught.value.reason is CallbackAuthProblem.MISMATCH
    assert OURS not in str(caught.value)


def test_upper_case_digits_are_read() -> None:
    headers = headers_for()
    headers[SECRET_HEADER] = headers[SECRET_HEADER].upper()
    assert check(headers=headers) == NOW


def test_milliseconds_and_leading_zeros_are_read() -> None:
    for time in (format(int(NOW.timestamp() * 1000), "x"), "000066df9308"):
        # The MAC covers the time as it is written.
        mac = _mac_over(time)
        assert check(headers={SECRET_HEADER: mac, TIME_HEADER: time}) == NOW


def _mac_over(time: str) -> str:
    message = f"api.example.com/hooks/metastudio{time}"
    return hmac.new(KEY.encode(), message.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("auth_type", "key", "text"),
    [
        (AuthType.MEITUAN_DEFAULT, KEY, "^auth_type MEITUAN_DEFAULT is for Meituan"),
        (AuthType.MSS_A, "", "key"),
        (AuthType.MSS_A_HEAD, "", "key"),
    ],
)
def test_what_cannot_be_signed(auth_type: AuthType, key: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        sign(OUR_URL, auth_type=auth_type, key=key, now=NOW)
    with pytest.raises(ValueError, match=text):
        check(auth_type=auth_type, key=key)


@pytest.mark.parametrize(
    ("query", "ordered"),
    [("a!=1&a=2", "a=2&a!=1"), ("a=2=1&a=1=2", "a=2=1&a=1=2"), ("b=1&a=2", "a=2&b=1")],
)
def test_pairs_are_ordered_by_name_alone(query: str, ordered: str) -> None:
    signed = headers_for(f"https://api.example.com/x?{query}")
    text = f"api.example.com/x?{ordered}{signed[TIME_HEADER]}"
    assert signed[SECRET_HEADER] == hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def test_an_empty_parameter_counts_as_a_second_one() -> None:
    query = f"{SECRET_PARAMETER}={OURS}&{TIME_PARAMETER}=66df9308"
    assert check(auth_type=AuthType.MSS_A, query=query) == NOW
    with pytest.raises(CallbackAuthError, match="callback signature: missing"):
        check(auth_type=AuthType.MSS_A, query=f"{SECRET_PARAMETER}=&{query}")


def test_the_first_time_in_milliseconds() -> None:
    text = format(10**11, "x")
    mac = hmac.new(KEY.encode(), ("api.example.com/hooks/metastudio" + text).encode(), hashlib.sha256)
    moment = datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)
    assert check(headers={SECRET_HEADER: mac.hexdigest(), TIME_HEADER: text}, now=moment) == moment
