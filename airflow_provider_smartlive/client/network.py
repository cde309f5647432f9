"""
The proxy and the certificate authorities, by connection and environment.

Read here for both transports, so that a trigger reaches whatever a task reaches.
"""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

from airflow_provider_smartlive.client.connection import ConnectionProfile, InvalidConnectionError
from airflow_provider_smartlive.metastudio.addresses import is_host
from airflow_provider_smartlive.metastudio.errors import MetaStudioError

#: Environment variables that name certificate authorities, a file or a folder; the first one that is set counts.
CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


class NetworkSetupError(MetaStudioError, InvalidConnectionError):
    """
    This machine cannot send requests as it is set up: its proxy or its certificate authorities are wrong.

    Nothing was sent. It says nothing about a job, and asking again from this machine would meet the same.
    """


def proxy_of(url: str, profile: ConnectionProfile) -> str | None:
    """
    Return the URL of the proxy for an address: the connection's, else that of the environment (``HTTPS_PROXY``,
    ``NO_PROXY``, ... in upper or lower case).

    :raises NetworkSetupError: if it is no http or https address.
    """
    if profile.proxy:
        return profile.proxy  # checked when the connection was read
    proxy = select_proxy(url, get_environ_proxies(url))
    if not proxy:
        return None
    try:
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        parts = urlsplit(proxy)
        usable = parts.scheme in ("http", "https") and is_host(parts.hostname or "") and parts.port != 0
        unquote(f"{parts.username}{parts.password}").encode(
            "latin-1"
        )  # the only encoding that both libraries know
    except ValueError:
        usable = False
    if not usable:
        raise NetworkSetupError(
            "The proxy of this machine's environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) must be an address such as "
            "http://proxy.example.com:3128; others, such as socks5, are not supported. Or set proxy in the connection."
        )
    return proxy


def tls_context(profile: ConnectionProfile) -> ssl.SSLContext:
    """
    Return what decides which certificates are trusted: the connection's ``ca_bundle``, else the environment's
    (:data:`CA_VARIABLES`), else the authorities that ``requests`` comes with.

    It reads files, which takes tens of milliseconds the first time.

    :raises NetworkSetupError: if there is no such file or folder, or no certificate in it.
    """
    name, path = _authorities(profile)
    try:
        return _context(path, Path(path).stat().st_mtime_ns)
    except OSError:  # that of TLS is one, too
        raise NetworkSetupError(
            f"{name} is no file or folder with CA certificates (PEM) on this machine."
        ) from None


def _authorities(profile: ConnectionProfile) -> tuple[str, str]:
    """Return where the path of the certificate authorities comes from, and the path."""
    if profile.ca_bundle:
        return f"Connection {profile.conn_id!r}: ca_bundle", profile.ca_bundle
    for variable in CA_VARIABLES:
        if path := os.environ.get(variable):
            return f"The environment variable {variable}", path
    return "The CA bundle of certifi", DEFAULT_CA_BUNDLE_PATH


@lru_cache(maxsize=8)
def _context(path: str, changed_at: int) -> ssl.SSLContext:
    """
    Read certificate authorities; kept, as each hook would otherwise read them again.

    :param changed_at: when the path was changed, so that a new file is read.
    """
    if Path(path).is_dir():
        return ssl.create_default_context(capath=path)
    return ssl.create_default_context(cafile=path)
