"""Calls back: signs, sends and repeats events, in order for each job."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Protocol

from airflow_provider_smartlive.metastudio.callback_auth import AuthType, SignedForm, sign
from airflow_provider_smartlive.metastudio.events import EventType
from airflow_provider_smartlive.sandbox.clock import Clock
from airflow_provider_smartlive.sandbox.hashes import fingerprint
from airflow_provider_smartlive.sandbox.model.faults import Fault, FaultRules, Subject
from airflow_provider_smartlive.sandbox.model.jobs import StoredJob
from airflow_provider_smartlive.sandbox.model.ledger import Kind, Ledger
from airflow_provider_smartlive.sandbox.options import Assumptions

#: Real seconds after which a held back event is sent although no later one came to overtake it.
_REORDER_SECONDS = 2.0

#: Characters of a callback that is too large on purpose.
_HUGE = 2_000_000


class DeliveryError(Exception):
    """A callback got no answer; the text says why, in one word, and repeats nothing of the URL."""


class Post(Protocol):
    """Sends one request and returns the HTTP status of the answer."""

    async def __call__(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """
        Send.

        :raises DeliveryError: without an answer in time.
        """


@dataclass(frozen=True)
class Event:
    """
    An event on its way.

    :param number: counts the events of the sandbox; not part of what is sent.
    :param state: the RTMP state, for rules and the ledger.
    """

    number: int
    job_id: str
    room_id: str
    event_type: EventType
    state: str | None
    body: bytes = field(repr=False)
    config: dict[str, Any] = field(repr=False)


@dataclass
class Counts:
    """
    What became of the callbacks of a job since the sandbox was started.

    :param events: what there was to tell.
    :param attempts: how often something was sent.
    :param answered: what was answered with a 2xx status.
    """

    events: int = 0
    attempts: int = 0
    answered: int = 0


class CallbackSender:
    """
    Calls events back.

    :param post: sends one request.
    :param pause: waits for real seconds (between attempts, and for delays).
    """

    def __init__(
        self,
        post: Post,
        *,
        clock: Clock,
        ledger: Ledger,
        faults: FaultRules,
        assumptions: Assumptions,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._post = post
        self._clock = clock
        self._ledger = ledger
        self._faults = faults
        self._assumptions = assumptions
        self._pause = pause
        self._number = 0
        self._counts: dict[str, Counts] = defaultdict(Counts)
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: dict[str, asyncio.Task[None]] = {}
        self._held: dict[str, asyncio.Event] = {}

    def notify(self, job: StoredJob, event_type: EventType, message: dict[str, str]) -> None:
        """
        Send an event of a job, after the earlier ones of the same job.

        Nothing happens if the job asked for no callbacks or not for this type.
        """
        wanted = job.callback.get("callback_event_type") or list(EventType)
        if not job.callback.get("live_event_type_callback_url") or event_type not in wanted:
            return
        ids = {"room_id": self._spell(job.room_id), "job_id": self._spell(job.job_id)}
        self._number += 1
        self._counts[job.job_id].events += 1
        self._enqueue(
            Event(
                number=self._number,
                job_id=job.job_id,
                room_id=job.room_id,
                event_type=event_type,
                state=message.get("state"),
                body=encode_event(event_type, {**ids, **message}),
                config=job.callback,
            )
        )

    def counts(self, job: StoredJob) -> Counts:
        """Return what became of the callbacks of a job."""
        return replace(self._counts[job.job_id]) if job.job_id in self._counts else Counts()

    async def drain(self, job: StoredJob) -> None:
        """Wait until the callbacks of a job are delivered or given up."""
        while (last := self._last.get(job.job_id)) is not None:
            await asyncio.wait({last})

    async def close(self) -> None:
        """Give up what is not delivered yet."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spell(self, identifier: str) -> str:
        if self._assumptions.callback_ids == "dashed":
            return identifier
        try:
            return uuid.UUID(identifier).hex
        except ValueError:
            return identifier  # a name that a user gave a room

    def _enqueue(self, event: Event) -> None:
        subject = Subject("callback", event.room_id, event.job_id, event.event_type, event.state)
        faults = {fault.action: fault for fault in self._faults.pick(subject)}
        if "drop" in faults:
            self._note(event, attempt=0, outcome="dropped")
            return
        key = event.job_id
        overtaken = self._held.pop(key, None)
        if "reorder" in faults:
            # Sent when a later event of the job has been sent, or when none comes.
            self._held[key] = asyncio.Event()
            self._spawn(self._deliver_late(event, faults, self._held[key]))
            return
        self._last[key] = self._spawn(self._deliver_next(event, faults, self._last.get(key), overtaken))
        self._last[key].add_done_callback(lambda done: self._forget(key, done))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _forget(self, key: str, task: asyncio.Task[None]) -> None:
        if self._last.get(key) is task:
            del self._last[key]

    async def _deliver_next(
        self,
        event: Event,
        faults: dict[str, Fault],
        earlier: asyncio.Task[None] | None,
        overtaken: asyncio.Event | None,
    ) -> None:
        if earlier is not None:
            await asyncio.wait({earlier})
        await self._deliver(event, faults)
        if overtaken is not None:
            overtaken.set()

    async def _deliver_late(self, event: Event, faults: dict[str, Fault], overtaken: asyncio.Event) -> None:
        longest = asyncio.ensure_future(self._pause(faults["reorder"].seconds or _REORDER_SECONDS))
        passed = asyncio.create_task(overtaken.wait())
        await asyncio.wait({longest, passed}, return_when=asyncio.FIRST_COMPLETED)
        longest.cancel()
        passed.cancel()
        await self._deliver(event, faults)

    async def _deliver(self, event: Event, faults: dict[str, Fault]) -> None:
        if "delay" in faults:
            await self._pause(faults["delay"].seconds or 0.0)
        if "malformed" in faults:
            event = replace(event, body=_malform(event.body, faults["malformed"].form))
        copies = faults["duplicate"].count if "duplicate" in faults else 1
        for _ in range(copies):
            await self._send_until_answered(event, faults)

    async def _send_until_answered(self, event: Event, faults: dict[str, Fault]) -> None:
        for attempt in range(1, self._assumptions.callback_attempts + 1):
            if attempt > 1:
                await self._pause(self._assumptions.callback_retry_seconds)
            if await self._send(event, faults, attempt):
                return
        self._note(event, attempt=self._assumptions.callback_attempts, outcome="given up")

    async def _send(self, event: Event, faults: dict[str, Fault], attempt: int) -> bool:
        url, headers = self._signed(event, faults)
        started = time.monotonic()
        status: int | None = None
        try:
            async with asyncio.timeout(self._assumptions.callback_timeout_seconds):
                status = await self._post(url, {"Content-Type": "application/json", **headers}, event.body)
            outcome = "answered"
        except TimeoutError:
            outcome = "timeout"
        except DeliveryError as error:
            outcome = str(error)
        took = round((time.monotonic() - started) * 1000, 1)
        done = ",".join(sorted(faults)) or None
        self._note(event, attempt=attempt, outcome=outcome, status=status, ms=took, faults=done)
        is_answered = status is not None and 200 <= status < 300
        self._counts[event.job_id].attempts += 1
        self._counts[event.job_id].answered += is_answered
        return is_answered

    def _signed(self, event: Event, faults: dict[str, Fault]) -> tuple[str, dict[str, str]]:
        url: str = event.config["live_event_type_callback_url"]
        auth_type = AuthType(event.config.get("auth_type") or AuthType.NONE)
        key: str = event.config.get("key") or ""
        if "missign" in faults:
            key = "not-the-key-that-was-agreed-upon"
        # Meituan's own scheme is not published: such callbacks go out unsigned.
        if not key or "unsigned" in faults or auth_type is AuthType.MEITUAN_DEFAULT:
            auth_type = AuthType.NONE
        skew = timedelta(seconds=faults["skew"].seconds or 0.0) if "skew" in faults else timedelta()
        form = SignedForm(self._assumptions.callback_form)
        return sign(url, auth_type=auth_type, key=key, now=self._clock.now() + skew, form=form)

    def _note(self, event: Event, **facts: Any) -> None:
        self._ledger.add(
            Kind.CALLBACK,
            job_id=event.job_id,
            room_id=event.room_id,
            event=event.number,
            event_type=event.event_type.value,
            state=event.state,
            url_hash=fingerprint(event.config["live_event_type_callback_url"]),
            **facts,
        )


def encode_event(event_type: str, message: dict[str, str]) -> bytes:
    """Return the body of a callback: the message is JSON inside JSON."""
    return json.dumps({"event_type": event_type, "message": json.dumps(message)}).encode()


def _malform(body: bytes, form: str) -> bytes:
    envelope = json.loads(body)
    message = json.loads(envelope["message"])
    if form == "not-json":
        return b"event_type=" + body
    if form == "bad-message":
        return json.dumps({**envelope, "message": envelope["message"][:-1]}).encode()
    if form == "no-state":
        bare = {name: value for name, value in message.items() if name not in ("state", "reply_id", "job_id")}
        return json.dumps({**envelope, "message": json.dumps(bare)}).encode()
    if form == "truncated":
        return body[: len(body) // 2]
    if form == "list":
        return json.dumps([envelope]).encode()
    return json.dumps({**envelope, "padding": "x" * _HUGE}).encode()
