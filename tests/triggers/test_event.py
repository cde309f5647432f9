"""An asset watcher for livestreams of others: on the triggerer's own shared stream, in virtual time."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk import Asset, AssetWatcher
from airflow.sdk.execution_time.context import AssetStateStoreAccessors
from airflow.serialization.decoders import smart_decode_trigger_kwargs
from airflow.serialization.encoders import encode_trigger
from airflow.triggers.base import BaseEventTrigger
from airflow.triggers.shared_stream import SharedStreamManager

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, issue
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.reconciler import feed
from airflow_provider_smartlive.reconciler.history import JobHistory
from airflow_provider_smartlive.triggers import SmartLiveEventTrigger
from tests.support.fake_airflow import FakeSupervisor, api_error
from tests.support.fake_metastudio import ROOM, FakeAsyncHook, FakeJob, FakeMetaStudio, unreachable
from tests.support.virtual_time import Clock, run

OTHER_ROOM = "00000000-0000-0000-0000-00000000beef"
MINUTE = 60.0

#: Seconds between two synchronisations of a triggerer's processes.
SYNC = 1.0


@dataclass
class Triggerer:
    """A triggerer: it runs triggers on Airflow's shared streams, and stores their events in its database."""

    clock: Clock
    supervisor: FakeSupervisor
    #: What is in the database, which outlives the process: (seconds, event).
    stored: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    #: Whether the database takes events.
    stores: bool = True
    runs: list[SmartLiveEventTrigger] = field(default_factory=list)

    def live(self, seconds: float, *triggers: SmartLiveEventTrigger, asset: str = "toys") -> None:
        """Run triggers in a process that is killed after so many seconds, with what it has not stored yet."""
        run(self.clock, self._live(seconds, triggers, asset))

    async def _live(self, seconds: float, triggers: tuple[SmartLiveEventTrigger, ...], asset: str) -> None:
        manager = SharedStreamManager(_now=asyncio.get_running_loop().time)
        tasks = [
            asyncio.create_task(self._run(manager, number, trigger, asset))
            for number, trigger in enumerate(triggers, start=1)
        ]
        await asyncio.sleep(seconds)
        assert not [task for task in tasks if task.done()], "an event trigger that ends is begun anew at once"
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await manager.stop_all()

    async def _run(
        self, manager: SharedStreamManager, number: int, trigger: SmartLiveEventTrigger, asset: str
    ) -> None:
        trigger.trigger_id = number
        trigger.asset_state_store = AssetStateStoreAccessors([Asset(name) for name in asset.split()])
        key = trigger.shared_stream_key()
        shared = manager.subscribe(trigger_id=number, trigger=trigger, key=key)
        async for event in trigger.filter_shared_stream(shared):
            bound = manager.bind_pending_event(trigger_id=number, key=key)
            asyncio.get_running_loop().call_later(SYNC, self._store, manager, bound, event.payload)

    def _store(self, manager: SharedStreamManager, bound: int | None, payload: dict[str, Any]) -> None:
        if self.stores:
            assert json.loads(json.dumps(payload)) == payload
            self.stored.append((self.clock.seconds, payload))
            manager.confirm_persisted([bound] if bound is not None else [])

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(payload["event"], payload["job_id"]) for _, payload in self.stored]


@dataclass
class Console:
    """Somebody at Huawei's console."""

    clock: Clock
    metastudio: FakeMetaStudio

    def starts(self, **more: Any) -> FakeJob:
        return self.metastudio.add(more={"lastupdate_time": self._now()}, **more)

    def ends(self, job: FakeJob, state: str = "SUCCEED") -> None:
        job.state = state
        job.more |= {"end_time": self._now(), "lastupdate_time": self._now()}

    def _now(self) -> str:
        return self.clock.now.isoformat()


@pytest.fixture
def triggerer(
    clock: Clock,
    metastudio: FakeMetaStudio,
    supervisor: FakeSupervisor,
    monkeypatch: pytest.MonkeyPatch,
) -> Triggerer:
    supervisor.of_trigger = True
    monkeypatch.setattr(feed, "utcnow", clock)
    monkeypatch.setattr("airflow_provider_smartlive.livestream.airflow_async.utcnow", clock)
    monkeypatch.setattr(feed, "hook_for", lambda conn_id: FakeAsyncHook(metastudio))
    return Triggerer(clock, supervisor)


@pytest.fixture
def console(clock: Clock, metastudio: FakeMetaStudio) -> Console:
    return Console(clock, metastudio)


def watch(event: str, **more: Any) -> SmartLiveEventTrigger:
    return SmartLiveEventTrigger(event=event, **more)


def test_a_livestream_from_the_console_is_told_when_it_goes_live_and_when_it_ends(
    triggerer: Triggerer, console: Console
) -> None:
    clock, jobs = triggerer.clock, console.metastudio.jobs
    clock.at(100, console.starts)
    clock.at(500, lambda: console.ends(jobs[0]))
    triggerer.live(1000, watch("live", room_id=ROOM), watch("ended", room_id=ROOM))
    assert triggerer.told == [("live", jobs[0].job_id), ("ended", jobs[0].job_id)]
    (live_at, _), (ended_at, ended) = triggerer.stored
    assert 100 < live_at <= 100 + MINUTE + 5
    assert 500 < ended_at <= 500 + MINUTE + 5
    assert (
        ended.items()
        >= {"room_id": ROOM, "state": "SUCCEED", "smartlive_conn_id": "smartlive_default"}.items()
    )
    assert ended["end_time"] == jobs[0].more["end_time"]


def test_a_livestream_of_a_task_is_not_told(triggerer: Triggerer, console: Console) -> None:
    issued = issue(
        CallbackTarget(TaskRef("of_another_deployment", "manual__1", "go_live"), "0", 0),
        base_url="https://elsewhere.example.com/airflow",
        secrets=["fake-secret-of-another-deployment-000000"],
        auth_type=AuthType.MSS_A_HEAD,
    )

    def start() -> None:
        for url in (issued.url, "https://receiver.example.com/of-the-console"):
            console.starts().more["live_event_callback_config"] = {"live_event_type_callback_url": url}

    triggerer.clock.at(100, start)
    triggerer.clock.at(300, lambda: [console.ends(job) for job in console.metastudio.jobs])
    triggerer.live(600, watch("live"), watch("ended"))
    other_id = console.metastudio.jobs[1].job_id
    assert triggerer.told == [("live", other_id), ("ended", other_id)]


def test_what_is_there_when_the_watch_begins_is_known_and_only_its_end_is_told(
    triggerer: Triggerer, console: Console
) -> None:
    on_air, over = console.starts(), console.starts()
    console.ends(over)
    triggerer.clock.at(300, lambda: console.ends(on_air))
    triggerer.live(600, watch("live"), watch("ended"))
    assert triggerer.told == [("ended", on_air.job_id)]


def test_only_the_room_is_told(triggerer: Triggerer, console: Console) -> None:
    triggerer.clock.at(100, lambda: console.starts(room_id=OTHER_ROOM))
    triggerer.clock.at(110, lambda: console.starts(room_id=ROOM.replace("-", "").upper()))
    triggerer.live(300, watch("live", room_id=ROOM))
    assert triggerer.told == [("live", console.metastudio.jobs[1].job_id)]


def test_a_job_that_waits_is_not_live(triggerer: Triggerer, console: Console) -> None:
    triggerer.clock.at(100, lambda: console.starts(state="WAITING"))
    triggerer.clock.at(400, lambda: setattr(console.metastudio.jobs[0], "state", "PROCESSING"))
    triggerer.live(600, watch("live"))
    assert [seconds > 400 for seconds, _ in triggerer.stored] == [True]


def test_one_that_began_and_ended_between_two_looks_has_ended(triggerer: Triggerer, console: Console) -> None:
    triggerer.clock.at(100, console.starts)
    triggerer.clock.at(101, lambda: console.ends(console.metastudio.jobs[0], "BLOCKED"))
    triggerer.live(600, watch("live"), watch("ended"))
    assert [payload["state"] for _, payload in triggerer.stored] == ["BLOCKED"]


def test_a_job_that_is_changed_long_after_its_end_has_ended_once(
    triggerer: Triggerer, console: Console
) -> None:
    job = console.starts()
    triggerer.clock.at(100, lambda: console.ends(job))
    later = (triggerer.clock.now + timedelta(hours=1)).isoformat()
    triggerer.clock.at(3600, lambda: job.more.update(lastupdate_time=later))
    triggerer.live(4000, watch("ended"))
    triggerer.live(100, watch("ended"))
    assert triggerer.told == [("ended", job.job_id)]


def test_a_job_that_metastudio_has_forgotten_has_ended(triggerer: Triggerer, console: Console) -> None:
    console.starts()
    triggerer.clock.at(300, console.metastudio.jobs.clear)
    triggerer.live(600, watch("ended"))
    assert [payload["state"] for _, payload in triggerer.stored] == [None]
    assert triggerer.stored[0][1]["room_id"] == ROOM


def test_a_job_that_is_missing_in_the_lists_goes_on_until_metastudio_says_otherwise(
    triggerer: Triggerer, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = console.starts()
    list_jobs_page = console.metastudio.list_jobs_page

    def falters(offset: int, **filters: Any) -> Any:
        page = list_jobs_page(offset, **filters)
        return page.model_copy(update={"smart_live_jobs": []}) if triggerer.clock.seconds > 100 else page

    monkeypatch.setattr(console.metastudio, "list_jobs_page", falters)
    console.metastudio.show_outcomes += [unreachable()] * 2
    triggerer.live(900, watch("ended"))
    assert triggerer.told == []
    console.ends(job)
    triggerer.live(900, watch("ended"))
    assert triggerer.told == [("ended", job.job_id)]


# -- a triggerer that restarts


@pytest.mark.parametrize("away", [0.0, 600.0, 80_000.0], ids=["at once", "ten minutes", "most of a day"])
def test_what_happened_while_no_triggerer_ran_is_told_once(
    triggerer: Triggerer, console: Console, away: float
) -> None:
    triggerer.live(200, watch("ended"))
    known = console.starts()
    triggerer.live(200, watch("ended"))
    unknown = console.starts()
    triggerer.clock.sleep(away / 2)
    console.ends(known)
    console.ends(unknown)
    triggerer.clock.sleep(away / 2)
    triggerer.live(200, watch("ended"))
    triggerer.live(200, watch("ended"))
    assert sorted(triggerer.told) == sorted([("ended", known.job_id), ("ended", unknown.job_id)])


def test_an_end_is_not_lost_if_the_triggerer_dies_before_airflow_has_it(
    triggerer: Triggerer, console: Console
) -> None:
    job = console.starts()
    triggerer.live(100, watch("ended"))
    console.ends(job)
    triggerer.stores = False
    triggerer.live(100, watch("ended"))
    assert triggerer.told == []
    triggerer.stores = True
    triggerer.live(100, watch("ended"))
    assert triggerer.told == [("ended", job.job_id)]


def test_an_end_is_told_again_only_if_the_triggerer_dies_before_it_has_written_that_it_was_told(
    triggerer: Triggerer, console: Console
) -> None:
    job = console.starts()
    triggerer.live(100, watch("ended"))
    console.ends(job)
    triggerer.live(100, watch("ended"))
    memory = dict(triggerer.supervisor.asset_store)
    triggerer.live(100, watch("ended"))
    assert triggerer.told == [("ended", job.job_id)]
    # The documented limit: the write after the event's is lost.
    for key, history in memory.items():
        before = JobHistory.load(history)
        assert before is not None
        before.live, before.ended = {job.job_id: ROOM}, {}
        triggerer.supervisor.asset_store[key] = before.dump()
    triggerer.live(100, watch("ended"))
    assert triggerer.told == [("ended", job.job_id)] * 2


@pytest.mark.parametrize("second", range(10, 40, 3))
def test_wherever_a_triggerer_is_killed_no_end_is_lost(
    triggerer: Triggerer, console: Console, second: int
) -> None:
    job = console.starts()
    triggerer.live(100, watch("ended"))
    triggerer.clock.at(triggerer.clock.seconds + 20, lambda: console.ends(job))
    triggerer.live(second, watch("ended"))
    triggerer.clock.sleep(100)
    triggerer.live(200, watch("ended"))
    assert triggerer.told == [("ended", job.job_id)]


def test_two_watchers_of_one_asset_remember_each_for_itself(triggerer: Triggerer, console: Console) -> None:
    triggerer.live(100, watch("live"), watch("ended"))
    assert {key for _, key in triggerer.supervisor.asset_store} == {
        "smartlive/smartlive_default/all/live",
        "smartlive/smartlive_default/all/ended",
    }


def test_one_trigger_of_several_assets_says_that_it_remembers_nothing(
    triggerer: Triggerer,
    console: Console,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    triggerer.clock.at(100, console.starts)
    triggerer.live(300, watch("live"), asset="toys games")
    assert len(triggerer.told) == 1
    assert "Give each watcher another interval" in capsys.readouterr().out + caplog.text
    assert not triggerer.supervisor.asset_store


def test_another_project_begins_anew(triggerer: Triggerer, console: Console) -> None:
    console.starts()
    triggerer.live(100, watch("ended"))
    console.metastudio.endpoint = "https://metastudio.cn-east-3.myhuaweicloud.com"
    triggerer.live(300, watch("ended"))
    assert triggerer.told == []


def test_a_memory_that_somebody_else_has_written_begins_anew(triggerer: Triggerer, console: Console) -> None:
    console.starts()
    for wrong in ("text", {"version": 2}, {"version": 1}, {"version": 1, "ended": [], "looked_at": "now"}):
        triggerer.supervisor.asset_store["toys", "smartlive/smartlive_default/all/ended"] = wrong
        triggerer.live(100, watch("ended"))
    assert triggerer.told == []


# -- faults


def test_faults_of_metastudio_and_airflow_end_no_watch(triggerer: Triggerer, console: Console) -> None:
    triggerer.supervisor.faults += [api_error(), api_error()]
    console.metastudio.down = unreachable()
    triggerer.clock.at(400, lambda: setattr(console.metastudio, "down", None))
    job = console.starts()
    triggerer.live(700, watch("ended"))
    triggerer.supervisor.faults += [None, api_error(), api_error()]
    triggerer.clock.at(triggerer.clock.seconds + 30, lambda: console.ends(job))
    triggerer.live(900, watch("ended"))
    triggerer.live(900, watch("ended"))
    assert triggerer.told == [("ended", job.job_id)]


def test_watchers_of_one_connection_share_one_poll(triggerer: Triggerer, console: Console) -> None:
    rooms = [watch("ended", room_id=f"{ROOM[:-2]}{number:02}") for number in range(20)]
    triggerer.live(603, *rooms)
    looks = 11
    assert console.metastudio.asked["list_all"] <= 2 * looks
    assert {room.shared_stream_key() for room in rooms} == {
        ("SmartLiveEventTrigger", "smartlive_default", 60.0)
    }


def test_a_long_evening_leaves_a_small_memory(triggerer: Triggerer, console: Console) -> None:
    def show() -> None:
        job = console.starts()
        triggerer.clock.at(triggerer.clock.seconds + 200, lambda: console.ends(job))

    for number in range(40):
        triggerer.clock.at(number * 300, show)
    triggerer.live(15_000, watch("ended"))
    assert len(triggerer.told) == len(set(triggerer.told)) == 40
    (history,) = triggerer.supervisor.asset_store.values()
    assert len(json.dumps(history)) < 1000


# -- what Airflow wants of an event trigger


@pytest.mark.parametrize("trigger", [watch("live"), watch("ended", room_id=ROOM, interval=30)])
def test_airflow_finds_the_trigger_of_the_dag_file_in_its_database(trigger: SmartLiveEventTrigger) -> None:
    watcher = AssetWatcher(name="outside", trigger=trigger)
    of_file = encode_trigger(watcher.trigger)
    row = Trigger(classpath=of_file["classpath"], kwargs=of_file["kwargs"])
    assert BaseEventTrigger.hash(row.classpath, row.kwargs) == BaseEventTrigger.hash(
        of_file["classpath"], of_file["kwargs"]
    )
    read = SmartLiveEventTrigger(
        **{name: smart_decode_trigger_kwargs(value) for name, value in row.kwargs.items()}
    )
    assert read.serialize() == trigger.serialize()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"event": "END"}, "event is 'END'. Use 'live' or 'ended'"),
        ({"event": "live", "room_id": "{{ params.room }}"}, "nothing is rendered here"),
        ({"event": "live", "room_id": " "}, "which is no room"),
        ({"event": "live", "interval": 1}, "at least 5"),
        ({"event": "live", "interval": True}, "at least 5"),
    ],
)
def test_a_mistake_is_an_error_of_the_dag_file(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match="is") as raised:
        SmartLiveEventTrigger(**wrong)
    assert text in str(raised.value)


def test_no_task_can_wait_for_it() -> None:
    with pytest.raises(RuntimeError, match="AssetWatcher only"):
        watch("live").run()
