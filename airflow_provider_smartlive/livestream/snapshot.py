"""What was seen of a job: MetaStudio's answer, or why there was none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from airflow_provider_smartlive.decisions import JobStatus
from airflow_provider_smartlive.metastudio.errors import (
    AuthenticationError,
    MetaStudioError,
    NotFound,
    UnexpectedResponse,
)

if TYPE_CHECKING:
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob

#: The states in which a job costs money, as the listing's filter takes them.
ACTIVE_STATES = "WAITING,PROCESSING"

#: Those of jobs that are over.
FINAL_STATES = "SUCCEED,FAILED,BLOCKED"

#: Seconds to leave MetaStudio alone after it refused the credentials: more than five bad signatures lock the
#: key for five minutes.
REFUSED_PAUSE = 310.0

_FINAL = {"SUCCEED": JobStatus.SUCCEED, "FAILED": JobStatus.FAILED, "BLOCKED": JobStatus.BLOCKED}


@dataclass(frozen=True)
class JobSnapshot:
    """
    One look at a job.

    :param sight: what the table of decisions is asked with.
    :param job: MetaStudio's answer, if there was one.
    :param error: why there was none.
    :param stopped: whether the job may have been told to stop before: then its end is our own doing.
    """

    status: JobStatus
    job: SmartLiveJob | None = None
    error: Exception | None = None
    stopped: bool = False

    @classmethod
    def of(cls, job: SmartLiveJob) -> JobSnapshot:
        """
        Return what a job's state means.

        A state that this version does not know counts as active; one that cannot be read is no answer.
        """
        if job.state is None:
            return cls(
                JobStatus.UNKNOWN, job, UnexpectedResponse(f"the state of job {job.job_id} cannot be read")
            )
        return cls(_FINAL.get(str(job.state), JobStatus.ACTIVE), job)

    @classmethod
    def failed(cls, error: MetaStudioError) -> JobSnapshot:
        """Return what an error means: not found is an answer, a refusal is final in time, the rest is not known."""
        if isinstance(error, NotFound):
            return cls(JobStatus.NOT_FOUND, error=error)
        if isinstance(error, AuthenticationError):
            return cls(JobStatus.REFUSED, error=error)
        return cls(JobStatus.UNKNOWN, error=error)

    def believed(self, *, may_lag: bool) -> Self:
        """
        Return what may be believed of it.

        :param may_lag: whether MetaStudio may not show the job yet, so that "not found" means "not known".
        """
        return (
            replace(self, status=JobStatus.UNKNOWN)
            if may_lag and self.status is JobStatus.NOT_FOUND
            else self
        )

    @property
    def is_clear(self) -> bool:
        """Whether MetaStudio has answered; that it does not know the job is an answer too."""
        return self.status not in (JobStatus.UNKNOWN, JobStatus.REFUSED, JobStatus.OTHER_PROJECT)

    @property
    def is_lost(self) -> bool:
        """
        Whether ``failure_budget`` counts: MetaStudio gives no answer, or refuses us.

        A connection that leads to another project ends no wait: callbacks come from where the job is.
        """
        return self.status in (JobStatus.UNKNOWN, JobStatus.REFUSED)

    @property
    def stream_seconds(self) -> float:
        """How long video was pushed, in seconds; 0 as long as MetaStudio does not say."""
        return (self.job.stream_duration or 0.0) if self.job is not None else 0.0

    @property
    def streamed(self) -> bool:
        """Whether MetaStudio says that video was pushed."""
        return self.stream_seconds > 0

    def __str__(self) -> str:
        """Return what MetaStudio said, for the log."""
        if self.job is not None and self.job.state is not None:
            return str(self.job.state)
        return f"{self.status} ({self.error})" if self.error is not None else str(self.status)
