"""The wire of triggers: what ``aiohttp`` makes of a request, an answer and a failure."""

from __future__ import annotations

import asyncio
import os
import ssl

import aiohttp
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy
from yarl import URL

from airflow_provider_smartlive.client.calls import Answer
from airflow_provider_smartlive.client.connection import ConnectionProfile
from airflow_provider_smartlive.client.exchange import Outgoing, Trouble
from airflow_provider_smartlive.client.transport import CONNECT_TIMEOUT, own_ca_bundle


async def send_with_aiohttp(
    session: aiohttp.ClientSession, outgoing: Outgoing, patience: float, proxy: str | None
) -> Answer | Trouble:
    """
    Send a request and wait for the complete answer.

    :param patience: seconds without a sign of life from the server.
    :param proxy: None: what the environment says, as ``requests`` does.
    """
    url = URL(outgoing.url, encoded=True)  # yarl would otherwise decode what need not be encoded
    headers = dict(outgoing.headers)
    headers |= outgoing.authorise(outgoing.method, str(url), headers, outgoing.body)
    connect = min(CONNECT_TIMEOUT, patience)
    try:
        async with session.request(
            outgoing.method,
            url,
            headers=headers,
            data=outgoing.body or None,
            allow_redirects=False,
            proxy=proxy or select_proxy(outgoing.url, get_environ_proxies(outgoing.url)),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=patience),
        ) as response:
            return Answer(response.status, dict(response.headers), await response.read())
    except (aiohttp.ClientError, TimeoutError) as error:
        return _trouble_of_aiohttp(error)


async def open_aiohttp(profile: ConnectionProfile) -> aiohttp.ClientSession:
    """
    Open a session that trusts the same certificate authorities as ``requests`` does.

    Its ``trust_env`` stays off: with it, aiohttp replaces our Authorization by what stands in ``~/.netrc``.
    """
    environment = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    trusted = own_ca_bundle(profile) or environment or DEFAULT_CA_BUNDLE_PATH
    # Reading the certificates takes tens of milliseconds: too long for the event loop of all triggers.
    context = await asyncio.to_thread(ssl.create_default_context, cafile=trusted)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context), cookie_jar=aiohttp.DummyCookieJar()
    )


def _trouble_of_aiohttp(error: Exception) -> Trouble:
    match error:
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return Trouble.PROXY
        case aiohttp.ClientSSLError():
            return Trouble.TLS
        case aiohttp.ClientConnectorDNSError():
            return Trouble.NAME
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return Trouble.CONNECT
        case TimeoutError():
            return Trouble.TIMEOUT
    return Trouble.LOST
