"""
Text that comes from outside, made safe for logs, exceptions, XComs and terminals.

MetaStudio's error texts, block reasons and names are written by others, and may repeat what a request held: an output
with its stream key, a callback URL, a key. :func:`safe_text` takes out what is known to be secret, and what looks
like it, as a process that was resumed no longer knows what the request held.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from airflow_provider_smartlive.metastudio.known_secrets import HIDDEN, without_secrets

#: Longest text that is kept, in characters; MetaStudio's schema allows 256 for an error, the gateway writes more.
MAX_TEXT = 500

#: Longest name that is kept, in characters: what MetaStudio's schema allows for the name of a room.
MAX_NAME = 256

#: Characters of a text that are looked at; what lies behind them is dropped.
_MAX_READ = 8 * 1024

#: Escape sequences of terminals: colours and cursor (CSI), titles and links (OSC).
_ESCAPE = re.compile(r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]{0,1024}")

#: An address, also with the slashes that JSON or percent-encoding makes of it.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20})(?::|%3A)(?:\\?/|%2F){2}([^\s\"'<>]+)", re.IGNORECASE)
_HOST_END = re.compile(r"\\?/|%2F|\\?\?|%3F|#", re.IGNORECASE)
_QUERY = re.compile(r"\?[^\s\"'<>?]*=[^\s\"'<>]*")
#: Our own callbacks, also without scheme and host.
_CALLBACK = re.compile(r"(/smartlive/)[^\s\"'<>]+", re.IGNORECASE)
_AUTHORIZATION = re.compile(r"(authorization\W{1,5}|SDK-HMAC-SHA256\s)[^\"]+", re.IGNORECASE)

#: Letters, digits and the signs of an address in full width, as input methods for Chinese write them.
_FULL_WIDTH = {
    code: code - 0xFEE0
    for code in range(0xFF01, 0xFF5F)
    if chr(code - 0xFEE0).isalnum() or chr(code - 0xFEE0) in "%&+-./=@_"
}
_FULL_WIDTH_SCHEME = re.compile(r"\uff1a(?=//)")

#: What is called so is a secret; a stream's name is the last part of the address to which it is pushed.
_CHINESE_WORD = "密钥|秘钥|密码|签名|令牌|推流码|推流地址"
_WORD = (
    r"(?:(?:key|secret|token|sign|password|passwd|pwd|credential|auth|stream[ _-]?(?:name|code))[\w-]{0,30}"
    rf"|{_CHINESE_WORD})"
)
_QUOTED = (
    r"\\*\[[^\]]*\]?|\\*\"[^\"]*\"?|'[^']*'?"
    r"|\u201c[^\u201d]*\u201d?|\u2018[^\u2019]*\u2019?|「[^」]*」?|『[^』]*』?"
)
_VALUE = rf"{_QUOTED}|[^\s,;\"'<>&)}}\]\uff0c。\uff1b\uff09]+"
#: ``key=...``, ``"stream_keys": ["..."]``, ``token: ...``, ``key -> ...``
_PAIR = re.compile(
    rf"({_WORD})(\\*[\"'\u201d\u2019」』]?\s{{0,3}}(?:[=-]>|[:=\uff1a→为是])\s{{0,3}})({_VALUE})",
    re.IGNORECASE,
)
#: ``key 'abc' is wrong``, ``illegal stream key abc-123``
_BESIDE = re.compile(rf"({_WORD})(\s(?:is\s|was\s)?[(\[]?)({_VALUE})", re.IGNORECASE)
#: The same in Chinese, which puts no blank there, and where what is pushed may be an address or its last part.
_CHINESE = re.compile(rf"((?:{_CHINESE_WORD}|推流)\s?)(?:{_QUOTED}|[!-~]{{3,}})")
#: An application of an RTMP server with what stands behind it, also without scheme and host.
_APPLICATION = re.compile(
    r"(/(?:live|app|push|publish|stream|rtmp|broadcast)/)[^\s\"'<>\uff0c。\uff1b\uff09\u201d」]+",
    re.IGNORECASE,
)

#: What says of a key, behind a colon, what is wrong with it.
_SAID_OF_A_KEY = re.compile(
    r"(?:a|an|and|already|are|be|cannot|changed|denied|does|duplicate|empty|error|exists|"
    r"expired|fail|failed|failure|has|illegal|in|incorrect|invalid|is|mismatch|missing|must|"
    r"no|none|not|null|of|or|please|rejected|required|revoked|should|the|this|too|"
    r"unauthorized|undefined|unknown|verify|was|wrong|your)[.:]?",
    re.IGNORECASE,
)
#: A word as texts have it: in lower case, with a capital, or in capitals.
_LIKE_A_WORD = re.compile(r"(?:[A-Za-z]?[a-z]{1,13}|[A-Z]{1,13})[.:]?|[\d.]{1,3}", re.ASCII)
#: Tokens and keys anywhere: long, with letters and digits. Ids of rooms and jobs (UUIDs) are none.
_OPAQUE = re.compile(
    r"(?<![A-Za-z0-9_+=-])(?=[A-Za-z_+=-]*[0-9])(?=[0-9_+=-]*[A-Za-z])[A-Za-z0-9_+=-]{20,}", re.ASCII
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def printable(text: object, *, limit: int = MAX_NAME) -> str:
    """
    Return a text in one line, bounded, and without control characters, escape sequences and changes of direction.

    :param text: whatever MetaStudio sent, such as a name; None becomes an empty text.
    :param limit: characters to keep.
    """
    return _one_line(text)[:limit].rstrip()


def safe_text(text: object, *, secrets: Iterable[str | None] = (), limit: int = MAX_TEXT) -> str:
    """
    Return a text as :func:`printable` does, and without secrets.

    Taken out is what the caller knows to be secret, in any spelling and in part; of every address all but scheme and
    host; values that are called key, secret, token, signature or password; and long values that look like keys.

    :param text: whatever MetaStudio sent; None becomes an empty text.
    :param secrets: what must not stand in the result, such as output URLs and stream keys. Of an address, its parts are
        taken out, too.
    :param limit: characters to keep.
    """
    # The gateway shows the whole request after a wrong signature.
    line = _one_line(text).partition("canonicalRequest")[0].rstrip(" ,:")
    line = _FULL_WIDTH_SCHEME.sub(":", line.translate(_FULL_WIDTH))
    line = without_secrets(line, secrets)
    line = _URL.sub(_scheme_and_host, line)
    line = _CALLBACK.sub(rf"\1{HIDDEN}", line)
    line = _APPLICATION.sub(rf"\1{HIDDEN}", line)
    line = _QUERY.sub(f"?{HIDDEN}", line)
    line = _AUTHORIZATION.sub(rf"\1{HIDDEN}", line)
    line = _PAIR.sub(_pair, line)
    line = _BESIDE.sub(_beside, line)
    line = _CHINESE.sub(rf"\1{HIDDEN}", line)
    line = _OPAQUE.sub(_opaque, line)
    return line[:limit].rstrip()


def request_id(value: str | None, *, secrets: Iterable[str | None] = ()) -> str | None:
    """
    Return the value of a header X-Request-Id; None if it is none of MetaStudio's, which have 32 letters and digits.

    :param secrets: what the request held; an id that repeats some of it is none either.
    """
    if value is None or not _REQUEST_ID.fullmatch(value) or without_secrets(value, secrets) != value:
        return None
    return value


def _one_line(text: object) -> str:
    if text is None:
        return ""
    whole = text if isinstance(text, str) else str(text)
    read = whole[:_MAX_READ]
    if len(whole) > _MAX_READ:
        read = read.rpartition(" ")[0] or read  # half a secret would not be recognised
    joined = "".join(char for char in _ESCAPE.sub("", read) if char.isprintable() or char.isspace())
    return " ".join(joined.split())


def _scheme_and_host(match: re.Match[str]) -> str:
    host = _HOST_END.split(match[2], maxsplit=1)[0].rpartition("@")[2]
    return f"{match[1]}://{host}/{HIDDEN}"


def _pair(match: re.Match[str]) -> str:
    name, separator, value = match.groups()
    # "Invalid token: expired" says what is wrong.
    said = "=" not in separator and _SAID_OF_A_KEY.fullmatch(value)
    return match[0] if said else f"{name}{separator}{HIDDEN}"


def _beside(match: re.Match[str]) -> str:
    name, blank, value = match.groups()
    return match[0] if value == HIDDEN or _LIKE_A_WORD.fullmatch(value) else f"{name}{blank}{HIDDEN}"


def _opaque(match: re.Match[str]) -> str:
    return match[0] if _UUID.fullmatch(match[0]) else HIDDEN
