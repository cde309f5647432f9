"""The wire of tasks: what ``requests`` makes of a request, an answer and a failure."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import requests
from requests.auth import AuthBase
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError

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


def open_requests(profile: ConnectionProfile) -> requests.Session:
    """Open a session with the connection's proxy and certificate authorities."""
    session = requests.Session()
    if profile.proxy:
        session.proxies = {"http": profile.proxy, "https": profile.proxy}
    session.verify = own_ca_bundle(profile) or True
    return session


def own_ca_bundle(profile: ConnectionProfile) -> str | None:
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


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
