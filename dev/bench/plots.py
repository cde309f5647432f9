"""The benchmark's pictures, drawn by matplotlib as SVG: the same figures give the same file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, StrMethodFormatter

from dev.bench.figures import median, percentile

OURS, OTHERS, FAINT = "#c2410c", "#57606a", "#d0d7de"

#: Text stays text, and the ids in the file do not change from run to run.
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "smartlive", "font.family": "sans-serif", "font.size": 10}


def draw_dots(
    path: Path, title: str, rows: Mapping[str, Sequence[float]], *, ours: Sequence[str], unit: str
) -> None:
    """
    Draw one row of dots for each series, on a logarithmic axis, with its median and 95th percentile.

    :param path: the SVG file.
    :param ours: the rows in the colour of this project.
    """
    with rc_context(STYLE):
        figure, axes = _figure(title, height=0.6 * len(rows) + 1.2)
        for number, (name, row) in enumerate(rows.items()):
            colour = OURS if name in ours else OTHERS
            middle, late = median(row), percentile(row, 95)
            axes.scatter(row, [number] * len(row), s=30, color=colour, alpha=0.35, linewidths=0)
            axes.vlines(middle, number - 0.3, number + 0.3, color=colour, linewidth=2.5)
            label = f"{middle:.2g} {unit} (p95 {late:.2g})"
            axes.annotate(
                label, (1.01, number), xycoords=("axes fraction", "data"), va="center", color=colour
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} {unit}"))
        axes.set_yticks(range(len(rows)), rows)
        axes.invert_yaxis()
        axes.grid(axis="x", color=FAINT)
        _save(figure, path)


def draw_lines(
    path: Path,
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    ours: str,
    labels: tuple[str, str],
) -> None:
    """
    Draw one line for each series.

    :param path: the SVG file.
    :param ours: the line in the colour of this project.
    :param labels: what the axes show.
    """
    with rc_context(STYLE):
        figure, axes = _figure(title, height=4.2)
        top = max(y for line in series.values() for _, y in line)
        heights = _apart({name: line[-1][1] for name, line in series.items()}, gap=0.05 * top)
        for name, line in series.items():
            label = f"{name}: {line[-1][1]:,.0f}"
            axes.plot(
                *zip(*line, strict=True), marker="o", color=OURS if name == ours else OTHERS, label=label
            )
            place = (line[-1][0], heights[name])
            axes.annotate(label, place, xytext=(8, 0), textcoords="offset points", va="center")
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.grid(color=FAINT)
        _save(figure, path)


def _apart(heights: Mapping[str, float], *, gap: float) -> dict[str, float]:
    """Return the heights of labels, moved up where they would cover each other."""
    apart: dict[str, float] = {}
    lowest = 0.0
    for name, height in sorted(heights.items(), key=lambda item: item[1]):
        apart[name] = max(height, lowest)
        lowest = apart[name] + gap
    return apart


def _figure(title: str, *, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, height))
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontweight="bold")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set_axisbelow(True)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", bbox_inches="tight", facecolor="white", metadata={"Date": None})
