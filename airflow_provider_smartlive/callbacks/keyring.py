"""The callback secrets in the API server: read beside the event loop, at most once per time to live."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from airflow_provider_smartlive import settings

log = structlog.get_logger(__name__)

#: Seconds for which callbacks wait while the secrets are read. After that the old ones count until there are new ones.
READ_TIMEOUT = 1.0


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
        self._secrets: tuple[str, ...] = ()
        self._stale_at = 0.0
        self._has_read = False
        self._reading: asyncio.Future[None] | None = None
        self._patient_until = 0.0

    async def secrets(self) -> tuple[str, ...]:
        """Return the secrets. If they cannot be read again, or not in time, the ones from before still count."""
        if self._reading is not None or self._is_stale():
            await self._refresh()
        return self._secrets

    def _is_stale(self) -> bool:
        return not self._has_read or self._clock() >= self._stale_at

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        if self._reading is None:
            self._reading = loop.create_future()
            self._patient_until = loop.time() + READ_TIMEOUT
            # A thread of its own that nobody waits for at the end: it may hang for as long as the backend does.
            reader = threading.Thread(
                target=self._read_beside, args=(loop, self._reading), name="smartlive-secrets", daemon=True
            )
            reader.start()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._patient_until):
                await asyncio.shield(self._reading)

    def _read_beside(self, loop: asyncio.AbstractEventLoop, reading: asyncio.Future[None]) -> None:
        secrets = None
        try:
            secrets = self._read()
        except Exception:
            # Whatever reads the option: a program that fails, a backend that is away. Asked again after the TTL.
            log.exception("smartlive: [smartlive] callback_secrets could not be read")
        with suppress(RuntimeError):  # the loop is closed: the server has ended
            loop.call_soon_threadsafe(self._take, secrets, reading)

    def _take(self, secrets: tuple[str, ...] | None, reading: asyncio.Future[None]) -> None:
        if secrets is not None:
            self._secrets = secrets
        self._has_read, self._stale_at, self._reading = True, self._clock() + settings.SECRETS_TTL, None
        reading.set_result(None)
