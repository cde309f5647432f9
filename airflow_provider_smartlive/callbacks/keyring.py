"""The callback secrets in the API server: read off the event loop, at most once per time to live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from airflow_provider_smartlive import settings

log = structlog.get_logger(__name__)


def _read() -> tuple[str, ...]:
    settings.forget_secrets()
    return settings.callback_secrets()


class Keyring:
    """
    Holds ``[smartlive] callback_secrets``.

    ``callback_secrets_cmd`` runs a program and ``callback_secrets_secret`` asks a secrets backend: neither may hold
    up the API server's event loop, and a stranger's requests must not cause either.

    :param read: Reads the secrets; runs in a thread.
    :param clock: Seconds, monotonic.
    """

    def __init__(
        self,
        *,
        read: Callable[[], tuple[str, ...]] = _read,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        self._secrets: tuple[str, ...] = ()
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    async def secrets(self) -> tuple[str, ...]:
        """Return the secrets. If they cannot be read again, the ones from before still count."""
        if self._is_stale():
            async with self._reading:
                if self._is_stale():
                    await self._refresh()
        return self._secrets

    def _is_stale(self) -> bool:
        return self._read_at is None or self._clock() - self._read_at >= settings.SECRETS_TTL

    async def _refresh(self) -> None:
        try:
            self._secrets = await asyncio.to_thread(self._read)
        except Exception:
            # Whatever reads the option: a program that fails, a backend that is away. Asked again after the TTL.
            log.exception("smartlive: [smartlive] callback_secrets could not be read")
        self._read_at = self._clock()
