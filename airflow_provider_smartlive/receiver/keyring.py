"""The callback secrets in the API server: read beside the event loop, at most once per time to live."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.url import MIN_SECRET_LENGTH, is_usable_secret

log = structlog.get_logger(__name__)

#: Seconds for which callbacks wait while the secrets are read. After that the old ones count until there are new ones.
READ_TIMEOUT = 1.0

#: Seconds after which a reading that hangs is left to itself and another one begins: the first one, and the most that
#: it takes. Each is twice the one before, as each leaves a thread behind for as long as the backend hangs.
HANGS_AFTER = 30.0
LONGEST_HANG = 600.0

#: Seconds after which secrets are read again of which none was ever read. Later on it is :data:`.settings.SECRETS_TTL`.
RETRY_UNREAD = 5.0


class SecretsUnavailable(Exception):  # noqa: N818 - names what happened, as Unavailable of the store does
    """The secrets were never read so far: nobody can be judged, and whoever sent an event may send it again."""


@dataclass(eq=False)
class _SecretsRead:
    """
    One attempt to read the secrets.

    :param done: Set when it has ended, whatever came of it.
    :param patient_until: When callbacks stop waiting for it, by the event loop's clock.
    :param hangs_at: When it is given up, by the keyring's clock.
    """

    done: asyncio.Event
    patient_until: float
    hangs_at: float


class Keyring:
    """
    Holds ``[smartlive] callback_secrets``.

    ``callback_secrets_cmd`` runs a program and ``callback_secrets_secret`` asks a secrets backend: neither may hold
    up the API server's event loop, its shutdown or a callback, and a stranger's requests must not cause either.

    :param read: Reads the secrets; runs in a thread.
    :param clock: Seconds, monotonic.
    """

    def __init__(
        self,
        *,
        read: Callable[[], tuple[str, ...]] = settings.read_callback_secrets,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        #: None until they were read once.
        self._secrets: tuple[str, ...] | None = None
        #: None before the first reading has ended.
        self._stale_at: float | None = None
        self._reading: _SecretsRead | None = None
        self._hangs_after = HANGS_AFTER

    async def secrets(self) -> tuple[str, ...]:
        """
        Return the secrets. If they cannot be read again, or not in time, the ones from before still count.

        :raises SecretsUnavailable: if they were never read.
        """
        if self._reading is not None or self._is_stale():
            await self._refresh()
        if self._secrets is None:
            raise SecretsUnavailable("[smartlive] callback_secrets could not be read yet")
        return self._secrets

    def _is_stale(self) -> bool:
        return self._stale_at is None or self._clock() >= self._stale_at

    async def _refresh(self) -> None:
        if self._reading is not None and self._clock() >= self._reading.hangs_at:
            log.error("smartlive: reading [smartlive] callback_secrets hangs, another reading begins")
            self._reading = None
            self._hangs_after = min(2 * self._hangs_after, LONGEST_HANG)
        if self._reading is None:
            self._reading = self._begin()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._reading.patient_until):
                await self._reading.done.wait()

    def _begin(self) -> _SecretsRead:
        loop = asyncio.get_running_loop()
        reading = _SecretsRead(asyncio.Event(), loop.time() + READ_TIMEOUT, self._clock() + self._hangs_after)
        # A thread of its own that nobody waits for at the end: it may hang for as long as the backend does.
        threading.Thread(
            target=self._read_beside, args=(loop, reading), name="smartlive-secrets", daemon=True
        ).start()
        return reading

    def _read_beside(self, loop: asyncio.AbstractEventLoop, reading: _SecretsRead) -> None:
        secrets = None
        try:
            secrets = self._read()
        except Exception:
            # Whatever reads the option: a program that fails, a backend that is away.
            log.exception("smartlive: [smartlive] callback_secrets could not be read")
        with suppress(RuntimeError):  # the loop is closed: the server has ended
            loop.call_soon_threadsafe(self._take, secrets, reading)

    def _take(self, secrets: tuple[str, ...] | None, reading: _SecretsRead) -> None:
        reading.done.set()
        if self._reading is not reading:
            return  # it was given up, and what it says may be older than what is known
        self._reading = None
        self._hangs_after = HANGS_AFTER
        if secrets is not None:
            if secrets != self._secrets:
                _report_unusable(secrets)
            self._secrets = secrets
        lasts = RETRY_UNREAD if self._secrets is None else settings.SECRETS_TTL
        self._stale_at = self._clock() + lasts


def _report_unusable(secrets: tuple[str, ...]) -> None:
    unusable = sum(not is_usable_secret(secret) for secret in secrets)
    if unusable:
        log.error(
            "smartlive: secrets in [smartlive] callback_secrets are too short or no Unicode, and are left out. "
            "Generate them with `airflow smartlive generate-secret`.",
            left_out=unusable,
            of=len(secrets),
            needed_characters=MIN_SECRET_LENGTH,
        )
