"""The page on scaling: a model of a few lines, fitted to the measured figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.bench.tables import table
from dev.bench.targets import beyond_idle

TEXT = Path(__file__).resolve().parent / "scaling.md"

#: Sizes of deployments, in streams that are live at the same time.
STREAMS = (1_000, 10_000, 100_000)

#: What is assumed of a livestream: hours, and events in an hour (a script event every half minute, and the
#: few changes of its link).
HOURS, EVENTS_PER_HOUR = 3.0, 125.0

#: Seconds between two questions (the default, less half of its jitter), jobs on a page, seconds between pages.
INTERVAL, PAGE, REQUEST_INTERVAL = 300 * (1 - 0.125), 100, 0.2

#: Requests a second that MetaStudio grants a tenant: queries, and creating calls (of which one starts a job).
QUERIES_PER_SECOND, STARTS_PER_SECOND = 10.0, 5.0

#: Part of one core that may be busy, so that a burst finds room.
BUSY = 0.5

#: Triggers of one triggerer: Airflow's default capacity.
TRIGGERS = 1_000


@dataclass(frozen=True)
class Fitted:
    """
    What the run has measured.

    :param waiting_cpu: seconds of processor time in an hour for one waiting stream, at an interval of 60 s.
    :param event_rate: events a second that one API server worker took.
    :param start_seconds: seconds of two busy cores to bring one room live.
    :param resume_seconds: the same to resume one task.
    :param trigger_megabytes: memory of one waiting trigger.
    """

    waiting_cpu: float
    event_rate: float
    start_seconds: float
    resume_seconds: float
    trigger_megabytes: float

    @classmethod
    def of(cls, results: dict[str, Any]) -> Fitted:
        """Read the figures of a run that measured all parts."""
        streams, cpu = beyond_idle(results["waiting"], "smartlive")[-1]
        few, many = [price for price in results["waiting"] if price["kind"] == "smartlive"][-2:]
        megabytes = many["memory"]["triggerer"] - few["memory"]["triggerer"]
        rooms = results["rooms"]
        return cls(
            waiting_cpu=cpu / streams,
            event_rate=results["ingestion"]["receiver"]["rate"],
            start_seconds=rooms["all started after"] / rooms["rooms"],
            resume_seconds=rooms["done"][-1] / rooms["rooms"],
            trigger_megabytes=megabytes / (many["streams"] - few["streams"]),
        )


@dataclass(frozen=True)
class Deployment:
    """
    What so many streams at the same time ask for.

    :param streams: how many.
    :param fitted: what was measured.
    """

    streams: int
    fitted: Fitted

    @property
    def events(self) -> float:
        """Events a second, spread evenly."""
        return self.streams * EVENTS_PER_HOUR / 3600

    @property
    def api_workers(self) -> int:
        """API server workers for the events alone."""
        return math.ceil(self.events / (self.fitted.event_rate * BUSY))

    @property
    def triggerers(self) -> int:
        """Triggerers, by Airflow's default capacity."""
        return math.ceil(self.streams / TRIGGERS)

    @property
    def pages(self) -> int:
        """Pages of one look at all active jobs."""
        return math.ceil(self.streams / PAGE)

    @property
    def queries(self) -> float:
        """Queries to MetaStudio a second: every triggerer looks at all active jobs of the tenant."""
        return self.triggerers * self.pages / max(INTERVAL, self.pages * REQUEST_INTERVAL)

    @property
    def interval(self) -> float:
        """Seconds between two looks that keep within half of MetaStudio's limit."""
        return max(300.0, self.triggerers * self.pages / (QUERIES_PER_SECOND / 2))

    @property
    def tasks_per_second(self) -> float:
        """Task starts a second if all shows begin evenly over their length: one to start, one to resume."""
        return 2 * self.streams / (HOURS * 3600)

    @property
    def worker_cores(self) -> float:
        """Cores of workers for these."""
        both = self.fitted.start_seconds + self.fitted.resume_seconds
        return self.streams / (HOURS * 3600) * both * 2 / BUSY

    @property
    def start_minutes(self) -> float:
        """Minutes until all are live, if all are to begin at once: MetaStudio's limit of creating calls."""
        return self.streams / STARTS_PER_SECOND / 60


def write(results: dict[str, Any], folder: Path) -> None:
    """Write ``scaling.md``."""
    fitted = Fitted.of(results)
    sizes = [Deployment(streams, fitted) for streams in STREAMS]
    text = TEXT.read_text().replace("{fitted}", _fitted(fitted)).replace("{model}", _model(sizes))
    (folder / "scaling.md").write_text(text)


def _fitted(fitted: Fitted) -> str:
    rows = [
        ("processor time of a waiting stream (asked for every 60 s)", f"{fitted.waiting_cpu:.2f} s an hour"),
        ("memory of a waiting trigger", f"{fitted.trigger_megabytes * 1000:.0f} kB"),
        ("events that one API server worker takes", f"{fitted.event_rate:,.0f} a second"),
        ("to bring one room live, on two busy cores", f"{fitted.start_seconds:.2f} s"),
        ("to resume one task, on two busy cores", f"{fitted.resume_seconds:.2f} s"),
    ]
    return table(("measured", ""), rows)


def _model(sizes: Sequence[Deployment]) -> str:
    rows = [
        ("events a second", *(f"{size.events:,.0f}" for size in sizes)),
        ("API server workers for them", *(f"{size.api_workers}" for size in sizes)),
        ("triggerers (capacity 1,000)", *(f"{size.triggerers}" for size in sizes)),
        (
            "cores for waiting, all of Airflow",
            *(f"{size.streams * size.fitted.waiting_cpu / 3600:.2f}" for size in sizes),
        ),
        (
            "memory of all triggers, MB",
            *(f"{size.streams * size.fitted.trigger_megabytes:,.0f}" for size in sizes),
        ),
        ("task starts a second, evenly spread", *(f"{size.tasks_per_second:.1f}" for size in sizes)),
        ("cores of workers for them", *(f"{size.worker_cores:.1f}" for size in sizes)),
        ("queries to MetaStudio a second, default interval", *(f"{size.queries:.1f}" for size in sizes)),
        (
            "`reconcile_interval` that keeps to half of its limit, s",
            *(f"{size.interval:,.0f}" for size in sizes),
        ),
        (
            "minutes until all are live, if all begin at once",
            *(f"{size.start_minutes:,.0f}" for size in sizes),
        ),
    ]
    return table(("streams at the same time", *(f"{size.streams:,}" for size in sizes)), rows)
