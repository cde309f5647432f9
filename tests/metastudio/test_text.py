from __future__ import annotations

import time

import pytest

from airflow_provider_smartlive.metastudio.text import MAX_NAME, MAX_TEXT, printable, safe_text

JOB_ID = "26f06524-4f75-4b3a-a853-b649a21aaf66"
URL = "rtmp://user:fake-pw1@push.example.com:1936/live/fake-path-key1?txSecret=fake+query%2Fkey&txTime=6A"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, ""),
        (7, "7"),
        ("夜间 show", "夜间 show"),
        ("a\x00b", "ab"),
        ("one\r\ntwo\tthree\u2028four", "one two three four"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07\x9b1mbold", "red bold"),
        ("abc\u202ecba\u2066x\u200b\ufeff", "abccbax"),
        ("half \ud83d pair", "half pair"),
        ("  x  ", "x"),
    ],
)
def test_a_text_is_one_line_without_control_characters(text: object, shown: str) -> None:
    assert printable(text) == shown
    assert safe_text(text) == shown


def test_a_text_is_bounded() -> None:
    assert printable("x" * 100_000) == "x" * MAX_NAME
    assert safe_text("x" * 100_000) == "x" * MAX_TEXT
    assert safe_text("x" * 100, limit=5) == "x" * 5


@pytest.mark.parametrize("head", [1, 8_190, 8_191, 8_192, 8_193])
def test_a_secret_at_the_end_of_what_is_read_is_not_halved(head: int) -> None:
    text = "rtmp://h/" + "x" * head + " fake-key-of-some-length"
    assert "fake" not in safe_text(text, secrets=["fake-key-of-some-length"])


@pytest.mark.parametrize(
    "text",
    [
        URL,
        "user:fake-pw1 is refused",
        "no such path: fake-path-key1",
        "fake+query%2Fkey",
        "fake query/key",
        "live/fake-path-key1?txSecret=fake+query%2Fkey",
        "rtmp:\\/\\/push.example.com:1936\\/live\\/fake-path-key1",
        "key=k1",
        "k1 is no key",
        "fake key%20",
        "fake\nkey",
        "fake%20key",
        '"fa\\"ke\\u00e9"',
        "fa\x00ke key",
    ],
)
def test_what_is_known_to_be_secret_is_taken_out_in_any_spelling(text: str) -> None:
    shown = safe_text(text, secrets=[URL, "k1", "fake key", 'fa"keé', None, ""])
    assert "fake" not in shown
    assert "k1" not in shown
    assert "***" in shown


def test_words_of_an_address_are_no_secrets() -> None:
    assert safe_text("the live room", secrets=["rtmp://push.example.com/live"]) == "the live room"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("bad rtmp://push.example.com/live/fake-key?s=fake", "bad rtmp://push.example.com/***"),
        ("see 'https://u:fake@h.example.com?key=fake'!", "see 'https://h.example.com/***'!"),
        ('{"output_urls":["rtmps:\\/\\/h:443\\/app\\/fake"]}', '{"output_urls":["rtmps://h:443/***"]}'),
        ("url rtmp%3A%2F%2Fpush%2Flive%2Ffake ok", "url rtmp://push/*** ok"),
        ("POST /smartlive/callbacks/fake 503", "POST /smartlive/*** 503"),
        ("/live/room?txSecret=fake&txTime=1 x", "/live/*** x"),
        ("stream_keys=[fake-1] key=fake", "stream_keys=*** key=***"),
        ('{"stream_keys": ["fake 1", "b"], "key":"fake"}', '{"stream_keys": ***, "key":***}'),
        ('{\\"stream_key\\":\\"fake\\"}', '{\\"stream_key\\":***}'),
        ("stream key: fake1", "stream key: ***"),
        ("illegal stream key fake-1!", "illegal stream key ***"),
        ("the token is fake12", "the token is ***"),
        ("hwSecret=fake", "hwSecret=***"),
        ("推流密钥\uff1afake1 错误", "推流密钥\uff1a*** 错误"),
        ("X-Auth-Token: MIIfake1", "X-Auth-Token: ***"),
        ("Authorization: SDK-HMAC-SHA256 Access=fake, Signature=fake", "Authorization: ***"),
        ("no fakeABCDEFGHIJKLMNOPQRST1 here", "no *** here"),
        ("认证fakeABCDEFGHIJKLMNOPQRST1失败", "认证***失败"),
        (
            "Incorrect IAM authentication information: verify aksk signature fail,canonicalRequest:GET|fake|",
            "Incorrect IAM authentication information: verify aksk signature fail",
        ),
    ],
)
def test_what_looks_secret_is_taken_out(text: str, shown: str) -> None:
    assert safe_text(text) == shown
    assert safe_text(shown) == shown


@pytest.mark.parametrize("key", ["ab12", "Kx7Q2z", "room4711ab12", "abcdEFGH", "48213377"])
@pytest.mark.parametrize(
    "text",
    [
        "stream name {}",
        "stream name: {}",
        "stream code={}",
        "invalid stream name ({})",
        "stream key {}",
        "stream key is {}",
        "stream key: {}",
        "key \u201c{}\u201d",
        "key\u2192{}",
        "key -> {}",
        "\uff4b\uff45\uff59\uff1a{}",
        "推流 {}",
        "推流地址 {}",
        "推流码为{}",
        "推流码\uff1a{}",
        "串流密钥\uff1a{}",
        "密钥\u201c{}\u201d",
        "密钥「{}」",
        "密钥{}错误",
        "/live/{}",
        "path /live/{} not found",
        "rtmp\uff1a//host\uff0flive\uff0f{}",
        "\uff52\uff54\uff4d\uff50://host/live/{}",
    ],
)
def test_a_short_key_is_known_by_what_is_said_before_it(text: str, key: str) -> None:
    """As in a process that does not know the request: a command, a sensor, a trigger."""
    assert key not in safe_text(text.format(key))


@pytest.mark.parametrize(
    "part", ["key ", "key\u2192", "推流 ", "密钥", "stream-name ", "/live/", "\u201c", "rtmp\uff1a//"]
)
def test_a_hostile_text_costs_little(part: str) -> None:
    started = time.process_time()
    safe_text(part * 8192)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "text",
    [
        "Invalid token: expired",
        "The token must be updated",
        "AK access failed to reach the limit,forbidden",
        "urlTenantId differs from tokenTenantId",
        f"job {JOB_ID} is over",
        "policy user over ratelimit,limit:XX,time:1 second",
        "TOO_LONG_NAME_OF_A_STATE at 20261122T120000Z",
        "roomId job exist.",
        "stream name is empty",
        "key: must be at most 64 characters",
        "推流地址错误",
        "推流失败\uff1a平台拒绝",
    ],
)
def test_what_says_what_is_wrong_stays(text: str) -> None:
    assert safe_text(text) == text


@pytest.mark.parametrize(
    "piece", ["key", "key ", "key:", "a", "a-", "[key=", "rtmp://", "?=", "\x1b[", "\x1b]", "authorization:"]
)
def test_any_text_is_read(piece: str) -> None:
    assert len(safe_text(piece * 20_000, secrets=[URL])) <= MAX_TEXT
