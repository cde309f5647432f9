"""The wire, twice: what ``requests`` and ``aiohttp`` make of a request, an answer and a failure."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import requests
from requests.auth import AuthBase
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError
from yarl import URL

from airflow_provider_smartlive.client.calls import Answer
from airflow_provider_smartlive.client.connection import ConnectionProfile, InvalidConnectionError
from airflow_provider_smartlive.client.exchange import Authorise, Outgoing, Trouble

#: Seconds to establish a connection: a host that is there answers in well under one.
CONNECT_TIMEOUT = 10.0


class RequestsAuth(AuthBase):
    """Adds the headers that prove who asks to a prepared request, when it will not change any more."""

    def __init__(self, authorise: Authorise) -> None:
        self.authorise = authorise

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign, as the last step of the preparation."""
        body = request.body or b""
        if isinstance(body, str):
            body = body.encode()
        if not isinstance(body, bytes):
            raise TypeError("A streamed body cannot be signed: pass bytes or text.")
        headers = {name: _text(value) for name, value in request.headers.items()}
        request.headers.update(self.authorise(request.method or "GET", request.url or "", headers, body))
        return request


def send_with_requests(session: requests.Session, outgoing: Outgoing, patience: float) -> Answer | Trouble:
    """
    Send a request and wait for the complete answer.

    :param patience: seconds without a sign of life from the server.
    """
    request = requests.Request(
        outgoing.method,
        outgoing.url,
        headers=dict(outgoing.headers),
        data=outgoing.body or None,
        auth=RequestsAuth(outgoing.authorise),
    )
    prepared = session.prepare_request(request)
    # Given explicitly: requests lets proxies of the environment win over those of the session.
    settings = session.merge_environment_settings(prepared.url, session.proxies, False, session.verify, None)
    try:
        response = session.send(
            prepared, timeout=(min(CONNECT_TIMEOUT, patience), patience), allow_redirects=False, **settings
        )
    except requests.RequestException as error:
        return _trouble_of_requests(error)
    return Answer(response.status_code, dict(response.headers), response.content)


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


def open_requests(profile: ConnectionProfile) -> requests.Session:
    """Open a session with the connection's proxy and certificate authorities."""
    session = requests.Session()
    if profile.proxy:
        session.proxies = {"http": profile.proxy, "https": profile.proxy}
    session.verify = _ca_bundle(profile) or True
    return session


async def open_aiohttp(profile: ConnectionProfile) -> aiohttp.ClientSession:
    """
    Open a session that trusts the same certificate authorities as ``requests`` does.

    Its ``trust_env`` stays off: with it, aiohttp replaces our Authorization by what stands in ``~/.netrc``.
    """
    environment = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    trusted = _ca_bundle(profile) or environment or DEFAULT_CA_BUNDLE_PATH
    # Reading the certificates takes tens of milliseconds: too long for the event loop of all triggers.
    context = await asyncio.to_thread(ssl.create_default_context, cafile=trusted)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context), cookie_jar=aiohttp.DummyCookieJar()
    )


def _ca_bundle(profile: ConnectionProfile) -> str | None:
    """
    Return the connection's own certificate authorities.

    :raises InvalidConnectionError: if there is no such file.
    """
    if profile.ca_bundle and not Path(profile.ca_bundle).is_file():
        raise InvalidConnectionError(f"Connection {profile.conn_id!r}: ca_bundle is no file on this machine.")
    return profile.ca_bundle


def _trouble_of_requests(error: requests.RequestException) -> Trouble:
    cause: Any = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)  # what urllib3 gave up on
    match error:
        case requests.exceptions.ProxyError():
            return Trouble.PROXY
        case requests.exceptions.SSLError():
            return _trouble_of_tls(reason)
        case requests.exceptions.ConnectTimeout():
            return Trouble.CONNECT
        case requests.exceptions.Timeout():
            return Trouble.TIMEOUT
    if isinstance(reason, NameResolutionError):
        return Trouble.NAME
    return Trouble.CONNECT if isinstance(reason, ConnectTimeoutError) else Trouble.LOST


def _trouble_of_tls(reason: Any) -> Trouble:
    """An untrusted certificate shows before anything is sent; other TLS errors can also come afterwards."""
    cause = reason.args[0] if getattr(reason, "args", None) else None
    unsent = (
        isinstance(cause, ssl.SSLCertVerificationError)
        or getattr(cause, "reason", "") == "WRONG_VERSION_NUMBER"
    )
    return Trouble.TLS if unsent else Trouble.LOST


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


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
