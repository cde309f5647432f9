"""The encoder as a child process, seen from the publisher that owns it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from typing import Any, Self

from airflow_provider_smartlive.sandbox.video.encoder_job import EncoderJob

_MODULE = "airflow_provider_smartlive.sandbox.video.encoder"


class EncoderProcess:
    """
    A running encoder. It ends when its standard input does, so it never outlives this process for long.

    :param process: the child, its standard input and output being pipes.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def launch(cls, job: EncoderJob) -> Self:
        """
        Start an encoder and hand it its job.

        :raises OSError: if no process can be started.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            _MODULE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # What FFmpeg prints quotes the URL with the stream key; all that matters comes over stdout.
            stderr=asyncio.subprocess.DEVNULL,
            # Its own group: Ctrl-C is for the owner to handle, and a kill reaches nobody else.
            start_new_session=True,
        )
        encoder = cls(process)
        encoder._write(job.dump())
        return encoder

    async def report(self) -> dict[str, Any] | None:
        """Return the next report, or None when there will be no more."""
        if self._process.stdout is None:
            return None
        with contextlib.suppress(ValueError):
            report = json.loads(await self._process.stdout.readline() or b"null")
            return report if isinstance(report, dict) else None
        return None

    def retitle(self, script_title: str) -> None:
        """Show another script title."""
        self._write(json.dumps({"script_title": script_title}).encode() + b"\n")

    def finish(self) -> None:
        """Ask it to end the stream in good order; its last report tells when that is done."""
        self._write(json.dumps({"stop": True}).encode() + b"\n")

    async def kill(self) -> None:
        """End it now, and whatever it started; does nothing to one that is over."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    def _write(self, line: bytes) -> None:
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(line)
