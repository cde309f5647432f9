"""The transport of triggers, by ``aiohttp``."""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from airflow_provider_smartlive.client.body import Body, BodyUnreadableError, ResponseTooLargeError
from airflow_provider_smartlive.client.connection import ConnectionProfile
from airflow_provider_smartlive.client.errors import TransportFailure
from airflow_provider_smartlive.client.flow import OutgoingRequest
from airflow_provider_smartlive.client.network import proxy_of, tls_context
from airflow_provider_smartlive.client.operations import HttpResponse
from airflow_provider_smartlive.client.transport import CHUNK, MAX_HEADER, MAX_HEADERS, connect_timeout


class AiohttpTransport:
    """
    One HTTP session, between ``async with`` and its end.

    Its ``trust_env`` stays off: with it, aiohttp replaces our Authorization by what stands in ``~/.netrc``.
    """

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
            max_headers=MAX_HEADERS,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._session.closed

    async def close(self) -> None:
        """Close the session and its connections."""
        await self._session.close()

    async def send(
        self, profile: ConnectionProfile, outgoing: OutgoingRequest, seconds: float
    ) -> HttpResponse | TransportFailure:
        """
        Send a request and wait for the complete answer.

        :param seconds: for all of it.
        :raises NetworkSetupError: if proxy or certificate authorities of this machine are wrong.
        """
        proxy = proxy_of(outgoing.url, profile)
        context = await _context(outgoing.url, proxy, profile)
        try:
            url = URL(outgoing.url, encoded=True)  # yarl would otherwise decode what need not be encoded
            headers = dict(outgoing.headers)
            headers |= outgoing.authorise(outgoing.method, str(url), headers, outgoing.body)
        except ValueError:
            return TransportFailure.ADDRESS
        try:
            async with self._session.request(
                outgoing.method,
                url,
                headers=headers,
                data=outgoing.body or None,
                allow_redirects=False,
                proxy=proxy,
                ssl=context,
                timeout=aiohttp.ClientTimeout(total=seconds, connect=connect_timeout(seconds)),
            ) as response:
                return await _read(response)
        except ResponseTooLargeError:
            return TransportFailure.TOO_LARGE
        except (aiohttp.ClientError, TimeoutError, BodyUnreadableError, OSError, ValueError) as error:
            return _failure_of_aiohttp(error)


async def _context(url: str, proxy: str | None, profile: ConnectionProfile) -> ssl.SSLContext | bool:
    if "https" not in (urlsplit(url).scheme, urlsplit(proxy or "").scheme):
        return True  # not used
    # Reading the certificates takes tens of milliseconds: too long for the event loop of all triggers.
    return await asyncio.to_thread(tls_context, profile)


async def _read(response: aiohttp.ClientResponse) -> HttpResponse:
    body = Body(response.headers.get("Content-Encoding"), response.headers.get("Content-Type"))
    async for chunk in response.content.iter_chunked(CHUNK):
        body.feed(chunk)
    # requests puts repeated headers together like this.
    headers = {name: ", ".join(response.headers.getall(name)) for name in response.headers}
    return HttpResponse(response.status, headers, body.finish())


def _failure_of_aiohttp(error: Exception) -> TransportFailure:
    match error:
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return TransportFailure.PROXY
        case aiohttp.ClientSSLError():
            return TransportFailure.TLS
        case aiohttp.ClientConnectorDNSError():
            return TransportFailure.NAME
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return TransportFailure.CONNECT
        case TimeoutError():
            return TransportFailure.TIMEOUT
        case aiohttp.InvalidURL():
            return TransportFailure.ADDRESS
    return TransportFailure.LOST
