"""The life of one job: WAITING, PROCESSING with its links and its script, and one of the ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from airflow_provider_smartlive.metastudio.events import EventType
from airflow_provider_smartlive.metastudio.jobs import JobState
from airflow_provider_smartlive.sandbox.model.faults import Fault
from airflow_provider_smartlive.sandbox.model.jobs import InsertedSpeech, StoredJob
from airflow_provider_smartlive.sandbox.model.ledger import Kind
from airflow_provider_smartlive.sandbox.model.output_links import OutputLinks
from airflow_provider_smartlive.sandbox.model.player import Player, Speech
from airflow_provider_smartlive.sandbox.model.run_context import RunContext
from airflow_provider_smartlive.sandbox.model.script import PlayedParagraph

#: What a blocked job says when nobody gave a reason.
BLOCK_REASON = "The content breaks the rules of the platform"


@dataclass(frozen=True)
class Ending:
    """
    How and why a job ends.

    :param why: for the ledger.
    :param code: the error code of a failed job.
    :param message: its error text, or the reason of a blocked one.
    """

    state: JobState
    why: str
    code: str | None = None
    message: str | None = None


class JobRun:
    """
    Runs one job to its end; begins wherever its record stands.

    :param job: the record; every change is saved.
    :param context: what is around it.
    """

    def __init__(self, job: StoredJob, context: RunContext) -> None:
        self.job = job
        self.output_links = OutputLinks(job, context, on_lost=lambda: self.end(self._lost()))
        self.speech = Speech(job, context.clock, self._was_spoken)
        self._player = Player(job, context.clock, self._paragraph_began)
        self._context = context
        self._clock = context.clock
        self._over: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._hurry = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._limit: asyncio.Task[None] | None = None

    def end(self, ending: Ending) -> bool:
        """Let the job end; the first reason counts. Tell whether this was the first."""
        if self._over.done():
            return False
        self._over.set_result(ending)
        return True

    def hurry(self) -> None:
        """Let a job whose stream has ended be over at once, however long it would linger."""
        self._hurry.set()

    async def run(self) -> None:
        """Live."""
        try:
            await self._wait_until_ready()
            if not self._over.done():
                await self._play()
            await self._finish(await self._over)
        finally:
            # Also when the sandbox is shut down in the middle of a job, which then goes on the next time.
            self._cancel_tasks()
            await self.output_links.abandon()

    def play_start(self) -> None:
        """Give the signal that jobs without ``auto_play_script`` wait for."""
        self.job.play_signal = True
        self._player.signal()
        self._context.save(self.job)

    def playing(self) -> list[dict[str, Any]]:
        """Return the scenes and paragraphs of the current pass, as MetaStudio lists them."""
        scenes: dict[str, list[dict[str, Any]]] = {}
        for part in self._player.parts():
            scenes.setdefault(part.scene, []).append({"sequence_no": part.number, "title": part.title})
        return [{"script_name": name, "shoot_scripts": items} for name, items in scenes.items()]

    def reset_exit_config(self, config: dict[str, Any]) -> None:
        """Replace the exit configuration of the running job."""
        self.job.settings["play_policy"] = {**self.job.policy, "live_exit_config": config}
        self._player.leave_at = None
        self._context.save(self.job)
        self._watch_limit()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something until the job begins to end."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    # --- the phases

    async def _wait_until_ready(self) -> None:
        ready = asyncio.create_task(self._clock.sleep_until(self.job.ready_shown))
        either: list[asyncio.Future[Any]] = [ready, self._over]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        fault = self.job.fault("fail")
        if fault is not None and fault.seconds is None:
            self._suffer_end(fault)

    async def _play(self) -> None:
        if self.job.state is JobState.WAITING:
            self.job.processing_shown = self._clock.shown()
            self.job.start_time = self._clock.now()
            self._enter(JobState.PROCESSING, "ready")
        await self.output_links.open()
        self.spawn(self._play_script())
        self.spawn(self.speech.speak())
        self._watch_limit()
        for fault in self.job.faults:
            self.spawn(self._suffer(fault))
        await asyncio.shield(self._over)

    async def _finish(self, ending: Ending) -> None:
        self._cancel_tasks()
        if await self.output_links.stop():
            linger = self.job.fault("linger")
            settle = self._context.assumptions.settle_seconds if linger is None else linger.seconds or 0.0
            await self._settle(settle)
        if ending.state is JobState.BLOCKED:
            self.job.block_reason = ending.message or BLOCK_REASON
        else:
            self.job.error_code, self.job.error_msg = ending.code, ending.message
        self.job.end_time = self._clock.now()
        self.job.ended_shown = self._clock.shown()
        self._enter(ending.state, ending.why)

    async def _settle(self, seconds: float) -> None:
        settled = asyncio.create_task(self._clock.sleep(seconds))
        hurried = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({settled, hurried}, return_when=asyncio.FIRST_COMPLETED)
        settled.cancel()
        hurried.cancel()

    def _enter(self, state: JobState, why: str) -> None:
        before, self.job.state = self.job.state, state
        self._context.save(self.job)
        self._context.note(
            Kind.JOB, self.job, before=before.value, state=state.value, why=why, code=self.job.error_code
        )

    def _lost(self) -> Ending:
        assumptions = self._context.assumptions
        if assumptions.state_after_lost_link == "SUCCEED":
            return Ending(JobState.SUCCEED, "links lost")
        text = "The stream could not be pushed to the output URL"
        return Ending(JobState.FAILED, "links lost", assumptions.lost_link_code, text)

    # --- script, speech, limits

    async def _play_script(self) -> None:
        if self.job.outputs:
            await self.output_links.connected.wait()
        await self._player.play()
        self.end(Ending(JobState.SUCCEED, "script over"))

    def _paragraph_began(self, part: PlayedParagraph) -> None:
        self.job.now_playing = part
        self._context.save(self.job)
        self.output_links.show_title(f"{part.scene}: {part.title}")
        message = {
            "scene_script_name": part.scene,
            "shoot_script_sequence_no": str(part.number),
            "shoot_script_title": part.title,
        }
        self._context.notify(self.job, EventType.SHOOT_SCRIPT_SWITCH, message)

    def _was_spoken(self, command: InsertedSpeech) -> None:
        self._context.save(self.job)
        self._context.notify(self.job, EventType.REPLY_COMMAND_FINISH, {"reply_id": command.command_id})

    def _watch_limit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
        self._limit = self.spawn(self._obey_limit())

    async def _obey_limit(self) -> None:
        hours = self.job.exit_config.get("max_live_duration")
        if not hours or self.job.processing_shown is None:
            return
        await self._clock.sleep_until(self.job.processing_shown + hours * 3600)
        mode = self.job.exit_config.get("auto_stop_mode", "FORCE_EXIT")
        if mode == "FORCE_EXIT" or not self._player.has_script:
            self.end(Ending(JobState.SUCCEED, "max_live_duration"))
        else:
            self._player.leave_at = mode

    # --- faults

    async def _suffer(self, fault: Fault) -> None:
        if fault.action == "kick":
            await self.output_links.connected.wait()
            await self._clock.sleep(fault.seconds or 0.0)
            self.output_links.kick()
        elif fault.action in ("fail", "block", "vanish"):
            await self._clock.sleep(fault.seconds or 0.0)
            self._suffer_end(fault)

    def _suffer_end(self, fault: Fault) -> None:
        if fault.action == "vanish":
            self._context.vanish(self.job)
        elif fault.action == "block":
            self.end(Ending(JobState.BLOCKED, "blocked by a fault", message=fault.message))
        else:
            message = fault.message or "Internal Error"
            self.end(Ending(JobState.FAILED, "failed by a fault", fault.code, message))

    # --- tasks

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._over.done():
            self._over.set_exception(error)  # a bug of the sandbox must not look like a quiet livestream

    def _cancel_tasks(self) -> None:
        for task in list(self._tasks):
            task.cancel()
