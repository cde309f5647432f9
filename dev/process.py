"""One program of a stack, with all that it forks: started, watched, frozen, killed and stopped as one."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import psutil

#: Tells the processes of one program from all others, also those that left its process group, as Airflow's
#: task processes do, or that outlived their parent.
MARKER = "SMARTLIVE_DEV_PROGRAM"

#: Seconds that a program gets between SIGTERM and SIGKILL.
STOP_GRACE = 10.0

POLL_SECONDS = 0.1


class ProgramError(RuntimeError):
    """A program ended, or did not become ready, when it should have."""


class Program:
    """
    A program that runs in the background, in its own process group, with its output in a file.

    :param name: how logs and errors call it; the log file is ``<name>.log``.
    :param argv: the command.
    :param env: its whole environment.
    :param log_folder: the folder of its log file.
    """

    def __init__(self, name: str, argv: Sequence[str], *, env: Mapping[str, str], log_folder: Path) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log_folder / f"{name}.log"
        self._marker = f"{name}-{secrets.token_hex(8)}"
        # Without SPT_NOENV, setproctitle (used by Airflow) writes titles over the marker.
        self._env = {**env, MARKER: self._marker, "SPT_NOENV": "1"}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program; its log file is appended to."""
        if self.running:
            raise ProgramError(f"{self.name} is running already.")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.argv,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """The id of the program's first process."""
        if self._process is None:
            raise ProgramError(f"{self.name} was not started.")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program's first process lives."""
        return self._process is not None and self._process.poll() is None

    def members(self) -> list[psutil.Process]:
        """
        Return every living process of the program, its first one included.

        Some write their titles over their environment, and so over the marker: Redis's, and PostgreSQL's children.
        """
        found = marked_processes({self._marker})
        if self.running:
            first = psutil.Process(self.pid)
            found += [each for each in (first, *first.children(recursive=True)) if each not in found]
        return found

    def wait(self, timeout: float) -> int:
        """
        Wait for the program's own end and return its exit code.

        :param timeout: seconds to wait.
        :raises subprocess.TimeoutExpired: if it runs longer.
        """
        if self._process is None:
            raise ProgramError(f"{self.name} was not started.")
        return self._process.wait(timeout)

    def finish(self, timeout: float) -> None:
        """
        Wait for a program that ends by itself.

        :param timeout: seconds to wait.
        :raises ProgramError: if its exit code is not 0, or it runs longer; with the end of its log.
        """
        try:
            code = self.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ProgramError(
                f"{self.name} did not end within {timeout:.0f} s.\n{self.log_tail()}"
            ) from None
        if code:
            raise ProgramError(f"{self.name} ended with exit code {code}.\n{self.log_tail()}")

    def kill(self) -> None:
        """End every process of the program at once (SIGKILL), as a crash of its machine would."""
        self._end_by_kill()

    def freeze(self) -> None:
        """Stop the clock of every process of the program (SIGSTOP); :meth:`thaw` lets them go on."""
        _signal_all(self.members(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen program go on (SIGCONT)."""
        _signal_all(self.members(), signal.SIGCONT)

    def restart(self) -> None:
        """Stop the program if it runs, and start it again with the same command and environment."""
        self.stop()
        self.start()

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the program's process group, and do not wait."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGTERM)
                os.killpg(self.pid, signal.SIGCONT)  # a frozen program hears SIGTERM only once it is thawed

    def stop(self, grace: float = STOP_GRACE) -> None:
        """
        Stop the program by SIGTERM to its process group; what still lives afterwards is killed.

        :param grace: seconds between the two.
        """
        self.ask_to_stop()
        self.see_it_end(grace)

    def see_it_end(self, grace: float) -> None:
        """
        Wait for the end of a program that was asked to stop, and kill what then still lives.

        :param grace: seconds to wait.
        """
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        self._end_by_kill()

    def log_text(self) -> str:
        """Return what the program has written so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self, lines: int = 30) -> str:
        """Return the last lines of what the program wrote."""
        return "\n".join(self.log_text().splitlines()[-lines:])

    def _end_by_kill(self) -> None:
        while members := self.members():  # again, as one of them may have forked in between
            _signal_all(members, signal.SIGKILL)
            psutil.wait_procs(members, timeout=POLL_SECONDS)
        if self._process is not None:
            self._process.wait()


def stop_all(programs: Iterable[Program], grace: float = STOP_GRACE) -> None:
    """
    Stop several programs at the same time.

    :param grace: seconds that they have together between SIGTERM and SIGKILL.
    """
    programs = list(programs)
    deadline = time.monotonic() + grace
    for program in programs:
        program.ask_to_stop()
    for program in programs:
        # Not stop(): a second SIGTERM makes Airflow give up its orderly end.
        program.see_it_end(max(0.0, deadline - time.monotonic()))


def marked_processes(markers: set[str] | None = None) -> list[psutil.Process]:
    """
    Return the living processes of programs that were started here, or of those with the given markers.

    :param markers: None for all markers.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            marker = process.environ().get(MARKER)
            if marker is not None and (markers is None or marker in markers) and _is_alive(process):
                found.append(process)
    return found


def wait_until(
    condition: Callable[[], bool],
    what: str,
    *,
    timeout: float,
    needs: Iterable[Program] = (),
    every: float = POLL_SECONDS,
) -> None:
    """
    Wait until a condition holds.

    :param what: what is waited for, for the error.
    :param timeout: seconds to wait.
    :param needs: programs without which there is nothing to wait for.
    :param every: seconds between two looks.
    :raises ProgramError: if the time is over, or one of the needed programs ended.
    """
    needs = list(needs)
    deadline = time.monotonic() + timeout
    while not condition():
        for program in needs:
            if not program.running:
                raise ProgramError(f"{program.name} ended while we waited for {what}.\n{program.log_tail()}")
        if time.monotonic() > deadline:
            tails = "\n".join(f"--- {program.log}\n{program.log_tail()}" for program in needs)
            raise ProgramError(f"No {what} within {timeout:.0f} s.\n{tails}")
        time.sleep(every)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody uses right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _signal_all(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _is_alive(process: psutil.Process) -> bool:
    return bool(process.status() != psutil.STATUS_ZOMBIE)
