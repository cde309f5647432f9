"""The job of a task: how the task came by it, and how the wait for its end begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_smartlive.livestream.wait_state import WaitState

if TYPE_CHECKING:
    from airflow_provider_smartlive.livestream.record import JobRecord
    from airflow_provider_smartlive.metastudio.jobs import StartJobResponse


class Origin(StrEnum):
    """How a task came by its job."""

    STARTED = "started"
    #: A job of an earlier try was still running.
    ADOPTED = "adopted"
    #: A job of an earlier try had ended while nobody waited.
    FINISHED = "finished"


@dataclass(frozen=True)
class AcquiredJob:
    """
    The job of a task.

    :param record: the record of this life, with the job.
    :param job_id: the job.
    :param started_at: when it was started.
    :param origin: how the task came by it.
    :param response: MetaStudio's answer, if this try started it.
    """

    record: JobRecord
    job_id: str
    started_at: datetime
    origin: Origin
    response: StartJobResponse | None = None

    @classmethod
    def remembered(cls, record: JobRecord | None) -> Self:
        """
        Return the job that a task remembers, for a process that was resumed and told nothing more of it.

        :raises AirflowFailException: if the task remembers none.
        """
        if record is None or record.job_id is None or record.started_at is None:
            raise AirflowFailException("This task was resumed, and its task state store knows of no job.")
        return cls(record, record.job_id, record.started_at, Origin.STARTED)

    def first_wait(self) -> WaitState:
        """Return how the wait for its end begins."""
        record, response = self.record, self.response
        warnings = response.live_warning_info if response else []
        return WaitState(
            smartlive_conn_id=record.smartlive_conn_id,
            room_id=record.room_id,
            job_id=self.job_id,
            expected_outputs=len(record.outputs),
            started_at=self.started_at,
            address=record.address,
            deadline=record.deadline,
            timeout_at=record.timeout_at,
            ended=record.ended,
            start_info={
                "origin": str(self.origin),
                "standby": record.standby,
                "started_at": self.started_at.isoformat(),
                "request_id": response.request_id if response else None,
                "warnings": [str(warning.warning_type) for warning in warnings],
            },
        )
