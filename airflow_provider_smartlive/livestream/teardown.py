"""Stop the jobs that a task names, by id or by the task that started them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.client.project import OtherProjectError
from airflow_provider_smartlive.decisions import JobStatus
from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError
from airflow_provider_smartlive.livestream.airflow_api import ask
from airflow_provider_smartlive.livestream.job_operator import JobOperator
from airflow_provider_smartlive.livestream.ownership import active_jobs_of, callback_url_of, target_of
from airflow_provider_smartlive.livestream.snapshot import ACTIVE_STATES, JobSnapshot
from airflow_provider_smartlive.livestream.stop import LOOK_AGAIN_INTERVAL, stop_and_confirm
from airflow_provider_smartlive.metastudio.errors import MetaStudioError
from airflow_provider_smartlive.metastudio.ids import JobRef, normalise_id, same_id
from airflow_provider_smartlive.retries import failing_for_good

if TYPE_CHECKING:
    from airflow.sdk import Context
    from structlog.typing import FilteringBoundLogger as Logger

    from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
    from airflow_provider_smartlive.livestream.starter import Starter, StarterStatus
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob


def tear_down(operator: JobOperator, context: Context, *, grace: float | None) -> list[str]:
    """
    Stop the jobs that a task names.

    :param operator: the task.
    :param context: its context.
    :param grace: seconds that each job gets to end; None: ``[smartlive] stop_grace``.
    :return: the ids of the jobs that are over now.
    :raises AirflowFailException: if an argument is wrong, or the task, its run or the job is not there.
    :raises SmartLiveJobFailedError: if something may still run.
    """
    with failing_for_good(unless=lambda: False):
        operator.read_job_arguments()
        starters = _starters(operator, context)
        teardown = Teardown(
            operator.hook,
            grace=settings.number("stop_grace") if grace is None else grace,
            look_again_window=settings.number("look_again_window"),
            secrets=settings.callback_secrets(),
            deployment=settings.deployment(),
            log=operator.log,
        )
    with failing_for_good(unless=lambda: teardown.leaves_running):
        if starters:
            teardown.stop_started(starters, room_id=operator.room_id)
        if operator.job_id is not None:
            teardown.stop_named(operator.job_id, operator.room_id)
    return teardown.finish()


def _starters(operator: JobOperator, context: Context) -> dict[Starter, StarterStatus]:
    """Return the task instances whose jobs are to be stopped, and how they stand."""
    starter = operator.find_starter(context)
    if starter is None:
        return {}
    found = ask(starter.instances)
    for status in found.values():
        if status.problem is not None:
            raise ValueError(status.problem)
        if status.run_is_missing:
            raise ValueError(
                f"The {starter} is not there: there is no such run. Pass another starter_run_id."
            )
    return found


class Teardown:
    """
    Stops jobs, and knows whether that was all.

    :param hook: the hook.
    :param grace: seconds that each job gets to end.
    :param look_again_window: seconds for which MetaStudio may not show a job yet.
    :param secrets: ``[smartlive] callback_secrets``, by which the jobs of a starter are recognised.
    :param deployment: the mark of this deployment.
    """

    def __init__(
        self,
        hook: SmartLiveTaskHook,
        *,
        grace: float,
        look_again_window: float,
        secrets: tuple[str, ...],
        deployment: str,
        log: Logger,
    ) -> None:
        self.hook = hook
        self.grace = grace
        self.look_again_window = look_again_window
        self.secrets = secrets
        self.deployment = deployment
        self.log = log
        #: Jobs that were dealt with, by their normalised id; and what is said of those that still run.
        self._jobs: dict[str, str] = {}
        self._running: list[str] = []
        #: Starters whose report could not be read.
        self._unread: set[Starter] = set()

    def stop_named(self, job_id: str, room_id: str | None) -> None:
        """
        Stop a job that is named by its id, unless it was stopped already as the job of a starter.

        :param room_id: its room, if it is known. It need not be right: an active job is stopped where it is.
        :raises AirflowFailException: if there is no such job. Something else may run that was meant.
        """
        if normalise_id(job_id) in self._jobs:
            return
        if room_id is None:
            job = next((job for job in self._active_jobs() if same_id(job.job_id, job_id)), None)
            if job is None or job.room_id is None:
                raise AirflowFailException(
                    f"Job {job_id} is not among the active jobs, and room_id is missing, in which it could be looked "
                    "for: pass room_id beside job_id, or name starter_task_id."
                )
            room_id = job.room_id
        if self._stop(JobRef(room_id, job_id)).status is JobStatus.NOT_FOUND:
            raise AirflowFailException(
                f"MetaStudio knows no job {job_id}, neither in room {room_id} nor among the active jobs of other "
                "rooms: nothing was stopped. Pass the ids that MetaStudio's console shows, or name starter_task_id."
            )

    def stop_started(self, starters: Mapping[Starter, StarterStatus], *, room_id: str | None = None) -> None:
        """
        Stop what task instances have reported, and what runs in their name in whatever room.

        :param starters: the task instances, and how they stand.
        :param room_id: a room in which no job may be left that could be theirs.
        :raises SmartLiveJobFailedError: if it cannot be told that there is no such job, now or later.
        """
        without_job: set[Starter] = set()
        for starter in starters:
            job_ref, address = self._reported(starter)
            if job_ref is None:
                without_job.add(starter)
            elif normalise_id(job_ref.job_id) not in self._jobs:
                self._stop(job_ref, address=address)
        # A start leaves a job some time before the task can report it, and MetaStudio may show it later still.
        # Any state may be a mark on a task that ran before.
        may_have_lost = {starter for starter in without_job if starters[starter].is_over}
        until = time.monotonic() + (self.look_again_window if may_have_lost else 0.0)
        while True:
            active = self._active_jobs()
            found = self._stop_running(starters, active)
            without_job -= found
            may_have_lost -= found
            if not may_have_lost or time.monotonic() >= until:
                break
            time.sleep(LOOK_AGAIN_INTERVAL)
        if may_have_lost:
            self._check_unrecognised(may_have_lost, active, room_id)
        without_job -= self._check_other_deployments(without_job, active)
        without_job -= self._check_other_projects(without_job)
        for starter in sorted(without_job, key=str):
            if starter in self._unread:
                self._running.append(f"Airflow does not say which job the {starter} has reported")
            elif not starters[starter].is_over:
                self._running.append(f"the {starter} is {starters[starter]}, and may still start a job")
            else:
                self.log.info("The %s has started no job: nothing to stop.", starter)

    @property
    def leaves_running(self) -> bool:
        """Whether a job that was to be stopped may still run."""
        return bool(self._running)

    def finish(self) -> list[str]:
        """
        Return the ids of the jobs that are over now.

        :raises SmartLiveJobFailedError: if something may still run.
        """
        if self._running:
            raise SmartLiveJobFailedError(
                f"Not everything is over after {self.grace:.0f} s: {'; '.join(self._running)}."
            )
        return list(self._jobs.values())

    def _reported(self, starter: Starter) -> tuple[JobRef | None, str | None]:
        """
        Return the job that a starter reported, and where it was started.

        Nothing if Airflow does not say: its callback URL tells, too.
        """
        try:
            job_id = ask(starter.job_id, sleep=time.sleep)
            room_id = ask(starter.room_id, sleep=time.sleep)
            address = ask(lambda: starter.address(job_id), sleep=time.sleep) if job_id else None
        except AirflowRuntimeError as error:
            self._unread.add(starter)
            self.log.warning("Which job the %s has reported cannot be read: %s", starter, error)
            return None, None
        return (JobRef(room_id, job_id) if room_id and job_id else None), address

    def _stop_running(self, starters: Iterable[Starter], active: Iterable[SmartLiveJob]) -> set[Starter]:
        """Stop the jobs that carry the callback URL of a starter, and return the starters that have one."""
        by_task_ref = {starter.task_ref: starter for starter in starters}
        found: set[Starter] = set()
        jobs = active_jobs_of(by_task_ref.keys(), active, secrets=self.secrets, deployment=self.deployment)
        for job in jobs:
            target = target_of(job, self.secrets)
            if target is not None:
                found.add(by_task_ref[target.task_ref])
            if job.room_id is not None and normalise_id(job.job_id) not in self._jobs:
                self._stop(JobRef(job.room_id, job.job_id))
        return found

    def _check_other_deployments(
        self, starters: Iterable[Starter], active: Iterable[SmartLiveJob]
    ) -> set[Starter]:
        """Do not call it a success if a starter's job may be one of before this deployment got another mark."""
        by_task_ref = {starter.task_ref: starter for starter in starters}
        found: set[Starter] = set()
        for job in active:
            target = target_of(job, self.secrets)
            if target is None or target.task_ref not in by_task_ref or target.deployment == self.deployment:
                continue
            self._running.append(
                f"job {job.job_id} in room {job.room_id} was started by the {by_task_ref[target.task_ref]}, but of "
                f"deployment {target.deployment!r}, and this is {self.deployment!r}: if it is the same, set "
                "[smartlive] deployment to a name that stays, and stop the job by job_id and room_id"
            )
            found.add(by_task_ref[target.task_ref])
        return found

    def _check_other_projects(self, starters: Iterable[Starter]) -> set[Starter]:
        """Do not call it a success if the start of a job that was never reported was sent to another project."""
        found: set[Starter] = set()
        for starter in set(starters) - self._unread:
            try:
                address = ask(starter.sent_to, sleep=time.sleep)
            except AirflowRuntimeError as error:
                self._unread.add(starter)
                self.log.warning("Where the %s has sent its start cannot be read: %s", starter, error)
                continue
            profile = self.hook.profile()
            if address in (None, profile.base_url):
                continue
            self._running.append(
                f"the {starter} has reported no job, and has sent its start to {address}, while connection "
                f"{profile.conn_id!r} leads to {profile.base_url} now: its job may run there. Set host, region and "
                "project_id back until it is over"
            )
            found.add(starter)
        return found

    def _check_unrecognised(
        self, starters: Iterable[Starter], active: Iterable[SmartLiveJob], room_id: str | None
    ) -> None:
        """Do not call it a success if a job without any callback URL runs that may be the one which was started."""
        nameless = [
            job.job_id
            for job in active
            if callback_url_of(job) is None and normalise_id(job.job_id) not in self._jobs
        ]
        if not nameless:
            return
        if room_id is None:
            self.log.warning(
                "Active jobs carry no callback URL (%s). Those that a task without callbacks has started and could not "
                "report are not recognised: pass room_id to have that checked.",
                ", ".join(nameless),
            )
            return
        here = [job.job_id for job in active if job.job_id in nameless and job.room_id == room_id]
        if here:
            names = ", ".join(f"the {starter}" for starter in sorted(starters, key=str))
            self._running.append(
                f"{', '.join(here)} in room {room_id}, which may be what {names} started without callbacks"
            )

    def _stop(self, job_ref: JobRef, *, address: str | None = None) -> JobSnapshot:
        self._jobs[normalise_id(job_ref.job_id)] = job_ref.job_id
        try:
            snapshot = stop_and_confirm(
                self.hook,
                job_ref,
                address=address,
                grace=self.grace,
                lag=self.look_again_window,
            )
        except OtherProjectError as error:
            self._running.append(str(error).removesuffix("."))
            return JobSnapshot(JobStatus.OTHER_PROJECT, error=error)
        except MetaStudioError as error:
            # One job whose stop is refused saves no other.
            self.log.error("Job %s could not be stopped: %s", job_ref.job_id, error)
            snapshot = JobSnapshot.failed(error)
        if not snapshot.status.is_over:
            self._running.append(f"{job_ref} is still running (MetaStudio says {snapshot})")
        return snapshot

    def _active_jobs(self) -> list[SmartLiveJob]:
        return list(self.hook.list_jobs(state=ACTIVE_STATES))
