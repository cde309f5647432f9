"""Livestream rooms: what a job plays when it does not say otherwise."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from airflow_provider_smartlive.metastudio.ids import normalise_id
from airflow_provider_smartlive.sandbox.model.jobs import StoredJob, present, wire_time
from airflow_provider_smartlive.sandbox.model.script import PlayedParagraph, made_up_script, read_script
from airflow_provider_smartlive.sandbox.model.store import StateStore
from airflow_provider_smartlive.sandbox.options import Assumptions


class StoredRoom(BaseModel):
    """
    A room as the sandbox keeps it.

    :param room_id: its id as it was first written.
    :param seconds: show seconds of one pass of its script; None: as its texts take.
    :param body: the room as the API takes it (``CreateSmartLiveRoomReq``).
    :param state: ENABLE, DISABLE or BLOCKED.
    """

    room_id: str
    seconds: float | None = None
    body: dict[str, Any] = Field(repr=False)
    create_time: datetime
    update_time: datetime
    state: str = "ENABLE"
    confirm_state: str | None = None
    script_version: int = 1

    @property
    def name(self) -> str:
        """The room's name."""
        return str(self.body["room_name"])

    @property
    def room_type(self) -> str:
        """NORMAL, TEMP or TEMPLATE."""
        return str(self.body.get("room_type") or "NORMAL")

    def script(self, assumptions: Assumptions) -> list[PlayedParagraph]:
        """Return the paragraphs that a job in this room plays."""
        scenes = self.body.get("scene_scripts") or []
        script = read_script(scenes, speech_rate=assumptions.speech_rate, seconds=self.seconds)
        return script or made_up_script(self.seconds or assumptions.show_seconds)

    def detail(self) -> dict[str, Any]:
        """Return the room as "show room" answers it."""
        own = {
            "room_id": self.room_id,
            "create_time": wire_time(self.create_time),
            "update_time": wire_time(self.update_time),
            "room_state": self.state,
            "confirm_state": self.confirm_state,
            "script_version": str(self.script_version),
        }
        return present({"room_type": "NORMAL", "view_mode": "VERTICAL", **self.body, **own})

    def summary(self, project_id: str, job: StoredJob | None) -> dict[str, Any]:
        """
        Return the room as "list rooms" answers it.

        :param job: the last job in the room.
        """
        shared = ("room_name", "room_description", "shared_config", "priv_data", "view_mode")
        return present(
            {
                **{name: self.body.get(name) for name in shared},
                "room_id": self.room_id,
                "project_id": project_id,
                "room_type": self.room_type,
                "room_state": self.state,
                "confirm_state": self.confirm_state,
                "create_time": wire_time(self.create_time),
                "update_time": wire_time(self.update_time),
                "last_job_start_time": wire_time(job.create_time) if job else None,
                "last_job_end_time": wire_time(job.end_time) if job else None,
                "last_job_status": job.state.value if job else None,
            }
        )


class Rooms:
    """
    All rooms, by id without regard to dashes and case.

    :param store: where they are kept.
    :param now: tells the time of day.
    """

    def __init__(self, store: StateStore, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        loaded = map(StoredRoom.model_validate_json, store.all("room"))
        self._rooms = {normalise_id(room.room_id): room for room in loaded}

    def __iter__(self) -> Iterator[StoredRoom]:
        return iter(self._rooms.values())

    def __len__(self) -> int:
        return len(self._rooms)

    @staticmethod
    def key(room_id: str) -> str:
        """Return the spelling of an id under which rooms are compared."""
        return normalise_id(room_id)

    def get(self, room_id: str) -> StoredRoom | None:
        """Return a room, or None."""
        return self._rooms.get(normalise_id(room_id))

    def create(
        self, body: dict[str, Any], *, room_id: str | None = None, seconds: float | None = None
    ) -> StoredRoom:
        """
        Create a room, or replace the one of the same id.

        :param body: the room as the API takes it.
        :param room_id: its id; None makes one up.
        :param seconds: show seconds of one pass of its script; None: as its texts take.
        """
        now = self._now()
        room = StoredRoom(
            room_id=room_id or str(uuid.uuid4()), seconds=seconds, body=body, create_time=now, update_time=now
        )
        self._rooms[normalise_id(room.room_id)] = room
        self.save(room)
        return room

    def update(self, room: StoredRoom, body: dict[str, Any]) -> None:
        """Give a room a new content."""
        room.body = body
        room.update_time = self._now()
        room.script_version += 1
        self.save(room)

    def save(self, room: StoredRoom) -> None:
        """Keep what was changed in a room."""
        self._store.put("room", normalise_id(room.room_id), room.model_dump_json())

    def remove(self, room: StoredRoom) -> None:
        """Delete a room."""
        self._store.remove("room", normalise_id(room.room_id))
        self._rooms.pop(normalise_id(room.room_id), None)
