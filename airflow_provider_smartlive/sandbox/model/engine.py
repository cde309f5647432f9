"""The engine: starts, stops, resumes and forgets jobs."""

from __future__ import annotations

import asyncio
import logging
import secrets
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from airflow_provider_smartlive.metastudio.events import EventType
from airflow_provider_smartlive.metastudio.ids import normalise_id
from airflow_provider_smartlive.metastudio.jobs import JobState
from airflow_provider_smartlive.sandbox.clock import Clock
from airflow_provider_smartlive.sandbox.hashes import fingerprint
from airflow_provider_smartlive.sandbox.model.faults import FaultRules, Subject
from airflow_provider_smartlive.sandbox.model.jobs import StoredJob
from airflow_provider_smartlive.sandbox.model.ledger import Kind, Ledger
from airflow_provider_smartlive.sandbox.model.output_links import make_outputs
from airflow_provider_smartlive.sandbox.model.rooms import Rooms, StoredRoom
from airflow_provider_smartlive.sandbox.model.run import Ending, JobRun
from airflow_provider_smartlive.sandbox.model.run_context import RunContext
from airflow_provider_smartlive.sandbox.model.script import warnings
from airflow_provider_smartlive.sandbox.model.store import StateStore
from airflow_provider_smartlive.sandbox.options import Assumptions
from airflow_provider_smartlive.sandbox.video.links import LinkFactory

log = logging.getLogger(__name__)

_SHOWN = "shown"


def load_shown(store: StateStore) -> float:
    """Return where the show clock stood when the sandbox last wrote to the store, in show seconds."""
    return float(store.get("clock", _SHOWN) or 0.0)


class Engine:
    """
    All jobs of the sandbox.

    :param notify: calls an event back: job, type, message.
    :param kick: cuts the publisher of an ingest URL and key at the built-in platform; tells whether it could.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        store: StateStore,
        ledger: Ledger,
        faults: FaultRules,
        rooms: Rooms,
        assumptions: Assumptions,
        open_link: LinkFactory,
        notify: Callable[[StoredJob, EventType, dict[str, str]], None],
        kick: Callable[[str, str], bool],
    ) -> None:
        self.clock = clock
        self.rooms = rooms
        self._store = store
        self._faults = faults
        self._assumptions = assumptions
        self._context = RunContext(
            clock=clock,
            assumptions=assumptions,
            ledger=ledger,
            open_link=open_link,
            save=self._save,
            notify=notify,
            kick=kick,
            vanish=self._vanish,
        )
        loaded = map(StoredJob.model_validate_json, store.all("job"))
        self._jobs = {normalise_id(job.job_id): job for job in loaded}
        self._runs: dict[str, JobRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    # --- life

    def resume(self) -> None:
        """Go on with the jobs that were active when the sandbox stopped or died."""
        for job in self.jobs():
            if job.is_active:
                self._note(job, "resumed")
                self._launch(job)
            elif job.room_type == "TEMP":
                self._vanish(job)  # it was over, and its time to linger as well

    async def close(self) -> None:
        """Stop publishing; active jobs stay active for the next time."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- reading

    def jobs(self) -> list[StoredJob]:
        """Return all jobs, the oldest first."""
        return list(self._jobs.values())

    def get(self, job_id: str) -> StoredJob | None:
        """Return a job, or None."""
        return self._jobs.get(normalise_id(job_id))

    def active(self, room: StoredRoom | None = None) -> list[StoredJob]:
        """Return the active jobs of a room, or of all."""
        wanted = normalise_id(room.room_id) if room else None
        return [
            job
            for job in self._jobs.values()
            if job.is_active and wanted in (None, normalise_id(job.room_id))
        ]

    def last_jobs(self) -> dict[str, StoredJob]:
        """Return the last job of each room, by the room's key."""
        return {normalise_id(job.room_id): job for job in self._jobs.values()}

    def run_of(self, job: StoredJob) -> JobRun | None:
        """Return what runs an active job; None once it is over."""
        return self._runs.get(normalise_id(job.job_id))

    # --- acting

    def start(self, room: StoredRoom, settings: dict[str, Any]) -> StoredJob:
        """
        Start a job.

        :param room: where.
        :param settings: the request, completed by the room's and the tenant's settings.
        """
        now = self.clock.now()
        job_id = str(uuid.uuid4())
        job = StoredJob(
            job_id=job_id,
            room_id=room.room_id,
            room_name=room.name,
            room_type=room.room_type,
            create_time=now,
            update_time=now,
            ready_shown=self.clock.shown() + self._assumptions.waiting_seconds,
            settings=settings,
            script=room.script(self._assumptions),
            outputs=make_outputs(settings.get("output_urls") or [], settings.get("stream_keys") or []),
            rtc_room=_rtc_room(settings, now),
            report_key=secrets.token_hex(32),
            faults=self._faults.pick(Subject("job", room.room_id, job_id)),
        )
        job.warnings = warnings(job.script, room.body, job.policy, self._assumptions)
        self._jobs[normalise_id(job_id)] = job
        self._save(job)
        url = job.callback.get("live_event_type_callback_url")
        self._note(job, "start accepted", url_hash=fingerprint(url))
        self._launch(job)
        return job

    async def stop(self, job: StoredJob) -> None:
        """Stop a job; it goes on for a moment until its links have ended."""
        run = self.run_of(job)
        if run is None or job.fault("ignore_stop"):
            return
        slow = job.fault("slow_stop")
        if slow is not None:
            run.spawn(self._stop_later(slow.seconds or 0.0, run))
        else:
            self._end_by_stop(run)
        if self._assumptions.stop_waits:
            await asyncio.wait({self._tasks[normalise_id(job.job_id)]})

    def _end_by_stop(self, run: JobRun) -> None:
        state = JobState(self._assumptions.state_after_stop)
        code = None if state is JobState.SUCCEED else "MSS.20010066"
        if not run.end(Ending(state, "stopped", code, "The task was stopped" if code else None)):
            run.hurry()

    async def _stop_later(self, seconds: float, run: JobRun) -> None:
        await self.clock.sleep(seconds)
        self._end_by_stop(run)

    # --- inside

    def _launch(self, job: StoredJob) -> None:
        key = normalise_id(job.job_id)
        run = self._runs[key] = JobRun(job, self._context)
        task = self._tasks[key] = asyncio.create_task(self._live(job, run), name=f"job {job.job_id}")
        task.add_done_callback(lambda _: self._over(key))

    async def _live(self, job: StoredJob, run: JobRun) -> None:
        try:
            await run.run()
        except Exception:
            log.exception("The sandbox failed to run job %s", job.job_id)
            job.state, job.error_code, job.error_msg = JobState.FAILED, "MSS.00000004", "Internal Error"
            job.end_time, job.ended_shown = self.clock.now(), self.clock.shown()
            self._save(job)
            self._note(job, "the sandbox failed")
        if job.room_type == "TEMP":
            await self.clock.sleep(self._assumptions.temp_room_linger_seconds)
            self._vanish(job)

    def _over(self, key: str) -> None:
        self._runs.pop(key, None)
        self._tasks.pop(key, None)

    def _vanish(self, job: StoredJob) -> None:
        """Forget a job and its room."""
        key = normalise_id(job.job_id)
        self._jobs.pop(key, None)
        self._store.remove("job", key)
        room = self.rooms.get(job.room_id)
        if room is not None:
            self.rooms.remove(room)
        self._note(job, "vanished")
        if (task := self._tasks.get(key)) is not None and task is not asyncio.current_task():
            task.cancel()

    def _save(self, job: StoredJob) -> None:
        job.update_time = self.clock.now()
        if normalise_id(job.job_id) in self._jobs:
            self._store.put("job", normalise_id(job.job_id), job.model_dump_json())
            self._store.put("clock", _SHOWN, repr(self.clock.shown()))

    def _note(self, job: StoredJob, why: str, **facts: str | None) -> None:
        self._context.note(Kind.JOB, job, state=job.state.value, why=why, **facts)


def _rtc_room(settings: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Make up an RTC room; the schema wants two users at least."""
    policy = settings.get("play_policy") or {}
    types: Iterable[str] = ("PLAYER", "RENDER")
    if policy.get("need_independent_capture_client"):
        types = ("CAPTURE", "PLAYER", "RENDER")
    users = [
        {
            "user_type": user_type,
            "user_id": uuid.uuid4().hex,
            "signature": secrets.token_hex(32),
            "ctime": int(now.timestamp()) + 86400,
        }
        for user_type in types
    ]
    return {"app_id": secrets.token_hex(12), "room_id": str(uuid.uuid4()), "users": users}
