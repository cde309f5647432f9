"""The picture that the sandbox publishes: room, script title, clock, and something that moves."""

from __future__ import annotations

import colorsys
import zlib
from datetime import datetime
from functools import cache
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

#: Luma and the two chroma planes of yuv420p, without padding: what a video codec takes.
Planes: TypeAlias = tuple[bytes, bytes, bytes]

#: Fonts with Chinese characters first, because MetaStudio's rooms often have Chinese names; found or not by
#: Pillow in the system's font folders. Pillow's own font, the last resort, knows Latin only.
FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "PingFang.ttc",
    "DejaVuSans.ttf",
)

#: Seconds that the marker takes from the left edge to the right one.
SWEEP = 4.0

_WHITE, _GREY = (255, 255, 255), (200, 205, 215)
_MARKER_LUMA = 235

# Pillow converts to full-range YCbCr (JPEG's); video is expected in the narrower range of broadcasting.
_LUMA_RANGE = [round(16 + value * 219 / 255) for value in range(256)]
_CHROMA_RANGE = [round(128 + (value - 128) * 224 / 255) for value in range(256)]


class Picture:
    """
    Draws the picture. The texts are drawn anew only when one of them changes, once a second mostly; the rest of the
    time a picture costs a copy of the luma plane.

    :param width: pixels, even.
    :param height: pixels, even.
    :param room_name: the large text; it also chooses the colour, so that rooms are told apart at a glance.
    :param script_title: the text below; may be changed at any time.
    """

    def __init__(self, width: int, height: int, *, room_name: str, script_title: str = "") -> None:
        if width % 2 or height % 2 or width < 16 or height < 16:
            raise ValueError("width and height must be even and at least 16 pixels")
        self.width = width
        self.height = height
        self.script_title = script_title
        self._room_name = room_name
        self._background = _colour(room_name)
        self._texts: tuple[str, str] | None = None
        self._still: Planes = (b"", b"", b"")

    def planes(self, now: datetime, elapsed: float) -> Planes:
        """
        Return the picture for a moment.

        :param now: the time that the clock shows.
        :param elapsed: seconds since the start; moves the marker.
        """
        texts = (self.script_title, f"{now:%H:%M:%S}")
        if texts != self._texts:
            self._still = _planes(self.draw(now))
            self._texts = texts
        luma, *chroma = self._still
        return self._mark(luma, elapsed), chroma[0], chroma[1]

    def draw(self, now: datetime) -> Image.Image:
        """Draw all that stands still."""
        image = Image.new("RGB", (self.width, self.height), self._background)
        draw = ImageDraw.Draw(image)
        unit = min(self.width, self.height)
        lines = [
            (self._room_name, 0.20, unit * 0.11, _WHITE),
            (self.script_title, 0.38, unit * 0.065, _GREY),
            (f"{now:%H:%M:%S}", 0.55, unit * 0.16, _WHITE),
            (f"{now:%Y-%m-%d} {now.tzname() or ''}".strip(), 0.68, unit * 0.06, _GREY),
            ("SmartLive sandbox", 0.80, unit * 0.05, _GREY),
        ]
        for text, at, size, colour in lines:
            font, fitted = _fit(draw, text, size, self.width * 0.9)
            draw.text((self.width / 2, self.height * at), fitted, colour, font, anchor="mm")
        return image

    def marker(self, elapsed: float) -> tuple[int, int, int]:
        """Return left edge, upper edge and side length of the moving square."""
        side = max(4, min(self.width, self.height) // 12)
        way = (elapsed / SWEEP) % 2
        share = way if way <= 1 else 2 - way
        return round((self.width - side) * share), self.height - 2 * side, side

    def _mark(self, luma: bytes, elapsed: float) -> bytes:
        left, top, side = self.marker(elapsed)
        marked = bytearray(luma)
        row = bytes([_MARKER_LUMA]) * side
        for start in range(top * self.width + left, (top + side) * self.width, self.width):
            marked[start : start + side] = row
        return bytes(marked)


def _colour(name: str) -> tuple[int, int, int]:
    """Choose a dark colour by a text, the same one every time."""
    red, green, blue = colorsys.hsv_to_rgb(zlib.crc32(name.encode()) / 0xFFFFFFFF, 0.55, 0.4)
    return round(red * 255), round(green * 255), round(blue * 255)


def _planes(image: Image.Image) -> Planes:
    luma, blue, red = image.convert("YCbCr").split()
    return (
        luma.point(_LUMA_RANGE).tobytes(),
        blue.reduce(2).point(_CHROMA_RANGE).tobytes(),
        red.reduce(2).point(_CHROMA_RANGE).tobytes(),
    )


def _fit(draw: ImageDraw.ImageDraw, text: str, size: float, width: float) -> tuple[_Font, str]:
    """Shrink a text to half its size to make it fit, then cut it short."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text[:256]).split())
    font = _font(max(6, round(size)))
    wanted = draw.textlength(text, font)
    if wanted > width:
        font = _font(max(6, round(size * max(0.5, width / wanted))))
    if draw.textlength(text, font) <= width:
        return font, text
    while text and draw.textlength(text + "…", font) > width:
        text = text[:-1]
    return font, text + "…"


_Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont


@cache
def _font(size: int) -> _Font:
    for name in FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue  # not on this machine
    return ImageFont.load_default(size)
