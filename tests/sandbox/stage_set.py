"""A sandbox without web server, network and waiting: a manual clock, fake links, callbacks that are caught."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_smartlive.metastudio.events import CallbackEvent, StreamState, StreamStateChange
from airflow_provider_smartlive.sandbox.backend import Backend
from airflow_provider_smartlive.sandbox.clock import ManualClock
from airflow_provider_smartlive.sandbox.config import Account, Config
from airflow_provider_smartlive.sandbox.model.callbacks import DeliveryError, Post
from airflow_provider_smartlive.sandbox.model.engine import load_shown
from airflow_provider_smartlive.sandbox.model.jobs import StoredJob
from airflow_provider_smartlive.sandbox.model.store import StateStore
from airflow_provider_smartlive.sandbox.server import ENDPOINTS
from airflow_provider_smartlive.sandbox.video.links import LinkFault, LinkSpec
from airflow_provider_smartlive.sandbox.video.publisher import PublisherStats

ACCESS_KEY = "FAKEACCESSKEY"
SECRET_KEY = "fake-secret-key-for-tests"
PROJECT = "fake-project"
CALLBACK_KEY = "fake-callback-key-0123456789abcd"
CALLBACK_URL = "https://airflow.example.com/smartlive/callbacks/fake-token?b=2&a=1"
OUTPUT_URL = "rtmp://push.example.com/live"
STREAM_KEY = "fake-stream-key-1"

ACCOUNT = Account(access_key=ACCESS_KEY, secret_key=SECRET_KEY, project_id=PROJECT)

#: What most tests start a job with.
CALLBACK = {
    "live_event_type_callback_url": CALLBACK_URL,
    "auth_type": "MSS_A_HEAD",
    "key": CALLBACK_KEY,
    "callback_event_type": ["RTMP_STREAM_STATE_CHANGE"],
}


class FakeLink:
    """A link that does what the test says."""

    def __init__(self, spec: LinkSpec) -> None:
        self.spec = spec
        self.stats = PublisherStats()
        self.fault: LinkFault | None = None
        self.titles: list[str] = []
        self.ended = False

    async def start(self) -> None:
        self.spec.on_state(StreamState.CONNECTING)

    async def stop(self) -> None:
        if not self.ended:
            self.ended = True
            self.spec.on_state(StreamState.END)

    def set_script_title(self, script_title: str) -> None:
        self.titles.append(script_title)

    def tell(self, *states: StreamState) -> None:
        for state in states:
            self.spec.on_state(state)


@dataclass
class Mailbox:
    """Catches callbacks; answers what the test says, 200 by default."""

    answers: list[int | Exception] = field(default_factory=list)
    posts: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    async def __call__(self, url: str, headers: dict[str, str], body: bytes) -> int:
        self.posts.append((url, headers, body))
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer

    def events(self) -> list[CallbackEvent]:
        return [CallbackEvent.parse(body) for _, _, body in self.posts]

    def states(self) -> list[str]:
        messages = [event.message for event in self.events()]
        return [str(message.state) for message in messages if isinstance(message, StreamStateChange)]


class StageSet:
    """The parts of a sandbox on a manual clock."""

    def __init__(
        self,
        *,
        state: Path | None = None,
        post: Post | None = None,
        pause: Callable[[float], Awaitable[None]] | None = None,
        **config: Any,
    ) -> None:
        self.links: list[FakeLink] = []
        self.mail = Mailbox()
        self.pauses: list[float] = []
        store = StateStore(state)
        self.clock = ManualClock(shown=load_shown(store))
        self.backend = Backend(
            Config(ACCOUNT, state=state, **config),
            [operation.name for operation in ENDPOINTS],
            store=store,
            clock=self.clock,
            open_link=self._open,
            post=post or self.mail,
            pause=pause or self._pause,
        )
        self.engine = self.backend.engine
        self.backend.start()

    def _open(self, spec: LinkSpec) -> FakeLink:
        link = FakeLink(spec)
        self.links.append(link)
        return link

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def start(
        self, *, seconds: float | None = None, room: dict[str, Any] | None = None, **settings: Any
    ) -> StoredJob:
        """Start a job in a room that exists from now on, with one output unless the settings say otherwise."""
        body = {"room_name": "Studio 1", **(room or {})}
        made = self.backend.rooms.create(
            body, room_id="24bad716-87b1-45e5-8912-6102f7693265", seconds=seconds
        )
        defaults = {
            "output_urls": [OUTPUT_URL],
            "stream_keys": [STREAM_KEY],
            "live_event_callback_config": CALLBACK,
        }
        return self.engine.start(made, {**defaults, **settings})

    async def go_live(self, **settings: Any) -> StoredJob:
        """Start a job and let its link connect."""
        job = self.start(**settings)
        await self.clock.advance(1)
        for link in self.links:
            link.tell(StreamState.CONNECTED)
        await self.clock.settle()
        return job

    def ledger(self, kind: str, **facts: Any) -> list[dict[str, Any]]:
        """Return the entries of a kind that hold these facts."""
        entries = self.backend.ledger.read(kind=kind, limit=10_000)
        return [entry for entry in entries if facts.items() <= entry.items()]

    async def close(self) -> None:
        await self.backend.close()


def message_of(body: bytes) -> dict[str, Any]:
    """Return the decoded message of a callback."""
    decoded: dict[str, Any] = json.loads(json.loads(body)["message"])
    return decoded


__all__ = ["DeliveryError", "FakeLink", "Mailbox", "StageSet", "message_of"]
