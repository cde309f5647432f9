"""How an RTMP output is shown: recognisable, but without its key."""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple
from urllib.parse import urlsplit

FINGERPRINT_DIGITS = 12
HIDDEN = "***"


class Output(NamedTuple):
    """
    An RTMP output, safe to show.

    ``label`` is scheme, host and path without its last segment, which may be a stream key; ``fingerprint``
    tells outputs with the same label apart.
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
    text = f"{url}\0{stream_key or ''}"
    fingerprint = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:FINGERPRINT_DIGITS]
    return Output(label=_label(url), fingerprint=fingerprint)


def _label(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN  # such as an unclosed IPv6 bracket
    host = parts.netloc.rpartition("@")[2]
    if not parts.scheme or not host:
        return HIDDEN
    folder = parts.path.rstrip("/").rpartition("/")[0]
    return f"{parts.scheme}://{host}{folder}/{HIDDEN}"
