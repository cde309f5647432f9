"""Plays the script of a job: paragraph after paragraph, pass after pass, and speech inserted by commands."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence

from airflow_provider_smartlive.sandbox.clock import Clock
from airflow_provider_smartlive.sandbox.jobs import InsertedCommand, JobRecord
from airflow_provider_smartlive.sandbox.script import Paragraph, order_of_pass


class Player:
    """
    Plays the script of one job.

    :param job: the job; its ``script_shown`` says when the script began, also after a restart.
    :param clock: the show clock.
    :param on_paragraph: told when a paragraph begins.
    """

    def __init__(self, job: JobRecord, clock: Clock, on_paragraph: Callable[[Paragraph], None]) -> None:
        self._job = job
        self._clock = clock
        self._on_paragraph = on_paragraph
        self._signal = asyncio.Event()
        #: Where to leave: None to the end, or SEGMENT_END, SCENE_END, SCRIPT_END.
        self.leave_at: str | None = None

    @property
    def has_script(self) -> bool:
        """Whether there is a script at all; without one only a stop or a limit ends the job."""
        return bool(self._job.policy.get("play_mode") != "NO_PRESET" and self._job.script)

    def signal(self) -> None:
        """Give the signal to play (``play_start``), for jobs that do not begin by themselves."""
        self._signal.set()

    async def play(self) -> None:
        """Play until the last pass is over, or until the place to leave at."""
        if not self._job.policy.get("auto_play_script", True) and not self._job.play_signal:
            await self._signal.wait()
        if not self.has_script:
            await asyncio.Event().wait()
        if self._job.script_shown is None:
            self._job.script_shown = self._clock.shown()
        end = self._job.script_shown
        for part, is_last_of_scene, is_last_of_pass in self._parts():
            end += part.seconds
            if end <= self._clock.shown():
                continue  # played before a restart, or skipped by a step of the clock
            self._on_paragraph(part)
            await self._clock.sleep_until(end)
            if self._leaves(is_last_of_scene=is_last_of_scene, is_last_of_pass=is_last_of_pass):
                return

    def _parts(self) -> Iterator[tuple[Paragraph, bool, bool]]:
        """Yield each paragraph with "last of its scene" and "last of its pass"."""
        mode = self._job.policy.get("random_play_mode", "SCRIPT_ITEM")
        for number in _passes(self._job.policy.get("repeat_count", 0)):
            parts = order_of_pass(self._job.script, number, mode, seed=self._job.job_id)
            yield from _marked(parts)

    def _leaves(self, *, is_last_of_scene: bool, is_last_of_pass: bool) -> bool:
        places = {"SEGMENT_END": True, "SCENE_END": is_last_of_scene, "SCRIPT_END": is_last_of_pass}
        return places.get(self.leave_at or "", False)


def _passes(repeat_count: int) -> Iterator[int]:
    """Yield the numbers of the passes: -1 repeats for ever, n means n + 1 passes."""
    return itertools.count() if repeat_count == -1 else iter(range(repeat_count + 1))


def _marked(parts: Sequence[Paragraph]) -> Iterator[tuple[Paragraph, bool, bool]]:
    for index, part in enumerate(parts):
        is_last = index + 1 == len(parts)
        yield part, is_last or parts[index + 1].scene != part.scene, is_last


class Speech:
    """
    Speaks what commands insert, one after the other.

    :param job: the job; its ``commands`` are the queue.
    :param clock: the show clock.
    :param on_spoken: told when a command was spoken to its end.
    """

    def __init__(self, job: JobRecord, clock: Clock, on_spoken: Callable[[InsertedCommand], None]) -> None:
        self._job = job
        self._clock = clock
        self._on_spoken = on_spoken
        self._wake = asyncio.Event()

    def insert(self, command: InsertedCommand) -> None:
        """Put a command at the end of the queue."""
        self._job.commands.append(command)
        self._wake.set()

    def clean_up(self) -> None:
        """Drop the commands that are still waiting."""
        self._job.commands = [command for command in self._job.commands if command.state != "waiting"]

    async def speak(self) -> None:
        """Speak whatever is waiting, for ever."""
        while True:
            waiting = next((command for command in self._job.commands if command.state != "spoken"), None)
            if waiting is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            waiting.state = "speaking"
            await self._clock.sleep(waiting.seconds)
            waiting.state = "spoken"
            self._on_spoken(waiting)
