"""The parts of the sandbox, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from airflow_provider_smartlive.sandbox.clock import Clock
from airflow_provider_smartlive.sandbox.config import Config
from airflow_provider_smartlive.sandbox.model.callbacks import CallbackSender, Post
from airflow_provider_smartlive.sandbox.model.engine import Engine
from airflow_provider_smartlive.sandbox.model.faults import FaultRules
from airflow_provider_smartlive.sandbox.model.ledger import Kind, Ledger
from airflow_provider_smartlive.sandbox.model.rooms import Rooms
from airflow_provider_smartlive.sandbox.model.store import StateStore
from airflow_provider_smartlive.sandbox.model.tenant import Tenant
from airflow_provider_smartlive.sandbox.rtmp.platform import Platform
from airflow_provider_smartlive.sandbox.video.links import LinkFactory


class Backend:
    """
    Everything that a running sandbox consists of, without the web server.

    :param config: how it is set up.
    :param operations: the names of the API's operations.
    :param open_link: opens RTMP links.
    :param post: sends one callback.
    :param platform: the built-in platform, if there is one.
    :param pause: waits for real seconds.
    """

    def __init__(
        self,
        config: Config,
        operations: Iterable[str],
        *,
        store: StateStore,
        clock: Clock,
        open_link: LinkFactory,
        post: Post,
        platform: Platform | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.config = config
        self.account = config.account
        self.assumptions = config.assumptions
        self.store = store
        self.clock = clock
        self.platform = platform
        self.ledger = Ledger(store, clock.now)
        self.faults = FaultRules(store, self.ledger, operations, seed=config.seed)
        self.rooms = Rooms(store, clock.now)
        self.tenant = Tenant(store)
        self.callback_sender = CallbackSender(
            post,
            clock=clock,
            ledger=self.ledger,
            faults=self.faults,
            assumptions=config.assumptions,
            pause=pause,
        )
        self.engine = Engine(
            clock=clock,
            store=store,
            ledger=self.ledger,
            faults=self.faults,
            rooms=self.rooms,
            assumptions=config.assumptions,
            open_link=open_link,
            notify=self.callback_sender.notify,
            kick=platform.kick if platform else lambda url, key: False,
        )
        self._seed()
        self.any_room = config.any_room if config.any_room is not None else not config.rooms

    def _seed(self) -> None:
        for seed in self.config.rooms:
            if self.rooms.get(seed.room_id) is None:
                self.rooms.create(seed.body(), room_id=seed.room_id, seconds=seed.seconds)
        for number, fault in enumerate(self.config.faults, start=1):
            named = fault.model_copy(update={"id": fault.id or f"scenario-{number}"})
            if not self.faults.knows(named.id):  # a restart goes on counting
                self.faults.add(named)

    def start(self) -> None:
        """Begin: jobs that were active when the sandbox stopped go on."""
        self.ledger.add(Kind.SANDBOX, what="started", rate=self.clock.rate, seed=self.config.seed)
        self.engine.resume()

    async def close(self) -> None:
        """Stop everything; active jobs stay active in the state file."""
        await self.engine.close()
        await self.callback_sender.close()
        self.ledger.add(Kind.SANDBOX, what="stopped")
        self.store.close()
