"""Plays the script of a job: paragraph after paragraph, pass after pass, and speech inserted by commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from airflow_provider_smartlive.sandbox.clock import Clock
from airflow_provider_smartlive.sandbox.model.jobs import InsertedSpeech, Place, StoredJob
from airflow_provider_smartlive.sandbox.model.script import PlayedParagraph, order_of_pass


class Player:
    """
    Plays the script of one job.

    :param job: the job; its ``place`` says how far the script is, also after a restart.
    :param clock: the show clock.
    :param on_paragraph: told when a paragraph begins.
    """

    def __init__(self, job: StoredJob, clock: Clock, on_paragraph: Callable[[PlayedParagraph], None]) -> None:
        self._job = job
        self._clock = clock
        self._on_paragraph = on_paragraph
        self._signal = asyncio.Event()
        #: Where to leave: None to the end, or SEGMENT_END, SCENE_END, SCRIPT_END.
        self.leave_at: str | None = None
        self._has_left = False

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
        place = self._job.place
        if place is None:
            place = self._job.place = Place(began=self._clock.shown())
        repeats = self._job.policy.get("repeat_count", 0)
        while repeats == -1 or place.pass_number <= repeats:
            await self._play_pass(place)
            if self._has_left:
                return
            place.pass_number += 1
            place.index = 0

    def parts(self) -> list[PlayedParagraph]:
        """Return the paragraphs of the current pass, in their order."""
        mode = self._job.policy.get("random_play_mode", "SCRIPT_ITEM")
        number = self._job.place.pass_number if self._job.place else 0
        return order_of_pass(self._job.script, number, mode, seed=self._job.job_id)

    async def _play_pass(self, place: Place) -> None:
        # The order is asked for again after each paragraph: a command may have rewritten the script.
        while place.index < len(parts := self.parts()):
            part = parts[place.index]
            ends = place.began + part.seconds
            if ends > self._clock.shown():  # else a step of the clock has skipped it
                if not place.is_announced:
                    place.is_announced = True
                    self._on_paragraph(part)
                await self._clock.sleep_until(ends)
            self._has_left = self._leaves(parts, place.index)
            place.index += 1
            place.began, place.is_announced = ends, False
            if self._has_left:
                return

    def _leaves(self, parts: Sequence[PlayedParagraph], index: int) -> bool:
        is_last = index + 1 == len(parts)
        is_last_of_scene = is_last or parts[index + 1].scene != parts[index].scene
        places = {"SEGMENT_END": True, "SCENE_END": is_last_of_scene, "SCRIPT_END": is_last}
        return places.get(self.leave_at or "", False)


class Speech:
    """
    Speaks what commands insert, one after the other.

    :param job: the job; its ``commands`` are the queue.
    :param clock: the show clock.
    :param on_spoken: told when a command was spoken to its end.
    """

    def __init__(self, job: StoredJob, clock: Clock, on_spoken: Callable[[InsertedSpeech], None]) -> None:
        self._job = job
        self._clock = clock
        self._on_spoken = on_spoken
        self._wake = asyncio.Event()

    def insert(self, command: InsertedSpeech, *, at_end: bool = True) -> None:
        """Put a command at the end of the queue, or before all that are still waiting."""
        waiting = [n for n, known in enumerate(self._job.commands) if known.state == "waiting"]
        place = waiting[0] if waiting and not at_end else len(self._job.commands)
        self._job.commands.insert(place, command)
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
