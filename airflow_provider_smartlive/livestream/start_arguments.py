"""Read and check the arguments of a start before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.livestream import arguments, request
from airflow_provider_smartlive.livestream.time_limits import TimeLimits
from airflow_provider_smartlive.livestream.wait_state import WaitLimits
from airflow_provider_smartlive.metastudio.ids import same_id

if TYPE_CHECKING:
    from airflow_provider_smartlive.livestream.current_task import CurrentTask


@dataclass(frozen=True)
class StartArguments:
    """
    What a task wants of its livestream.

    :param fields: the fields of the request, as the API names them.
    :param time_limits: when it may begin, and when it has to end.
    :param limits: the limits of the wait.
    :param max_live_duration: hours after which MetaStudio ends a job that nothing else limits.
    :param standby: the same with the room and the outputs of the standby; None if there is none.
    :param is_standby: whether these are those of the standby.
    """

    smartlive_conn_id: str
    room_id: str
    fields: Mapping[str, Any]
    output_conn_ids: tuple[str, ...]
    interaction_conn_id: str | None
    use_callbacks: bool
    event_types: tuple[str, ...]
    time_limits: TimeLimits
    limits: WaitLimits
    max_live_duration: int
    waits: bool
    warnings_as_errors: bool
    standby: StartArguments | None = None
    is_standby: bool = False

    @property
    def single_job_in(self) -> tuple[str, str] | None:
        """Connection and room, if MetaStudio is asked to refuse a second job there."""
        run_config = self.fields.get("job_run_config")
        is_single = isinstance(run_config, Mapping) and run_config.get("single_job_in_room") is True
        return (self.smartlive_conn_id, self.room_id) if is_single else None

    @classmethod
    def read(cls, operator: Any, task: CurrentTask) -> Self:
        """
        Read the rendered arguments of an operator, and the settings that stand in for those left out.

        :param operator: a :class:`~airflow_provider_smartlive.operators.StartSmartLiveJobOperator`.
        :param task: its task instance.
        :raises ValueError: naming the argument or the setting that cannot be used, or if the task is in a loop.
        """
        if task.is_in_loop:
            raise ValueError(
                "A livestream cannot be started in a loop: its callbacks and its sensors could not tell one iteration "
                "from another. Take the task out of the loop, or map it (expand)."
            )
        settings.check()  # also those that only the trigger needs: it must not be the first to find one broken
        outputs = tuple(arguments.conn_ids("output_conn_ids", operator.output_conn_ids))
        fields = request.merge(
            operator.request, {name: getattr(operator, name) for name in request.ARGUMENTS}
        )
        request.check_fields(fields)
        primary = cls(
            smartlive_conn_id=_given(
                "smartlive_conn_id", arguments.conn_id("smartlive_conn_id", operator.smartlive_conn_id)
            ),
            room_id=_given("room_id", arguments.ident("room_id", operator.room_id)),
            fields=fields,
            output_conn_ids=outputs,
            interaction_conn_id=arguments.conn_id("interaction_conn_id", operator.interaction_conn_id),
            use_callbacks=operator.use_callbacks,
            event_types=tuple(operator.callback_event_types or request.EVENT_TYPES),
            time_limits=_time_limits(operator, task),
            limits=_limits(operator, pushes=operator.use_callbacks and bool(outputs)),
            max_live_duration=int(settings.number("max_live_duration")),
            waits=operator.wait_for_termination,
            warnings_as_errors=operator.warnings_as_errors,
        )
        return replace(primary, standby=_standby(operator, primary))


def _standby(operator: Any, primary: StartArguments) -> StartArguments | None:
    """Return the arguments of the standby: a room, outputs or both that stand in for those of the primary."""
    room_id = arguments.ident("standby_room_id", operator.standby_room_id)
    outputs = tuple(arguments.conn_ids("standby_output_conn_ids", operator.standby_output_conn_ids))
    if room_id is None and not outputs:
        return None
    standby = replace(
        primary,
        room_id=room_id or primary.room_id,
        output_conn_ids=outputs or primary.output_conn_ids,
        is_standby=True,
    )
    if same_id(standby.room_id, primary.room_id) and standby.output_conn_ids == primary.output_conn_ids:
        name = "standby_room_id" if room_id is not None else "standby_output_conn_ids"
        raise arguments.ArgumentError(name, "is that of the primary", "Pass another one, or leave it out.")
    return standby


def _given(name: str, value: str | None) -> str:
    if value is None:
        raise arguments.ArgumentError(name, "is None", "Pass an id.")
    return value


def _time_limits(operator: Any, task: CurrentTask) -> TimeLimits:
    start_at = arguments.time("start_at", operator.start_at, zone=task.zone)
    stop_at = arguments.time("stop_at", operator.stop_at, zone=task.zone)
    return TimeLimits(
        due_at=start_at or task.due_at,
        waits_for_start=start_at is not None,
        is_backfill=task.is_backfill,
        start_window=arguments.duration("start_window", operator.start_window, minimum=timedelta(0)),
        allow_backfill=operator.allow_backfill,
        stop_at=stop_at,
        max_duration=arguments.duration("max_duration", operator.max_duration),
        execution_timeout=operator.execution_timeout,
    )


def _limits(operator: Any, *, pushes: bool) -> WaitLimits:
    """
    Read the limits of the wait.

    :param pushes: whether callbacks tell the end, so that MetaStudio is asked only in case they are lost.
    """
    end_grace = arguments.seconds("end_grace", operator.end_grace, minimum=0)
    interval = arguments.seconds("reconcile_interval", operator.reconcile_interval)
    default_interval = settings.number("reconcile_interval" if pushes else "reconcile_interval_without_rtmp")
    max_duration = arguments.seconds("max_duration", operator.max_duration)
    connected_limit = arguments.seconds("connected_within", operator.connected_within)
    min_on_air = arguments.seconds("min_on_air", operator.min_on_air)
    for name, seconds in (("connected_within", connected_limit), ("min_on_air", min_on_air)):
        if seconds is not None and max_duration is not None and seconds > max_duration:
            problem = f"is {seconds:g} s, longer than max_duration ({max_duration:g} s)"
            raise arguments.ArgumentError(name, problem, "Pass a shorter one, or a longer max_duration.")
    max_reconnects = arguments.count("max_reconnects", operator.max_reconnects)
    if max_reconnects is not None and not operator.use_callbacks:
        problem = f"is {max_reconnects}, and use_callbacks is False: only callbacks tell of interruptions"
        raise arguments.ArgumentError("max_reconnects", problem, "Leave one of them out.")
    return WaitLimits(
        interval=default_interval if interval is None else interval,
        end_grace=settings.number("end_grace") if end_grace is None else end_grace,
        stop_grace=settings.number("stop_grace"),
        failure_budget=settings.number("failure_budget"),
        look_again_window=settings.number("look_again_window"),
        disconnect_limit=arguments.seconds(
            "fail_on_disconnect_longer_than", operator.fail_on_disconnect_longer_than
        ),
        connected_limit=connected_limit,
        max_reconnects=max_reconnects,
        min_on_air=min_on_air,
        silence_threshold=settings.number("silence_threshold") if operator.use_callbacks else None,
        stop_after_end=operator.stop_after_end,
        cancel_on_kill=operator.cancel_on_kill,
    )
