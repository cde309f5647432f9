"""
Secrets that are known, found in a text in whatever spelling it repeats them.

Not the spellings of a secret are listed, but the text is read as a decoder would: case and width folded, percent, JSON
and HTML escapes undone, however often they were applied, blanks dropped. Each unit of the result knows from where in
the text it comes, so that the spelling is cut out as it stands there.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from base64 import b64encode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from urllib.parse import parse_qsl, urlsplit

HIDDEN = "***"

#: Characters of a secret, in a row, that are taken for a part of it if a digit or a sign is among them; words are
#: taken for one from ``_LETTERS`` on. A shorter secret counts only as a whole word.
_PIECE = 6
_LETTERS = 8

#: The same in base64 and hexadecimal: some six characters of the secret.
_CODED_PIECE = {"base64": 8, "hex": 12}

#: Characters of a secret that are looked for; connections and MetaStudio take 1024.
_MAX_SECRET = 4096

#: How often escapes are undone; a text that has some even then is none that a service writes.
_ROUNDS = 10

#: Escapes of URLs, JSON and HTML, with what escapes their own signs: ``%252541`` and ``\\\\u0041`` are one each.
_ESCAPES = re.compile(
    r"%(?:25)*(?P<percent>[0-9a-f]{2})"
    r"|\\{1,64}(?:u(?P<unicode>[0-9a-f]{4})|x(?P<byte>[0-9a-f]{2})|(?P<sign>[/\"'nrt]))|\\(?P<backslash>\\)"
    r"|&(?:amp;){0,99}(?:#x0{0,9}(?P<hexadecimal>[0-9a-f]{1,6});?|#0{0,9}(?P<decimal>[0-9]{1,7});?|(?P<entity>[a-z]{2,6});)"
)
_BLANKS = {"n": " ", "r": " ", "t": " "}
#: What HTML calls characters that keys and addresses have.
_ENTITIES = {
    "amp": "&",
    "apos": "'",
    "ast": "*",
    "bsol": "\\",
    "colon": ":",
    "comma": ",",
    "commat": "@",
    "dash": "-",
    "dollar": "$",
    "equals": "=",
    "excl": "!",
    "gt": ">",
    "hyphen": "-",
    "lowbar": "_",
    "lt": "<",
    "nbsp": " ",
    "num": "#",
    "percnt": "%",
    "period": ".",
    "plus": "+",
    "quest": "?",
    "quot": '"',
    "semi": ";",
    "sol": "/",
}
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
    reading = _Reading.of(text)
    for _ in range(_ROUNDS):
        for search in searches:
            spans += reading.find(search.needles)
            spans += reading.find_pieces(search.pieces)
        further = reading.unescaped()
        if further.units == reading.units:
            return _cut(text, spans)
        reading = further
    return HIDDEN


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
    short = len(_Reading.of(secret).compact) < _PIECE
    for plain in _spellings(secret):
        yield plain, short
    for _, coded in _encoded(secret):
        yield coded, short


def _spellings(secret: str) -> Iterator[str]:
    """Return a secret as it is compared: as it is, with its blanks as a query writes them, and with escapes undone."""
    reading = _Reading.of(secret)
    yield reading.compact
    yield _Reading.of(secret.replace(" ", "+")).compact
    for _ in range(_ROUNDS):
        reading = reading.unescaped()
    yield reading.compact


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
    for coding, coded in _encoded(secret):
        size = _CODED_PIECE[coding]
        coded_pieces = (coded[at : at + size] for at in range(len(coded) - size + 1))
        yield from (piece for piece in coded_pieces if len(set(piece)) > 2)


def _cut(text: str, spans: list[tuple[int, int]]) -> str:
    kept: list[str] = []
    done = 0
    for start, end in sorted(spans):
        if start > done or not kept:
            kept += [text[done:start], HIDDEN]
        done = max(done, end)
    return "".join([*kept, text[done:]])


@dataclass(frozen=True)
class _Reading:
    """
    A text as it is compared.

    :param units: ASCII characters in small letters, and the bytes of others.
    :param spans: where in the text each of them comes from.
    """

    units: str
    spans: list[tuple[int, int]]

    @classmethod
    def of(cls, text: str) -> _Reading:
        """Read a text without undoing escapes."""
        read = [(unit, (at, at + 1)) for at, char in enumerate(text) for unit in _units(char)]
        return cls("".join(unit for unit, _ in read), [span for _, span in read])

    def unescaped(self) -> _Reading:
        """Return the reading with the outermost escapes undone; it is the same if there are none."""
        units: list[str] = []
        spans: list[tuple[int, int]] = []
        done = 0
        for match in _ESCAPES.finditer(self.units):
            meant = _meaning(match)
            if meant is None:
                continue
            start, end = match.span()
            units += [self.units[done:start], meant]
            spans += self.spans[done:start]
            spans += [(self.spans[start][0], self.spans[end - 1][1])] * len(meant)
            done = end
        return _Reading("".join([*units, self.units[done:]]), [*spans, *self.spans[done:]])

    @cached_property
    def _places(self) -> list[int]:
        """Where the units are that are neither blanks nor control characters."""
        return [place for place, unit in enumerate(self.units) if "!" <= unit != "\x7f"]

    @cached_property
    def compact(self) -> str:
        """The units without blanks and control characters."""
        return "".join(self.units[place] for place in self._places)

    def find(self, needles: Mapping[str, bool]) -> Iterator[tuple[int, int]]:
        """Return where in the text the needles are; those with True only as whole words."""
        for needle, short in needles.items():
            for at in _all(self.compact, needle):
                # Of "a" the text would not survive otherwise.
                if not short or self._is_apart(at, at + len(needle)):
                    yield self._span(at, at + len(needle))

    def find_pieces(self, pieces: Mapping[int, Set[str]]) -> Iterator[tuple[int, int]]:
        """Return where in the text one of some texts is, which are given by their length."""
        for size, texts in pieces.items():
            for at in range(len(self.compact) - size + 1):
                if self.compact[at : at + size] in texts:
                    yield self._span(at, at + size)

    def _is_apart(self, start: int, end: int) -> bool:
        first, last = self._places[start], self._places[end - 1]
        before = self.units[first - 1] if first else " "
        after = self.units[last + 1] if last + 1 < len(self.units) else " "
        return not (_is_word(before) or _is_word(after))

    def _span(self, start: int, end: int) -> tuple[int, int]:
        return self.spans[self._places[start]][0], self.spans[self._places[end - 1]][1]


def _meaning(escape: re.Match[str]) -> str | None:
    """Return the units of what an escape means; None if it is none."""
    kind, text = escape.lastgroup, escape[escape.lastgroup or 0]
    match kind:
        case "percent" | "byte":
            return _byte(text)
        case "unicode" | "hexadecimal" | "decimal":
            number = int(text, 10 if kind == "decimal" else 16)
            return _units(chr(number)) if number <= sys.maxunicode else None
        case "entity":
            known = _ENTITIES.get(text)
            return None if known is None else _units(known)
    return _BLANKS.get(text, text)


def _byte(digits: str) -> str:
    value = chr(int(digits, 16))
    return value.lower() if value < "\x80" else value


def _units(char: str) -> str:
    """Return a character in small letters and usual width; one that is not ASCII as its bytes, as escapes name them."""
    if unicodedata.category(char) in ("Cc", "Cf") and not char.isspace():
        return ""  # of no width, or a change of direction
    if char < "\x80":
        return char.lower()
    folded = unicodedata.normalize("NFKC", char).casefold()
    folded = folded if len(folded) <= 4 else char
    return "".join(c if c < "\x80" else c.encode("utf-8", "surrogatepass").decode("latin-1") for c in folded)


def _encoded(secret: str) -> Iterator[tuple[str, str]]:
    """Return a secret in hex and in base64, also as a part of something longer, in small letters."""
    data = secret.encode("utf-8", "surrogatepass")
    yield "hex", data.hex()
    for encode in (b64encode, urlsafe_b64encode):
        yield "base64", encode(data).decode().rstrip("=").lower()
        if len(data) < _PIECE:
            continue
        for before in (0, 1, 2):
            whole = encode(b"\0" * before + data).decode()
            yield "base64", whole[-(-before * 8 // 6) : (before + len(data)) * 8 // 6].lower()


def _all(text: str, needle: str) -> Iterator[int]:
    """Return where a text holds another one, overlapping ones, too."""
    at = text.find(needle) if needle else -1
    while at >= 0:
        yield at
        at = text.find(needle, at + 1)


def _is_word(unit: str) -> bool:
    return unit == "_" or (unit.isascii() and unit.isalnum())
