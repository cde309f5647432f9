"""Sends callbacks over HTTP."""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp
from yarl import URL

from airflow_provider_smartlive.sandbox.model.callbacks import DeliveryError


class HttpPost:
    """
    Posts and returns the status; follows no redirect, uses no proxy.

    :param ca_file: certificates to trust besides the system's.
    """

    def __init__(self, ca_file: Path | None = None) -> None:
        self._tls: ssl.SSLContext | bool = True
        if ca_file is not None:
            self._tls = ssl.create_default_context()
            self._tls.load_verify_locations(ca_file)
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """
        Send one callback.

        :raises DeliveryError: without an answer.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=False)
        try:
            # The URL goes out exactly as it was signed.
            target = URL(url, encoded=True)
            async with self._session.post(
                target, data=body, headers=headers, ssl=self._tls, allow_redirects=False
            ) as response:
                return response.status
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The text of the error may repeat the URL, which is a secret.
            raise DeliveryError(type(error).__name__) from None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
