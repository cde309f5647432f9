"""How an RTMP output is recognised in every spelling, and shown without its key."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

FINGERPRINT_DIGITS = 12
HIDDEN = "***"

_DEFAULT_PORTS = {"rtmp": 1935, "rtmps": 443}
_PLAIN_APP = re.compile(r"[a-z]{1,12}")


class Output(NamedTuple):
    """
    An RTMP output, safe to show.

    ``label`` is scheme, host and, if it is a plain word, the application: any other part of the path may be a stream
    key. ``fingerprint`` tells outputs with the same label apart, and is the same for every spelling of one output.
    """

    label: str
    fingerprint: str


def describe_output(url: str, stream_key: str | None, *, key: bytes) -> Output:
    """
    Describe an output without giving it away.

    :param url: the ingest URL, possibly with the stream key inside.
    :param stream_key: the stream key, if it is separate; None and an empty text mean the same.
    :param key: keys the fingerprint, so that nobody can try out stream keys against it.
    """
    text = _canonical(url, stream_key or "")
    fingerprint = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:FINGERPRINT_DIGITS]
    return Output(label=_label(url, stream_key), fingerprint=fingerprint)


def _canonical(url: str, stream_key: str) -> str:
    """
    Return one text for all spellings of an output.

    Nothing documents how MetaStudio writes an output in its events: whether the stream key stands inside the URL, apart
    or both, with the default port or without, with a slash at the end. User and password are no part of it.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return f"{url}\0{stream_key}"
    key_path, _, key_query = stream_key.strip().partition("?")
    path, name = _plain_path(parts.path), _plain_path(key_path)
    if name and path != name and not path.endswith(f"/{name}"):
        path = f"{path}/{name}"
    query = "&".join(part for part in dict.fromkeys((parts.query, key_query)) if part)
    host = (parts.hostname or "").rstrip(".")
    explicit = "" if port is None or port == _DEFAULT_PORTS.get(parts.scheme) else f":{port}"
    return f"{parts.scheme}://{host}{explicit}/{path}?{unquote(query)}"


def _plain_path(path: str) -> str:
    return "/".join(segment for segment in unquote(path).split("/") if segment)


def _label(url: str, stream_key: str | None) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN  # such as an unclosed IPv6 bracket
    host = parts.netloc.rpartition("@")[2]
    if not parts.scheme or not host:
        return HIDDEN
    first, *rest = parts.path.strip("/").split("/")
    # Any segment may be a key; an application, such as "live", is a short word before the name of the stream.
    app = (
        f"/{first}"
        if any(rest) and _PLAIN_APP.fullmatch(first) and first != (stream_key or "").strip()
        else ""
    )
    return f"{parts.scheme}://{host}{app}/{HIDDEN}"
