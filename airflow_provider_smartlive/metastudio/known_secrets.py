"""
Secrets that are known, found in a text in whatever spelling it repeats them.

Not the spellings of a secret are listed, but the text is read as a decoder would (see :mod:`.reading`): case and width
folded, blanks dropped, escapes and codings undone, in whatever order and however often they were applied. What is found
is cut out as it stands in the text.
"""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_smartlive.metastudio.reading import Reading

HIDDEN = "***"

#: Characters of a secret, in a row, that are taken for a part of it if a digit or a sign is among them; words are
#: taken for one from ``_LETTERS`` on. A shorter secret counts only as a whole word.
_PIECE = 6
_LETTERS = 8

#: The same in base64 that has lost its case, so that it cannot be decoded: some six characters of the secret.
_CODED_PIECE = 8

#: Characters of a secret that are looked for; connections and MetaStudio take 1024.
_MAX_SECRET = 4096

#: Units that are read for each character of a text, in all its layers, and for each layer. Base64 takes 4 readings of
#: three quarters of the length, of which one makes sense: that sums up to 12, however often it is applied. A text that
#: takes more is none that a service writes.
_UNITS_PER_CHARACTER = 24
_UNITS_PER_LAYER = 64

#: Characters below which a needle is no finding in what may have been no coding: any two bytes may be these.
_GUESSED = 3

#: A word of an address, or of an error, that says nothing.
_PLAIN_WORD = re.compile(r"[A-Za-z]{1,12}\.?")


def without_secrets(text: str, secrets: Iterable[str | None]) -> str:
    """
    Return a text without secrets.

    :param text: a text of bounded length, in one line: the work grows with it, and with that of the secrets.
    :param secrets: what must not stand in the result, also not encoded, nor in parts of six characters. Of an
        address, its parts are taken out, too.
    """
    searches = [_search(secret[:_MAX_SECRET]) for secret in secrets if secret]
    if not searches or not text:
        return text
    spans: list[tuple[int, int]] = []
    units = _UNITS_PER_CHARACTER * len(text) + 100 * _UNITS_PER_LAYER
    layers = [Reading.of(text)]
    seen = set()
    while layers:
        reading = layers.pop()
        if not reading.units or (layer := (reading.units, reading.spans[0])) in seen:
            continue
        seen.add(layer)
        units -= len(reading.units) + _UNITS_PER_LAYER
        if units < 0:
            return HIDDEN
        for search in searches:
            spans += _find(search, reading)
        layers += reading.layers()
    return _cut(text, spans)


@dataclass(frozen=True)
class _Search:
    """
    What is looked for because of one secret.

    :param needles: texts, each with whether it is so short that it only counts as a whole word.
    :param pieces: parts of it that are distinctive, by their length.
    """

    needles: Mapping[str, bool] = field(repr=False)
    pieces: Mapping[int, Set[str]] = field(repr=False)


# A connection's secrets are looked for in each of its answers, and a token of 9,000 characters has as many parts.
@lru_cache(maxsize=32)
def _search(secret: str) -> _Search:
    parts = dict(_parts(secret))
    needles = {needle: short for part in parts for needle, short in _needles(part)}
    pieces: dict[int, set[str]] = defaultdict(set)
    for part, whole in parts.items():
        for piece in () if whole else _pieces(part):
            pieces[len(piece)].add(piece)
    return _Search(needles, pieces)


def _parts(secret: str) -> Iterator[tuple[str, bool]]:
    """Return a secret, and what of an address is secret by itself; with each, whether it only counts as a whole."""
    secret = " ".join(secret.split())
    if "://" not in secret:
        yield secret, False
        return
    # Pieces of an address are hosts and words.
    yield secret, True
    try:
        url = urlsplit(secret)
    except ValueError:
        return
    user = url.netloc.rpartition("@")[0]
    found = [*url.path.split("/"), url.query, url.fragment, *user.split(":")]
    found += [value for _, value in parse_qsl(url.query)]
    found += [pair.partition("=")[2] for pair in url.query.split("&")]
    # "live" of rtmp://push.example.com/live is a word, not a key.
    yield from ((part, False) for part in found if part and not _PLAIN_WORD.fullmatch(part))


def _needles(secret: str) -> Iterator[tuple[str, bool]]:
    """Return what is looked for, and with each whether it is so short that it only counts as a whole word."""
    short = len(Reading.of(secret).compact) < _PIECE
    yield from ((plain, short) for plain in _spellings(secret))
    yield from ((coded, short) for coded in _in_base64(secret))
    if short:
        # The decoder leaves out what is as short as that.
        yield secret.encode("utf-8", "surrogatepass").hex(), short


def _spellings(secret: str) -> Iterator[str]:
    """Return a secret as it is compared: as it is, with its blanks as a query writes them, and with escapes undone."""
    yield Reading.of(secret).compact
    yield Reading.of(secret.replace(" ", "+")).compact
    yield Reading.of(secret).fully_unescaped().compact


def _pieces(secret: str) -> Iterator[str]:
    """Return the parts of a secret that are distinctive enough to be taken for it."""
    for needle in _spellings(secret):
        for at in range(len(needle) - _PIECE + 1):
            piece = needle[at : at + _PIECE]
            if piece.isascii() and piece.isalpha():
                piece = needle[at : at + _LETTERS]
            # Zeros in a row are a part of error codes.
            if len(set(piece)) > 2 and (len(piece) >= _LETTERS or not piece.isalpha()):
                yield piece
    if len(secret) < _PIECE:
        return
    for coded in _in_base64(secret):
        coded_pieces = (coded[at : at + _CODED_PIECE] for at in range(len(coded) - _CODED_PIECE + 1))
        yield from (piece for piece in coded_pieces if len(set(piece)) > 2)


def _find(search: _Search, reading: Reading) -> Iterator[tuple[int, int]]:
    """Return where in the text parts of a secret are that show in this reading of it."""
    for needle, short in search.needles.items():
        if reading.guessed and len(needle) < _GUESSED:
            continue
        for at in _all(reading.compact, needle):
            # Of "a" the text would not survive otherwise.
            if not short or reading.is_apart(at, at + len(needle)):
                yield reading.span(at, at + len(needle))
    for size, pieces in search.pieces.items():
        if reading.windows(size).isdisjoint(pieces):
            continue
        for at in range(len(reading.compact) - size + 1):
            if reading.compact[at : at + size] in pieces:
                yield reading.span(at, at + size)


def _cut(text: str, spans: list[tuple[int, int]]) -> str:
    kept: list[str] = []
    done = 0
    for start, end in sorted(spans):
        if start > done or not kept:
            kept += [text[done:start], HIDDEN]
        done = max(done, end)
    return "".join([*kept, text[done:]])


def _in_base64(secret: str) -> Iterator[str]:
    """Return a secret in base64, also as a part of something longer, in small letters."""
    data = secret.encode("utf-8", "surrogatepass")
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(data).decode().rstrip("=").lower()
        if len(data) < _PIECE:
            continue
        for before in (0, 1, 2):
            whole = encode(b"\0" * before + data).decode()
            yield whole[-(-before * 8 // 6) : (before + len(data)) * 8 // 6].lower()


def _all(text: str, needle: str) -> Iterator[int]:
    """Return where a text holds another one, overlapping ones, too."""
    at = text.find(needle) if needle else -1
    while at >= 0:
        yield at
        at = text.find(needle, at + 1)
