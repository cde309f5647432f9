"""
Carry out one operation: authorise, send, send again where that is harmless.

Pure: :meth:`RequestFlow.run` is a generator that yields what to send next, and when, and is sent what came
of it. The hooks drive it, one with ``requests`` and one with ``aiohttp``, so that both follow the same rules to
the letter.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError

from airflow_provider_smartlive import __version__
from airflow_provider_smartlive.client import operations
from airflow_provider_smartlive.client.body import ACCEPT_ENCODING
from airflow_provider_smartlive.client.connection import ConnectionProfile, IamLogin, StaticToken
from airflow_provider_smartlive.client.errors import StartOutcomeUnknown, TransportFailure, Unreachable
from airflow_provider_smartlive.client.operations import HttpResponse, Operation
from airflow_provider_smartlive.client.tokens import TokenCache
from airflow_provider_smartlive.metastudio import errors, signing

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger as Logger

T = TypeVar("T")

USER_AGENT = f"airflow-provider-smartlive/{__version__}"

#: Pauses between attempts: a random time between 0 and ``BASE * 2**n`` seconds, at most ``LONGEST_BACKOFF``
#: ("full jitter": many tasks that failed together must not come back together).
BASE_PAUSE = 1.0
LONGEST_BACKOFF = 30.0

#: A server that asks for a longer pause than this, in seconds, gets its error raised: no task waits that long.
LONGEST_RETRY_AFTER = 60.0

#: The gateway refuses requests that are 15 minutes off; a third of that is worth a remark when it refuses us.
CLOCK_REMARK = timedelta(minutes=5)

Authorise: TypeAlias = Callable[[str, str, Mapping[str, str], bytes], dict[str, str]]


#: An untrusted certificate does not become trusted by asking again, nor does the address change.
_LASTING = (TransportFailure.TLS, TransportFailure.ADDRESS, TransportFailure.TOO_LARGE)


@dataclass(frozen=True)
class OutgoingRequest:
    """
    A request to put on the wire exactly as it stands.

    :param pause: seconds to wait first.
    :param url: encoded; may be pre-signed, so it is no part of ``repr``.
    :param authorise: returns the headers to add, given method, URL, headers and body as they go on the wire.
    :param send_by: the time, aware, from which on it must not be sent any more; None: whenever.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    authorise: Authorise = field(repr=False)
    pause: float = 0.0
    send_by: datetime | None = None

    def is_late(self, now: datetime) -> bool:
        """Whether it must not be sent any more. To be asked right before it is."""
        return self.send_by is not None and now >= self.send_by

    @property
    def peer(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


#: The steps of a request flow: yields what to send next, and is sent what came of it.
Steps: TypeAlias = Generator[OutgoingRequest, HttpResponse | TransportFailure, T]


def utc_now() -> datetime:
    """Return the time, aware."""
    return datetime.now(UTC)


#: Statuses that a proxy gives by itself after it has forwarded a request, perhaps: time-outs, hang-ups, replays.
_AFTER_FORWARDING = frozenset({408, 425, 460, 499})


class RequestFlow:
    """
    The rules of talking to MetaStudio over one connection.

    :param profile: the connection.
    :param attempts: how often a request that may be repeated is sent before its error counts.
    :param tokens: where IAM tokens are kept.
    :param now: the clock, aware.
    :param log: where request ids and repetitions are noted.
    :param uniform: the source of jitter, as ``random.uniform``.
    """

    def __init__(
        self,
        profile: ConnectionProfile,
        *,
        attempts: int,
        tokens: TokenCache,
        now: Callable[[], datetime],
        log: Logger,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.profile = profile
        self._attempts = attempts
        self._tokens = tokens
        self._now = now
        self._log = log
        self._uniform = uniform

    def run(self, operation: Operation[T]) -> Steps[T]:
        """
        Carry out one operation.

        :raises StartOutcomeUnknown: if it starts a job and the answer leaves open whether it did.
        :raises Unreachable: if no answer came.
        :raises MetaStudioError: if MetaStudio refused.
        """
        attempt, pause, renewed = 1, 0.0, False
        while True:
            request = yield from self._request(operation)
            reply = yield replace(request, pause=pause)
            if isinstance(reply, HttpResponse):
                reply = reply.without_echo((*self.secrets, *operation.secrets))
            if isinstance(reply, HttpResponse) and 200 <= reply.status < 300:
                # What changes something is worth a line: Huawei's support asks for the request id.
                note = self._log.debug if operation.repeatable else self._log.info
                note("%s: HTTP %d, request id %s.", operation.name, reply.status, reply.request_id)
                return self._read(operation, reply)
            error = self._error(operation, request, reply)
            if not renewed and self._forget_token(error) and not operation.starts_job:
                renewed = True
                continue
            asked = self._retry_after(reply)
            if attempt >= self._attempts or not _may_repeat(operation, error):
                raise error
            pause = asked + backoff(attempt, self._uniform)
            left = self._attempts - attempt
            self._log.warning("%s: %s; again in %.1f s, %d left.", operation.name, error.answer, pause, left)
            attempt += 1

    def authorisation(self) -> Steps[Authorise]:
        """Return what adds the headers that prove who asks; an IAM user needs a token for it first."""
        match self.profile.authentication:
            case StaticToken(value=value):
                return _with_token(value)
            case IamLogin() as login:
                token = self._tokens.get(login, self._now())
                if token is None:
                    token = yield from self.run(operations.obtain_token(login.endpoint, login.request))
                    self._tokens.put(login, token)
                return _with_token(token.value)
            case credentials:
                return self._signing_with(credentials)

    def _request(self, operation: Operation[Any]) -> Steps[OutgoingRequest]:
        headers = {
            "Accept": "*/*",
            "Accept-Encoding": ACCEPT_ENCODING,
            "Content-Type": operation.content_type,
            "User-Agent": USER_AGENT,
        }
        if operation.self_authorised:
            return OutgoingRequest(operation.method, operation.target, headers, operation.body, _with_nothing)
        authorise = yield from self.authorisation()
        url = f"{self.profile.base_url}{operation.target}"
        return OutgoingRequest(
            operation.method,
            url,
            headers | self.profile.headers,
            operation.body,
            authorise,
            send_by=operation.send_by,
        )

    def _signing_with(self, credentials: signing.Credentials) -> Authorise:
        def authorise(method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
            # Only what no proxy on the way has a reason to change is signed.
            stable = {
                name: value
                for name, value in headers.items()
                if name.lower().startswith(("content-type", "x-"))
            }
            return signing.sign(method, url, stable, body, credentials=credentials, now=self._now())

        return authorise

    def _error(
        self, operation: Operation[Any], request: OutgoingRequest, reply: HttpResponse | TransportFailure
    ) -> errors.MetaStudioError:
        if isinstance(reply, TransportFailure):
            error: errors.MetaStudioError = Unreachable(reply.text.format(peer=request.peer), failure=reply)
            unclear = reply.sent
        else:
            error = refusal(reply, secrets=(*self.secrets, *operation.secrets), now=self._now())
            self._remark_clock(error, reply)
            unclear = isinstance(error, errors.ServerError) or (
                reply.status in _AFTER_FORWARDING and not errors.is_own_code(error.error_code)
            )
        return self._placed(_ambiguous(error) if operation.starts_job and unclear else error, operation)

    def _placed(self, error: errors.MetaStudioError, operation: Operation[Any]) -> errors.MetaStudioError:
        """Add what was asked for, and through which connection."""
        error.operation, error.conn_id = operation.name, self.profile.conn_id
        error.room_id, error.job_id = operation.room_id, operation.job_id
        return error

    @property
    def secrets(self) -> tuple[str, ...]:
        """What every request over this connection holds, and no error may hold."""
        match self.profile.authentication:
            case signing.Credentials(access_key=key):
                ours: tuple[str, ...] = (key,)
            case IamLogin() as login:
                token = self._tokens.get(login, self._now())
                ours = (token.value,) if token else ()
            case _:
                ours = ()
        return (*self.profile.secrets, *ours)

    def _retry_after(self, reply: HttpResponse | TransportFailure) -> float:
        if isinstance(reply, TransportFailure):
            return 0.0
        return errors.retry_after(reply.headers, self._now()) or 0.0

    def _read(self, operation: Operation[T], answer: HttpResponse) -> T:
        try:
            return operation.parse(answer)
        except (ValueError, RecursionError) as problem:
            text = f"the answer to {operation.name} cannot be read: {_fields_of(problem)}"
            kind = StartOutcomeUnknown if operation.starts_job else errors.UnexpectedResponse
            error = kind(text, http_status=answer.status, request_id=answer.request_id)
            # The cause would print the answer, which may hold secrets.
            raise self._placed(error, operation) from None

    def _remark_clock(self, error: errors.MetaStudioError, reply: HttpResponse) -> None:
        """Note a wrong clock where it shows: the gateway itself only says that the signature is wrong."""
        if not isinstance(error, errors.AuthenticationError):
            return
        try:
            ahead = self._now() - parsedate_to_datetime(reply.header("Date") or "")
        except (ValueError, TypeError):
            return  # no date, or one without a zone
        if abs(ahead) > CLOCK_REMARK:
            error.add_note(
                f"The clock of this machine is {abs(ahead).total_seconds() / 60:.0f} minutes "
                f"{'ahead of' if ahead > timedelta() else 'behind'} MetaStudio's; more than 15 are refused."
            )

    def _forget_token(self, error: errors.MetaStudioError) -> bool:
        """Tell whether a new token may help, and make way for it."""
        login = self.profile.authentication
        if not (
            isinstance(login, IamLogin)
            and isinstance(error, errors.AuthenticationError)
            and error.token_expired
        ):
            return False
        self._tokens.forget(login)
        return True


def refusal(
    answer: HttpResponse, *, secrets: Iterable[str] = (), now: datetime | None = None
) -> errors.MetaStudioError:
    """
    Return the error that an answer other than 2xx means.

    :param secrets: what the request held and the error must not.
    :param now: the time, aware, for a Retry-After that is a date.
    """
    if 300 <= answer.status < 400:
        return errors.UnexpectedResponse(
            "the answer is a redirect, and a signed request is not sent elsewhere; check host",
            http_status=answer.status,
            request_id=answer.request_id,
        )
    return errors.from_response(answer.status, answer.headers, answer.body, secrets=secrets, now=now)


def backoff(attempt: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Return the seconds to wait after an attempt, counted from 1."""
    return uniform(0.0, min(LONGEST_BACKOFF, BASE_PAUSE * 2 ** (attempt - 1)))


def may_be_sent_again(error: Exception) -> bool:
    """
    Tell whether a start was surely not carried out and may be soon.

    It was throttled, there was no connection, or its token had expired, and the next one gets a new token.
    """
    if isinstance(error, errors.Throttled):
        return (error.retry_after or 0.0) <= LONGEST_RETRY_AFTER
    if isinstance(error, errors.AuthenticationError):
        return error.token_expired
    return isinstance(error, Unreachable) and not error.failure.sent and error.failure not in _LASTING


def may_be_asked_again(error: Exception) -> bool:
    """Tell whether a question that met this error may get its answer soon."""
    if isinstance(error, Unreachable):
        return error.failure not in _LASTING
    if isinstance(error, errors.Throttled | errors.ServerError):
        return (error.retry_after or 0.0) <= LONGEST_RETRY_AFTER
    return False


def was_not_carried_out(error: Exception) -> bool:
    """Tell whether a request surely had no effect, whatever it was: it was throttled, or did not get through."""
    return isinstance(error, errors.Throttled) or (isinstance(error, Unreachable) and not error.failure.sent)


def _may_repeat(operation: Operation[Any], error: errors.MetaStudioError) -> bool:
    if operation.starts_job:
        return False  # whoever starts a job notes when it is sent, each time
    return may_be_asked_again(error) and (operation.repeatable or was_not_carried_out(error))


def _fields_of(problem: Exception) -> str:
    if not isinstance(problem, ValidationError):
        return "it is not what was announced"
    found = problem.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['type']}" for item in found)


def _ambiguous(error: errors.MetaStudioError) -> StartOutcomeUnknown:
    return StartOutcomeUnknown(
        error.error_msg,
        http_status=error.http_status,
        error_code=error.error_code,
        request_id=error.request_id,
    )


def _with_token(token: str) -> Authorise:
    return lambda method, url, headers, body: {"X-Auth-Token": token}


def _with_nothing(method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    return {}
