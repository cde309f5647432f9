"""Two pictures, as SVG: how long the next task has to wait, and what waiting costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from dev.bench.figures import median, percentile

WIDTH = 760

#: Between the base lines of two labels.
LABEL_DISTANCE = 17
INK, FAINT, OURS, OTHERS = "#24292f", "#d0d7de", "#c2410c", "#57606a"
FONT = "font-family='system-ui, sans-serif' font-size='13'"


def dots(title: str, rows: Mapping[str, Sequence[float]], *, ours: Sequence[str], unit: str) -> str:
    """
    Return one row of dots for each series, on a logarithmic axis, with its median and 95th percentile.

    :param ours: the rows in the colour of this project.
    """
    left, top, step = 170, 60, 52
    values = [value for row in rows.values() for value in row]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    scale = (WIDTH - left - 40) / (high - low)

    def x(value: float) -> float:
        return left + (math.log10(value) - low) * scale

    bottom = top + step * len(rows)
    shapes = [_text(20, 28, title, weight="600")]
    for power in range(low, high + 1):
        at = x(10.0**power)
        shapes += [
            _line(at, top - 10, at, bottom),
            _text(at, bottom + 20, f"{10.0**power:g} {unit}", "middle"),
        ]
    for number, (name, row) in enumerate(rows.items()):
        y, colour = top + step * number + step / 2, OURS if name in ours else OTHERS
        shapes.append(_text(left - 12, y + 4, name, "end"))
        shapes += [_dot(x(value), y, colour, 4, 0.35) for value in row]
        middle, late = median(row), percentile(row, 95)
        shapes.append(_line(x(middle), y - 14, x(middle), y + 14, colour, 3))
        label = f"{middle:.2f} {unit} (p95 {late:.2f})"
        end = x(max(row)) + 10
        fits = end + 7 * len(label) < WIDTH
        shapes.append(_text(end if fits else x(min(row)) - 10, y + 4, label, "start" if fits else "end"))
    return _picture(bottom + 40, shapes, title)


def lines(
    title: str, series: Mapping[str, Sequence[tuple[float, float]]], *, ours: str, labels: tuple[str, str]
) -> str:
    """
    Return one line for each series.

    :param ours: the line in the colour of this project.
    :param labels: what the axes show.
    """
    left, top, bottom, right = 80, 60, 380, WIDTH - 260
    points = [point for line in series.values() for point in line]
    widest, highest = max(x for x, _ in points), max(y for _, y in points)
    step = 10 ** math.floor(math.log10(highest))
    ticks = [step * number for number in range(math.ceil(highest / step) + 1)]

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x, y = point
        return left + x / widest * (right - left), bottom - y / ticks[-1] * (bottom - top)

    shapes = [_text(20, 28, title, weight="600"), _text(left, top - 12, labels[1], colour=OTHERS)]
    for tick in ticks:
        y = place((0, tick))[1]
        shapes += [_line(left, y, right, y), _text(left - 10, y + 4, f"{tick:,.0f}", "end")]
    for at in sorted({x for x, _ in points}):
        x = place((at, 0))[0]
        shapes.append(_text(x, bottom + 20, f"{at:,.0f}", "middle"))
    shapes.append(_text(right, bottom + 40, labels[0], "end", colour=OTHERS))
    label_y = math.inf
    for name, line in sorted(series.items(), key=lambda item: item[1][-1][1]):  # the lowest label first
        placed, colour = [place(point) for point in line], OURS if name == ours else OTHERS
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        shapes.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2.5'/>")
        shapes += [_dot(x, y, colour, 4, 1) for x, y in placed]
        x, y = placed[-1]
        label_y = min(y + 4, label_y - LABEL_DISTANCE)
        shapes.append(_text(x + 12, label_y, f"{name}: {line[-1][1]:,.0f}", colour=colour))
    return _picture(bottom + 56, shapes, title)


def _picture(height: float, shapes: Sequence[str], title: str) -> str:
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0f}' width='{WIDTH}' "
        f"height='{height:.0f}' role='img' aria-label='{escape(title, quote=True)}' {FONT}>"
    )
    ground = "<rect width='100%' height='100%' fill='white'/>"
    return "\n".join([head, ground, *shapes, "</svg>", ""])


def _text(
    x: float, y: float, text: str, anchor: str = "start", *, weight: str = "400", colour: str = INK
) -> str:
    place = f"x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-weight='{weight}' fill='{colour}'"
    return f"<text {place}>{escape(text)}</text>"


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = FAINT, width: float = 1) -> str:
    ends = f"x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}'"
    return f"<line {ends} stroke='{colour}' stroke-width='{width}'/>"


def _dot(x: float, y: float, colour: str, radius: float, opacity: float) -> str:
    return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{radius}' fill='{colour}' fill-opacity='{opacity}'/>"
