from __future__ import annotations

import base64
import itertools
import json
import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_smartlive.callbacks import url as targets
from airflow_provider_smartlive.callbacks.task_ref import (
    TaskRef,
)
from airflow_provider_smartlive.callbacks.url import (
    MAX_URL_LENGTH,
    MIN_SECRET_LENGTH,
    MSS_KEY_LENGTH,
    CallbackTarget,
    CallbackUrlError,
    InvalidToken,
    JobTerms,
    began,
    generate_secret,
    is_callback_url,
    is_usable_secret,
    issue,
    new_generation,
    open_token,
    open_url,
)
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.outputs import describe_output

#: Of base64, in URLs.
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

BASE = "https://airflow.example.com/prefix"
OLD = "fake-old-secret-0000000000000000000000000"
OUTPUT = "rtmp://push.example.com/live/main"
NEW = "fake-new-secret-1111111111111111111111111"
TARGET = CallbackTarget(TaskRef("nightly", "scheduled__2026-11-22T20:00:00+00:00", "go_live", 3), "2", 2)


def _issue(**changes):
    return issue(
        **{"target": TARGET, "base_url": BASE, "secrets": [OLD], "auth_type": AuthType.MSS_A_HEAD} | changes
    )


def _token(url: str) -> str:
    return url.rpartition("/")[2]


def test_an_issued_url_opens_to_what_was_issued():
    issued = _issue()

    opened = open_url(issued.url, secrets=[OLD])

    assert opened is not None
    assert opened.target == TARGET
    assert opened.url == issued.url
    assert opened.key == issued.key
    assert opened.auth_type is issued.auth_type is AuthType.MSS_A_HEAD
    assert opened.fingerprint_key == issued.fingerprint_key


def test_the_url_shows_nothing_of_the_task():
    url = _issue().url
    padded = _token(url) + "=="

    assert url.startswith(f"{BASE}/smartlive/callbacks/")
    for word in ("nightly", "go_live", "2026"):
        assert word not in url
        assert word.encode() not in base64.urlsafe_b64decode(padded[: len(padded) // 4 * 4])


def test_two_issues_of_one_route_differ_in_url_and_key_and_both_open():
    first, second = _issue(), _issue()

    assert first.url != second.url
    assert first.key != second.key
    assert open_url(first.url, secrets=[OLD]).target == open_url(second.url, secrets=[OLD]).target


def test_the_key_has_exactly_the_length_that_the_api_takes():
    assert len(_issue().key) == MSS_KEY_LENGTH


def test_rotation_the_newest_secret_issues_and_all_open():
    before = _issue()
    after = _issue(secrets=[NEW, OLD])

    assert open_url(before.url, secrets=[NEW, OLD]).key == before.key
    assert open_url(after.url, secrets=[NEW]).key == after.key
    assert open_url(after.url, secrets=[OLD]) is None
    assert open_url(before.url, secrets=[NEW]) is None


def test_a_changed_base_url_breaks_no_stream_that_is_live():
    issued = _issue(base_url="https://old.example.com")

    assert open_url(issued.url.replace("old.example.com", "10.0.0.1:8080/x"), secrets=[OLD]).url == issued.url


def test_a_url_is_recognised_with_the_query_that_mss_a_appends():
    assert open_url(f"{_issue().url}?hwSecret=00&hwTime=66df9308", secrets=[OLD]).target == TARGET


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://elsewhere.example.com/hooks/metastudio",
        "https://airflow.example.com/smartlive/callbacks/",
        "https://airflow.example.com/smartlive/callbacks/abc",
        "ftp://airflow.example.com/smartlive/callbacks/" + "A" * 200,
    ],
)
def test_a_foreign_url_is_not_ours(url):
    assert open_url(url, secrets=[OLD]) is None


def test_another_deployment_s_url_has_the_form_of_ours_although_we_cannot_open_it():
    url = _issue(secrets=[NEW]).url

    assert open_url(url, secrets=[OLD]) is None
    assert is_callback_url(url)
    assert is_callback_url(f"{url}?hwSecret=00&hwTime=66df9308")
    assert not is_callback_url("https://elsewhere.example.com/hooks/metastudio")


@given(st.text())
def test_whatever_stands_in_for_a_token_is_refused(token):
    with pytest.raises(InvalidToken, match=r"^not a token$"):
        open_token(token, secrets=[OLD, NEW])


def test_a_token_that_was_opened_is_refused_when_its_secret_is_gone():
    token = _token(_issue().url)
    open_token(token, secrets=[OLD])

    with pytest.raises(InvalidToken):
        open_token(token, secrets=[NEW])


def test_strangers_push_no_token_out_of_memory():
    token = _token(_issue().url)
    kept = open_token(token, secrets=[OLD])
    for number in range(2000):
        with pytest.raises(InvalidToken):
            open_token(f"{number:04}{token[4:]}", secrets=[OLD])

    assert open_token(token, secrets=[OLD]) is kept


@given(place=st.floats(0, 1), step=st.integers(1, len(ALPHABET) - 1))
def test_no_changed_character_passes(place, step):
    token = _token(_issue().url)
    position = round(place * (len(token) - 2))  # the last character has bits that mean nothing
    character = ALPHABET[(ALPHABET.index(token[position]) + step) % len(ALPHABET)]
    changed = token[:position] + character + token[position + 1 :]

    with pytest.raises(InvalidToken):
        open_token(changed, secrets=[OLD])


def test_the_key_depends_on_the_exact_spelling_of_the_token():
    # The last base64 character has spare bits, so a second spelling can open; it must not share the MSS key.
    token = _token(_issue().url)
    keys = set()
    for character in ALPHABET:
        try:
            keys.add((token[:-1] + character, open_token(token[:-1] + character, secrets=[OLD]).key))
        except InvalidToken:
            continue

    assert len({key for _, key in keys}) == len(keys)


INCOMPLETE = "the token's content is not complete"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"v": 1}, "the token was written by another release"),
        ({"v": 3}, "the token was written by another release"),
        ({"v": 2}, INCOMPLETE),
        ([], INCOMPLETE),
        ({"v": 2, "d": "x", "r": "y", "t": "z", "m": -1, "g": "0"}, INCOMPLETE),
    ],
)
def test_a_token_of_another_version_or_without_all_fields_is_refused(content, problem):
    raw = json.dumps(content).encode() + b" " * 80
    token = targets._unpadded(targets._keys(OLD).token.encrypt(raw))

    with pytest.raises(InvalidToken, match=f"^{problem}$"):
        open_token(token, secrets=[OLD])


@pytest.mark.parametrize("padding", [b"", b"=", b"=="])
def test_only_the_padding_is_taken_off_a_token(padding):
    assert targets._unpadded(b"gAAAAAX" + padding) == "gAAAAAX"


def test_without_a_secret_nothing_is_issued_or_opened():
    url = _issue().url

    with pytest.raises(CallbackUrlError) as refusal:
        _issue(secrets=[])
    assert str(refusal.value) == (
        "[smartlive] callback_secrets is empty. Make one with `airflow smartlive generate-secret` for workers and API "
        "servers alike, or start the job with use_callbacks=False."
    )
    assert open_url(url, secrets=[]) is None


def test_a_short_secret_is_refused_without_repeating_it():
    with pytest.raises(CallbackUrlError, match="fewer than 32") as refusal:
        _issue(secrets=["fake-short"])
    assert "fake-short" not in str(refusal.value)


EMPTY = (
    "is empty, and so is [api] base_url. Set it to where MetaStudio reaches the API server; with a sandbox that is "
    "http://localhost:8080 by default."
)
NO_URL = "is not an http(s) URL. Write it like https://airflow.example.com/prefix."
NOT_HTTPS = "must be https: events carry stream keys. Only a loopback host may be http."
TOO_MUCH = "may have scheme, host, port and path only. Remove user, query and fragment."
NOT_ASCII = "may have visible ASCII characters only. Percent-encode others, punycode the host."


@pytest.mark.parametrize(
    ("base_url", "problem"),
    [
        (
            "",
            EMPTY,
        ),
        ("airflow.example.com", NO_URL),
        ("ftp://airflow.example.com", NO_URL),
        ("https://[::1", NO_URL),
        ("https://airflow.example.com:port", NO_URL),
        ("http://airflow.example.com", NOT_HTTPS),
        ("http://127.0.0.1.example.com", NOT_HTTPS),
        ("http://localhost.example.com", NOT_HTTPS),
        ("https://user:fake-password@airflow.example.com", TOO_MUCH),
        ("https://user@airflow.example.com", TOO_MUCH),
        ("https://:fake-password@airflow.example.com", TOO_MUCH),
        ("https://airflow.example.com?x=1", TOO_MUCH),
        ("https://airflow.example.com#x", TOO_MUCH),
        ("https://airflow.example.com/a b", NOT_ASCII),
        ("https://airflow.exämple.com", NOT_ASCII),
    ],
)
def test_a_base_url_that_cannot_serve_is_refused_before_the_start(base_url, problem):
    with pytest.raises(CallbackUrlError) as refusal:
        _issue(base_url=base_url)
    assert str(refusal.value) == f"callback_base_url (of the connection, or of [smartlive]) {problem}"


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "127.9.9.9", "localhost", "[::1]:9000"])
def test_plain_http_is_for_loopback(host):
    assert _issue(base_url=f"http://{host}/").url.startswith(f"http://{host}/smartlive/callbacks/")


def test_the_host_is_written_in_lower_case():
    assert _issue(base_url="HTTPS://Airflow.Example.COM/Prefix/").url.startswith(
        "https://airflow.example.com/Prefix/smartlive/"
    )


def test_of_the_prefix_only_the_slash_at_its_end_is_taken_off():
    assert _issue(base_url=f"{BASE}/X/").url.startswith(f"{BASE}/X/smartlive/callbacks/")


def test_the_longest_ids_of_airflow_fit():
    terms = JobTerms(deadline=datetime(2026, 11, 22, 20, tzinfo=UTC), waits=False, cancel_on_kill=False)
    task_ref = TaskRef("d" * 250, "r" * 250, "t" * 250, 100_000)
    longest = CallbackTarget(task_ref, new_generation(terms.deadline), 1000, "0123456789ab", terms)

    assert len(_issue(target=longest, outputs=[("rtmp://fake/live", "fake-key")]).url) <= MAX_URL_LENGTH


def test_ids_that_are_not_ascii_fit_as_well():
    target = replace(TARGET, task_ref=TaskRef("d" * 250, "夜" * 250, "t" * 250, 3))
    issued = _issue(target=target)

    assert open_url(issued.url, secrets=[OLD]).target == target


def test_a_token_spends_no_character_on_blanks():
    padded = _token(_issue().url) + "=="
    content = targets._keys(OLD).token.decrypt(padded[: len(padded) // 4 * 4])

    assert b" " not in content


def test_the_terms_of_the_job_travel_in_the_token_and_outputs_only_as_fingerprints():
    deadline = datetime(2026, 11, 22, 20, 0, 0, 500_000, tzinfo=UTC)
    terms = JobTerms(deadline=deadline, waits=False, cancel_on_kill=False)
    issued = _issue(target=replace(TARGET, deployment="staging", terms=terms), outputs=[(OUTPUT, "fake-key")])

    target = open_url(issued.url, secrets=[OLD]).target

    expected = describe_output(OUTPUT, "fake-key", key=issued.fingerprint_key).fingerprint
    assert target.terms == replace(terms, outputs=(expected,))
    assert target.deployment == "staging"
    assert issued.target == target


def test_a_later_generation_is_greater_whatever_the_clock_says():
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    first = new_generation(noon)

    assert new_generation(noon, after=first) > first
    assert new_generation(noon - timedelta(hours=1), after=first) > first
    assert new_generation(noon + timedelta(milliseconds=2)) > first


def test_the_name_of_a_generation_tells_when_it_began():
    noon = datetime(2026, 11, 22, 12, 0, 0, 5_000, tzinfo=UTC)
    first = new_generation(noon)

    assert began(first) == noon
    assert began(new_generation(noon - timedelta(hours=1), after=first)) == noon + timedelta(milliseconds=1)
    assert began("another kind of name") == datetime(1970, 1, 1, tzinfo=UTC)


def test_generations_compare_as_text_since_all_are_of_one_length():
    assert re.fullmatch("[0-9a-f]{20}", new_generation(datetime(2026, 11, 22, tzinfo=UTC)))
    assert re.fullmatch("[0-9a-f]{20}", new_generation(datetime(1970, 1, 1, tzinfo=UTC)))


def test_a_url_that_the_api_would_refuse_is_refused_here():
    target = replace(TARGET, task_ref=replace(TARGET.task_ref, run_id="ß" * 800))

    with pytest.raises(CallbackUrlError) as refusal:
        _issue(target=target)
    assert re.fullmatch(
        r"The callback URL would have 2\d\d\d characters and MetaStudio takes 2048\. Shorten callback_base_url, or the "
        r"dag id, run id or task id, all of which it carries\.",
        str(refusal.value),
    )


def test_the_longest_url_that_the_api_takes_is_issued():
    issued = set()
    for letters, prefix in itertools.product(range(1, 17), range(720, 760)):
        target = replace(TARGET, task_ref=replace(TARGET.task_ref, run_id="r" * letters))
        with suppress(CallbackUrlError):
            issued.add(len(_issue(target=target, base_url=f"https://h/{'p' * prefix}").url))

    assert max(issued) == MAX_URL_LENGTH


def test_the_platform_of_meituan_is_not_ours():
    with pytest.raises(CallbackUrlError) as refusal:
        _issue(auth_type=AuthType.MEITUAN_DEFAULT)
    assert str(refusal.value) == (
        "[smartlive] callback_auth_type MEITUAN_DEFAULT is not supported here; use one of MSS_A_HEAD, MSS_A, NONE."
    )


def test_repr_hides_what_is_derived_from_a_secret():
    keys = targets._keys("fake-secret-" * 4)
    assert repr(keys) == "_Keys()"


def test_repr_hides_url_and_keys():
    issued = _issue()
    opened = open_url(issued.url, secrets=[OLD])

    for text in (repr(issued), repr(opened)):
        assert _token(issued.url) not in text
        assert issued.key not in text
        assert repr(issued.fingerprint_key) not in text
        assert "go_live" in text


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        ("s" * MIN_SECRET_LENGTH, True),
        ("s" * (MIN_SECRET_LENGTH - 1), False),
        ("ü" * MIN_SECRET_LENGTH, True),
        ("\udc80" * MIN_SECRET_LENGTH, False),  # bytes of an environment variable that are no UTF-8
    ],
)
def test_what_can_be_a_secret(secret, expected):
    assert is_usable_secret(secret) is expected


def test_a_generated_secret_is_usable_and_new():
    first, second = generate_secret(), generate_secret()

    assert first != second
    assert len(base64.urlsafe_b64decode(first + "=")) == 32
    assert open_url(_issue(secrets=[first]).url, secrets=[second, first]).target == TARGET
