"""The checks before a show goes live: connection, room, outputs, callbacks, quota, rivals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Self

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import CallbackTarget, CallbackUrlError
from airflow_provider_smartlive.client.diagnosis import explain
from airflow_provider_smartlive.livestream import callback_check
from airflow_provider_smartlive.livestream.ownership import issue_url_for, target_of
from airflow_provider_smartlive.livestream.rivals import rival_warnings
from airflow_provider_smartlive.livestream.rtmp_output import RtmpOutput
from airflow_provider_smartlive.livestream.snapshot import ACTIVE_STATES
from airflow_provider_smartlive.metastudio.addresses import is_out_of_reach
from airflow_provider_smartlive.metastudio.errors import MetaStudioError, NotFound
from airflow_provider_smartlive.metastudio.rooms import RoomState
from airflow_provider_smartlive.metastudio.text import safe_text

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_smartlive.client.connection import ConnectionProfile
    from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob

#: The most jobs in the way that are named.
MAX_RIVALS = 3

#: Reads a connection: its id, and the argument that names it.
FindConnection = Callable[[str, str], "Connection"]


@dataclass(frozen=True)
class Finding:
    """
    Something that is not as it has to be.

    :param check: what was looked at.
    :param text: what is wrong and how to mend it; never a secret.
    :param blocks: whether the livestream must not begin. If not, it only has to be known.
    """

    check: str
    text: str
    blocks: bool = True


@dataclass(frozen=True)
class Preroll:
    """
    The check of one show before it goes live.

    :param hook: of the connection to MetaStudio.
    :param room_id: the room.
    :param output_conn_ids: the connections of its RTMP outputs.
    :param interaction_conn_id: the connection of its ``interaction_callback_url``.
    :param quota: how many livestreams the account may run at once; None if that is not known.
    :param start: when it is to go live: what is planned to be over by then is in nobody's way.
    :param own: the task that will start it; None outside of a run.
    :param find_connection: reads the connections of outputs.
    :param standby: the check of its standby; None without one.
    """

    hook: SmartLiveTaskHook
    room_id: str
    output_conn_ids: Sequence[str]
    interaction_conn_id: str | None
    quota: int | None
    start: datetime
    own: TaskRef | None
    find_connection: FindConnection
    standby: Preroll | None = None

    def with_standby(self, room_id: str | None, output_conn_ids: Sequence[str]) -> Self:
        """
        Return it with the check of a standby, if there is one.

        :param room_id: the room of the standby; None if it is the same.
        :param output_conn_ids: the connections of its RTMP outputs; none if they are the same.
        """
        if room_id is None and not output_conn_ids:
            return self
        standby = replace(
            self,
            room_id=room_id or self.room_id,
            output_conn_ids=output_conn_ids or self.output_conn_ids,
            quota=None,
        )
        return replace(self, standby=standby)

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong. Whoever cannot be asked is a finding, too."""
        try:
            profile = self.hook.profile()
        except ValueError as error:
            yield Finding("connection", str(error))
            return
        channels, unread = self._outputs()
        yield from unread
        if self.interaction_conn_id is not None:
            try:
                self.find_connection(self.interaction_conn_id, "interaction")
            except ValueError as error:
                yield Finding("interaction", str(error))
        standby = self.standby
        standby_room = list(standby._room()) if standby is not None else []
        for finding in self._room():
            # What keeps MetaStudio from taking the start there lets the show go live in its standby.
            yield replace(finding, blocks=standby is None or bool(standby_room))
        yield from self._callbacks(profile)
        yield from self.in_the_way(profile, channels)
        if standby is not None:
            # Without it a show can go live, unless its outputs cannot be read.
            channels, unread = standby._outputs()
            in_its_way = (*standby_room, *standby.in_the_way(profile, channels))
            for finding in (*unread, *(replace(finding, blocks=False) for finding in in_its_way)):
                yield replace(finding, check="standby", text=f"{finding.check}: {finding.text}")

    def _outputs(self) -> tuple[list[RtmpOutput], list[Finding]]:
        """Return the outputs, and why some cannot be read."""
        channels, unread = [], []
        for conn_id in self.output_conn_ids:
            try:
                channels.append(RtmpOutput.from_connection(self.find_connection(conn_id, "outputs")))
            except ValueError as error:
                unread.append(Finding("outputs", str(error)))
        return channels, unread

    def in_the_way(
        self, profile: ConnectionProfile, channels: Sequence[RtmpOutput] | None = None
    ) -> Iterator[Finding]:
        """
        Yield the jobs that would be in its way at the start.

        :param profile: the connection.
        :param channels: its outputs; None to read them.
        """
        if channels is None:
            channels = [
                RtmpOutput.from_connection(self.find_connection(conn_id, "outputs"))
                for conn_id in self.output_conn_ids
            ]
        secrets = settings.callback_secrets()
        try:
            active = [job for job in self.hook.list_jobs(state=ACTIVE_STATES) if self._stays(job, secrets)]
        except (MetaStudioError, ValueError) as error:
            yield Finding("other jobs", explain(error))
            return
        if self.quota is not None and len(active) >= self.quota:
            yield Finding(
                "quota",
                f"quota is {self.quota}, and {len(active)} of {profile.endpoint} will still run when the show starts. "
                "Stop one (`airflow smartlive jobs list` shows them), or plan fewer at once.",
            )
        try:
            outputs = issue_url_for(_no_task(), profile, channels).target.terms.outputs
        except CallbackUrlError:
            outputs = ()  # said by the check of the callbacks
        found = rival_warnings(active, room_id=self.room_id, outputs=outputs, secrets=secrets)
        for text in islice(found, MAX_RIVALS):
            yield Finding("other jobs", text)

    def _stays(self, job: SmartLiveJob, secrets: Sequence[str]) -> bool:
        """Tell whether a job will be there at the start, and is not that of an earlier try of this very show."""
        target = target_of(job, secrets)
        if target is None:
            return True
        if target.task_ref == self.own:
            return False
        return target.terms.deadline is None or target.terms.deadline > self.start

    def _room(self) -> Iterator[Finding]:
        try:
            room = self.hook.show_room(self.room_id)
        except NotFound as error:
            text = f"there is no room {self.room_id} over connection {self.hook.smartlive_conn_id!r}"
            yield Finding(
                "room",
                f"{text}: rooms do not cross regions and projects. MetaStudio says {str(error).rstrip('.')}.",
            )
            return
        except (MetaStudioError, ValueError) as error:
            yield Finding("room", explain(error))
            return
        if room.room_state is not None and room.room_state != RoomState.ENABLE:
            info = room.error_info
            why = safe_text(": ".join(filter(None, (info.error_code, info.error_msg)))) if info else ""
            text = f"room {self.room_id} is {room.room_state}{f' ({why})' if why else ''}"
            yield Finding("room", f"{text}. Enable it in MetaStudio's console.")

    def _callbacks(self, profile: ConnectionProfile) -> Iterator[Finding]:
        """Yield why callbacks do not get through. Without them the end is learned by asking, so that blocks nothing."""
        try:
            issued = issue_url_for(_no_task(), profile)
        except (CallbackUrlError, ValueError) as error:
            yield Finding("callbacks", str(error))
            return
        if is_out_of_reach(issued.url, profile.endpoint):
            text = "[smartlive] callback_base_url is an address that MetaStudio cannot reach. Set it to the public one."
            yield Finding("callbacks", text, blocks=False)
            return
        found = callback_check.send(issued, has_task=False)
        if not found.works:
            yield Finding("callbacks", found.text, blocks=False)


def _no_task() -> CallbackTarget:
    """Return a route that belongs to no task: an event that is sent there changes nothing."""
    return CallbackTarget(callback_check.NO_TASK, "", 0, settings.deployment())
