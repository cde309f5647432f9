"""Write what a show was on the air: one row of the as-run log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.livestream import arguments
from airflow_provider_smartlive.livestream.airflow_api import ask
from airflow_provider_smartlive.livestream.job_operator import JobOperator
from airflow_provider_smartlive.metastudio.ids import JobRef

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_smartlive.livestream.as_run import AsRunRow
    from airflow_provider_smartlive.livestream.snapshot import JobSnapshot
    from airflow_provider_smartlive.livestream.starter import Starter, StarterStatus


class SmartLiveAsRunOperator(JobOperator):
    """
    Write one row of the as-run log about the livestream of a task, when that task is over.

    The row is the task's result, and is written as JSON Lines and as CSV below ``path``. The name of the file follows
    from the job, so a retry or a clear of this task writes the same one again: there is one for each livestream, and
    one for a show that was to have one and had none. A show that was not due (its starting task was skipped) has none.

    The asset events of its ``outlets`` hold the row.

    Give it the trigger rule ``all_done``, or make it a tear-down: shows that failed belong into the log as well.

    :class:`~airflow_provider_smartlive.livestream.job_operator.JobOperator` has the arguments that name the starting
    task.

    :param path: the folder of the log, as ``ObjectStoragePath`` takes it (``s3://aws_default@bucket/as-run``,
        ``file:///var/as-run``); default ``[smartlive] as_run_path``. Without either the row is only the result.
        Templated.
    :param campaign: the campaign; default: the DAG. Templated.
    :param show: the show; default: the starting task. Templated.
    :param timezone: the time zone of the ``..._local`` times, such as ``Asia/Shanghai``; default: the DAG's own.
    :param planned_start: when the show was to go live, as the operator takes ``stop_at``; default: the time of the run.
        Templated.
    :param check_before: how long after the time of the run that default is.
    """

    template_fields: Sequence[str] = (
        *JobOperator.template_fields,
        "path",
        "campaign",
        "show",
        "planned_start",
    )

    def __init__(
        self,
        *,
        path: str | None = None,
        campaign: str | None = None,
        show: str | None = None,
        timezone: str | None = None,
        planned_start: datetime | str | None = None,
        check_before: timedelta = timedelta(0),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.campaign = campaign
        self.show = show
        self.timezone = timezone
        self.planned_start = planned_start
        self.check_before = check_before

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Write the row.

        :return: the row.
        :raises AirflowSkipException: if the show was not due.
        :raises AirflowFailException: if an argument is wrong, or there is no such task.
        :raises AirflowException: if the starting task is not over yet.
        """
        from airflow_provider_smartlive.livestream import as_run_log
        from airflow_provider_smartlive.retries import failing_for_good

        with failing_for_good(unless=lambda: False):
            self.read_job_arguments()
            starter = self.find_starter(context)
            if starter is None:
                raise ValueError("Name the livestream by the task that starts it: pass starter_task_id.")
            path = self.path or settings.text("as_run_path")
            folder = as_run_log.open_folder(path) if path else None
            zone = self._zone(context)
            planned = arguments.time("planned_start", self.planned_start, zone=zone)
        status = ask(starter.status)
        self._check(starter, status, is_planned=planned is not None)
        row = self._row(context, starter, status, zone, planned)
        if folder is not None:
            name = as_run_log.write(folder, row)
            self.log.info("Written to %s below the folder of the as-run log.", name)
        if self.outlets:
            from airflow_provider_smartlive.livestream.asset_events import describe

            describe(context, self.outlets, row.dump(), room_id=row.room_id)
        return row.dump()

    def _check(self, starter: Starter, status: StarterStatus, *, is_planned: bool) -> None:
        if status.problem is not None:
            raise AirflowFailException(status.problem)
        if status.was_skipped and not is_planned:
            raise AirflowSkipException(f"The {starter} was skipped: the show was not due.")
        if not status.is_over:
            raise AirflowException(
                f"The {starter} is not over ({status}). Let this task come after it, with trigger_rule='all_done'."
            )

    def _zone(self, context: Context) -> ZoneInfo:
        dag: Any = context["dag"]
        given: Any = self.timezone or getattr(dag.timetable, "timezone", None) or dag.timezone
        # pendulum's zones have a name, those of the standard library a key, a fixed offset neither.
        name = str(given if isinstance(given, str) else getattr(given, "key", getattr(given, "name", "UTC")))
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            if self.timezone is None:
                return ZoneInfo("UTC")
            raise arguments.ArgumentError(
                "timezone", f"is {name!r}", "Pass a name such as Asia/Shanghai."
            ) from None

    def _row(
        self,
        context: Context,
        starter: Starter,
        status: StarterStatus,
        zone: ZoneInfo,
        planned: datetime | None,
    ) -> AsRunRow:
        from airflow_provider_smartlive.livestream.as_run import AsRunRow

        announced = ask(starter.announcement) or {}
        run: Any = context["dag_run"]
        end = announced.get("planned_end")
        return AsRunRow(
            campaign=self.campaign or starter.dag_id,
            show=self.show or starter.task_id,
            dag_id=starter.dag_id,
            run_id=starter.run_id,
            task_id=starter.task_id,
            map_index=starter.map_index,
            try_number=announced.get("try_number"),
            room_id=announced.get("room_id") or self.room_id,
            job_id=announced.get("job_id"),
            output=", ".join(announced.get("outputs") or ()) or None,
            timezone=zone.key,
            planned_start=planned or run.run_after + self.check_before,
            planned_end=datetime.fromisoformat(end) if end else None,
            **self._aired(context, starter, status, announced),
        )

    def _aired(
        self, context: Context, starter: Starter, status: StarterStatus, announced: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the part of the row that says when the livestream was on the air, and how it ended."""
        from airflow_provider_smartlive.livestream.as_run import JobTimes, OnAir, on_air

        result = ask(starter.result)
        if announced.get("job_id") is None:
            return {**OnAir()._asdict(), "outcome": f"not started; the task is {status}", "woken_by": None}
        callbacks = ask(partial(starter.callbacks, announced["job_id"]))
        if result is not None and "state" in result:
            times, outcome = JobTimes.of_result(result), str(result.get("outcome"))
        else:
            snapshot = self._look(context, announced)
            times, outcome = JobTimes.of(snapshot.job), f"{status}; MetaStudio says {snapshot}"
        return {
            **on_air(callbacks, times)._asdict(),
            "outcome": outcome,
            "woken_by": result.get("woken_by") if result else None,
        }

    def _look(self, context: Context, announced: dict[str, Any]) -> JobSnapshot:
        """
        Ask MetaStudio about the job, where it was started.

        :raises AirflowException: if it does not answer, and a retry may get an answer.
        """
        from airflow_provider_smartlive.livestream.stop import look

        found = look(
            self.hook, JobRef(announced["room_id"], announced["job_id"]), address=announced.get("address")
        )
        ti = context["ti"]
        if not found.is_clear and ti.try_number <= ti.max_tries:
            raise AirflowException(f"Job {announced['job_id']}: MetaStudio gives no clear answer ({found}).")
        return found
