"""One livestream with all that belongs to it, as a task group of any DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Self

from airflow.sdk import TaskGroup

from airflow_provider_smartlive.campaigns.notify import Notification, Notified
from airflow_provider_smartlive.campaigns.tasks import (
    NotConnectedOperator,
    PrerollCheckOperator,
    TimedCommandOperator,
)
from airflow_provider_smartlive.operators import (
    SmartLiveAsRunOperator,
    StartSmartLiveJobOperator,
    StopSmartLiveJobOperator,
)
from airflow_provider_smartlive.provider_info import DEFAULT_CONN_ID
from airflow_provider_smartlive.retries import SmartLiveRetryPolicy
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

if TYPE_CHECKING:
    from airflow_provider_smartlive.campaigns.times import ShowTimes

#: How long a stream is waited for that need not be CONNECTED in time, if nothing limits the livestream.
LONGEST_WAIT = timedelta(days=7)

#: On top of the planned length, for sensors: the livestream itself ends first.
WAIT_MARGIN = timedelta(hours=1)

COMMAND_RETRY_DELAY = timedelta(seconds=20)


class Livestream(TaskGroup):
    """
    The tasks of one livestream. Make it with :func:`livestream`.

    Tasks that are made inside of ``with livestream(...):`` run while the stream is on the air, from CONNECTED on.

    :ivar check: looks before the start whether the livestream can begin, and waits for the start.
    :ivar go_live: owns the livestream from its start to END; its result is the summary.
    :ivar connected: succeeds when the stream is CONNECTED.
    :ivar stop: the tear-down: whatever happened, the livestream is over after it.
    :ivar as_run: writes the row of the as-run log, at the very end. Its result is the row.
    """

    check: PrerollCheckOperator
    go_live: StartSmartLiveJobOperator
    connected: SmartLiveStreamStateSensor
    stop: StopSmartLiveJobOperator
    as_run: SmartLiveAsRunOperator

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


def livestream(
    group_id: str,
    *,
    room_id: str,
    output_conn_ids: Sequence[str] | str = (),
    smartlive_conn_id: str = DEFAULT_CONN_ID,
    stop_at: datetime | str | None = None,
    max_duration: timedelta | None = None,
    times: ShowTimes | None = None,
    check_before: timedelta = timedelta(0),
    start_window: timedelta | None = timedelta(hours=1),
    connected_within: timedelta = timedelta(minutes=5),
    if_not_connected: Literal["alert", "stop"] = "alert",
    commands: Sequence[tuple[timedelta, Mapping[str, Any]]] = (),
    notify: Sequence[Notified] = (),
    quota: int | None = None,
    retries: int = 2,
    retry_delay: timedelta = timedelta(seconds=30),
    pool: str | None = None,
    request: Mapping[str, Any] | None = None,
    interaction_conn_id: str | None = None,
    as_run_path: str | None = None,
    prefix_group_id: bool = True,
    **start_arguments: Any,
) -> Livestream:
    """
    Add a livestream to a DAG: check, go live, CONNECTED in time, what is done while it is live, END, stop, as-run row.

    Use it as a context manager to add tasks of your own that run from CONNECTED on::

        with livestream("evening", room_id="...", output_conn_ids="channel", max_duration=timedelta(hours=3)):
            announce()

    :param group_id: the name of the task group.
    :param room_id: the room.
    :param output_conn_ids: connections that hold the RTMP outputs.
    :param smartlive_conn_id: connection to MetaStudio.
    :param stop_at: when it is stopped as planned, as the operator takes it.
    :param max_duration: how long it lasts at most.
    :param times: when it goes out, where it shares its DAG with other shows. They say its end, too.
    :param check_before: how long before its start everything is checked: the run begins so much earlier.
    :param start_window: how late it may still go live. None: however late.
    :param connected_within: how long the stream may take to be CONNECTED.
    :param if_not_connected: what is done then: ``alert`` tells ``notify`` and goes on, ``stop`` stops it as well.
    :param commands: what it is told while it is live: how long after CONNECTED, and the arguments of the command
        operator, such as ``{"command": "INSERT_PLAY_SCRIPT", "command_params": {...}}``.
    :param notify: who is told what goes wrong: ids of connections, paths of notifiers, or callables.
    :param quota: how many livestreams the account may run at once.
    :param retries: how often a start that failed is tried again. A job that runs is adopted.
    :param retry_delay: how long it waits before that.
    :param pool: the pool of the livestream; it has to count deferred tasks to limit how many run at once.
    :param request: the request, with the field names of MetaStudio's API.
    :param interaction_conn_id: connection of the ``interaction_callback_url``.
    :param as_run_path: the folder of the as-run log; default ``[smartlive] as_run_path``.
    :param prefix_group_id: whether the ids of its tasks begin with that of the group.
    :param start_arguments: more arguments of :class:`~airflow_provider_smartlive.operators.StartSmartLiveJobOperator`.
    """
    group = Livestream(group_id=group_id, prefix_group_id=prefix_group_id)
    if pool is not None:
        start_arguments["pool"] = pool
    notification = Notification(notify, subject=f"show {group_id}") if notify else None
    told = [notification] if notification else None
    job: dict[str, Any] = {"room_id": room_id, "smartlive_conn_id": smartlive_conn_id}
    go_live_id: str = group.child_id("go_live")  # type: ignore[no-untyped-call]  # Airflow's
    starter: dict[str, Any] = {**job, "starter_task_id": go_live_id}
    outputs: dict[str, Any] = {
        "output_conn_ids": output_conn_ids,
        "interaction_conn_id": interaction_conn_id,
    }
    again: dict[str, Any] = {"retries": retries, "retry_delay": retry_delay}
    group.check = PrerollCheckOperator(
        task_id="check",
        task_group=group,
        **starter,
        **outputs,
        show=group_id,
        times=times,
        check_before=check_before,
        start_window=start_window,
        quota=quota,
        notification=notification,
        on_failure_callback=told,
        **again,
    )
    lead = times.lead if times is not None else check_before
    if times is not None:
        pulled = f"ti.xcom_pull(task_ids='{group.check.task_id}')"
        stop_at = f"{{{{ {pulled}['planned_end'] }}}}"
    group.go_live = StartSmartLiveJobOperator(
        task_id="go_live",
        task_group=group,
        **job,
        **outputs,
        request=request,
        stop_at=stop_at,
        max_duration=max_duration,
        # The operator counts from the beginning of the run.
        start_window=None if start_window is None else start_window + lead,
        retry_policy=SmartLiveRetryPolicy(),
        on_failure_callback=told,
        **again,
        **start_arguments,
    )
    length = times.length if times is not None else max_duration
    longest = LONGEST_WAIT if length is None else length + WAIT_MARGIN
    stops = if_not_connected == "stop"
    group.connected = _connected(group, "connected", connected_within if stops else longest, starter)
    in_time = group.connected if stops else _connected(group, "connected_in_time", connected_within, starter)
    not_connected = NotConnectedOperator(
        task_id="not_connected",
        task_group=group,
        **starter,
        within=connected_within,
        stops=stops,
        notification=notification,
        trigger_rule="all_failed",
    )
    group.stop = StopSmartLiveJobOperator(task_id="stop", task_group=group, **starter, retries=3)
    group.check >> [group.go_live, group.connected, in_time]
    in_time >> not_connected
    said = _commands(group, commands, {**starter, "on_failure_callback": told})
    group.connected >> said
    [group.go_live, group.connected, in_time, not_connected, *said] >> group.stop
    group.stop.as_teardown(setups=[group.check, group.go_live])
    group.as_run = SmartLiveAsRunOperator(
        task_id="as_run",
        task_group=group,
        **starter,
        path=as_run_path,
        show=group_id,
        timezone=times.zone.key if times is not None else None,
        planned_start=f"{{{{ (ti.xcom_pull(task_ids='{group.check.task_id}') or {{}}).get('planned_start', '') }}}}",
        check_before=lead,
        on_failure_callback=told,
        retries=3,
    )
    # A tear-down, as an ordinary task would hide from the run that the livestream failed; without a setup, so that a
    # show that was blocked has its row as well. It comes last: a storage that is away must not keep a stop waiting.
    group.stop >> group.as_run.as_teardown()
    return group


def _commands(
    group: Livestream, commands: Sequence[tuple[timedelta, Mapping[str, Any]]], common: dict[str, Any]
) -> list[TimedCommandOperator]:
    return [
        TimedCommandOperator(
            task_id=f"command_{number}",
            task_group=group,
            **common,
            **arguments,
            after=after,
            connected_task_id=group.connected.task_id,
            # It is sent once all the same. A retry finds out that the livestream has ended meanwhile.
            retries=2,
            retry_delay=COMMAND_RETRY_DELAY,
        )
        for number, (after, arguments) in enumerate(commands, start=1)
    ]


def _connected(
    group: Livestream, task_id: str, timeout: timedelta, starter: dict[str, Any]
) -> SmartLiveStreamStateSensor:
    return SmartLiveStreamStateSensor(
        task_id=task_id,
        task_group=group,
        **starter,
        target_state="CONNECTED",
        timeout=timeout,
        retries=0,
    )
