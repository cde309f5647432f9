"""
A text as a decoder would read it, layer by layer.

Width is folded, what has none is dropped, and escapes (percent, JSON, HTML) and codings (base64, hexadecimal) are
undone one layer at a time. Each unit of the result knows from where in the text it comes.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from base64 import b64decode
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from functools import cached_property

#: Escapes of URLs, JSON and HTML; ``%252541`` and ``&amp;#65;``, with what escapes their own sign, are one each.
#: Control characters and the bytes of a character are one, too: escapes and codings of bytes leave them.
_ESCAPES = re.compile(
    r"%(?:25)*(?:u(?P<script>[0-9a-f]{4})|(?P<percent>[0-9a-f]{2}))"
    r"|\\(?:(?-i:U)(?P<long>00(?:0[0-9a-f]|10)[0-9a-f]{4})|u(?P<unicode>[0-9a-f]{4})"
    r"|u\{0{0,9}(?P<braced>[0-9a-f]{1,6})\}|x(?P<byte>[0-9a-f]{2})|(?P<sign>[\\/\"'nrtbfv0]))"
    r"|&(?:amp;){0,99}(?:#x0{0,9}(?P<hexadecimal>[0-9a-f]{1,6});?|#0{0,9}(?P<decimal>[0-9]{1,7});?"
    r"|(?P<entity>[a-z]{2,14});)"
    # Of case there is none in bytes: \xc2 and \xe2 are not two of one letter.
    r"|(?P<control>[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+)|(?-i:(?P<pair>\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf])"
    r"|(?P<character>[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}))",
    re.IGNORECASE,
)
#: Signs behind a backslash that do not mean themselves: blanks, and control characters.
_SIGNS = {"n": " ", "r": " ", "t": " ", "b": "", "f": "", "v": "", "0": ""}
#: What HTML calls characters that keys and addresses have, and those of no width.
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
    "lrm": "",
    "lt": "<",
    "nbsp": " ",
    "newline": " ",
    "nobreak": "",
    "num": "#",
    "percnt": "%",
    "period": ".",
    "plus": "+",
    "quest": "?",
    "quot": '"',
    "rlm": "",
    "semi": ";",
    "shy": "",
    "sol": "/",
    "tab": " ",
    "zerowidthspace": "",
    "zwj": "",
    "zwnj": "",
}

#: Stands between two parts that were decoded: no part of a word, and in no text of UTF-8.
_APART = "\xff"

#: Characters that are not seen: controls, formats (of no width, or a change of direction), marks on the one before.
_UNSEEN_CATEGORIES = {"Cc", "Cf", "Mn", "Me"}
#: The like that Unicode counts among letters and symbols: fillers, and an empty pattern.
_UNSEEN = set("\u115f\u1160\u3164\uffa0\u2800")


@dataclass(frozen=True)
class _Coding:
    """
    A coding of bytes in digits.

    :param digits: a run of digits, so long that five characters may have been coded in it.
    :param bits: how many a digit has.
    :param starts: of so many digits in a row, a byte begins with one.
    :param decode: decodes a run; digits beyond the last whole byte are left out.
    """

    digits: re.Pattern[str]
    bits: int
    starts: int
    decode: Callable[[str], bytes]


def _from_base64(digits: str) -> bytes:
    whole = digits[:-1] if len(digits) % 4 == 1 else digits
    return b64decode(whole.translate(_ONE_ALPHABET) + "=" * (-len(whole) % 4))


def _from_hexadecimal(digits: str) -> bytes:
    return bytes.fromhex(digits[: len(digits) // 2 * 2])


_ONE_ALPHABET = str.maketrans("-_", "+/")
_CODINGS = (
    _Coding(re.compile(r"[A-Za-z0-9+/_-]{6,}"), bits=6, starts=4, decode=_from_base64),
    _Coding(re.compile(r"[0-9A-Fa-f]{8,}"), bits=4, starts=2, decode=_from_hexadecimal),
)


@dataclass(frozen=True)
class Reading:
    """
    A text as it is compared.

    :param units: ASCII characters, and the bytes of others as characters up to 0xFF.
    :param spans: where in the text each of them comes from.
    :param guessed: whether the text was taken for base64 or hexadecimal; it may have been neither.
    """

    units: str
    spans: list[tuple[int, int]]
    guessed: bool = False
    _windows: dict[int, Set[str]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, text: str) -> Reading:
        """Read a text without undoing anything."""
        read = [(unit, (at, at + 1)) for at, char in enumerate(text) for unit in _units(char)]
        return cls("".join(unit for unit, _ in read), [span for _, span in read])

    def layers(self) -> Iterator[Reading]:
        """Return what the text is without its outermost escapes, and with each part decoded that may be coded."""
        further = self.unescaped()
        if further.units != self.units:
            yield further
        for coding in _CODINGS:
            for start in range(coding.starts):
                yield self._decoded(coding, start)

    def unescaped(self) -> Reading:
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
        return Reading("".join([*units, self.units[done:]]), [*spans, *self.spans[done:]], self.guessed)

    def fully_unescaped(self) -> Reading:
        """Return the reading with all escapes undone. Each layer is shorter than the one around it."""
        reading, further = self, self.unescaped()
        while further.units != reading.units:
            reading, further = further, further.unescaped()
        return reading

    def _decoded(self, coding: _Coding, start: int) -> Reading:
        """Decode all that may be coded; of each run of its digits, from one of those with which a byte may begin."""
        units: list[str] = []
        spans: list[tuple[int, int]] = []
        for run in coding.digits.finditer(self._written):
            first = run.start() + start
            data = coding.decode(self._written[first : run.end()])
            units += [data.decode("latin-1"), _APART]
            bits = range(0, 8 * len(data), 8)
            spans += [
                self.span(first + at // coding.bits, first + (at + 7) // coding.bits + 1) for at in bits
            ]
            spans.append(self.span(run.end() - 1, run.end()))
        return Reading("".join(units), spans, guessed=True)

    @cached_property
    def _places(self) -> list[int]:
        """Where the units are that are neither blanks nor control characters."""
        return [place for place, unit in enumerate(self.units) if "!" <= unit != "\x7f"]

    @cached_property
    def _written(self) -> str:
        return "".join(self.units[place] for place in self._places)

    @cached_property
    def compact(self) -> str:
        """The units in small letters, without blanks and control characters."""
        return "".join(unit.lower() if unit < "\x80" else unit for unit in self._written)

    def windows(self, size: int) -> Set[str]:
        """Return all parts of :attr:`compact` of one length."""
        if size not in self._windows:
            last = len(self.compact) - size + 1
            self._windows[size] = {self.compact[at : at + size] for at in range(last)}
        return self._windows[size]

    def is_apart(self, start: int, end: int) -> bool:
        """Tell whether a part of :attr:`compact` is a whole word."""
        first, last = self._places[start], self._places[end - 1]
        before = self.units[first - 1] if first else " "
        after = self.units[last + 1] if last + 1 < len(self.units) else " "
        return not (_is_word(before) or _is_word(after))

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return where in the text a part of :attr:`compact` comes from."""
        return self.spans[self._places[start]][0], self.spans[self._places[end - 1]][1]


def _meaning(escape: re.Match[str]) -> str | None:
    """Return the units of what an escape means; None if it is none."""
    kind, text = escape.lastgroup, escape[escape.lastgroup or 0]
    match kind:
        case "percent" | "byte":
            return chr(int(text, 16))
        case "script" | "long" | "unicode" | "braced" | "hexadecimal" | "decimal":
            number = int(text, 10 if kind == "decimal" else 16)
            return _units(chr(number)) if number <= sys.maxunicode else None
        case "entity":
            known = _ENTITIES.get(text.lower())
            return None if known is None else _units(known)
        case "control":
            return ""
        case "pair" | "character":
            return _character(text)
    return _SIGNS.get(text.lower(), text)


def _character(data: str) -> str | None:
    """Return the units of a character whose bytes were named, or of one that two surrogates stand for."""
    try:
        chars = data.encode("latin-1").decode("utf-8", "surrogatepass")
        if len(chars) == 2:
            chars = chars.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return None
    return _units(chars)


def _units(char: str) -> str:
    """Return a character in usual width; one that is not ASCII in small letters, as its bytes, as escapes name them."""
    if char < "\x80" and char.isprintable():
        return char
    folded = unicodedata.normalize("NFKD", char)
    folded = "".join(c for c in folded if c.isspace() or _is_seen(c))
    if len(folded) > 4:
        folded = char
    return "".join(
        c if c < "\x80" else c.casefold().encode("utf-8", "surrogatepass").decode("latin-1") for c in folded
    )


def _is_seen(char: str) -> bool:
    return unicodedata.category(char) not in _UNSEEN_CATEGORIES and char not in _UNSEEN


def _is_word(unit: str) -> bool:
    return unit == "_" or (unit.isascii() and unit.isalnum())
