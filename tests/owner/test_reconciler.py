"""One poller for all who wait, in virtual time."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from fake_metastudio import ROOM, FakeAsyncHook, FakeJob, FakeMetaStudio, unreachable
from virtual_time import Clock, run

from airflow_provider_smartlive import reconciler
from airflow_provider_smartlive.lifecycle import Sight
from airflow_provider_smartlive.metastudio.errors import AuthenticationError, NotFound, Throttled
from airflow_provider_smartlive.reconciler import JITTER, PACE, Watch, watching

INTERVAL = 300.0
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
    ) -> list[tuple[float, Sight]]:
        """Wait for a job as a trigger does; return the list that its sightings go to."""
        seen: list[tuple[float, Sight]] = []
        job_id = job if isinstance(job, str) else job.job_id

        async def trigger() -> None:
            async with watching(conn_id, job_id=job_id, room_id=room_id, interval=interval) as watch:
                while True:
                    sighting = await watch.next()
                    seen.append((self.clock.seconds, sighting.sight))

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
            await asyncio.sleep(0)
            assert [task for task in asyncio.all_tasks() if "smartlive" in task.get_name()] == []

        run(self.clock, all_of_it())
        assert [hook for hook in self.hooks if hook.is_open] == []


@pytest.fixture
def poller(clock: Clock, metastudio: FakeMetaStudio, monkeypatch: pytest.MonkeyPatch) -> Poller:
    poller = Poller(clock, metastudio)
    monkeypatch.setattr(reconciler, "_hook", poller.make_hook)
    without_jitter(monkeypatch)
    return poller


def without_jitter(monkeypatch: pytest.MonkeyPatch, spread: float = 0.0) -> None:
    monkeypatch.setitem(reconciler.Reconciler.__init__.__kwdefaults__, "spread", lambda: spread)


def test_one_job_is_shown_once_an_interval(poller: Poller) -> None:
    async def main() -> None:
        seen = poller.wait(poller.metastudio.add())
        await asyncio.sleep(2 * INTERVAL + 1)
        assert seen == [(300.0, Sight.ACTIVE), (600.0, Sight.ACTIVE)]
        assert poller.metastudio.asked == {"show": 2}

    poller.run(main)


def test_jobs_that_run_are_asked_for_in_one_listing(poller: Poller) -> None:
    async def main() -> None:
        seen = [poller.wait(poller.metastudio.add()) for _ in range(50)]
        await asyncio.sleep(INTERVAL + 1)
        assert [sightings[-1][1] for sightings in seen] == [Sight.ACTIVE] * 50
        assert poller.metastudio.asked == {"list_all": 1}

    poller.run(main)


def test_only_a_job_that_has_left_the_listing_is_shown_by_itself(poller: Poller) -> None:
    async def main() -> None:
        jobs = [poller.metastudio.add() for _ in range(50)]
        seen = [poller.wait(job) for job in jobs]
        jobs[7].state = "FAILED"
        await asyncio.sleep(INTERVAL + 1)
        assert seen[7] == [(pytest.approx(INTERVAL + PACE), Sight.FAILED)]
        assert seen[8] == [(pytest.approx(INTERVAL + PACE), Sight.ACTIVE)]
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
        assert all(len(sightings) == 12 for sightings in seen)
        assert poller.metastudio.asked == {"list_all": 12 * 10}
        assert len(poller.hooks) == 1

    poller.run(main)


def test_a_thousand_streams_that_end_together_are_all_seen(poller: Poller) -> None:
    async def main() -> None:
        jobs = [poller.metastudio.add() for _ in range(1000)]
        seen = [poller.wait(job) for job in jobs]
        for job in jobs:
            job.state = "SUCCEED"
        await asyncio.sleep(2 * INTERVAL)
        assert all(sightings[0][1] is Sight.SUCCEED for sightings in seen)

    poller.run(main)


def test_requests_keep_their_distance(poller: Poller) -> None:
    async def main() -> None:
        for _ in range(30):
            poller.wait(poller.metastudio.add(state="SUCCEED"))
        for _ in range(250):
            poller.metastudio.add()
        await asyncio.sleep(INTERVAL + 20)
        asked = [at for at, _ in poller.metastudio.log]
        assert len(asked) == 3 + 30
        assert min(later - earlier for earlier, later in pairwise(asked)) > PACE * 0.999

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
        assert hasty == [(105.0, Sight.ACTIVE)]

    poller.run(main)


def test_whoever_is_told_by_anothers_listing_need_not_ask(poller: Poller) -> None:
    async def main() -> None:
        late = poller.wait(poller.metastudio.add(), interval=400)
        for _ in range(2):
            poller.wait(poller.metastudio.add(), interval=300)
        await asyncio.sleep(450)
        assert late == [(300.0, Sight.ACTIVE)]
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
        assert [sight for _, sight in seen] == [Sight.UNKNOWN, Sight.ACTIVE]

    poller.run(main)


def test_one_jobs_fault_does_not_cost_the_others_their_sighting(poller: Poller) -> None:
    async def main() -> None:
        jobs = [poller.metastudio.add(state="SUCCEED") for _ in range(3)]
        poller.metastudio.show_outcomes = [None, Throttled("slow down", http_status=429)]
        seen = [poller.wait(job) for job in jobs]
        await asyncio.sleep(INTERVAL + 5)
        assert [sightings[0][1] for sightings in seen] == [Sight.SUCCEED, Sight.UNKNOWN, Sight.SUCCEED]

    poller.run(main)


def test_a_listing_that_is_not_found_says_nothing_about_a_job(poller: Poller) -> None:
    """Else a wrong endpoint, for a minute, would make every stream of the deployment vanish."""

    async def main() -> None:
        seen = [poller.wait(poller.metastudio.add()) for _ in range(2)]
        poller.metastudio.down = NotFound("no such API", http_status=404, error_code="MSS.1")
        await asyncio.sleep(INTERVAL + 1)
        assert [sight for _, sight in seen[0] + seen[1]] == [Sight.UNKNOWN, Sight.UNKNOWN]

    poller.run(main)


def test_a_job_that_is_not_found_is_an_answer(poller: Poller) -> None:
    async def main() -> None:
        seen = poller.wait("00000000000000000000000000000bad")
        await asyncio.sleep(INTERVAL + 1)
        assert [sight for _, sight in seen] == [Sight.NOT_FOUND]

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

        monkeypatch.setattr(reconciler, "_hook", make_hook)
        seen = poller.wait(poller.metastudio.add())
        await asyncio.sleep(2 * INTERVAL + 1)
        assert [sight for _, sight in seen] == [Sight.UNKNOWN, Sight.ACTIVE]

    poller.run(main)


def test_a_bug_in_the_poll_leaves_nobody_deaf(poller: Poller) -> None:
    async def main() -> None:
        poller.metastudio.show_outcomes = [ZeroDivisionError("a bug")]
        seen = poller.wait(poller.metastudio.add())
        await asyncio.sleep(2 * INTERVAL + 1)
        assert [sight for _, sight in seen] == [Sight.UNKNOWN, Sight.ACTIVE]

    poller.run(main)


def test_refused_credentials_are_read_again_once_and_tried_at_once(poller: Poller) -> None:
    async def main() -> None:
        poller.metastudio.down = REFUSED
        poller.metastudio.reload_helps = True
        seen = poller.wait(poller.metastudio.add())
        await asyncio.sleep(INTERVAL + 5)
        assert poller.metastudio.reloads == 1
        assert seen == [(pytest.approx(INTERVAL + 1, abs=0.5), Sight.ACTIVE)]

    poller.run(main)


def test_credentials_that_stay_refused_are_told_about(poller: Poller) -> None:
    async def main() -> None:
        poller.metastudio.down = REFUSED
        seen = poller.wait(poller.metastudio.add())
        await asyncio.sleep(INTERVAL + 5)
        assert [sight for _, sight in seen] == [Sight.REFUSED]
        poller.metastudio.down = None
        await asyncio.sleep(320)
        assert [sight for _, sight in seen] == [Sight.REFUSED, Sight.ACTIVE]

    poller.run(main)


def test_bad_signatures_never_lock_the_key(poller: Poller) -> None:
    """More than five in five minutes do, however many jobs ask, and at whatever times."""

    async def main() -> None:
        poller.metastudio.down = REFUSED
        seen = [poller.wait(poller.metastudio.add(), interval=5 + 7 * number) for number in range(40)]
        await asyncio.sleep(3600)
        times = [at for at, _ in poller.metastudio.log]
        assert max(sum(at <= other < at + 300 for other in times) for at in times) <= 5
        assert all(sightings[0][1] is Sight.REFUSED for sightings in seen)

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
        await asyncio.sleep(0)
        assert poller.hooks[0].is_open
        await poller.leave()
        await asyncio.sleep(0)
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
        assert [sight for _, sight in seen] == [Sight.ACTIVE]

    poller.run(main)


def test_whoever_leaves_while_it_is_asked_for_harms_nobody(poller: Poller) -> None:
    async def main() -> None:
        jobs = [poller.metastudio.add(state="SUCCEED") for _ in range(10)]
        seen = [poller.wait(job) for job in jobs]
        await asyncio.sleep(INTERVAL + 0.5)  # in the middle of ten shows
        await poller.leave()
        await asyncio.sleep(5)
        assert all(sightings[0][1] is Sight.SUCCEED for sightings in seen[:-1])

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
        assert [sight for _, sight in seen] == [Sight.ACTIVE]

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
        monkeypatch.setattr(reconciler, "_hook", make_hook)
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
        assert [sight for _, sight in seen] == [Sight.ACTIVE, Sight.SUCCEED]
        assert poller.metastudio.asked == {"list_all": 1, "show": 1}

    poller.run(main)


def test_a_job_without_a_room_that_is_over_is_found_too(poller: Poller) -> None:
    async def main() -> None:
        seen = poller.wait(poller.metastudio.add(state="FAILED"), room_id=None)
        unknown = poller.wait("00000000000000000000000000000bad", room_id=None)
        await asyncio.sleep(INTERVAL + 1)
        assert [sight for _, sight in seen + unknown] == [Sight.FAILED, Sight.NOT_FOUND]

    poller.run(main)


# -- one watch


async def test_only_the_newest_sighting_is_kept() -> None:
    from airflow_provider_smartlive.livestream.sighting import Sighting

    watch = Watch("job", ROOM, INTERVAL)
    watch.tell(Sighting(Sight.ACTIVE))
    watch.tell(Sighting(Sight.SUCCEED))
    assert (await watch.next()).sight is Sight.SUCCEED


def test_the_harness_sees_a_loop_that_is_stuck(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("virtual_time.STUCK", 0.01)

    @asynccontextmanager
    async def never() -> Any:
        await asyncio.Event().wait()
        yield

    async def main() -> None:
        async with never():
            pass

    with pytest.raises(AssertionError, match="never come"):
        run(clock, main())
