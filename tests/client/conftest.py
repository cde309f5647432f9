"""A recorded MetaStudio, a connection to it, and both hooks behind one handle."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_provider_smartlive.client.network import CA_VARIABLES
from tests.client.hook_connection import CONN_ID, PROJECT_ID, REQUEST_TIMEOUT, Connect
from tests.client.recording_server import ACCESS_KEY, SECRET_KEY, RecordingServer, recording_server

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class SyncDriver:
    """Calls operations of the hook for tasks."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def __call__(self, operation: str, *args: Any, **kwargs: Any) -> Any:
        from airflow_provider_smartlive.hooks import SmartLiveHook

        hook = SmartLiveHook(CONN_ID, sleep=self.pauses.append)
        result = getattr(hook, operation)(*args, **kwargs)
        return list(result) if hasattr(result, "__next__") else result


class AsyncDriver:
    """Calls operations of the hook for triggers."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def __call__(self, operation: str, *args: Any, **kwargs: Any) -> Any:
        return asyncio.run(self._call(operation, *args, **kwargs))

    async def _call(self, operation: str, *args: Any, **kwargs: Any) -> Any:
        from airflow_provider_smartlive.hooks import SmartLiveAsyncHook

        async with SmartLiveAsyncHook(CONN_ID, sleep=self._sleep) as hook:
            result = getattr(hook, operation)(*args, **kwargs)
            if hasattr(result, "__anext__"):
                return [item async for item in result]
            return await result

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with recording_server() as server:
        yield server


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, server: RecordingServer) -> Connect:
    """Define the connection; what is given replaces its fields, ``extra`` is merged."""
    for name in (*PROXY_VARIABLES, *map(str.lower, PROXY_VARIABLES), *CA_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    # However busy the machine is: what a test means to be too late asks for `short_timeout`.
    monkeypatch.setenv(REQUEST_TIMEOUT, "60")

    def define(extra: dict[str, Any] | None = None, **fields: Any) -> None:
        connection = {
            "conn_type": "smartlive",
            "host": server.url,
            "login": ACCESS_KEY,
            "password": SECRET_KEY,
            "extra": {"project_id": PROJECT_ID, **(extra or {})},
            **fields,
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))

    define()
    return define


@pytest.fixture
def short_timeout(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a request time out after a second."""
    monkeypatch.setenv(REQUEST_TIMEOUT, "1")


@pytest.fixture(params=[SyncDriver, AsyncDriver], ids=["requests", "aiohttp"])
def driver(request: pytest.FixtureRequest, connect: Connect) -> SyncDriver | AsyncDriver:
    """Either hook, on the connection of the test."""
    return request.param()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody trusts, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake authority of a test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    pem = built.public_bytes(encoding) + key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(pem)
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[RecordingServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with recording_server(context) as server:
        yield server
