"""The task group of one livestream, for any DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import TaskGroup

from airflow_provider_smartlive.campaigns.notify import Notification, Notified
from airflow_provider_smartlive.campaigns.tasks import (
    NotConnectedOperator,
    PrerollCheckOperator,
    TimedCommandOperator,
)
from airflow_provider_smartlive.operators import (
    SmartLiveAsRunOperator,
    SmartLiveRecordsOperator,
    StartSmartLiveJobOperator,
    StopSmartLiveJobOperator,
)
from airflow_provider_smartlive.provider_info import DEFAULT_CONN_ID
from airflow_provider_smartlive.retries import SmartLiveRetryPolicy
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

if TYPE_CHECKING:
    from airflow.sdk import Asset

    from airflow_provider_smartlive.campaigns.times import ShowTimes

#: How long a stream is waited for that need not be CONNECTED in time, if nothing limits the livestream.
LONGEST_WAIT = timedelta(days=7)

#: On top of the planned length, for sensors: the livestream itself ends first.
WAIT_MARGIN = timedelta(hours=1)

COMMAND_RETRY_DELAY = timedelta(seconds=20)

RECORDS_RETRY_DELAY = timedelta(minutes=2)


class Livestream(TaskGroup):
    """
    The tasks of one livestream. Make it with :func:`livestream`.

    Tasks that are made inside of ``with livestream(...):`` run while the stream is on the air, from CONNECTED on.

    :ivar check: looks before the start whether the livestream can begin, and waits for the start.
    :ivar go_live: owns the livestream from its start to END; its result is the summary.
    :ivar connected: succeeds when the stream is CONNECTED.
    :ivar stop: the tear-down: whatever happened, the livestream is over after it.
    :ivar as_run: writes the row of the as-run log, at the very end. Its result is the row.
    :ivar records: fetches MetaStudio's records, likewise; None without a ``records_path``.
    """

    check: PrerollCheckOperator
    go_live: StartSmartLiveJobOperator
    connected: SmartLiveStreamStateSensor
    stop: StopSmartLiveJobOperator
    as_run: SmartLiveAsRunOperator
    records: SmartLiveRecordsOperator | None = None

    def __enter__(self) -> Self:
        """Let tasks be added."""
        super().__enter__()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """Let the tasks that were added run while the stream is on the air, and the tear-down after them."""
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]  # Airflow's
        added: list[Any] = [node for node in self.children.values() if not isinstance(node, _OWN)]
        inside = {task.task_id for task in self}
        for node in added:
            if not _before(node) & inside:
                self.connected >> node
        for node in added:
            if not _after(node) & inside:
                node >> self.stop


#: The tasks of the group itself.
_OWN = (
    PrerollCheckOperator,
    StartSmartLiveJobOperator,
    SmartLiveStreamStateSensor,
    NotConnectedOperator,
    TimedCommandOperator,
    StopSmartLiveJobOperator,
    SmartLiveAsRunOperator,
    SmartLiveRecordsOperator,
)


def _before(node: Any) -> set[str]:
    """Return the ids of the tasks before a task or a group, without its own."""
    if not isinstance(node, TaskGroup):
        return set(node.upstream_task_ids)
    inner = {task.task_id for task in node}
    return {task_id for task in node for task_id in task.upstream_task_ids} - inner


def _after(node: Any) -> set[str]:
    """Return the ids of the tasks after a task or a group, without its own."""
    if not isinstance(node, TaskGroup):
        return set(node.downstream_task_ids)
    inner = {task.task_id for task in node}
    return {task_id for task in node for task_id in task.downstream_task_ids} - inner


def _planned_start(lead: timedelta) -> str:
    """Return an expression of a template: the start of a livestream whose run begins so much earlier."""
    return f"(dag_run.run_after + macros.timedelta(seconds={lead.total_seconds()})).isoformat()"


@dataclass(frozen=True)
class _Shared:
    """
    What the tasks of a livestream have in common.

    :param group: their group.
    :param room_id: the room.
    :param smartlive_conn_id: connection to MetaStudio.
    :param notification: who is told what goes wrong.
    """

    group: Livestream
    room_id: str
    smartlive_conn_id: str
    notification: Notification | None

    def own(self, task_id: str) -> dict[str, Any]:
        """Return the arguments of every task."""
        names = {"task_id": task_id, "task_group": self.group}
        return {**names, "room_id": self.room_id, "smartlive_conn_id": self.smartlive_conn_id}

    def of_starter(self, task_id: str) -> dict[str, Any]:
        """Return the arguments of a task that works with the livestream of ``go_live``."""
        return {**self.own(task_id), "starter_task_id": self.group.child_id("go_live")}  # type: ignore[no-untyped-call]  # Airflow's

    @property
    def told(self) -> dict[str, Any]:
        """The arguments of a task whose failure is told."""
        return {"on_failure_callback": [self.notification]} if self.notification else {}

    def checked(self, key: str, *, default: str = "") -> str:
        """Return a template of what the check has said: ``planned_start`` or ``planned_end``."""
        check = f"ti.xcom_pull(task_ids='{self.group.check.task_id}', map_indexes=ti.map_index)"
        return f"{{{{ ({check}{default})['{key}'] }}}}"


def livestream(
    group_id: str,
    *,
    room_id: str,
    output_conn_ids: Sequence[str] | str = (),
    standby_room_id: str | None = None,
    standby_output_conn_ids: Sequence[str] | str = (),
    smartlive_conn_id: str = DEFAULT_CONN_ID,
    start_at: datetime | str | None = None,
    stop_at: datetime | str | None = None,
    max_duration: timedelta | None = None,
    times: ShowTimes | None = None,
    check_before: timedelta = timedelta(0),
    start_window: timedelta | None = timedelta(hours=1),
    alert_if_not_connected_after: timedelta = timedelta(minutes=5),
    commands: Sequence[tuple[timedelta, Mapping[str, Any]]] = (),
    notify: Sequence[Notified] = (),
    quota: int | None = None,
    retries: int = 2,
    retry_delay: timedelta = timedelta(seconds=30),
    interaction_conn_id: str | None = None,
    connected_outlets: Sequence[Asset] = (),
    as_run_outlets: Sequence[Asset] = (),
    as_run_path: str | None = None,
    records_path: str | None = None,
    prefix_group_id: bool = True,
    **start_arguments: Any,
) -> Livestream:
    """
    Add a livestream to a DAG: check, go live, CONNECTED in time, what is done while it is live, END, stop, as-run row,
    records.

    Use it as a context manager to add tasks of your own that run from CONNECTED on::

        with livestream("evening", room_id="...", output_conn_ids="channel", max_duration=timedelta(hours=3)):
            announce()

    :param group_id: the name of the task group.
    :param room_id: the room.
    :param output_conn_ids: connections that hold the RTMP outputs.
    :param standby_room_id: the room to go live in if MetaStudio refuses the start, see the docs page "Operators".
    :param standby_output_conn_ids: the outputs of that livestream.
    :param smartlive_conn_id: connection to MetaStudio.
    :param start_at: when it goes live, as the operator takes it; the check waits until ``check_before`` it. Without it:
        ``check_before`` after the time of the run; in a run by hand at once.
    :param stop_at: when it is stopped as planned, as the operator takes it.
    :param max_duration: how long it lasts at most.
    :param times: when it goes out, where it shares its DAG with other shows. They say its start and end, too.
    :param check_before: how long before its start everything is checked: the run begins so much earlier.
    :param start_window: how late it may still go live. None: however late.
    :param alert_if_not_connected_after: how long the stream may take to be CONNECTED until ``notify`` is told. With
        ``connected_within``, an argument of the operator, the livestream is stopped as well.
    :param commands: what it is told while it is live: how long after CONNECTED, and the arguments of the command
        operator, such as ``{"command": "INSERT_PLAY_SCRIPT", "command_params": {...}}``.
    :param notify: who is told what goes wrong: ids of connections, paths of notifiers, or callables.
    :param quota: how many livestreams the account may run at once.
    :param retries: how often a start that failed is tried again. A job that runs is adopted.
    :param retry_delay: how long it waits before that.
    :param interaction_conn_id: connection of the ``interaction_callback_url``.
    :param connected_outlets: assets that are told when the stream is CONNECTED.
    :param as_run_outlets: assets that are told the row of the as-run log, of a livestream that failed as well.
    :param as_run_path: the folder of the as-run log; default ``[smartlive] as_run_path``.
    :param records_path: the folder into which MetaStudio's records are fetched; without one they are not.
    :param prefix_group_id: whether the ids of its tasks begin with that of the group.
    :param start_arguments: more arguments of :class:`~airflow_provider_smartlive.operators.StartSmartLiveJobOperator`,
        such as ``connected_within``, ``request``, ``outlets`` (told when it has ended well), or ``pool``, which has to
        count deferred tasks to limit how many livestreams run at once.
    """
    group = Livestream(group_id=group_id, prefix_group_id=prefix_group_id)
    notification = Notification(notify, subject=f"show {group_id}") if notify else None
    shared = _Shared(group, room_id, smartlive_conn_id, notification)
    lead, zone, length = (
        (check_before, None, max_duration) if times is None else (times.lead, times.zone.key, times.length)
    )
    # What the check looks at is what goes live.
    start: dict[str, Any] = {
        "output_conn_ids": output_conn_ids,
        "standby_room_id": standby_room_id,
        "standby_output_conn_ids": standby_output_conn_ids,
        "interaction_conn_id": interaction_conn_id,
        "start_window": start_window,
        "retries": retries,
        "retry_delay": retry_delay,
    }
    group.check = _check(
        shared, **start, start_at=start_at, show=group_id, times=times, check_before=check_before, quota=quota
    )
    group.go_live = _go_live(
        shared,
        lead,
        **start,
        stop_at=stop_at if times is None else shared.checked("planned_end"),
        max_duration=max_duration,
        **start_arguments,
    )
    longest = LONGEST_WAIT if length is None else length + WAIT_MARGIN
    group.connected = _connected(shared, "connected", longest, connected_outlets)
    group.check >> [group.go_live, group.connected]
    alert = _alert(shared, alert_if_not_connected_after)
    said = _commands(shared, commands)
    group.stop = _stop(shared, after=[group.go_live, group.connected, *alert, *said])
    group.as_run = _as_run(
        shared,
        path=as_run_path,
        show=group_id,
        timezone=zone,
        check_before=lead,
        outlets=list(as_run_outlets),
    )
    if records_path is not None:
        group.records = _records(shared, records_path)
    return group


def _check(shared: _Shared, **arguments: Any) -> PrerollCheckOperator:
    """Add the task that looks whether the livestream can begin, and waits for its start."""
    return PrerollCheckOperator(
        **shared.of_starter("check"), **arguments, notification=shared.notification, **shared.told
    )


def _go_live(shared: _Shared, lead: timedelta, **arguments: Any) -> StartSmartLiveJobOperator:
    """
    Add the task that owns the livestream.

    :param lead: how long before it the run begins.
    """
    notification = shared.notification
    return StartSmartLiveJobOperator(
        **shared.own("go_live"),
        # If somebody has marked the check, it goes live as planned, or at once if that is over.
        start_at=shared.checked("planned_start", default=f" or {{'planned_start': {_planned_start(lead)}}}"),
        retry_policy=SmartLiveRetryPolicy(),
        on_skipped_callback=[notification.skipped] if notification else None,
        **shared.told,
        **arguments,
    )


def _stop(shared: _Shared, *, after: list[Any]) -> StopSmartLiveJobOperator:
    """
    Add the tear-down of check and livestream.

    :param after: the tasks that it comes after.
    """
    stop = StopSmartLiveJobOperator(**shared.of_starter("stop"), retries=3)
    after >> stop
    stop.as_teardown(setups=[shared.group.check, shared.group.go_live])
    return stop


def _as_run(shared: _Shared, **arguments: Any) -> SmartLiveAsRunOperator:
    """Add the task that writes the row, at the very end."""
    as_run = SmartLiveAsRunOperator(
        **shared.of_starter("as_run"),
        **arguments,
        planned_start=shared.checked("planned_start", default=" or {'planned_start': ''}"),
        retries=3,
        **shared.told,
    )
    # A tear-down, as an ordinary task would hide from the run that the livestream failed; without a setup, so that a
    # show that was blocked has its row as well. It comes last: a storage that is away must not keep a stop waiting.
    shared.group.stop >> as_run.as_teardown()
    return as_run


def _records(shared: _Shared, path: str) -> SmartLiveRecordsOperator:
    """Add the task that fetches the records: a tear-down like the one that writes the row, and beside it."""
    records = SmartLiveRecordsOperator(
        **shared.of_starter("records"),
        path=path,
        # Not documented is how soon after the end they are there.
        retries=3,
        retry_delay=RECORDS_RETRY_DELAY,
        **shared.told,
    )
    shared.group.stop >> records.as_teardown()
    return records


def _connected(
    shared: _Shared, task_id: str, timeout: timedelta, outlets: Sequence[Asset] = ()
) -> SmartLiveStreamStateSensor:
    return SmartLiveStreamStateSensor(
        **shared.of_starter(task_id),
        target_state="CONNECTED",
        timeout=timeout,
        outlets=list(outlets),
        retries=0,
    )


def _alert(shared: _Shared, after: timedelta) -> tuple[SmartLiveStreamStateSensor, NotConnectedOperator]:
    """Add the tasks that wait for CONNECTED for some time, and tell if it did not come."""
    in_time = _connected(shared, "connected_in_time", after)
    not_connected = NotConnectedOperator(
        **shared.of_starter("not_connected"),
        within=after,
        notification=shared.notification,
        trigger_rule="all_failed",
    )
    shared.group.check >> in_time >> not_connected
    return in_time, not_connected


def _commands(
    shared: _Shared, commands: Sequence[tuple[timedelta, Mapping[str, Any]]]
) -> list[TimedCommandOperator]:
    """Add the tasks that say something some time after CONNECTED."""
    connected = shared.group.connected
    said = [
        TimedCommandOperator(
            **shared.of_starter(f"command_{number}"),
            **arguments,
            after=after,
            connected_task_id=connected.task_id,
            # It is sent once all the same. A retry finds out that the livestream has ended meanwhile.
            retries=2,
            retry_delay=COMMAND_RETRY_DELAY,
            **shared.told,
        )
        for number, (after, arguments) in enumerate(commands, start=1)
    ]
    connected >> said
    return said
