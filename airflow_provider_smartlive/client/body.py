"""The body of an answer: decompressed, bounded, in UTF-8."""

from __future__ import annotations

import codecs
import re
import zlib

#: Bytes that an answer may have, before and after decompression. The largest that MetaStudio's schema allows is the
#: result of a command with 1,048,576 characters.
MAX_BODY = 16 * 1024 * 1024

#: What we ask for and can read; zlib's number for gzip.
ACCEPT_ENCODING = "gzip, deflate"
_GZIP = 31
_RAW_DEFLATE = -15
_GZIP_MAGIC = b"\x1f\x8b"

#: Besides UTF-8: what servers and proxies in China and elsewhere write, by the names that Python gives them.
_CHARSETS = frozenset(
    {"gb2312", "gbk", "gb18030", "big5", "iso8859-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be"}
)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE | re.ASCII)


class ResponseTooLargeError(Exception):
    """An answer is larger than :data:`MAX_BODY`."""


class BodyUnreadableError(Exception):
    """The compression of an answer is broken, or its end is missing."""


class Body:
    """
    Collects the body of an answer.

    :param encoding: the header Content-Encoding; what is not gzip or deflate counts as not compressed.
    :param content_type: the header Content-Type; its charset counts if the body is not UTF-8.
    :param limit: bytes that are accepted.
    """

    def __init__(
        self, encoding: str | None, content_type: str | None = None, *, limit: int = MAX_BODY
    ) -> None:
        self._encoding = (encoding or "").strip().lower().removeprefix("x-")
        self._content_type = content_type or ""
        self._limit = limit
        self._received = 0
        self._content = bytearray()
        self._head = b""
        self._decompressor: zlib._Decompress | None = None

    def feed(self, data: bytes) -> None:
        """
        Take the next bytes from the wire.

        :raises ResponseTooLargeError: if the body is too large by now.
        :raises BodyUnreadableError: if it cannot be decompressed.
        """
        self._received += len(data)
        if self._received > self._limit:
            raise ResponseTooLargeError
        if self._encoding in ("gzip", "deflate"):
            self._decompress(data)
        else:
            self._content += data

    def finish(self) -> bytes:
        """
        Return the whole body, as UTF-8 without a byte order mark if it is text.

        :raises BodyUnreadableError: if its end is missing.
        """
        if self._head or (self._decompressor is not None and not self._decompressor.eof):
            raise BodyUnreadableError
        return _as_utf8(bytes(self._content), self._content_type)

    def _decompress(self, data: bytes) -> None:
        if self._decompressor is None:
            self._head += data
            if len(self._head) < 2:
                return
            data, self._head = self._head, b""
            self._decompressor = zlib.decompressobj(self._window(data))
        while data and self._decompressor is not None:
            try:
                # One byte more than is allowed tells that there is more; a bomb is not unpacked any further.
                self._content += self._decompressor.decompress(data, self._limit + 1 - len(self._content))
            except zlib.error:
                raise BodyUnreadableError from None
            if len(self._content) > self._limit:
                raise ResponseTooLargeError
            data = self._decompressor.unused_data
            if not data.startswith(_GZIP_MAGIC):
                return  # padding
            self._decompressor = zlib.decompressobj(_GZIP)  # gzip may have several members

    def _window(self, data: bytes) -> int:
        if self._encoding == "gzip":
            return _GZIP
        # "deflate" means zlib, but some servers leave out zlib's header: two bytes, a multiple of 31.
        return zlib.MAX_WBITS if int.from_bytes(data[:2]) % 31 == 0 else _RAW_DEFLATE


def _as_utf8(body: bytes, content_type: str) -> bytes:
    """Return JSON as it should have come; what cannot be decoded stays as it is, and is refused by whoever reads it."""
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        body.decode()
    except UnicodeDecodeError:
        match = _CHARSET.search(content_type)
        try:
            if match and codecs.lookup(match[1]).name in _CHARSETS:
                return body.decode(match[1]).removeprefix("\ufeff").encode()
        except (UnicodeError, LookupError):
            return body
    return body
