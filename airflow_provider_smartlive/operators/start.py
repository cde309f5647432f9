"""Start a livestream, and wait for its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast

from airflow.sdk import BaseOperator

from airflow_provider_smartlive.decisions import may_end_with_task
from airflow_provider_smartlive.links import SmartLiveRoomLink
from airflow_provider_smartlive.livestream.asset_events import asset_extra, describe
from airflow_provider_smartlive.livestream.kill import KillHandler
from airflow_provider_smartlive.provider_info import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from airflow_provider_smartlive.livestream.runner import LivestreamRunner
    from airflow_provider_smartlive.livestream.wait_state import WaitLimits, WaitState

#: The method that Airflow calls on a task whose trigger failed.
TRIGGER_FAILED = "__fail__"


class StartSmartLiveJobOperator(BaseOperator):
    """
    Start a virtual-human livestream, and wait until it has ended.

    The job is started at most once, whatever dies in between: a retry adopts the job of an earlier try, a
    clear stops it and starts anew. While the task waits it is deferred; the callback END resumes it within
    about a second, and MetaStudio is asked now and then in case a callback was lost.

    The task's result is a summary of the livestream: see the docs page "Results". The asset events of its ``outlets``
    say the same in short.

    :param room_id: the room (MetaStudio's script) to go live with. Templated.
    :param request: the request, with MetaStudio's field names (see the docs page "Contract"), without secrets and
        outputs. Templated.
    :param video_config: this field of the request; likewise ``play_policy``, ``view_mode``,
        ``co_streamer_config``, ``rtc_callback_config`` and ``job_run_config``. Templated.
    :param output_conn_ids: connections that hold the RTMP output (URL in the host, stream key in the password): a list,
        or a text with commas. MetaStudio takes one output per job. Default: the room's own setting. Templated.
    :param standby_room_id: the room to go live in if MetaStudio refuses the start in ``room_id`` and surely has no job
        of this task: see the docs page "Operators". Default: ``room_id``, with other outputs. Templated.
    :param standby_output_conn_ids: the outputs of the standby. Default: ``output_conn_ids``. Templated.
    :param interaction_conn_id: connection whose host is the ``interaction_callback_url``. Templated.
    :param smartlive_conn_id: connection to MetaStudio. Templated.
    :param use_callbacks: whether MetaStudio is to call back; if not, the wait only asks.
    :param callback_event_types: the events to subscribe to; default: all three.
    :param wait_for_termination: whether to wait. If not, the task succeeds once the job is started, and a
        ``StopSmartLiveJobOperator`` has to own its end.
    :param deferrable: whether to wait in the triggerer instead of on a worker.
    :param start_at: when to go live, written as ``stop_at``, and before it. Everything is checked, then the task waits
        "up for reschedule", without a worker. A retry adopts a running job at once; a clear stops it first. Default: at
        once. Templated.
    :param stop_at: when to stop as planned: a datetime, or a text with date and time (ISO 8601); without an offset in
        the DAG's time zone. Templated.
    :param max_duration: how long it may last from its start, before it is stopped as planned: a timedelta, or seconds
        (as all durations here).
    :param start_window: how late after ``start_at``, or the run's scheduled time, it may go live; later the task is
        skipped. None: however late.
    :param allow_backfill: whether a backfill may go live.
    :param cancel_on_kill: whether the job is stopped when the task is killed, marked or cleared.
    :param stop_after_end: whether to stop a job that MetaStudio does not finish within ``end_grace`` after END.
    :param end_grace: seconds; default ``[smartlive] end_grace``.
    :param connected_within: how long the stream may take from the start to CONNECTED, before the job is stopped and the
        task fails; at most ``max_duration``. If the callback is lost, MetaStudio's word counts. Templated.
    :param max_reconnects: how often MetaStudio may report RECONNECTING, before the job is stopped and the task fails;
        0: never. Links that have ended or were exchanged do not count, nor does what came before a retry adopted the
        job. Seen by callback only. Templated.
    :param min_on_air: how long the livestream has to be on the air (by ``stream_duration``, else by callbacks; if
        neither is known, it counts as reached), at most ``max_duration``: if it ends before, other than as planned, the
        task fails. Templated.
    :param fail_on_disconnect_longer_than: how long the stream may be interrupted, or without ``connected_within`` take
        to be CONNECTED, before the job is stopped and the task fails; None: as long as MetaStudio tries. Seen by
        callback only.
    :param reconcile_interval: seconds between two questions to MetaStudio; default
        ``[smartlive] reconcile_interval``, or ``reconcile_interval_without_rtmp`` where no callback can tell
        the end.
    :param warnings_as_errors: whether a warning about the request refuses it, and a warning about the livestream
        (MetaStudio's, or of another job in the room or on the output) stops it and fails the task.
    """

    template_fields: Sequence[str] = (
        "room_id",
        "request",
        "video_config",
        "play_policy",
        "view_mode",
        "co_streamer_config",
        "rtc_callback_config",
        "job_run_config",
        "output_conn_ids",
        "standby_room_id",
        "standby_output_conn_ids",
        "interaction_conn_id",
        "smartlive_conn_id",
        "start_at",
        "stop_at",
        "connected_within",
        "max_reconnects",
        "min_on_air",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "request": "json",
        "video_config": "json",
        "play_policy": "json",
        "co_streamer_config": "json",
        "rtc_callback_config": "json",
        "job_run_config": "json",
    }
    operator_extra_links = (SmartLiveRoomLink(),)
    ui_color = "#ffe3e0"

    def __init__(
        self,
        *,
        room_id: str,
        request: Mapping[str, Any] | None = None,
        video_config: Mapping[str, Any] | None = None,
        play_policy: Mapping[str, Any] | None = None,
        view_mode: str | None = None,
        co_streamer_config: Mapping[str, Any] | None = None,
        rtc_callback_config: Mapping[str, Any] | None = None,
        job_run_config: Mapping[str, Any] | None = None,
        output_conn_ids: Sequence[str] | str | None = (),
        standby_room_id: str | None = None,
        standby_output_conn_ids: Sequence[str] | str | None = (),
        interaction_conn_id: str | None = None,
        smartlive_conn_id: str = DEFAULT_CONN_ID,
        use_callbacks: bool = True,
        callback_event_types: Sequence[str] | None = None,
        wait_for_termination: bool = True,
        deferrable: bool = True,
        start_at: datetime | str | None = None,
        stop_at: datetime | str | None = None,
        max_duration: timedelta | float | None = None,
        start_window: timedelta | float | None = timedelta(hours=1),
        allow_backfill: bool = False,
        cancel_on_kill: bool = True,
        stop_after_end: bool = True,
        end_grace: timedelta | float | None = None,
        connected_within: timedelta | float | str | None = None,
        max_reconnects: int | str | None = None,
        min_on_air: timedelta | float | str | None = None,
        fail_on_disconnect_longer_than: timedelta | float | None = None,
        reconcile_interval: timedelta | float | None = None,
        warnings_as_errors: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.room_id = room_id
        self.request = request
        self.video_config = video_config
        self.play_policy = play_policy
        self.view_mode = view_mode
        self.co_streamer_config = co_streamer_config
        self.rtc_callback_config = rtc_callback_config
        self.job_run_config = job_run_config
        self.output_conn_ids = output_conn_ids
        self.standby_room_id = standby_room_id
        self.standby_output_conn_ids = standby_output_conn_ids
        self.interaction_conn_id = interaction_conn_id
        self.smartlive_conn_id = smartlive_conn_id
        self.use_callbacks = use_callbacks
        self.callback_event_types = callback_event_types
        self.wait_for_termination = wait_for_termination
        self.deferrable = deferrable
        self.start_at = start_at
        self.stop_at = stop_at
        self.max_duration = max_duration
        self.start_window = start_window
        self.allow_backfill = allow_backfill
        self.cancel_on_kill = cancel_on_kill
        self.stop_after_end = stop_after_end
        self.end_grace = end_grace
        self.connected_within = connected_within
        self.max_reconnects = max_reconnects
        self.min_on_air = min_on_air
        self.fail_on_disconnect_longer_than = fail_on_disconnect_longer_than
        self.reconcile_interval = reconcile_interval
        self.warnings_as_errors = warnings_as_errors
        self._runner: LivestreamRunner | None = None
        self._result: dict[str, Any] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Start the livestream, unless one of ours runs already, and wait.

        :raises AirflowSkipException: if the run is a backfill or later than ``start_window``.
        :raises AirflowFailException: if an argument, the connection, a setting, an output or the request is wrong.
        :raises MetaStudioError: if MetaStudio refuses the start for a reason that may pass.
        :raises AmbiguousStartError: if it cannot be known whether a job was started.
        """
        return self._told(context, self._run(context).start())

    def execute_complete(
        self,
        context: Context,
        event: dict[str, Any],
        wait: dict[str, Any] | None = None,
        limits: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """
        Go on after a wake-up.

        :param event: a :class:`~airflow_provider_smartlive.callbacks.messages.ResumeEvent`.
        :param wait: a :class:`~airflow_provider_smartlive.livestream.wait_state.WaitState`; ``dag.test()`` loses it.
        :param limits: a :class:`~airflow_provider_smartlive.livestream.wait_state.WaitLimits`; likewise.
        """
        return self._told(context, self._run(context, resumed=True).resume(event, wait, limits))

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> dict[str, Any]:
        """
        Go on after a deferral; also if Airflow says that the trigger failed, which would leave the job to nobody.

        :raises TaskDeferralError: if the trigger failed; the job is stopped then, unless a retry will take it up.
        """
        go_on = partial(super().resume_execution, next_method, next_kwargs, context)
        if next_method != TRIGGER_FAILED:
            return cast("dict[str, Any]", go_on())
        return self._run(context, resumed=True).fail(go_on)

    def get_openlineage_facets_on_start(self) -> OperatorLineage:
        """Return what OpenLineage is told when the task begins: the outputs and the room."""
        return self._lineage({"room_id": self.room_id})

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage:
        """Return what OpenLineage is told when the livestream has ended well."""
        return self._lineage(self._result or {"room_id": self.room_id})

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage:
        """Return what OpenLineage is told when the task has failed: the job, if there was one."""
        manager = self._runner.manager if self._runner is not None else None
        told: dict[str, Any] = {"room_id": self.room_id, "outcome": "failed"}
        if manager is not None:
            wait = manager.wait
            told |= {
                "room_id": wait.room_id,
                "job_id": wait.job_id,
                "standby": wait.start_info.get("standby"),
            }
        return self._lineage(told)

    def _lineage(self, told: dict[str, Any]) -> OperatorLineage:
        from airflow_provider_smartlive.livestream.lineage import lineage

        standby_outputs = self.standby_output_conn_ids if told.get("standby") else ()
        return lineage(standby_outputs or self.output_conn_ids, told)

    def on_kill(self) -> None:
        """Stop the job if the task was ended from outside; a process that only lost its task leaves it alone."""
        if may_end_with_task(cancel_on_kill=self.cancel_on_kill):
            self._kill.request(at_once=self._runner is not None and self._runner.manager is not None)

    def _run(self, context: Context, *, resumed: bool = False) -> LivestreamRunner:
        from airflow_provider_smartlive.livestream.runner import LivestreamRunner

        defer = self._defer if self.deferrable else None
        self._runner = LivestreamRunner.of(self, context, resumed=resumed, kill=self._kill, defer=defer)
        return self._runner

    def _told(self, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        """Tell the result to whatever waits for the outlets, and return it."""
        self._result = result
        if self.outlets:
            describe(context, self.outlets, asset_extra(result), room_id=result["room_id"])
        return result

    def _defer(self, wait: WaitState, limits: WaitLimits) -> NoReturn:
        from airflow_provider_smartlive.triggers import SmartLiveJobTrigger

        state: dict[str, Any] = {"wait": wait.dump(), "limits": limits.dump()}
        self.defer(
            trigger=SmartLiveJobTrigger(**state),
            method_name="execute_complete",
            kwargs=state,
            # Airflow's own deferral timeout would skip execute_complete and on_kill; the trigger keeps the
            # deadlines.
            timeout=None,
        )

    @cached_property
    def _kill(self) -> KillHandler:
        return KillHandler(lambda identified: self._runner.handle_kill(identified) if self._runner else None)
