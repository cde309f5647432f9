"""What the processes of a cluster hold, again and again, and whether it grows."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import psutil

from dev.process import Program

#: Means of so many parts of the time make a slope: the error of one that follows each sample would be too small,
#: because a sample resembles the one before.
PARTS = 10

#: The part of the time at the beginning that does not count: what a process loads on first use.
WARM_UP = 0.2

#: A slope is flat if 0 is within so many of its standard errors (95 per cent with eight degrees of freedom).
ERRORS = 2.31


@dataclass(frozen=True)
class Slope:
    """
    How something grows.

    :param mean: its mean.
    :param per_hour: its slope.
    :param error: the standard error of the slope.
    """

    mean: float
    per_hour: float
    error: float

    @property
    def is_flat(self) -> bool:
        """Whether 0 is within the slope's own error."""
        return abs(self.per_hour) <= ERRORS * self.error or not self.per_hour

    @classmethod
    def of(cls, points: Sequence[tuple[float, float]]) -> Slope:
        """
        Fit a line.

        :param points: seconds and value.
        """
        parts = means(points)
        hours, values = [x / 3600 for x, _ in parts], [y for _, y in parts]
        middle, mean = fmean(hours), fmean(values)
        square = math.fsum((x - middle) ** 2 for x in hours)
        slope = math.fsum((x - middle) * (y - mean) for x, y in zip(hours, values, strict=True)) / square
        rest = math.fsum((y - mean - slope * (x - middle)) ** 2 for x, y in zip(hours, values, strict=True))
        return cls(mean, slope, math.sqrt(rest / (len(parts) - 2) / square))


def means(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the means of equal parts, without the warm-up."""
    points = sorted(points)
    counted = points[int(len(points) * WARM_UP) :]
    size = len(counted) / PARTS
    parts = [counted[int(number * size) : int((number + 1) * size)] for number in range(PARTS)]
    return [(fmean(x for x, _ in part), fmean(y for _, y in part)) for part in parts if part]


@dataclass
class Series:
    """
    What was seen of one process.

    :param memory: seconds and megabytes (what it has for itself: unique set size).
    :param files: seconds and open file descriptors.
    :param sockets: those of them that are sockets.
    """

    memory: list[tuple[float, float]] = field(default_factory=list)
    files: list[tuple[float, float]] = field(default_factory=list)
    sockets: list[tuple[float, float]] = field(default_factory=list)


class Sampler:
    """
    Looks at all processes of some programs, in a thread of its own; a context manager.

    :param programs: by name.
    :param interval: seconds between two looks.
    """

    def __init__(self, programs: Mapping[str, Program], interval: float = 5.0) -> None:
        self._programs = programs
        self._interval = interval
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._found: dict[tuple[str, int], Series] = {}
        self._looks = 0

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def lasting(self) -> dict[str, Series]:
        """Return what was seen of each process that was there all the time, by program and number."""
        names: dict[str, Series] = {}
        for (program, _), series in sorted(self._found.items()):
            if len(series.memory) >= 0.95 * self._looks:
                number = sum(name.partition(" ")[0] == program for name in names) + 1
                names[f"{program} {number}"] = series
        return names

    def _run(self) -> None:
        began = time.monotonic()
        while not self._over.wait(self._interval):
            self._looks += 1
            at = time.monotonic() - began
            for name, program in self._programs.items():
                for process in _living(program):
                    with contextlib.suppress(psutil.Error, OSError):
                        self._look(self._found.setdefault((name, process.pid), Series()), process, at)

    def _look(self, series: Series, process: psutil.Process, at: float) -> None:
        memory, files = process.memory_full_info().uss / 1e6, process.num_fds()
        sockets = sum(link.startswith("socket:") for link in _links(process.pid))
        series.memory.append((at, memory))
        series.files.append((at, files))
        series.sockets.append((at, sockets))


def _living(program: Program) -> list[psutil.Process]:
    """Return the processes of a program without looking through all of the machine's."""
    try:
        first = psutil.Process(program.pid)
        return [first, *first.children(recursive=True)]
    except psutil.Error:
        return []


def _links(pid: int) -> list[str]:
    """Return what the open file descriptors of a process are."""
    found = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(file.readlink()))
    return found
