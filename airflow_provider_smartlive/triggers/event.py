"""The trigger of an asset watcher: tells of livestreams that somebody started outside of Airflow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_smartlive.livestream.airflow_async import in_thread, retry_api
from airflow_provider_smartlive.metastudio.ids import normalise_id
from airflow_provider_smartlive.provider_info import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow.triggers.shared_stream import SharedStreamProducer

    from airflow_provider_smartlive.reconciler.feed import JobListing

#: What can be told.
EVENTS = ("live", "ended")

#: Default and least seconds between two looks.
LOOK_INTERVAL = 60.0
SHORTEST_INTERVAL = 5.0

#: Seconds for which the state store is tried before the trigger fails, and Airflow starts it anew. It has to be less
#: than ``[triggerer] shared_stream_ack_timeout``, 300 by default.
STORE_BUDGET = 120.0


class SmartLiveEventTrigger(BaseEventTrigger):
    """
    Tell of each livestream that no task of this provider started: that it went live, or that it ended.

    For :class:`~airflow.sdk.AssetWatcher` only. All triggers with the same connection and interval share one poll.
    What was told stands in Airflow's state store of the asset, so that a triggerer that restarts goes on from there.

    Its arguments are texts and numbers only: Airflow compares those of the DAG file with those of its database, and
    replaces the trigger when they differ.

    :param event: ``live`` when MetaStudio runs the job, ``ended`` when the job is over, however it ended.
    :param room_id: the room; None for all rooms of the account.
    :param smartlive_conn_id: the connection to MetaStudio.
    :param interval: seconds between two looks, at least 5.
    :raises ValueError: if an argument is none of these.
    """

    def __init__(
        self,
        *,
        event: str,
        room_id: str | None = None,
        smartlive_conn_id: str = DEFAULT_CONN_ID,
        interval: float = LOOK_INTERVAL,
    ) -> None:
        super().__init__()
        if event not in EVENTS:
            raise ValueError(f"event is {event!r}. Use {' or '.join(map(repr, EVENTS))}.")
        if room_id is not None and (not isinstance(room_id, str) or not room_id.strip() or "{" in room_id):
            raise ValueError(
                f"room_id is {room_id!r}, which is no room. Write its id (nothing is rendered here), or leave it out "
                "for all rooms."
            )
        if (
            isinstance(interval, bool)
            or not isinstance(interval, int | float)
            or interval < SHORTEST_INTERVAL
        ):
            raise ValueError(f"interval is {interval!r}. Use seconds, at least {SHORTEST_INTERVAL:g}.")
        self.event = event
        self.room_id = room_id
        self.smartlive_conn_id = smartlive_conn_id
        self.interval = float(interval)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments; none of them is a secret."""
        arguments = {
            "event": self.event,
            "room_id": self.room_id,
            "smartlive_conn_id": self.smartlive_conn_id,
            "interval": self.interval,
        }
        return f"{__package__}.{type(self).__name__}", arguments

    def shared_stream_key(self) -> Hashable:
        """Return what triggers have in common that share a poll."""
        return (type(self).__name__, self.smartlive_conn_id, self.interval)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Return the poll of all triggers with this connection and interval."""
        from airflow_provider_smartlive.reconciler.feed import JobFeed

        return JobFeed(kwargs["smartlive_conn_id"], interval=kwargs["interval"])

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[JobListing]
    ) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each livestream of which a look tells something new."""
        from airflow_provider_smartlive.reconciler.history import JobHistory

        history = JobHistory.load(await retry_api(self, self._read, budget=STORE_BUDGET))
        async for listing in shared_stream:
            if history is None or history.address != listing.address:
                history = JobHistory.begin(listing, self.room_id)
                self.log.info("Livestreams at %s are watched from now on.", listing.address)
            else:
                shown = await listing.show_each(history.missing(listing))
                for event in history.update(listing, shown, self.room_id):
                    if event["event"] == self.event:
                        yield TriggerEvent({**event, "smartlive_conn_id": self.smartlive_conn_id})
            listing.when_stored(partial(self._save, history.dump()))

    def run(self) -> NoReturn:
        """Refuse: only the triggerer, which shares the poll, can run it."""
        raise RuntimeError("SmartLiveEventTrigger is for AssetWatcher only: no task can wait for it.")

    @property
    def _key(self) -> str:
        """The key in the asset's state store: an asset may have several watchers."""
        room = normalise_id(self.room_id) if self.room_id else "all"
        return f"smartlive/{self.smartlive_conn_id}/{room}/{self.event}"

    async def _read(self) -> Any:
        store = self.asset_state_store
        try:
            # Airflow 3.3.0 has no asynchronous way.
            return await in_thread(partial(store.get, self._key)) if store else None
        except ValueError:  # the trigger of several assets, of which Airflow names none
            self.asset_state_store = None
            self.log.error(
                "Several assets have a watcher with the same arguments. Airflow makes one trigger of them, which can "
                "remember nothing: after a restart it begins anew. Give each watcher another interval."
            )
            return None

    async def _save(self, history: dict[str, Any]) -> None:
        if self.asset_state_store is not None:
            await in_thread(partial(self.asset_state_store.set, self._key, history))
