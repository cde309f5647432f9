"""Write the as-run row of a show into the log, when its starting task is over."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.livestream import arguments, as_run_log, storage
from airflow_provider_smartlive.livestream.airflow_api import ask
from airflow_provider_smartlive.livestream.as_run import AsRunRow, JobTimes, OnAir, on_air
from airflow_provider_smartlive.livestream.asset_events import describe
from airflow_provider_smartlive.livestream.snapshot import JobSnapshot
from airflow_provider_smartlive.livestream.starter import Starter, StarterStatus
from airflow_provider_smartlive.livestream.stop import look
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.retries import failing_for_good

if TYPE_CHECKING:
    from airflow.sdk import Context


class AsRunWriter:
    """
    Writes the row of one show.

    :param operator: the :class:`~airflow_provider_smartlive.operators.as_run.SmartLiveAsRunOperator`.
    :param context: the context of its task.
    """

    def __init__(self, operator: Any, context: Context) -> None:
        self.operator = operator
        self.context = context

    def write(self) -> dict[str, Any]:
        """
        Write the row.

        :return: the row.
        :raises AirflowSkipException: if the show was not due.
        :raises AirflowFailException: if an argument is wrong, or there is no such task.
        :raises AirflowException: if the starting task is not over yet.
        """
        with failing_for_good(unless=lambda: False):
            self.operator.read_job_arguments()
            starter = self.operator.find_starter(self.context)
            if starter is None:
                raise ValueError("Name the livestream by the task that starts it: pass starter_task_id.")
            path = self.operator.path or settings.text("as_run_path")
            folder = storage.open_folder(path, called=as_run_log.CALLED) if path else None
            zone = self._zone()
            planned = arguments.time("planned_start", self.operator.planned_start, zone=zone)
        status = self.operator.status_when_over(starter)
        if status.was_skipped and planned is None:
            raise AirflowSkipException(f"The {starter} was skipped: the show was not due.")
        row = self._row(starter, status, zone, planned)
        if folder is not None:
            name = as_run_log.write(folder, row)
            self.operator.log.info("Written to %s below the folder of the as-run log.", name)
        if self.operator.outlets:
            describe(self.context, self.operator.outlets, row.dump(), room_id=row.room_id)
        return row.dump()

    def _zone(self) -> ZoneInfo:
        dag: Any = self.context["dag"]
        given: Any = self.operator.timezone or getattr(dag.timetable, "timezone", None) or dag.timezone
        # pendulum's zones have a name, those of the standard library a key, a fixed offset neither.
        name = str(given if isinstance(given, str) else getattr(given, "key", getattr(given, "name", "UTC")))
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            if self.operator.timezone is None:
                return ZoneInfo("UTC")
            raise arguments.ArgumentError(
                "timezone", f"is {name!r}", "Pass a name such as Asia/Shanghai."
            ) from None

    def _row(
        self,
        starter: Starter,
        status: StarterStatus,
        zone: ZoneInfo,
        planned: datetime | None,
    ) -> AsRunRow:
        announced = ask(starter.announcement) or {}
        run: Any = self.context["dag_run"]
        end = announced.get("planned_end")
        return AsRunRow(
            campaign=self.operator.campaign or starter.dag_id,
            show=self.operator.show or starter.task_id,
            dag_id=starter.dag_id,
            run_id=starter.run_id,
            task_id=starter.task_id,
            map_index=starter.map_index,
            try_number=announced.get("try_number"),
            room_id=announced.get("room_id") or self.operator.room_id,
            job_id=announced.get("job_id"),
            output=", ".join(announced.get("outputs") or ()) or None,
            timezone=zone.key,
            planned_start=planned or run.run_after + self.operator.check_before,
            planned_end=datetime.fromisoformat(end) if end else None,
            **self._aired(starter, status, announced),
        )

    def _aired(self, starter: Starter, status: StarterStatus, announced: dict[str, Any]) -> dict[str, Any]:
        """Return the part of the row that says when the livestream was on the air, and how it ended."""
        result = ask(starter.result)
        if announced.get("job_id") is None:
            return {**OnAir()._asdict(), "outcome": f"not started; the task is {status}", "woken_by": None}
        callbacks = ask(partial(starter.callbacks, announced["job_id"]))
        if result is not None and "state" in result:
            times, outcome = JobTimes.of_result(result), str(result.get("outcome"))
        else:
            snapshot = self._look(announced)
            times, outcome = JobTimes.of(snapshot.job), f"{status}; MetaStudio says {snapshot}"
        return {
            **on_air(callbacks, times)._asdict(),
            "outcome": outcome,
            "woken_by": result.get("woken_by") if result else None,
        }

    def _look(self, announced: dict[str, Any]) -> JobSnapshot:
        """
        Ask MetaStudio about the job, where it was started.

        :raises AirflowException: if it does not answer, and a retry may get an answer.
        """
        found = look(
            self.operator.hook,
            JobRef(announced["room_id"], announced["job_id"]),
            address=announced.get("address"),
        )
        ti = self.context["ti"]
        if not found.is_clear and ti.try_number <= ti.max_tries:
            raise AirflowException(f"Job {announced['job_id']}: MetaStudio gives no clear answer ({found}).")
        return found
