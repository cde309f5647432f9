"""
The app that MetaStudio calls. Airflow mounts it without any authentication, so it protects itself.

Order of work: path, token, signature, rate limit; then the body, within its limit; then one transaction; then the
answer. Until the signature is verified nothing is read, looked up or written, and every refusal looks the same from
outside. An event is acknowledged only after it was committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

from airflow.sdk.timezone import utcnow
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from airflow_provider_smartlive.callbacks.apply import event_digest
from airflow_provider_smartlive.callbacks.url import CALLBACK_PATH
from airflow_provider_smartlive.metastudio.events import CallbackEvent, EventType, MalformedEvent
from airflow_provider_smartlive.receiver.answers import NO_STORE, answer, refusal
from airflow_provider_smartlive.receiver.hidden_paths import HiddenPath
from airflow_provider_smartlive.receiver.keyring import Keyring, SecretsUnavailable
from airflow_provider_smartlive.receiver.limits import RateLimit, Turns
from airflow_provider_smartlive.receiver.shapes import UnsupportedDatabase
from airflow_provider_smartlive.receiver.store import Gone, Locked, Receipt, Store, Unavailable
from airflow_provider_smartlive.receiver.telemetry import Telemetry
from airflow_provider_smartlive.receiver.verify import (
    ReceiverSettings,
    VerificationError,
    VerifiedRequest,
    verify_request,
)

#: Seconds for a verified sender to deliver a body that fits into one packet or two.
BODY_TIMEOUT = 10.0

#: Seconds after which a sender is told to come back, whatever the database is doing: before it gives up by itself.
#: MetaStudio documents no timeout; other platforms wait for 5 seconds. A transaction that has begun by then is not
#: called back: if it does commit, the sender's next attempt is a duplicate.
STORE_TIMEOUT = 3.5

#: Seconds after which a sender may come back, when the database or the secrets are away.
RETRY_AFTER = 5

#: Events per minute that are taken for each signature, and so for each second in which MetaStudio signed, when the
#: task's own limit is used up: who floods a task through a signature that was captured keeps no later END out.
SIGNATURE_ALLOWANCE = 5

#: MetaStudio does not document the content type of its callbacks, so every one that can hold JSON is read, and
#: none at all. Its parameters mean nothing for JSON, which is UTF-8 (RFC 8259). Forms are what a browser can be made to
#: send.
_REFUSED_TYPES = ("multipart/form-data", "application/x-www-form-urlencoded")

#: What senders write who do not compress.
_PLAIN_ENCODINGS = ("", "identity", "utf-8", "utf8")


class _Problem(Exception):  # noqa: N818 - an answer, not a failure of ours
    """What is wrong with a verified request, told to its sender."""

    def __init__(self, status: int, reason: str, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after


class Receiver:
    """
    Verifies, parses, stores, answers.

    :param store: Where events go.
    :param keyring: Where the secrets come from.
    :param now: The clock against which signatures are judged.
    """

    def __init__(
        self,
        *,
        store: Store | None = None,
        keyring: Keyring | None = None,
        rate: RateLimit | None = None,
        telemetry: Telemetry | None = None,
        now: Callable[[], datetime] = utcnow,
    ) -> None:
        self._store = store or Store()
        self._keyring = keyring or Keyring()
        self._rate = rate or RateLimit()
        self._telemetry = telemetry or Telemetry()
        self._now = now
        self._config = ReceiverSettings.read()
        # Threads of our own: a burst of events must not take all those that serve Airflow's own pages. More of
        # them than the database works on at once would only wait in line.
        self._turns = Turns(
            ThreadPoolExecutor(self._store.concurrency, thread_name_prefix="smartlive-callbacks"),
            held_up=Locked,
        )

    async def callback(self, request: Request) -> Response:
        """Answer ``POST /callbacks/{token}``."""
        self._telemetry.received()
        try:
            verified = await self._verify(request)
        except VerificationError as refused:
            self._telemetry.refused(refused)
            return refusal()
        except SecretsUnavailable:
            # Why stands in the log. It says nothing about the token, and MetaStudio sends again.
            return _not_stored()
        task_ref = verified.opened.target.task_ref
        try:
            return await self._take(request, verified)
        except _Problem as problem:
            self._telemetry.rejected(problem.reason, task_ref)
            return answer(problem.status, {"error": problem.detail}, problem.retry_after)
        except Gone:
            self._telemetry.rejected("gone", task_ref)
            return answer(410, {"error": "the task instance is gone, or was cleared"})
        except Unavailable as error:
            self._telemetry.failed("unavailable", task_ref, error)
        except UnsupportedDatabase as error:
            self._telemetry.failed("unsupported_database", task_ref, error)
        except Exception as error:
            # Nothing was committed. The sender may try again, and we find the reason in the log.
            self._telemetry.failed("error", task_ref, error)
        return _not_stored()

    async def _verify(self, request: Request) -> VerifiedRequest:
        return verify_request(
            request.path_params["token"],
            query=request.scope["query_string"].decode("latin-1"),  # whatever bytes a stranger sends
            headers=request.headers,
            secrets=await self._keyring.secrets(),
            config=self._config,
            now=self._now(),
        )

    async def _take(self, request: Request, verified: VerifiedRequest) -> Response:
        self._check_rate(verified)
        _check_type(request)
        body = await _body(request, self._config.max_body)
        at = self._now()
        digest = event_digest(verified.signed_at, body)
        try:
            event = CallbackEvent.parse(body)
        except MalformedEvent as error:
            note = partial(self._store.note, verified.opened, str(error), at=at, digest=digest)
            self._report(await self._commit(verified, note), "", verified)
            raise _Problem(400, "malformed", str(error)) from None
        record = partial(
            self._store.record,
            verified.opened,
            event,
            at=at,
            signed_at=verified.signed_at,
            digest=digest,
        )
        receipt = await self._commit(verified, record)
        known = event.event_type if isinstance(event.event_type, EventType) else "unknown"
        self._report(receipt, known, verified)
        return answer(200, {"result": receipt.outcome.kind.value})

    def _check_rate(self, verified: VerifiedRequest) -> None:
        target = verified.opened.target
        if not self._rate.allows(target, self._config.rate_limit) and not self._rate.allows(
            (target, verified.signed_at), SIGNATURE_ALLOWANCE
        ):
            raise _Problem(429, "rate_limit", "too many events for this task", retry_after=60)

    async def _commit(self, verified: VerifiedRequest, transaction: Callable[[], Receipt]) -> Receipt:
        try:
            async with asyncio.timeout(STORE_TIMEOUT):
                return await self._turns.run(verified.opened.target.task_ref, transaction)
        except TimeoutError:
            raise Unavailable(f"the metadata database took more than {STORE_TIMEOUT} seconds") from None

    def _report(self, receipt: Receipt, event_type: str, verified: VerifiedRequest) -> None:
        task_ref = verified.opened.target.task_ref
        self._telemetry.stored(receipt, event_type, task_ref, signed_at=verified.signed_at, now=self._now())


def create_app(receiver: Receiver | None = None) -> Starlette:
    """
    Return the app that the plugin mounts at ``/smartlive`` in the API server.

    ``POST /callbacks/{token}`` takes events, ``GET /health`` says that the app is there. Everything else, and every
    request that is not let in, gets the one answer of :func:`~.answers.refusal`.

    :param receiver: For tests.
    """
    receiver = receiver or Receiver()
    app = Starlette(
        routes=[
            Route("/health", _health, methods=["GET"]),
            Route(CALLBACK_PATH + "{token}", receiver.callback, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _refuse},
        middleware=[Middleware(HiddenPath)],
    )
    app.router.redirect_slashes = False
    return app


def _not_stored() -> Response:
    return answer(503, {"error": "not stored, try again"}, RETRY_AFTER)


async def _refuse(request: Request, error: Exception) -> Response:
    return refusal()


async def _health(request: Request) -> Response:
    return PlainTextResponse("ok", headers=NO_STORE)


def _check_type(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind.strip().lower() in _REFUSED_TYPES:
        raise _Problem(415, "content_type", "the body must be JSON")
    if request.headers.get("content-encoding", "").strip().lower() not in _PLAIN_ENCODINGS:
        raise _Problem(415, "content_encoding", "the body must not be compressed")


async def _body(request: Request, limit: int) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise _Problem(413, "too_large", f"the body may have {limit} bytes")
    except (TimeoutError, ClientDisconnect):
        raise _Problem(408, "incomplete", "the body did not arrive in time") from None
    return bytes(body)
