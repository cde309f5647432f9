from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from airflow_provider_smartlive.metastudio.signing import (
    Credentials,
    SignatureError,
    SignatureProblem,
    sign,
    verify,
)

# The sample pair of Huawei's public signing guide.
PAIR = Credentials("QTWAOYTTINDUT2QVKYUC", "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc")
PROJECT = "70b76aaaaaa34253880af501cdaaaaaa"
HOST = "https://metastudio.cn-north-4.myhuaweicloud.com"
JOBS = f"{HOST}/v1/{PROJECT}/smart-live-rooms/24bad716-87b1-45e5-8912-6102f7693265/smart-live-jobs"
JOB = f"{JOBS}/26f06524-4f75-4b3a-a853-b649a21aaf66"
HEADERS = {"Content-Type": "application/json", "X-Project-Id": PROJECT}
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
START_BODY = b'{"output_urls": ["rtmp://push.example.com/live"], "stream_keys": ["key-1"]}'


def signature(headers: dict[str, str]) -> str:
    return headers["Authorization"].rpartition("Signature=")[2]


def signed(
    method: str = "POST",
    url: str = JOBS,
    body: bytes = START_BODY,
    credentials: Credentials = PAIR,
    headers: dict[str, str] = HEADERS,
) -> dict[str, str]:
    """All headers of a signed request."""
    return {**headers, **sign(method, url, headers, body, credentials=credentials, now=NOW)}


def check(
    headers: dict[str, str],
    method: str = "POST",
    url: str = JOBS,
    body: bytes = START_BODY,
    now: datetime = NOW,
) -> str:
    known = {PAIR.access_key: PAIR.secret_key}
    return verify(method, url, headers, body, secret_key_for=known.get, now=now)


def refusal_of(headers: dict[str, str], **request: object) -> SignatureError:
    with pytest.raises(SignatureError) as caught:
        check(headers, **request)  # type: ignore[arg-type]  # keyword arguments of any type are the point here
    return caught.value


def problem_of(headers: dict[str, str], **request: object) -> SignatureProblem:
    return refusal_of(headers, **request).reason


def test_published_vector_of_the_signing_guide() -> None:
    url = (
        "https://service.region.example.com/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs"
        "?limit=2&marker=13551d6b-755d-4757-b956-536f674975c0"
    )
    added = sign(
        "GET",
        url,
        {"content-type": "application/json"},
        b"",
        credentials=PAIR,
        now=datetime(2019, 11, 15, 3, 36, 55, tzinfo=UTC),
    )
    assert added == {
        "Host": "service.region.example.com",
        "X-Sdk-Date": "20191115T033655Z",
        "Authorization": "SDK-HMAC-SHA256 Access=QTWAOYTTINDUT2QVKYUC, "
        "SignedHeaders=content-type;host;x-sdk-date, "
        "Signature=7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe",
    }


@pytest.mark.parametrize(
    ("method", "url", "body", "token", "expected"),
    [
        ("POST", JOBS, START_BODY, None, "18386235b67d0c21eaaba4b81419e539b6f52cabdb4f50e0264b7403a2ac8582"),
        (
            "GET",
            f"{JOBS}?create_since=2026-11-22T00%3A00%3A00Z&limit=10&state=WAITING%2CPROCESSING",
            b"",
            None,
            "707fc46d44fb6db349def1b5cddeefda22c20532cd96016d23c0468bbae1210a",
        ),
        (
            "POST",
            f"{JOB}/stop",
            b"",
            None,
            "cf99c48746d7519fdbd8ed01fb535b07bb69766d3aa23f9000728f0b3003ad51",
        ),
        (
            "GET",
            JOB,
            b"",
            "example-token",
            "5a98a95009d1d49b255da7da748c846bb19c96ff3b1e9b822dc9bc001b5080d5",
        ),
    ],
    ids=["A start", "B list", "C stop", "D temporary key pair"],
)
def test_known_answers(method: str, url: str, body: bytes, token: str | None, expected: str) -> None:
    credentials = Credentials(PAIR.access_key, PAIR.secret_key, token)
    assert signature(signed(method, url, body, credentials)) == expected


def test_query_order_and_comma_spelling_do_not_change_the_signature() -> None:
    one = signed("GET", f"{JOBS}?limit=10&state=WAITING%2CPROCESSING", b"")
    other = signed("GET", f"{JOBS}?state=WAITING,PROCESSING&limit=10", b"")
    assert signature(one) == signature(other)


def test_plus_in_a_query_means_a_space_as_web_servers_read_it() -> None:
    assert signature(signed("GET", f"{JOBS}?q=a+b", b"")) == signature(signed("GET", f"{JOBS}?q=a%20b", b""))
    assert signature(signed("GET", f"{JOBS}?q=a+b", b"")) != signature(signed("GET", f"{JOBS}?q=a%2Bb", b""))


def test_now_in_another_zone_is_the_same_moment() -> None:
    east = NOW.astimezone(timezone(timedelta(hours=8)))
    assert sign("GET", JOB, {}, b"", credentials=PAIR, now=east)["X-Sdk-Date"] == "20261122T120000Z"


def test_naive_now_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^now must be an aware datetime\.$"):
        sign("GET", JOB, {}, b"", credentials=PAIR, now=NOW.replace(tzinfo=None))


def test_signing_again_replaces_the_earlier_attempt() -> None:
    first = signed()
    again = {**first, **sign("POST", JOBS, first, START_BODY, credentials=PAIR, now=NOW)}
    assert again == first
    assert "authorization" not in again["Authorization"].split("SignedHeaders=")[1]


def test_host_may_be_given() -> None:
    headers = {**HEADERS, "host": "metastudio.cn-north-4.myhuaweicloud.com"}
    added = sign("POST", JOBS, headers, START_BODY, credentials=PAIR, now=NOW)
    assert "Host" not in added
    assert signature(added) == signature(signed())


def test_user_and_password_of_the_url_are_not_part_of_the_host() -> None:
    added = sign("GET", "https://u:p@h.example.com:8443/", {}, b"", credentials=PAIR, now=NOW)
    assert added["Host"] == "h.example.com:8443"


@pytest.mark.parametrize("headers", [{"X-A": f"1{end}X-B: 2"} for end in ("\r\n", "\n", "\r")])
def test_a_header_that_would_become_two_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"^Header 'X-A' contains a line break\.$"):
        sign("GET", JOB, headers, b"", credentials=PAIR, now=NOW)


def test_a_header_that_is_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Header 'x-a' is given twice\.$"):
        sign("GET", JOB, {"X-A": "1", "x-a": "2"}, b"", credentials=PAIR, now=NOW)


def test_the_token_of_a_temporary_pair_is_added_under_the_name_that_huawei_documents() -> None:
    credentials = Credentials(PAIR.access_key, PAIR.secret_key, "example-token")
    assert sign("GET", JOB, {}, b"", credentials=credentials, now=NOW)["X-Security-Token"] == "example-token"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("", "fake-secret"), "access_key"),
        (("fake-key", ""), "secret_key"),
        (("fake-key", "fake-secret\n"), "secret_key"),
        (("fake key", "fake-secret"), "access_key"),
        (("fake,key", "fake-secret"), "access_key"),
        (("fake-key", "fake-secret", ""), "security_token"),
        (("fake-key", "fake-secret", "fake\r\ntoken"), "security_token"),
    ],
)
def test_credentials_that_cannot_be_right_are_refused(arguments: tuple[str, ...], name: str) -> None:
    with pytest.raises(ValueError, match=name) as caught:
        Credentials(*arguments)
    assert "fake" not in str(caught.value)


def test_a_comma_in_the_access_key_is_refused_with_the_reason() -> None:
    with pytest.raises(
        ValueError, match=r"^access_key must not contain a comma: it would end it inside Auth"
    ):
        Credentials("fake,key", "fake-secret")


def test_credentials_hide_their_secrets() -> None:
    shown = repr(Credentials("fake-access", "fake-secret", "fake-token"))
    assert "fake-access" not in shown
    assert "fake-secret" not in shown
    assert "fake-token" not in shown


def test_what_is_signed_is_verified() -> None:
    assert check(signed()) == PAIR.access_key


def test_header_names_and_optional_blanks_do_not_matter_to_the_verifier() -> None:
    headers = {name.lower(): f" {value} " for name, value in signed().items()}
    headers["authorization"] = headers["authorization"].strip().replace(", ", ",")
    assert check(headers) == PAIR.access_key


def test_unsigned_headers_of_the_http_stack_do_not_matter() -> None:
    assert check({**signed(), "Accept": "*/*", "Content-Length": "75"}) == PAIR.access_key


@pytest.mark.parametrize("minutes", [-15, 15])
def test_clock_may_be_15_minutes_off(minutes: int) -> None:
    assert check(signed(), now=NOW + timedelta(minutes=minutes)) == PAIR.access_key


@pytest.mark.parametrize("seconds", [-15 * 60 - 1, 15 * 60 + 1])
def test_clock_must_not_be_further_off(seconds: int) -> None:
    refusal = refusal_of(signed(), now=NOW + timedelta(seconds=seconds))
    assert refusal.reason is SignatureProblem.CLOCK
    assert str(refusal) == "clock too far off: X-Sdk-Date is more than 15 minutes off"


@pytest.mark.parametrize("name", ["Authorization", "X-Sdk-Date"])
@pytest.mark.parametrize("value", [None, ""])
def test_missing_headers(name: str, value: str | None) -> None:
    headers = signed()
    del headers[name]
    if value is not None:
        headers[name] = value
    refusal = refusal_of(headers)
    assert refusal.reason is SignatureProblem.MISSING
    assert str(refusal) == f"missing: header {name} is not there"


def test_unknown_access_key() -> None:
    stranger = Credentials("FAKEACCESSKEY", "fake-secret-key")
    refusal = refusal_of(signed(credentials=stranger))
    assert refusal.reason is SignatureProblem.UNKNOWN_KEY
    assert str(refusal) == "unknown access key: no such access key"


MISSPELT = "header Authorization cannot be read"
UNSORTED = "SignedHeaders must be lower case, sorted, without repeats"


@pytest.mark.parametrize(
    ("old", "new", "detail"),
    [
        ("SDK-HMAC-SHA256 ", "Bearer ", MISSPELT),
        ("SDK-HMAC-SHA256 ", "SDK-HMAC-SM3 ", MISSPELT),
        (", Signature=", ", Signatur=", MISSPELT),
        ("Access=QTWAOYTTINDUT2QVKYUC", "Access=", MISSPELT),
        ("content-type;host", "host;content-type", UNSORTED),
        ("content-type;host", "Content-Type;host", UNSORTED),
        ("content-type;host", "content-type;content-type;host", UNSORTED),
        ("content-type;host", "content-type;host;x-absent", "signed headers are not there: x-absent"),
        (";x-sdk-date", ";x-quiet;x-sdk-date;x-two", "signed headers are not there: x-quiet, x-two"),
        (";x-sdk-date", "", "must be signed: x-sdk-date"),
    ],
)
def test_malformed_authorization(old: str, new: str, detail: str) -> None:
    headers = signed()
    assert old in headers["Authorization"]
    headers["Authorization"] = headers["Authorization"].replace(old, new)
    refusal = refusal_of(headers)
    assert refusal.reason is SignatureProblem.MALFORMED
    assert str(refusal) == f"malformed: {detail}"


@pytest.mark.parametrize("date", ["2026-11-22T12:00:00Z", "20261322T120000Z", "20261122T120000", "x"])
def test_malformed_date(date: str) -> None:
    refusal = refusal_of({**signed(), "X-Sdk-Date": date})
    assert refusal.reason is SignatureProblem.MALFORMED
    assert str(refusal) == "malformed: X-Sdk-Date must look like 20261122T120000Z"


def test_header_given_twice() -> None:
    refusal = refusal_of({**signed(), "x-sdk-date": "20261122T120000Z"})
    assert refusal.reason is SignatureProblem.MALFORMED
    assert str(refusal) == "malformed: Header 'x-sdk-date' is given twice."


@pytest.mark.parametrize("url", ["http://[::1/v1", f"{JOBS}?q=\udc80", f"{JOBS}/\udc80"])
def test_urls_that_cannot_be_read(url: str) -> None:
    assert problem_of(signed(), url=url) is SignatureProblem.MALFORMED


@pytest.mark.parametrize(
    "request_",
    [
        {"method": "PUT"},
        {"url": f"{JOBS}/stop"},
        {"url": f"{JOBS}?limit=1"},
        {"body": START_BODY + b" "},
        {"body": b""},
    ],
)
def test_any_change_on_the_way_is_noticed(request_: dict[str, object]) -> None:
    assert problem_of(signed(), **request_) is SignatureProblem.MISMATCH


@pytest.mark.parametrize("name", ["Content-Type", "Host", "X-Project-Id", "X-Sdk-Date"])
def test_changed_header_is_noticed(name: str) -> None:
    value = "20261122T120001Z" if name == "X-Sdk-Date" else "changed"
    assert problem_of({**signed(), name: value}) is SignatureProblem.MISMATCH


def test_wrong_secret_key_shows_what_the_verifier_signed_but_not_in_its_text() -> None:
    wrong = Credentials(PAIR.access_key, "fake-secret-key", "fake-token")
    with pytest.raises(SignatureError) as caught:
        check(signed(credentials=wrong))
    assert caught.value.reason is SignatureProblem.MISMATCH
    assert caught.value.canonical_request is not None
    assert caught.value.canonical_request.startswith("POST\n/v1/")
    assert str(caught.value) == "signature mismatch: the signature does not fit the request"


def test_unsigned_payload_leaves_the_body_out() -> None:
    headers = signed(headers={**HEADERS, "Content-Type": "video/mp4"})
    assert headers["X-Sdk-Content-Sha256"] == "UNSIGNED-PAYLOAD"
    assert check(headers, body=b"another body") == PAIR.access_key


def test_unsigned_payload_must_be_signed_itself() -> None:
    refusal = refusal_of({**signed(), "X-Sdk-Content-Sha256": "UNSIGNED-PAYLOAD"})
    assert refusal.reason is SignatureProblem.MALFORMED
    assert str(refusal) == "malformed: must be signed: x-sdk-content-sha256, x-sdk-date"


def test_declared_body_hash_must_be_the_body_s() -> None:
    headers = signed(headers={**HEADERS, "X-Sdk-Content-Sha256": "0" * 64})
    assert problem_of(headers) is SignatureProblem.MISMATCH
