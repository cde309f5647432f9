"""
The encoder process: ``python -m airflow_provider_smartlive.sandbox.video.encoder``.

Its first line of standard input is an :class:`EncoderJob`; the following ones are ``{"script_title": TEXT}`` and
``{"stop": true}``. When standard input ends, its owner is gone, and it ends too. On standard output it reports, one
JSON object a line: ``connecting``, ``connected``, ``stats`` (frames, bytes, fps), ``closed``, ``failed`` (fault).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_smartlive.sandbox.video.encoder_job import (
    EncoderJob,
    LinkError,
    LinkFault,
    MissingEncoderError,
    require_encoder,
)

if TYPE_CHECKING:
    from airflow_provider_smartlive.sandbox.video.encoder_pyav import PyavLink

#: Seconds between two reports of progress.
REPORT_EVERY = 0.5

#: Seconds of being late after which pictures are left out rather than sent too late.
MAX_LAG = 0.5


class EncoderControl:
    """
    What the owner wants, read from standard input in a thread of its own.

    :param script_title: the title until another one comes.
    """

    def __init__(self, script_title: str) -> None:
        self.script_title = script_title
        self.stop = threading.Event()

    def listen(self) -> None:
        """Obey the owner until it is gone."""
        for line in sys.stdin:
            command = json.loads(line)
            self.script_title = command.get("script_title", self.script_title)
            if command.get("stop"):
                self.stop.set()
        self.stop.set()


class Pace:
    """
    Keeps pictures on time.

    :param rate: pictures per second.
    :param clock: tells seconds, never backwards.
    """

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._start = clock()
        self._index = 0

    def next(self, stop: threading.Event) -> int | None:
        """Wait for the next picture's time and return its number; None when it is time to stop."""
        late = self._clock() - self._start - self._index / self._rate
        if late > MAX_LAG:
            self._index += int(late * self._rate)
        if stop.wait(max(0.0, -late)):
            return None
        index = self._index
        self._index += 1
        return index


class Reporter:
    """
    Writes reports, and measures pictures per second between them.

    :param clock: tells seconds, never backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()
        self._frames = 0

    def say(self, event: str, **facts: Any) -> None:
        """Write a report. If the owner is gone, so is the process."""
        try:
            print(json.dumps({"event": event, **facts}), flush=True)
        except BrokenPipeError:
            os._exit(1)

    def stats(self, link: PyavLink, *, at_once: bool = False) -> None:
        """Report progress if it is time for it."""
        passed = self._clock() - self._at
        if passed < REPORT_EVERY and not at_once:
            return
        fps = (link.frames - self._frames) / max(passed, 0.001)
        self.say("stats", frames=link.frames, bytes=link.sent_bytes, fps=round(fps, 1))
        self._at, self._frames = self._clock(), link.frames


def publish(job: EncoderJob, control: EncoderControl, reporter: Reporter) -> None:
    """
    Publish until the owner wants no more.

    :raises LinkError: if the link cannot be opened, or breaks.
    :raises MissingEncoderError: if PyAV or Pillow is not installed.
    """
    require_encoder()
    reporter.say("connecting")
    _live_on(job)
    link = _open(job)
    reporter.say("connected")
    _play(job, link, control, reporter)
    _live_on(job)
    link.close()
    reporter.stats(link, at_once=True)
    reporter.say("closed")


def _play(job: EncoderJob, link: PyavLink, control: EncoderControl, reporter: Reporter) -> None:
    picture, pace = link.picture, Pace(job.frame_rate)
    while (index := pace.next(control.stop)) is not None:
        _live_on(job)
        picture.script_title = control.script_title
        link.send(picture.planes(datetime.now(UTC), index / job.frame_rate), index)
        reporter.stats(link)


def _live_on(job: EncoderJob) -> None:
    """
    Let the kernel end this process if it does not come here again in time.

    FFmpeg's libraries know no time limit for a server that does not answer or read, and hold the interpreter's lock
    while they connect: then no thread, and no signal handler in Python, could do it.
    """
    signal.setitimer(signal.ITIMER_REAL, job.stuck_after)


def _open(job: EncoderJob) -> PyavLink:
    # Here, because PyAV and Pillow are part of an extra whose absence `require_encoder` explains.
    from airflow_provider_smartlive.sandbox.video.encoder_pyav import PyavLink

    return PyavLink(job)


def main() -> int:
    """Do the job that stands on standard input, and return the process's exit code."""
    reporter = Reporter()
    try:
        job = EncoderJob.load(sys.stdin.readline())
        control = EncoderControl(job.script_title)
        threading.Thread(target=control.listen, daemon=True).start()
        publish(job, control, reporter)
    except LinkError as error:
        reporter.say("failed", fault=error.fault, text="")
        return 1
    except MissingEncoderError as error:
        reporter.say("failed", fault=LinkFault.UNAVAILABLE, text=str(error))
        return 1
    except Exception as error:
        # The name of the type only: texts of libraries quote the URL with the key.
        reporter.say("failed", fault=LinkFault.UNAVAILABLE, text=type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    # Not by way of destructors: FFmpeg's would try to say goodbye over a broken link.
    os._exit(main())
