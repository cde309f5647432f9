"""One poller for all who wait, in virtual time."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import random
import re
import tracemalloc
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from airflow.sdk import Connection

from airflow_provider_smartlive.client import async_hook
from airflow_provider_smartlive.client.errors import TransportFailure
from airflow_provider_smartlive.client.flow import OutgoingRequest
from airflow_provider_smartlive.client.operations import HttpResponse
from airflow_provider_smartlive.decisions import JobStatus
from airflow_provider_smartlive.livestream.snapshot import REFUSED_PAUSE, JobSnapshot
from airflow_provider_smartlive.metastudio.errors import (
    AuthenticationError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    ServerError,
    Throttled,
    UnexpectedResponse,
)
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.reconciler import poller as poller_module
from airflow_provider_smartlive.reconciler.poller import JITTER, WORTH_A_PAGE
from airflow_provider_smartlive.reconciler.registry import watching
from airflow_provider_smartlive.reconciler.requests import REQUEST_INTERVAL, THROTTLED_PAUSE
from airflow_provider_smartlive.reconciler.watch import OVERDUE, Watch
from tests.support.fake_metastudio import ROOM, FakeAsyncHook, FakeJob, FakeMetaStudio, unreachable
from tests.support.virtual_time import Clock, run

DOCS = Path(__file__).parents[2] / "docs"
INTERVAL = 300.0
#: Defaults of [smartlive] request_timeout and request_attempts.
REQUEST_TIMEOUT = 30.0
ATTEMPTS = 4
NO_JOB = "00000000000000000000000000000bad"
REFUSED = AuthenticationError("wrong signature", http_status=401, error_code="APIGW.0301")


@dataclass
class Poller:
    """The shared poller of a test, and who waits at it."""

    clock: Clock
    metastudio: FakeMetaStudio
    hooks: list[FakeAsyncHook] = field(default_factory=list)
    waiting: list[asyncio.Task[None]] = field(default_factory=list)

    def make_hook(self, conn_id: str) -> FakeAsyncHook:
        self.hooks.append(FakeAsyncHook(self.metastudio))
        return self.hooks[-1]

    def wait(
        self,
        job: FakeJob | str,
        *,
        interval: float = INTERVAL,
        room_id: str | None = ROOM,
        conn_id: str = "one",
    ) -> list[tuple[float, JobStatus]]:
        """Wait for a job as a trigger does; return the list that its sightings go to."""
        seen: list[tuple[float, JobStatus]] = []
        job_id = job if isinstance(job, str) else job.job_id

        async def trigger() -> None:
            async with watching(conn_id, job_id=job_id, room_id=room_id, interval=interval) as watch:
                while True:
                    snapshot = await watch.next()
                    seen.append((self.clock.seconds, snapshot.status))

        self.waiting.append(asyncio.create_task(trigger()))
        return seen

    async def leave(self, number: int = -1) -> None:
        task = self.waiting.pop(number)
        task.cancel()
        await asyncio.wait([task])

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a test, and let everybody go at its end."""

        async def all_of_it() -> None:
            await main()
            while self.waiting:
                await self.leave()
            await settled()
            assert [task for task in asyncio.all_tasks() if "smartlive" in task.get_name()] == []

        run(self.clock, all_of_it())
        assert [hook for hook in self.hooks if hook.is_open] == []


async def hang(*_: object, **__: object) -> Any:
    await asyncio.Event().wait()


async def settled() -> None:
    """Let tasks that were cancelled end."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def poller(clock: Clock, metastudio: FakeMetaStudio, monkeypatch: pytest.MonkeyPatch) -> Poller:
    poller = Poller(clock, metastudio)
    monkeypatch.setattr(poller_module, "hook_for", poller.make_hook)
    without_jitter(monkeypatch)
    return poller


def without_jitter(monkeypatch: pytest.MonkeyPatch, spread: float = 0.0) -> None:
    by_chance = SimpleNamespace(random=lambda: spread, uniform=lambda low, high: low + (high - low) * spread)
    for module in ("poller", "requests"):
        monkeypatch.setattr(f"airflow_provider_smartlive.reconciler.{module}.random", by_chance)


def test_looks_leave_nothing_in_memory(poller: Poller) -> None:
    """A triggerer runs for weeks: what is learned about a job at one look goes when the next one replaces it."""
    jobs, looks = 100, 40

    async def trigger(job: FakeJob) -> None:
        async with watching("one", job_id=job.job_id, room_id=ROOM, interval=INTERVAL) as watch:
            while True:
                await watch.next()

    async def kept() -> int:
        await asyncio.sleep(looks * INTERVAL)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    async def main() -> None:
        poller.waiting += [asyncio.create_task(trigger(poller.metastudio.add())) for _ in range(jobs)]
        tracemalloc.start()
        try:
            grown = -await kept() + await kept()
        finally:
            tracemalloc.stop()
        # One more object of 48 bytes for each answer about a job would be three times as much.
        assert grown < jobs * looks * 16

    poller.run(main)


def test_a_connection_that_was_edited_is_read_again(poller: Poller) -> None:
    """Whoever waits since then asks for a job of the other project, through the poller that is there already."""

    async def main() -> None:
        before = poller.wait(poller.metastudio.add())
        await asyncio.sleep(INTERVAL + 1)
        poller.metastudio.endpoint = "https://elsewhere.example.com"
        after = poller.wait(poller.metastudio.add())
        await asyncio.sleep(INTERVAL + 1)
        assert [status for _, status in before] == [JobStatus.ACTIVE, JobStatus.NOT_FOUND]
        assert [status for _, status in after] == [JobStatus.ACTIVE]

    poller.run(main)


@pytest.mark.parametrize("fault", [None, ValueError("the secrets backend is away")])
def test_it_is_read_once_a_minute_at_most(
    poller: Poller, fault: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[float] = []

    async def reload(hook: FakeAsyncHook) -> bool:
        read.append(poller.clock.seconds)
        if fault is not None:
            raise fault
        return False

    monkeypatch.setattr(FakeAsyncHook, "reload", reload)

    async def main() -> None:
        seen = poller.wait(poller.metastudio.add(), interval=5)
        await asyncio.sleep(181)
        assert {status for _, status in seen} == {JobStatus.ACTIVE}
        assert read == [65, 125]

    poller.run(main)


def test_one_job_is_shown_once_an_interval(poller: Poller) -> None:
    async def main() -> None:
        seen = poller.wait(poller.metastudio.add())
        await asyncio.sleep(2 * INTERVAL + 1)
        assert seen == [(300.0, JobStatus.ACTIVE), (600.0, JobStatus.ACTIVE)]
        assert poller.metastudio.asked == {"show": 2}

    poller.run(main)


def test_jobs_that_run_are_asked_for_in_one_listing(poller: Poller) -> None:
    async def main() -> None:
        seen = [poller.wait(poller.metastudio.add()) for _ in range(50)]
        await asyncio.sleep(INTERVAL + 1)
        assert [snapshots[-1][1] for snapshots in seen] == [JobStatus.ACTIVE] * 50
        assert poller.metastudio.asked == {"list_all": 1}

    poller.run(main)


def test_only_a_job_that_has_left_the_listing_is_shown_by_itself(poller: Poller) -> None:
    async def main() -> None:
        jobs = [poller.metastudio.add() for _ in range(50)]
        seen = [poller.wait(job) for job in jobs]
        jobs[7].state = "FAILED"
        await asyncio.sleep(INTERVAL + 1)
        looked_at = INTERVAL - WORTH_A_PAGE * REQUEST_INTERVAL  # a few shows are expected
        assert seen[7] == [(pytest.approx(looked_at + REQUEST_INTERVAL), JobStatus.FAILED)]
        assert seen[8] == [(pytest.approx(looked_at), JobStatus.ACTIVE)]
        assert poller.metastudio.asked == {"list_all": 1, "show": 1}

    poller.run(main)


def test_an_id_in_another_spelling_is_on_the_listing_too(poller: Poller) -> None:
    async def main() -> None:
        poller.metastudio.dashes = True
        for _ in range(2):
            poller.wait(poller.metastudio.add())
        await asyncio.sleep(INTERVAL + 1)
        assert poller.metastudio.asked == {"list_all": 1}

    poller.run(main)


def test_a_thousand_streams_cost_a_few_pages(poller: Poller) -> None:
    async def main() -> None:
        seen = [poller.wait(poller.metastudio.add()) for _ in range(1000)]
        await asyncio.sleep(3600 + 30)  # ten pages at our pace take two seconds
        assert all(len(snapshots) == 12 for snapshots in seen)
        assert poller.metastudio.asked == {"list_all": 12 * 10}
        assert len(poller.hooks) == 1

    poller.run(main)


def test_requests_keep_their_distance(poller: Poller) -> None:
    """Those for the list, for jobs that have left it, and of a search as well."""

    async def main() -> None:
        for _ in range(9):
            poller.wait(poller.metastudio.add(state="SUCCEED"))
        for _ in range(250):
            poller.metastudio.add()
        poller.wait(NO_JOB, room_id=None)
        await asyncio.sleep(INTERVAL + 20)
        asked = [at for at, _ in poller.metastudio.log]
        assert set(poller.metastudio.asked) == {"list_all", "show"}
        assert len(asked) >= 10
        assert min(later - earlier for earlier, later in pairwise(asked)) > REQUEST_INTERVAL * 0.999

    poller.run(main)


# -- many at once


def figures(label: str) -> dict[int, int]:
    """Return a row of the page's table of what one triggerer promises: figures by the number of streams."""
    lines = (DOCS / "scaling.md").read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if "all callbacks are lost |" in line)
    row = next(line for line in lines[start:] if line.startswith(f"| {label} |"))
    streams, found = (re.findall(r"\| ([\d,]+)(?= )", line) for line in (lines[start], row))
    return {int(many.replace(",", "")): int(figure) for many, figure in zip(streams, found, strict=True)}


@pytest.mark.parametrize("ended_at", [301, 450])
@pytest.mark.parametrize("streams", [100, 1000, 5000])
def test_ends_without_callbacks_are_all_seen_within_the_interval(
    poller: Poller, streams: int, ended_at: float
) -> None:
    """With one request per job it was 220 s for 1,000, and 1,102 s for 5,000, of the 300."""

    async def main() -> None:
        jobs = [poller.metastudio.add() for _ in range(streams)]
        seen = [poller.wait(job) for job in jobs]
        await asyncio.sleep(ended_at)
        asked = len(poller.metastudio.log)
        assert asked == figures("requests of a look while they run")[streams]
        for job in jobs:
            job.state = "SUCCEED"
        await asyncio.sleep(INTERVAL)
        assert all(snapshots[-1][1] is JobStatus.SUCCEED for snapshots in seen)
        assert (
            len(poller.metastudio.log) - asked == figures("requests that find that all have ended")[streams]
        )

    poller.run(main)


@pytest.mark.parametrize("ended_at", [301, 450])
def test_ends_of_half_of_the_streams_are_all_seen_within_the_interval(
    poller: Poller, ended_at: float
) -> None:
    async def main() -> None:
        jobs = [poller.metastudio.add() for _ in range(3000)]
        seen = [poller.wait(job) for job in jobs]
        ends = random.Random(1).sample(range(3000), 1500)
        await asyncio.sleep(ended_at)
        for number in ends:
            jobs[number].state = "SUCCEED"
        await asyncio.sleep(INTERVAL)
        assert all(seen[number][-1][1] is JobStatus.SUCCEED for number in ends)
        assert poller.metastudio.asked["show"] < WORTH_A_PAGE

    poller.run(main)


def test_the_first_look_comes_in_time_for_all_pages_too(poller: Poller) -> None:
    async def main() -> None:
        seen = [poller.wait(poller.metastudio.add()) for _ in range(5000)]
        await asyncio.sleep(INTERVAL)
        assert all(snapshots[0][1] is JobStatus.ACTIVE for snapshots in seen)

    poller.run(main)


def test_jobs_of_others_that_end_too_do_not_hide_ours(poller: Poller) -> None:
    async def main() -> None:
        jobs = [poller.metastudio.add() for _ in range(1500)]
        ours = jobs[::3]
        seen = [poller.wait(job) for job in ours]
        await asyncio.sleep(INTERVAL + 5)
        for job in jobs:
            job.state = "SUCCEED"
        await asyncio.sleep(INTERVAL)
        assert all(snapshots[-1][1] is JobStatus.SUCCEED for snapshots in seen)
        assert poller.metastudio.asked["show"] == 0

    poller.run(main)


def test_a_listing_that_does_not_sort_by_update_time_is_kept_short_by_the_time_of_creation(
    poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    select = poller.metastudio._select
    monkeypatch.setattr(
        poller.metastudio,
        "_select",
        lambda *, sort_key="", **filters: select(**filters | {"sort_dir": "asc"}),
    )

    async def main() -> None:
        for _ in range(2000):
            poller.metastudio.add(state="SUCCEED")
        await asyncio.sleep(1)
        jobs = [poller.metastudio.add() for _ in range(500)]
        seen = [poller.wait(job) for job in jobs]
        await asyncio.sleep(INTERVAL + 5)
        for job in jobs:
            job.state = "SUCCEED"
        await asyncio.sleep(INTERVAL)
        assert all(snapshots[-1][1] is JobStatus.SUCCEED for snapshots in seen)
        assert poller.metastudio.asked["show"] == 0

    poller.run(main)


@pytest.mark.parametrize(
    "fault", [InvalidRequest("no such sort_key", http_status=400), UnexpectedResponse("unreadable")]
)
def test_jobs_that_no_listing_of_finished_ones_shows_are_shown_one_by_one(
    poller: Poller, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    page = poller.metastudio.list_jobs_page

    def refuse(offset: int, *, sort_key: str, **filters: Any) -> Any:
        if sort_key == "update_time":
            raise fault
        return page(offset, **filters)

    monkeypatch.setattr(poller.metastudio, "list_jobs_page", refuse)

    async def main() -> None:
        jobs = [poller.metastudio.add(state="SUCCEED") for _ in range(100)]
        seen = [poller.wait(job) for job in jobs]
        await asyncio.sleep(INTERVAL + 100 * REQUEST_INTERVAL + 1)
        assert [snapshots[0][1] for snapshots in seen] == [JobStatus.SUCCEED] * 100
        assert poller.metastudio.asked["show"] == 100

    poller.run(main)


def test_looking_for_finished_jobs_costs_little_where_they_are_not_found(poller: Poller) -> None:
    async def main() -> None:
        for _ in range(5000):
            poller.metastudio.add(state="SUCCEED")
        seen = [poller.wait(f"f{number:031x}", interval=3600) for number in range(100)]
        await asyncio.sleep(3600 + 100)
        assert [snapshots[0][1] for snapshots in seen] == [JobStatus.NOT_FOUND] * 100
        assert poller.metastudio.asked == {"list_all": 1 + 100 // WORTH_A_PAGE, "show": 100}

    poller.run(main)


def test_a_listing_that_never_ends_is_left(poller: Poller, monkeypatch: pytest.MonkeyPatch) -> None:
    page = poller.metastudio.list_jobs_page

    def endless(offset: int, **filters: Any) -> Any:
        return page(0, **filters).model_copy(update={"count": 10**9})

    monkeypatch.setattr(poller.metastudio, "list_jobs_page", endless)

    async def main() -> None:
        seen = [poller.wait(poller.metastudio.add()) for _ in range(100)]
        unknown = poller.wait(NO_JOB, room_id=None)
        await asyncio.sleep(INTERVAL + 5)
        assert [snapshots[0][1] for snapshots in seen] == [JobStatus.ACTIVE] * 100
        assert [status for _, status in unknown] == [JobStatus.NOT_FOUND]
        assert poller.metastudio.asked == {"list_all": 4}

    poller.run(main)


def test_many_shows_do_not_starve_a_look(poller: Poller) -> None:
    async def main() -> None:
        seen = [poller.wait(poller.metastudio.add(), interval=60) for _ in range(2)]
        for number in range(1000):
            poller.wait(f"f{number:031x}", interval=600)
        await asyncio.sleep(600 + 220)
        for snapshots in seen:
            gaps = [later - earlier for (earlier, _), (later, _) in pairwise([(0.0, None), *snapshots])]
            assert len(gaps) >= 13
            assert max(gaps) <= 60.001

    poller.run(main)


def test_a_search_does_not_starve_a_look(poller: Poller) -> None:
    """Twenty sensors on ids that nobody knows kept a healthy one waiting for 864 s of its 60."""

    async def main() -> None:
        for _ in range(5000):
            poller.metastudio.add(state="SUCCEED")
        seen = poller.wait(poller.metastudio.add(), interval=60)
        unknown = [poller.wait(f"f{number:031x}", room_id=None, interval=60) for number in range(20)]
        await asyncio.sleep(360)
        gaps = [later - earlier for (earlier, _), (later, _) in pairwise([(0.0, None), *seen])]
        assert len(gaps) >= 5
        assert max(gaps) <= 60.001
        assert all(snapshots[0][1] is JobStatus.NOT_FOUND for snapshots in unknown)
        # One search for all of them, and a look before each.
        assert poller.metastudio.asked["list_all"] <= len(unknown[0] + [1]) * (51 + 1) + len(seen)

    poller.run(main)


@dataclass
class HangingTransport:
    """The wire of the real hook, on which shows of some jobs hang until their time-out."""

    poller: Poller
    hanging: list[str]
    fault: HttpResponse | TransportFailure = TransportFailure.TIMEOUT
    asked: list[tuple[float, str]] = field(default_factory=list)

    async def send(
        self, profile: object, outgoing: OutgoingRequest, seconds: float
    ) -> HttpResponse | TransportFailure:
        path = urlsplit(outgoing.url).path.rpartition("/")[2]
        self.asked.append((self.poller.clock.seconds, path))
        if path in self.hanging:
            await asyncio.sleep(seconds)
            return self.fault
        metastudio = self.poller.metastudio
        if path == "smart-live-jobs":
            filters = dict(parse_qsl(urlsplit(outgoing.url).query))
            answer: Any = metastudio.list_jobs_page(
                int(filters.get("offset", 0)), state=filters.get("state", "")
            )
        else:
            answer = metastudio.show_job(JobRef(ROOM, path))
        return HttpResponse(200, {}, answer.model_dump_json().encode())

    async def close(self) -> None:
        pass


@pytest.fixture
def wire(poller: Poller, monkeypatch: pytest.MonkeyPatch) -> HangingTransport:
    """Let the poller ask through the hook that it makes by itself."""
    monkeypatch.undo()
    without_jitter(monkeypatch)
    wire = HangingTransport(poller, [])
    monkeypatch.setattr(async_hook, "AiohttpTransport", lambda: wire)
    extra = {"region": "cn-north-4", "project_id": "0123456789abcdef0123456789abcdef"}
    connection = Connection(
        conn_id="one",
        conn_type="smartlive",
        login="fake-key",
        password="fake-secret",
        extra=json.dumps(extra),
    )

    # In threads by themselves: this clock moves on meanwhile.
    async def read(conn_id: str, hook: object) -> Connection:
        return connection

    async def mask(secret: str) -> None:
        pass

    monkeypatch.setattr(async_hook, "get_async_connection", read)
    monkeypatch.setattr(async_hook, "amask_secret", mask)
    return wire


def gaps_of(snapshots: list[tuple[float, JobStatus]]) -> list[float]:
    return [later - earlier for (earlier, _), (later, _) in pairwise([(0.0, JobStatus.UNKNOWN), *snapshots])]


def test_a_show_that_hangs_holds_up_the_others_for_one_attempt_at_most(
    poller: Poller, wire: HangingTransport
) -> None:
    async def main() -> None:
        healthy = [poller.wait(poller.metastudio.add(), interval=60) for _ in range(2)]
        over = poller.metastudio.add(state="SUCCEED")
        wire.hanging = [over.job_id]
        hanging = poller.wait(over, interval=60)
        await asyncio.sleep(600)
        for snapshots in healthy:
            assert len(snapshots) >= 8
            assert max(gaps_of(snapshots)) <= 60 + REQUEST_TIMEOUT
        assert {status for _, status in hanging} == {JobStatus.UNKNOWN}
        # Each is made of as many attempts as one of a task.
        shows = [at for at, path in wire.asked if path == over.job_id]
        assert len(shows) // len(hanging) == ATTEMPTS

    poller.run(main)


def test_a_job_that_is_due_alone_holds_up_the_others_for_one_attempt_at_most(
    poller: Poller, wire: HangingTransport
) -> None:
    async def main() -> None:
        alone = poller.metastudio.add()
        wire.hanging = [alone.job_id]
        seen = poller.wait(alone, interval=60)
        await asyncio.sleep(55)
        healthy = [poller.wait(poller.metastudio.add(), interval=10) for _ in range(2)]
        await asyncio.sleep(300)
        for snapshots in healthy:
            assert max(gaps_of([(at - 55, status) for at, status in snapshots])) <= 10 + REQUEST_TIMEOUT + 1
        # The list tells about it, too.
        assert JobStatus.ACTIVE in {status for _, status in seen}

    poller.run(main)


def test_after_a_fault_a_show_waits_its_pause_while_others_are_shown(
    poller: Poller, wire: HangingTransport
) -> None:
    async def main() -> None:
        jobs = [poller.metastudio.add(state="SUCCEED") for _ in range(4)]
        wire.hanging = [jobs[0].job_id]
        wire.fault = HttpResponse(503, {"Retry-After": "20"}, b"")
        seen = [poller.wait(job) for job in jobs]
        await asyncio.sleep(INTERVAL + 2 * REQUEST_TIMEOUT)
        shows = [at for at, path in wire.asked if path == jobs[0].job_id]
        assert shows[1] - shows[0] == pytest.approx(REQUEST_TIMEOUT + 20, abs=2)
        # Behind the first attempt, not behind all of them.
        for snapshots in seen[1:]:
            assert snapshots[0][1] is JobStatus.SUCCEED
            assert snapshots[0][0] <= shows[0] + REQUEST_TIMEOUT + 4 * REQUEST_INTERVAL

    poller.run(main)


def test_a_page_that_meets_a_passing_fault_is_asked_for_again(
    poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [ServerError("Internal Error", http_status=500), unreachable()]
    list_jobs_page = poller.metastudio.list_jobs_page

    def falter(offset: int, **filters: Any) -> Any:
        if faults:
            raise faults.pop()
        return list_jobs_page(offset, **filters)

    async def main() -> None:
        monkeypatch.setattr(poller.metastudio, "list_jobs_page", falter)
        seen = [poller.wait(poller.metastudio.add()) for _ in range(2)]
        await asyncio.sleep(INTERVAL + 2)
        assert [status for _, status in seen[0] + seen[1]] == [JobStatus.ACTIVE, JobStatus.ACTIVE]

    poller.run(main)


@pytest.mark.parametrize("interval", [0, -300, 0.001, float("nan")])
def test_intervals_are_bounded_below(poller: Poller, interval: float) -> None:
    async def main() -> None:
        seen = poller.wait(poller.metastudio.add(), interval=interval)
        await asyncio.sleep(61)
        assert len(seen) == 12
        assert poller.metastudio.asked == {"show": 12}

    poller.run(main)


@pytest.mark.parametrize("spread", [0.0, 0.5, 0.999])
def test_jitter_makes_a_question_earlier_never_later(
    poller: Poller, monkeypatch: pytest.MonkeyPatch, spread: float
) -> None:
    without_jitter(monkeypatch, spread)

    async def main() -> None:
        seen = poller.wait(poller.metastudio.add())
        await asyncio.sleep(10 * INTERVAL)
        times = [0.0, *(at for at, _ in seen)]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps == [pytest.approx(INTERVAL * (1 - JITTER * spread))] * len(gaps)
        assert gaps

    poller.run(main)


def test_a_new_watch_is_seen_within_its_own_interval(poller: Poller) -> None:
    async def main() -> None:
        poller.wait(poller.metastudio.add(), interval=3600)
        await asyncio.sleep(100)
        hasty = poller.wait(poller.metastudio.add(), interval=5)
        await asyncio.sleep(6)
        assert hasty == [(pytest.approx(105.0, abs=4 * REQUEST_INTERVAL), JobStatus.ACTIVE)]

    poller.run(main)


def test_whoever_is_told_by_anothers_listing_need_not_ask(poller: Poller) -> None:
    async def main() -> None:
        late = poller.wait(poller.metastudio.add(), interval=400)
        for _ in range(2):
            poller.wait(poller.metastudio.add(), interval=300)
        await asyncio.sleep(450)
        assert late == [(pytest.approx(300.0, abs=4 * REQUEST_INTERVAL), JobStatus.ACTIVE)]
        assert poller.metastudio.asked == {"list_all": 1}

    poller.run(main)


# -- faults


def test_a_fault_is_passed_on_and_passes(poller: Poller) -> None:
    async def main() -> None:
        seen = poller.wait(poller.metastudio.add())
        poller.metastudio.down = unreachable()
        await asyncio.sleep(INTERVAL + 1)
        poller.metastudio.down = None
        await asyncio.sleep(INTERVAL)
        assert [status for _, status in seen] == [JobStatus.UNKNOWN, JobStatus.ACTIVE]

    poller.run(main)


@pytest.mark.parametrize(
    "fault", [unreachable(), UnexpectedResponse("unreadable"), ValueError("an id has 1 to 64 characters")]
)
def test_one_jobs_fault_does_not_cost_the_others_their_sighting(poller: Poller, fault: Exception) -> None:
    async def main() -> None:
        jobs = [poller.metastudio.add(state="SUCCEED") for _ in range(3)]
        # What may pass is asked again behind the others.
        poller.metastudio.show_outcomes = [None, fault, None, fault, fault, fault]
        seen = [poller.wait(job) for job in jobs]
        await asyncio.sleep(INTERVAL + 5)
        assert [snapshots[0][1] for snapshots in seen] == [
            JobStatus.SUCCEED,
            JobStatus.UNKNOWN,
            JobStatus.SUCCEED,
        ]

    poller.run(main)


@pytest.mark.parametrize(
    "fault",
    [
        UnexpectedResponse("the answer to list_jobs cannot be read", http_status=200),
        InvalidRequest("no such state", http_status=400),
        PermissionDenied("not allowed to list", http_status=403),
    ],
)
def test_a_list_that_cannot_be_had_is_made_up_for_by_shows(
    poller: Poller, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def refuse(offset: int, **filters: Any) -> Any:
        raise fault

    monkeypatch.setattr(poller.metastudio, "list_jobs_page", refuse)

    async def main() -> None:
        seen = [poller.wait(poller.metastudio.add()) for _ in range(2)]
        await asyncio.sleep(3 * INTERVAL)
        assert [[status for _, status in snapshots] for snapshots in seen] == [[JobStatus.ACTIVE] * 3] * 2

    poller.run(main)


def test_a_job_that_cannot_be_read_in_the_list_is_shown_by_itself(poller: Poller) -> None:
    async def main() -> None:
        odd = poller.metastudio.add(more={"state": None})
        seen = [poller.wait(job) for job in (poller.metastudio.add(), odd)]
        await asyncio.sleep(INTERVAL + 1)
        assert poller.metastudio.asked == {"list_all": 1, "show": 1}
        assert [status for _, status in seen[0]] == [JobStatus.ACTIVE]
        # Nor can the answer to show be read: it is not known how the job stands, which is not that it is gone.
        assert [status for _, status in seen[1]] == [JobStatus.UNKNOWN]
        odd.more = {}
        await asyncio.sleep(INTERVAL)
        assert seen[1][-1][1] is JobStatus.ACTIVE

    poller.run(main)


@pytest.mark.parametrize("retry_after", [None, 120.0, 86400.0])
@pytest.mark.parametrize("where", ["list", "show"])
def test_throttling_is_waited_out_once(poller: Poller, where: str, retry_after: float | None) -> None:
    pause = {None: THROTTLED_PAUSE, 120.0: 120.0, 86400.0: REFUSED_PAUSE}[retry_after]
    throttled = Throttled("slow down", http_status=429, retry_after=retry_after)

    async def main() -> None:
        jobs = [poller.metastudio.add(state="SUCCEED" if where == "show" else "PROCESSING") for _ in range(3)]
        seen = [poller.wait(job, interval=1000) for job in jobs]
        if where == "list":
            poller.metastudio.down = throttled
            poller.clock.at(1001, lambda: setattr(poller.metastudio, "down", None))
        else:
            poller.metastudio.show_outcomes = [None, throttled]
        await asyncio.sleep(1000 + 5)
        told = [bool(snapshots) for snapshots in seen]
        assert told == ([False] * 3 if where == "list" else [True, False, False])
        asked = len(poller.metastudio.log)
        await asyncio.sleep(pause)
        assert min(at for at, _ in poller.metastudio.log[asked:]) == pytest.approx(
            1000 + pause, abs=3 * REQUEST_INTERVAL
        )
        assert all(len(snapshots) == 1 and snapshots[0][1] is not JobStatus.UNKNOWN for snapshots in seen)

    poller.run(main)


def test_a_throttled_poller_does_not_keep_quiet_about_it(poller: Poller) -> None:
    """What nobody hears counts as no answer: throttling for ever ends a failure budget as well."""

    async def main() -> None:
        seen = poller.wait(poller.metastudio.add())
        poller.metastudio.down = Throttled("slow down", http_status=429)
        await asyncio.sleep(2 * INTERVAL + OVERDUE + 1)
        assert seen == [(2 * INTERVAL + OVERDUE, JobStatus.UNKNOWN)]

    poller.run(main)


def test_a_request_that_hangs_deafens_nobody(poller: Poller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeAsyncHook, "perform", hang)

    async def main() -> None:
        seen = [poller.wait(poller.metastudio.add()) for _ in range(2)]
        await asyncio.sleep(2 * (2 * INTERVAL + OVERDUE) + 1)
        assert seen == [[(660.0, JobStatus.UNKNOWN), (1320.0, JobStatus.UNKNOWN)]] * 2

    poller.run(main)


def test_a_listing_that_is_not_found_says_nothing_about_a_job(poller: Poller) -> None:
    """Else a wrong endpoint, for a minute, would make every stream of the deployment vanish."""

    async def main() -> None:
        seen = [poller.wait(poller.metastudio.add()) for _ in range(2)]
        poller.metastudio.down = NotFound("no such API", http_status=404, error_code="MSS.1")
        await asyncio.sleep(INTERVAL + 1)
        assert [status for _, status in seen[0] + seen[1]] == [JobStatus.UNKNOWN, JobStatus.UNKNOWN]

    poller.run(main)


def test_a_job_that_is_not_found_is_an_answer(poller: Poller) -> None:
    async def main() -> None:
        seen = poller.wait(NO_JOB)
        await asyncio.sleep(INTERVAL + 1)
        assert [status for _, status in seen] == [JobStatus.NOT_FOUND]
        assert poller.metastudio.asked == {"show": 2, "list_all": 1}

    poller.run(main)


def test_a_job_in_another_room_than_was_said_is_found(poller: Poller) -> None:
    async def main() -> None:
        job = poller.metastudio.add(room_id="another-room")
        seen = poller.wait(job, room_id=ROOM)
        await asyncio.sleep(INTERVAL + 1)
        job.state = "SUCCEED"
        await asyncio.sleep(INTERVAL)
        assert [status for _, status in seen] == [JobStatus.ACTIVE, JobStatus.SUCCEED]
        assert poller.metastudio.asked == {"show": 2, "list_all": 1}

    poller.run(main)


def test_a_connection_that_cannot_be_read_is_tried_again(
    poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        broken = [True, False]

        def make_hook(conn_id: str) -> FakeAsyncHook:
            if broken.pop(0):
                raise ValueError("the connection has no project_id")
            return poller.make_hook(conn_id)

        monkeypatch.setattr(poller_module, "hook_for", make_hook)
        seen = poller.wait(poller.metastudio.add())
        await asyncio.sleep(2 * INTERVAL + 1)
        assert [status for _, status in seen] == [JobStatus.UNKNOWN, JobStatus.ACTIVE]

    poller.run(main)


def test_a_bug_in_the_poll_leaves_nobody_deaf(poller: Poller) -> None:
    async def main() -> None:
        poller.metastudio.show_outcomes = [ZeroDivisionError("a bug")]
        seen = poller.wait(poller.metastudio.add())
        await asyncio.sleep(2 * INTERVAL + 1)
        assert [status for _, status in seen] == [JobStatus.UNKNOWN, JobStatus.ACTIVE]

    poller.run(main)


def test_refused_credentials_are_read_again_once_and_tried_at_once(poller: Poller) -> None:
    async def main() -> None:
        poller.metastudio.down = REFUSED
        poller.metastudio.reload_helps = True
        seen = poller.wait(poller.metastudio.add())
        await asyncio.sleep(INTERVAL + 5)
        assert poller.metastudio.reloads == 1
        assert seen == [(pytest.approx(INTERVAL + REQUEST_INTERVAL), JobStatus.ACTIVE)]

    poller.run(main)


def test_credentials_that_stay_refused_are_told_about(poller: Poller) -> None:
    async def main() -> None:
        poller.metastudio.down = REFUSED
        seen = poller.wait(poller.metastudio.add())
        await asyncio.sleep(INTERVAL + 5)
        assert [status for _, status in seen] == [JobStatus.REFUSED]
        poller.metastudio.down = None
        await asyncio.sleep(320)
        assert [status for _, status in seen] == [JobStatus.REFUSED, JobStatus.ACTIVE]

    poller.run(main)


def test_bad_signatures_never_lock_the_key(poller: Poller) -> None:
    """More than five in five minutes do, however many jobs ask, and at whatever times."""

    async def main() -> None:
        poller.metastudio.down = REFUSED
        seen = [poller.wait(poller.metastudio.add(), interval=5 + 7 * number) for number in range(40)]
        await asyncio.sleep(3600)
        times = [at for at, _ in poller.metastudio.log]
        assert max(sum(at <= other < at + 300 for other in times) for at in times) <= 5
        assert all(snapshots[0][1] is JobStatus.REFUSED for snapshots in seen)

    poller.run(main)


def test_bad_signatures_never_lock_the_key_while_the_connection_cannot_be_read(
    poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(hook: FakeAsyncHook) -> bool:
        raise ConnectionError("the secrets backend is away")

    monkeypatch.setattr(FakeAsyncHook, "reload", fail)

    async def main() -> None:
        poller.metastudio.down = REFUSED
        seen = poller.wait(poller.metastudio.add(), interval=5)
        await asyncio.sleep(600)
        assert len(poller.metastudio.log) == 2
        assert {status for _, status in seen} == {JobStatus.REFUSED}

    poller.run(main)


def test_whoever_comes_while_the_credentials_are_refused_does_not_ask_either(poller: Poller) -> None:
    async def main() -> None:
        poller.metastudio.down = REFUSED
        poller.wait(poller.metastudio.add(), interval=10)
        await asyncio.sleep(20)
        asked = len(poller.metastudio.log)
        poller.wait(poller.metastudio.add(), interval=5)
        await asyncio.sleep(200)
        assert len(poller.metastudio.log) == asked

    poller.run(main)


# -- coming and going


def test_all_watches_of_a_connection_share_one_poller(poller: Poller) -> None:
    async def main() -> None:
        for conn_id in ("one", "one", "two"):
            poller.wait(poller.metastudio.add(), conn_id=conn_id)
        await asyncio.sleep(INTERVAL + 1)
        assert len(poller.hooks) == 2

    poller.run(main)


def test_the_last_to_go_stops_the_poller(poller: Poller) -> None:
    async def main() -> None:
        for _ in range(2):
            poller.wait(poller.metastudio.add())
        await asyncio.sleep(INTERVAL + 1)
        await poller.leave()
        await settled()
        assert poller.hooks[0].is_open
        await poller.leave()
        await settled()
        assert not poller.hooks[0].is_open
        asked = len(poller.metastudio.log)
        await asyncio.sleep(10 * INTERVAL)
        assert len(poller.metastudio.log) == asked

    poller.run(main)


def test_whoever_comes_after_that_starts_a_new_one(poller: Poller) -> None:
    async def main() -> None:
        poller.wait(poller.metastudio.add())
        await asyncio.sleep(1)
        await poller.leave()
        seen = poller.wait(poller.metastudio.add())
        await asyncio.sleep(INTERVAL + 1)
        assert [status for _, status in seen] == [JobStatus.ACTIVE]

    poller.run(main)


def test_whoever_leaves_while_it_is_asked_for_harms_nobody(poller: Poller) -> None:
    async def main() -> None:
        jobs = [poller.metastudio.add(state="SUCCEED") for _ in range(10)]
        seen = [poller.wait(job) for job in jobs]
        await asyncio.sleep(INTERVAL + 0.5)  # in the middle of ten shows
        await poller.leave()
        await asyncio.sleep(5)
        assert all(snapshots[0][1] is JobStatus.SUCCEED for snapshots in seen[:-1])

    poller.run(main)


def test_a_dead_poller_is_replaced(poller: Poller) -> None:
    async def main() -> None:
        poller.wait(poller.metastudio.add())
        await asyncio.sleep(0)
        dead = next(task for task in asyncio.all_tasks() if "smartlive" in task.get_name())
        dead.cancel()
        await asyncio.wait([dead])
        seen = poller.wait(poller.metastudio.add())
        await asyncio.sleep(INTERVAL + 1)
        assert [status for _, status in seen] == [JobStatus.ACTIVE]

    poller.run(main)


def test_the_poller_does_not_inherit_the_log_context_of_whoever_started_it(
    poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger: contextvars.ContextVar[str] = contextvars.ContextVar("trigger", default="none")
    found: list[str] = []

    def make_hook(conn_id: str) -> FakeAsyncHook:
        found.append(trigger.get())
        return poller.make_hook(conn_id)

    async def main() -> None:
        monkeypatch.setattr(poller_module, "hook_for", make_hook)
        trigger.set("the first trigger")
        poller.wait(poller.metastudio.add())
        await asyncio.sleep(INTERVAL + 1)
        assert found == ["none"]

    poller.run(main)


def test_two_loops_do_not_share(clock: Clock, poller: Poller) -> None:
    async def main() -> None:
        poller.wait(poller.metastudio.add())
        await asyncio.sleep(INTERVAL + 1)

    poller.run(main)
    poller.run(main)
    assert len(poller.hooks) == 2


# -- jobs whose room is not known


def test_a_room_is_learned_from_the_listing(poller: Poller) -> None:
    async def main() -> None:
        job = poller.metastudio.add()
        seen = poller.wait(job, room_id=None)
        await asyncio.sleep(INTERVAL + 1)
        job.state = "SUCCEED"
        await asyncio.sleep(INTERVAL)
        assert [status for _, status in seen] == [JobStatus.ACTIVE, JobStatus.SUCCEED]
        assert poller.metastudio.asked == {"list_all": 1, "show": 1}

    poller.run(main)


def test_a_job_without_a_room_that_is_over_is_found_too(poller: Poller) -> None:
    async def main() -> None:
        seen = poller.wait(poller.metastudio.add(state="FAILED"), room_id=None)
        unknown = poller.wait(NO_JOB, room_id=None)
        await asyncio.sleep(INTERVAL + 1)
        assert [status for _, status in seen + unknown] == [JobStatus.FAILED, JobStatus.NOT_FOUND]

    poller.run(main)


# -- one watch


async def test_only_the_newest_sighting_is_kept() -> None:
    watch = Watch("job", ROOM, INTERVAL)
    watch.tell(JobSnapshot(JobStatus.ACTIVE))
    watch.tell(JobSnapshot(JobStatus.SUCCEED))
    assert (await watch.next()).status is JobStatus.SUCCEED


def heard(
    clock: Clock, told: dict[float, JobStatus], *, until: float, look: float
) -> list[tuple[float, JobStatus]]:
    """Return what a trigger hears that looks at something else every so many seconds, as ours do."""
    watch = Watch("job", ROOM, INTERVAL)
    seen: list[tuple[float, JobStatus]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for at, status in told.items():
            loop.call_at(at, watch.tell, JobSnapshot(status))
        while clock.seconds < until:
            with suppress(TimeoutError):
                async with asyncio.timeout(look):
                    status = (await watch.next()).status
                    seen.append((clock.seconds, status))

    run(clock, main())
    return seen


@pytest.mark.parametrize("look", [7.0, 5000.0])
def test_a_watch_without_sightings_says_so_by_the_clock(clock: Clock, look: float) -> None:
    assert heard(clock, {300: JobStatus.ACTIVE}, until=1700, look=look)[:3] == [
        (300.0, JobStatus.ACTIVE),
        (pytest.approx(960.0), JobStatus.UNKNOWN),
        (pytest.approx(1620.0), JobStatus.UNKNOWN),
    ]


def test_what_was_said_last_counts_again_if_it_was_no_clear_answer(clock: Clock) -> None:
    """Else a budget that ends while the credentials are refused would end for another reason."""
    assert [status for _, status in heard(clock, {300: JobStatus.REFUSED}, until=1700, look=5000)][:3] == [
        JobStatus.REFUSED
    ] * 3


def test_the_harness_sees_a_loop_that_is_stuck(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.virtual_time.STUCK", 0.01)

    @asynccontextmanager
    async def never() -> Any:
        await asyncio.Event().wait()
        yield

    async def main() -> None:
        async with never():
            pass

    with pytest.raises(AssertionError, match="never come"):
        run(clock, main())
