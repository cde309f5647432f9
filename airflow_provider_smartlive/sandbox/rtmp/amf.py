"""AMF0, the encoding of RTMP's commands: what publishers send and a server answers."""

from __future__ import annotations

import struct
from typing import TypeAlias

#: What AMF0 can say, as plain Python. Numbers arrive as floats, dates as milliseconds since 1970.
Value: TypeAlias = "bool | float | str | list[Value] | dict[str, Value] | None"

#: Nested deeper than this is no RTMP command but an attack on the recursion limit.
MAX_AMF_DEPTH = 8

_NUMBER, _BOOLEAN, _STRING, _OBJECT = 0x00, 0x01, 0x02, 0x03
_NULL, _UNDEFINED, _ECMA_ARRAY, _OBJECT_END, _STRICT_ARRAY = 0x05, 0x06, 0x08, 0x09, 0x0A
_DATE, _LONG_STRING, _XML, _TYPED_OBJECT = 0x0B, 0x0C, 0x0F, 0x10


class AmfError(ValueError):
    """The bytes are no AMF0; the text names what is wrong, never the content."""


def encode(*values: Value | int) -> bytes:
    """
    Encode values one after the other, as a command message carries them.

    :param values: numbers, booleans, text, None, and lists and dicts of these.
    """
    return b"".join(_encode(value) for value in values)


def decode(data: bytes) -> list[Value]:
    """
    Decode all values of a command message.

    :param data: the payload of a message.
    :raises AmfError: if the bytes end early, name an unknown type, or are nested too deeply.
    """
    reader = _AmfReader(data)
    values: list[Value] = []
    while not reader.at_end:
        values.append(reader.value(depth=0))
    return values


def _encode(value: Value | int) -> bytes:
    if value is None:
        return bytes([_NULL])
    if isinstance(value, bool):
        return bytes([_BOOLEAN, value])
    if isinstance(value, int | float):
        return struct.pack(">Bd", _NUMBER, value)
    if isinstance(value, str):
        text = value.encode()
        if len(text) <= 0xFFFF:
            return struct.pack(">BH", _STRING, len(text)) + text
        return struct.pack(">BI", _LONG_STRING, len(text)) + text
    if isinstance(value, list):
        return struct.pack(">BI", _STRICT_ARRAY, len(value)) + encode(*value)
    return bytes([_OBJECT]) + _encode_members(value)


def _encode_members(members: dict[str, Value]) -> bytes:
    parts = []
    for name, value in members.items():
        key = name.encode()
        parts.append(struct.pack(">H", len(key)) + key + _encode(value))
    return b"".join(parts) + bytes([0, 0, _OBJECT_END])


class _AmfReader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._data)

    def value(self, depth: int) -> Value:
        if depth > MAX_AMF_DEPTH:
            raise AmfError(f"AMF0 values are nested deeper than {MAX_AMF_DEPTH} levels")
        kind = self._take(1)[0]
        if kind == _NUMBER:
            return self._number()
        if kind == _BOOLEAN:
            return self._take(1) != b"\x00"
        if kind == _STRING:
            return self._text(self._unsigned(2))
        if kind in (_LONG_STRING, _XML):
            return self._text(self._unsigned(4))
        if kind in (_NULL, _UNDEFINED):
            return None
        if kind == _DATE:
            milliseconds = self._number()
            self._take(2)  # a time zone that AMF0 itself declares meaningless
            return milliseconds
        return self._container(kind, depth)

    def _container(self, kind: int, depth: int) -> Value:
        if kind == _STRICT_ARRAY:
            count = self._unsigned(4)
            # Each element takes a byte at least: an announced count beyond that cannot be true.
            if count > len(self._data) - self._at:
                raise AmfError("an AMF0 array announces more elements than there are bytes")
            return [self.value(depth + 1) for _ in range(count)]
        if kind == _ECMA_ARRAY:
            self._take(4)  # the count is a hint; the members end like those of an object
        elif kind == _TYPED_OBJECT:
            self._text(self._unsigned(2))
        elif kind != _OBJECT:
            raise AmfError(f"AMF0 type 0x{kind:02x} is unknown or not supported")
        return self._members(depth)

    def _members(self, depth: int) -> dict[str, Value]:
        members: dict[str, Value] = {}
        while True:
            name = self._text(self._unsigned(2))
            if not name and self._peek() == _OBJECT_END:
                self._take(1)
                return members
            members[name] = self.value(depth + 1)

    def _number(self) -> float:
        number: float = struct.unpack(">d", self._take(8))[0]
        return number

    def _unsigned(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _text(self, size: int) -> str:
        try:
            return self._take(size).decode()
        except UnicodeDecodeError:
            raise AmfError("an AMF0 text is not UTF-8") from None

    def _peek(self) -> int | None:
        return None if self.at_end else self._data[self._at]

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise AmfError("the AMF0 bytes end in the middle of a value")
        part = self._data[self._at : end]
        self._at = end
        return part
