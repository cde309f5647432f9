"""Operators: start a livestream and wait for its end; stop one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import BaseOperator, Connection
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout
from airflow.sdk.timezone import utcnow

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.exceptions import SmartLiveKilledError
from airflow_provider_smartlive.lifecycle import WakeSource
from airflow_provider_smartlive.links import SmartLiveRoomLink

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_smartlive.callbacks.route import IssuedRoute
    from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
    from airflow_provider_smartlive.livestream.kill import KillSwitch
    from airflow_provider_smartlive.livestream.own_task import OwnTask
    from airflow_provider_smartlive.livestream.owner import Owner, Wait
    from airflow_provider_smartlive.livestream.schedule import Schedule
    from airflow_provider_smartlive.livestream.start import Obtained
    from airflow_provider_smartlive.metastudio.start import StartJobRequest

DEFAULT_CONNECTION = "smartlive_default"

#: Seconds between two looks into the callback table of a task that waits on a worker.
POLL_INTERVAL = 5.0

#: Seconds between two questions while a job that has ended its stream is finishing.
ENDING_INTERVAL = 5.0


class StartSmartLiveJobOperator(BaseOperator):
    """
    Start a virtual-human livestream, and wait until it has ended.

    The job is started at most once, whatever dies in between: a retry adopts the job of an earlier try, a
    clear stops it and starts anew. While the task waits it is deferred; the callback END resumes it within
    about a second, and MetaStudio is asked now and then in case a callback was lost.

    The task's result is a summary of the livestream: see the docs page "Results".

    :param room_id: the room (MetaStudio's script) to go live with. Templated.
    :param request: the request, with the field names of MetaStudio's API (see the docs page "Contract").
        Secrets and outputs have no place in it. Templated.
    :param video_config: this field of the request; likewise ``play_policy``, ``view_mode``,
        ``co_streamer_config``, ``rtc_callback_config`` and ``job_run_config``. Templated.
    :param output_conn_ids: connections that hold the RTMP output: the URL in the host, the stream key in the
        password. MetaStudio takes one output per job. Without any, the room's own setting counts. Templated.
    :param interaction_conn_id: connection whose host is the ``interaction_callback_url``. Templated.
    :param smartlive_conn_id: connection to MetaStudio. Templated.
    :param use_callbacks: whether MetaStudio is to call back. Without callbacks the wait only asks.
    :param callback_event_types: the events to subscribe to; all three by default.
    :param wait_for_termination: whether to wait. If not, the task succeeds as soon as the job is started, and
        a ``StopSmartLiveJobOperator`` has to own the job's end.
    :param deferrable: whether to wait in the triggerer instead of on a worker.
    :param stop_at: when the livestream is to be stopped as planned: an aware datetime or ISO 8601 text.
        Templated.
    :param max_duration: how long it may last at most, from its start, before it is stopped as planned.
    :param start_window: how late after the run's scheduled time it may still go live; later the task is
        skipped. None: however late.
    :param allow_backfill: whether a backfill may go live.
    :param cancel_on_kill: whether the job is stopped when the task is killed, marked or cleared.
    :param stop_after_end: whether the job is stopped if MetaStudio does not finish it within ``end_grace``
        after END.
    :param end_grace: seconds; default ``[smartlive] end_grace``.
    :param fail_on_disconnect_longer_than: how long the stream may be interrupted (DISCONNECTED, RECONNECTING)
        before the job is stopped and the task fails; None: as long as MetaStudio tries. Seen by callback
        only.
    :param reconcile_interval: seconds between two questions to MetaStudio; default
        ``[smartlive] reconcile_interval``, or ``reconcile_interval_without_rtmp`` where no callback can tell
        the end.
    :param warnings_as_errors: whether a warning about the request refuses it, and a warning of MetaStudio
        about the livestream stops it and fails the task.
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
        "interaction_conn_id",
        "smartlive_conn_id",
        "stop_at",
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
        output_conn_ids: Sequence[str] = (),
        interaction_conn_id: str | None = None,
        smartlive_conn_id: str = DEFAULT_CONNECTION,
        use_callbacks: bool = True,
        callback_event_types: Sequence[str] | None = None,
        wait_for_termination: bool = True,
        deferrable: bool = True,
        stop_at: datetime | str | None = None,
        max_duration: timedelta | None = None,
        start_window: timedelta | None = timedelta(hours=1),
        allow_backfill: bool = False,
        cancel_on_kill: bool = True,
        stop_after_end: bool = True,
        end_grace: float | None = None,
        fail_on_disconnect_longer_than: timedelta | None = None,
        reconcile_interval: float | None = None,
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
        self.interaction_conn_id = interaction_conn_id
        self.smartlive_conn_id = smartlive_conn_id
        self.use_callbacks = use_callbacks
        self.callback_event_types = callback_event_types
        self.wait_for_termination = wait_for_termination
        self.deferrable = deferrable
        self.stop_at = stop_at
        self.max_duration = max_duration
        self.start_window = start_window
        self.allow_backfill = allow_backfill
        self.cancel_on_kill = cancel_on_kill
        self.stop_after_end = stop_after_end
        self.end_grace = end_grace
        self.fail_on_disconnect_longer_than = fail_on_disconnect_longer_than
        self.reconcile_interval = reconcile_interval
        self.warnings_as_errors = warnings_as_errors
        self._owner: Owner | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Start the livestream, unless one of ours runs already, and wait.

        :raises AirflowSkipException: if the run is a backfill or later than ``start_window``.
        :raises AirflowFailException: if the connection, the settings, an output or the request is wrong.
        :raises MetaStudioError: if MetaStudio refuses the start for a reason that may pass.
        :raises AmbiguousStartError: if it cannot be known whether a job was started.
        """
        from airflow_provider_smartlive.livestream.own_task import OwnTask
        from airflow_provider_smartlive.retries import failing_for_good

        task = OwnTask(context)
        with failing_for_good(unless=task.may_have_job):
            schedule = self._schedule(task)
            issued = self._issue(task)
            request = self._build_request(issued, schedule)
            obtained = self._obtain(task, request, issued, schedule)
        owner = self._owner = self._make_owner(task, self._first_wait(obtained, request, schedule))
        self._publish(owner)
        try:
            return self._go_on(owner, obtained)
        except AirflowTaskTimeout:
            # On a worker Airflow itself keeps execution_timeout: the same end as in a trigger.
            return self._settle_or_wait(owner, WakeSource.TIMEOUT)

    def execute_complete(
        self, context: Context, event: dict[str, Any], wait: dict[str, Any]
    ) -> dict[str, Any]:
        """
        Go on after a wake-up.

        :param event: a :class:`~airflow_provider_smartlive.callbacks.waiter.Wake`.
        :param wait: a :class:`~airflow_provider_smartlive.livestream.owner.Wait`.
        """
        from airflow_provider_smartlive.callbacks.waiter import Wake
        from airflow_provider_smartlive.livestream.own_task import OwnTask
        from airflow_provider_smartlive.livestream.owner import Wait
        from airflow_provider_smartlive.metastudio.ids import same_id

        owner = self._owner = self._make_owner(OwnTask(context, resumed=True), Wait.load(wait))
        wake = Wake.load(event)
        # An event of another job says nothing about ours; looking is always right.
        is_ours = same_id(wake.job_id, owner.wait.job_id)
        source = WakeSource(wake.source) if is_ours else WakeSource.RECONCILIATION
        try:
            return self._settle_or_wait(owner, source)
        except AirflowTaskTimeout:
            return self._settle_or_wait(owner, WakeSource.TIMEOUT)

    def on_kill(self) -> None:
        """Stop the job if the task was ended from outside; a process that only lost its task leaves it alone."""
        if self.cancel_on_kill:
            self._kill.pull(at_once=self._owner is not None)

    @cached_property
    def _hook(self) -> SmartLiveTaskHook:
        from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook

        return SmartLiveTaskHook(smartlive_conn_id=self.smartlive_conn_id)

    def _issue(self, task: OwnTask) -> IssuedRoute | None:
        from airflow_provider_smartlive.livestream.ownership import issue_route

        return issue_route(task.route, self._hook.profile()) if self.use_callbacks else None

    def _build_request(self, issued: IssuedRoute | None, schedule: Schedule) -> StartJobRequest:
        from airflow_provider_smartlive.livestream import request
        from airflow_provider_smartlive.livestream.channels import Channel

        channels = [Channel.from_connection(Connection.get(conn_id)) for conn_id in self.output_conn_ids]
        interaction = Connection.get(self.interaction_conn_id) if self.interaction_conn_id else None
        built = request.build(
            request.merge(self.request, {name: getattr(self, name) for name in request.ARGUMENTS}),
            channels=channels,
            interaction_callback_url=interaction.host if interaction else None,
            issued=issued,
            event_types=self.callback_event_types or request.EVENT_TYPES,
            max_live_duration=request.hours_to_live(
                schedule.longest(utcnow()), cap=settings.number("max_live_duration")
            ),
        )
        for warning in (warnings := built.warnings()):
            self.log.warning("The request: %s", warning)
        if warnings and self.warnings_as_errors:
            raise AirflowFailException(
                f"The request has warnings (warnings_as_errors): {'; '.join(warnings)}"
            )
        return built

    def _obtain(
        self, task: OwnTask, request: StartJobRequest, issued: IssuedRoute | None, schedule: Schedule
    ) -> Obtained:
        from airflow_provider_smartlive.livestream.start import JobStart

        return JobStart(
            self._hook,
            request=request,
            room_id=self.room_id,
            task=task,
            secrets=settings.callback_secrets() if issued else (),
            look_again_window=settings.number("look_again_window"),
            stop_grace=settings.number("stop_grace"),
            may_send=lambda: self._check_start(schedule),
            log=self.log,
            now=utcnow,
            sleep=self._kill.sleep,
        ).obtain()

    def _check_start(self, schedule: Schedule) -> None:
        if self._kill.pulled:
            raise SmartLiveKilledError("The task was told to end before its livestream was started.")
        schedule.check(utcnow())

    def _schedule(self, task: OwnTask) -> Schedule:
        from airflow_provider_smartlive.livestream.schedule import Schedule, moment

        return Schedule(
            due_at=task.due_at,
            is_backfill=task.is_backfill,
            start_window=self.start_window,
            allow_backfill=self.allow_backfill,
            stop_at=moment(self.stop_at),
            max_duration=self.max_duration,
            execution_timeout=self.execution_timeout,
        )

    def _first_wait(self, obtained: Obtained, request: StartJobRequest, schedule: Schedule) -> Wait:
        from airflow_provider_smartlive.livestream.owner import Wait

        response = obtained.response
        return Wait(
            job_id=obtained.job_id,
            room_id=self.room_id,
            expected_outputs=len(request.output_urls or ()),
            deadline=schedule.deadline(obtained.started_at),
            timeout_at=schedule.timeout_at(utcnow()),
            ended=obtained.ended,
            story={
                "origin": str(obtained.origin),
                "started_at": obtained.started_at.isoformat(),
                "request_id": response.request_id if response else None,
                "warnings": [str(warning.warning_type) for warning in response.live_warning_info]
                if response
                else [],
            },
        )

    def _make_owner(self, task: OwnTask, wait: Wait) -> Owner:
        from airflow_provider_smartlive.livestream.owner import Owner

        return Owner(
            self._hook,
            wait,
            task=task,
            end_grace=settings.number("end_grace") if self.end_grace is None else self.end_grace,
            stop_grace=settings.number("stop_grace"),
            stop_after_end=self.stop_after_end,
            failure_budget=settings.number("failure_budget"),
            disconnect_limit=self._disconnect_limit(),
            log=self.log,
            now=utcnow,
        )

    def _publish(self, owner: Owner) -> None:
        wait = owner.wait
        owner.task.publish(
            wait.job_id, wait.room_id, self._hook.profile().console_link(wait.room_id, wait.job_id)
        )
        self.log.info("Job %s in room %s: %s.", wait.job_id, wait.room_id, wait.story["origin"])

    def _judge_warnings(self, obtained: Obtained, owner: Owner) -> None:
        warnings = owner.wait.story["warnings"]
        for warning in warnings:
            self.log.warning("MetaStudio warns about this livestream: %s", warning)
        if warnings and self.warnings_as_errors:
            owner.discard("The livestream has warnings")
            raise AirflowFailException(f"Job {obtained.job_id} was stopped: MetaStudio warns of {warnings}.")

    def _go_on(self, owner: Owner, obtained: Obtained) -> dict[str, Any]:
        self._honour_kill()
        self._judge_warnings(obtained, owner)
        if not self.wait_for_termination:
            self._leave(owner)
            return owner.started()
        if obtained.response is None:
            # A job of an earlier try may have ended; its callbacks went with the XComs of that try.
            return self._settle_or_wait(owner, WakeSource.RECONCILIATION)
        if owner.has_ended():
            return self._settle_or_wait(owner, WakeSource.CALLBACK)
        return self._wait(owner)

    def _settle_or_wait(self, owner: Owner, source: WakeSource) -> dict[str, Any]:
        result = owner.settle(source)
        return self._wait(owner) if result is None else result

    def _wait(self, owner: Owner) -> dict[str, Any]:
        if self.deferrable:
            self._defer(owner)
        while (result := owner.settle(self._next_source(owner))) is None:
            pass
        return result

    def _leave(self, owner: Owner) -> None:
        if self.cancel_on_kill:
            owner.leave()

    def _defer(self, owner: Owner) -> NoReturn:
        from airflow_provider_smartlive.triggers import SmartLiveJobTrigger

        self._leave(owner)
        wait = owner.wait
        self.defer(
            trigger=SmartLiveJobTrigger(
                smartlive_conn_id=self.smartlive_conn_id,
                room_id=wait.room_id,
                job_id=wait.job_id,
                interval=self._interval(wait),
                deadline=wait.deadline,
                timeout_at=wait.timeout_at,
                grace_until=wait.grace_until,
                lost_since=wait.lost_since,
                expected_outputs=wait.expected_outputs,
                failure_budget=settings.number("failure_budget"),
                disconnect_limit=self._disconnect_limit(),
                silence_threshold=settings.number("silence_threshold") if self.use_callbacks else None,
                cancel_on_kill=self.cancel_on_kill,
            ),
            method_name="execute_complete",
            kwargs={"wait": wait.dump()},
            # Airflow's own deferral timeout would skip execute_complete and on_kill; the trigger keeps the
            # deadlines.
            timeout=None,
        )

    def _next_source(self, owner: Owner) -> WakeSource:
        """Wait on the worker for what would wake a deferred task."""
        ask_at = utcnow() + timedelta(seconds=max(self._interval(owner.wait), owner.pause))
        while True:
            self._honour_kill()
            moment = owner.wait.next_moment()
            if moment is not None and moment[0] <= utcnow():
                return moment[1]
            if owner.wait.grace_until is None and owner.has_ended():
                return WakeSource.CALLBACK
            if owner.is_interrupted_too_long():
                return WakeSource.DISCONNECTED
            if utcnow() >= ask_at:
                return WakeSource.RECONCILIATION
            self._kill.sleep(min(POLL_INTERVAL, self._interval(owner.wait)))

    def _disconnect_limit(self) -> float | None:
        limit = self.fail_on_disconnect_longer_than
        return limit.total_seconds() if limit is not None else None

    def _interval(self, wait: Wait) -> float:
        if wait.grace_until is not None:
            return ENDING_INTERVAL
        if self.reconcile_interval is not None:
            return self.reconcile_interval
        pushed = self.use_callbacks and wait.expected_outputs
        return settings.number("reconcile_interval" if pushed else "reconcile_interval_without_rtmp")

    @cached_property
    def _kill(self) -> KillSwitch:
        from airflow_provider_smartlive.livestream.kill import KillSwitch

        return KillSwitch(lambda understood: self._owner.honour_kill(understood) if self._owner else None)

    def _honour_kill(self) -> None:
        if self._kill.pulled:
            self._kill.honour()
            raise SmartLiveKilledError("The task was ended from outside.")
