"""Runs the schedule: one thread for each run of a round."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx

from dev.airflow_api import AirflowApi, patiently
from dev.faults.count import LATE_BOUND, SENSOR, STARTER, RunResult, duplicates
from dev.faults.injections import Without
from dev.faults.records import Job
from dev.faults.schedule import PLANNED_SECONDS, Point, Run, Target
from dev.faults.stack import FaultStack
from dev.process import ProgramError

#: Seconds until a run must have come to its point, and from there to its end.
POINT_PATIENCE = 240.0
END_PATIENCE = 240.0

#: Seconds that an endless show goes on after its run was hit; a job of a new life goes on for this long, too.
ENCORE = 4.0

#: Seconds that the old life's job of a cleared task gets to be stopped, before its show is over anyway.
OLD_LIFE = 30.0

#: Seconds within which a kill has stopped its job, if anybody heard of it; ``on_kill`` of a trigger has 30.
KILL_BOUND = 35.0

#: Seconds for which the triggerer stands still.
FROZEN = 60.0

#: Seconds for which the row of a task instance is locked, and after which the neighbour's stream ends: by then every
#: attempt to call END back has come, each of which could keep a thread of the receiver.
LOCKED = 28.0
NEIGHBOUR_ENDS = 21.0

#: Seconds until the neighbour's stream is up, too.
NEIGHBOUR_PATIENCE = 30.0

#: Seconds for which MetaStudio drips after its first such answer; one that began to drip goes on for longer than
#: anybody waits here.
DRIPPING = 10.0

#: Seconds until Airflow has noticed that a DAG file is gone.
NOTICE = 20.0

#: Seconds until a retry has come so far as its run has to see: to its wait, or to its failure.
RETRY_PATIENCE = 120.0

#: Seconds until a start that waits for its answer has run into ``execution_timeout``.
START_PATIENCE = 60.0

#: Seconds between two looks at a run; there are up to ten at a time.
LOOK = 1.5

_FINISHED = ("success", "failed", "skipped")

#: "gone": a task that is no part of the run any more.
_OVER = (*_FINISHED, "gone")


@dataclass
class FinishedRun:
    """
    A run that was played, before its records are read.

    :param is_hit: whether its case was hit.
    :param is_over: whether its tasks are over; else nobody waits for it any more.
    :param at: when that was, by :func:`time.monotonic`.
    """

    run: Run
    is_hit: bool = False
    is_over: bool = False
    at: float = field(default_factory=time.monotonic)


class Runner:
    """
    Runs rounds.

    :param stack: the stack.
    :param tell: is called with what happens, a line each time.
    :param without: what is taken away from the provider (negative controls), by the id of a DAG run or of a room.
    :param end_patience: seconds from the point of a run to its end, by the number of the run; else
        :data:`END_PATIENCE`.
    """

    def __init__(
        self,
        stack: FaultStack,
        tell: Callable[[str], None],
        *,
        without: Mapping[str, Sequence[Without]] | None = None,
        end_patience: Mapping[int, float] | None = None,
    ) -> None:
        self.stack = stack
        self._end_patience = end_patience or {}
        self._tell = tell
        self._without = without or {}
        self._given_up = threading.Event()

    def run_round(self, runs: Sequence[Run]) -> list[RunResult]:
        """Run some livestreams together and return what became of them."""
        self.stack.injections.take_away(self._without)
        with ThreadPoolExecutor(len(runs)) as threads:
            try:
                finished = list(threads.map(self._run_one, runs))
            except BaseException:  # such as Ctrl-C: do not wait for what will never be counted
                self._given_up.set()
                raise
        swept = self._wait_for_stops(finished)
        results = [self._run_result(each, swept) for each in finished]
        self.stack.tidy_up()
        return results

    def _run_one(self, run: Run) -> FinishedRun:
        act = _Act(self.stack, run, self._given_up)
        try:
            is_hit = act.run_to_its_point()
            is_over = act.wait_for_its_end(self._end_patience.get(run.number, END_PATIENCE))
            return FinishedRun(run, is_hit, is_over)
        except (ProgramError, httpx.HTTPError) as error:
            self._tell(f"#{run.number}: the harness failed: {error}")
            return FinishedRun(run)
        finally:
            self.stack.injections.release(run.run_id)
            self.stack.injections.thaw(run.run_id)
            act.api.close()

    def _wait_for_stops(self, finished: Sequence[FinishedRun]) -> tuple[str, ...]:
        """Give every kill its time, from the end of its run on; then the backstop comes."""
        over = [each for each in finished if each.is_over]
        while any(time.monotonic() < each.at + KILL_BOUND and self._running(each.run) for each in over):
            time.sleep(LOOK)
        left = [job for each in finished for job in self._running(each.run)]
        if not left or self._without:
            return ()
        self._tell(f"  sweep: {len(left)} job(s) run on; {self.stack.sweep().strip().splitlines()[-1:]}")
        still = {job.job_id for each in finished for job in self._running(each.run)}
        return tuple(job.job_id for job in left if job.job_id not in still)

    def _running(self, run: Run) -> list[Job]:
        return [job for job in self.stack.jobs(run) if job.is_active]

    def _run_result(self, finished: FinishedRun, swept: tuple[str, ...]) -> RunResult:
        run, api = finished.run, self.stack.airflow.api
        tasks = patiently(lambda: _tasks(api, run))
        result = patiently(lambda: api.xcom(run.dag_id, run.run_id, STARTER, "return_value"))
        jobs = self.stack.jobs(run)
        swept = tuple(job.job_id for job in jobs if job.job_id in swept)
        is_locked = run.case.target is Target.LOCKED_ROW
        unanswered = self.stack.records.unanswered(run.other_room_id) if is_locked else ()
        return RunResult(run, finished.is_hit, tasks, result, jobs, swept, tuple(unanswered))


class _Act:
    """One run on the stack."""

    def __init__(self, stack: FaultStack, run: Run, given_up: threading.Event) -> None:
        self.stack = stack
        self.run = run
        self._given_up = given_up
        self.api = AirflowApi(stack.airflow.base_url)

    def run_to_its_point(self) -> bool:
        """Run to the point of the case; tell whether it was hit."""
        run = self.run
        self.stack.set_up(run)
        if injection := self._injection():
            self.stack.injections.give(run.run_id, run.case.point, injection)
        patiently(self._trigger)
        self._wait_until(lambda: self._is_there() or self._is_finished(), POINT_PATIENCE)
        return self._is_there() and self._hit()

    def wait_for_its_end(self, patience: float) -> bool:
        """
        Wait until the tasks are over, or a promise is broken that no more time would mend; tell whether they are over.

        :param patience: seconds.
        """
        self._wait_until(lambda: bool(duplicates(self._jobs())) or self._is_over(), patience)
        return self._is_over()

    def _injection(self) -> Any:
        target, point = self.run.case.target, self.run.case.point
        if target in (Target.TASK, Target.WORKER):
            return target.value
        if target in (Target.FROZEN_WORKER, Target.STANDBY_FROZEN):
            return "freeze"
        if target in (Target.MOVED, Target.EDITED, Target.STANDBY):
            return Target.TASK.value
        if target is Target.THROTTLED:
            return Target.WORKER.value
        return None if point is Point.STREAMING else "hold"

    def _trigger(self) -> None:
        run = self.run
        try:
            rooms = {"room_id": run.room_id, "other_room_id": run.other_room_id}
            self.api.trigger_dag(run.dag_id, run_id=run.run_id, conf=rooms)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.CONFLICT:  # sent before, its answer was lost
                raise

    def _is_there(self) -> bool:
        if self._injection():
            return self.stack.injections.is_obeyed(self.run.run_id)
        if self._state() != "deferred":
            return False
        return any(job.is_active and job.connected_at for job in self._jobs())

    def _is_finished(self) -> bool:
        """Whether the task is over although its point was not reached: what hit another run was in the way."""
        return self._state() in _FINISHED

    def _hit(self) -> bool:
        """Do what the case says, and tell whether it came in time; a task's process has killed itself already."""
        target, in_time = self.run.case.target, True
        if target is Target.FROZEN_TRIGGERER:
            with self.stack.hands:
                self.stack.change_triggerer(FROZEN)
        elif target.is_shared:
            with self.stack.hands:
                self._strike(target)
        elif target.is_user and target is not Target.TIMEOUT:
            patiently(self._use)
            time.sleep(self.run.hold_seconds)
        elif target.is_planned_stop:
            in_time = self._keep_workers_away()
        elif target is Target.START_TIMEOUT:
            in_time = self._wait_until(self._is_finished, START_PATIENCE)
        elif target is Target.LOCKED_ROW:
            in_time = self._lock_row()
        elif target is Target.DRIP:
            in_time = self.stack.drip(DRIPPING)
        elif target is Target.EDITED:
            with self.stack.edited_connection():
                in_time = self._wait_until(lambda: self._try_number() > 2, RETRY_PATIENCE)
        elif target in (Target.FROZEN_WORKER, Target.STANDBY_FROZEN):
            in_time = self._wait_until(self._has_retried, RETRY_PATIENCE)
            self.stack.injections.thaw(self.run.run_id)
        elif target is Target.THROTTLED:
            # So that the job still runs when the retry looks for it.
            in_time = self._wait_until(
                lambda: self._try_number() > 1 and self._state() == "deferred", RETRY_PATIENCE
            )
        self.stack.injections.release(self.run.run_id)
        return in_time

    def _has_retried(self) -> bool:
        """Whether a second try waits for a job that is on the air."""
        if self._try_number() < 2 or self._state() != "deferred":
            return False
        return any(job.is_active and job.connected_at for job in self._jobs())

    def _keep_workers_away(self) -> bool:
        """Let the planned stop come while no worker can run the task; tell whether that was so before it came."""
        run = self.run
        with self.stack.without_workers(run):
            self._wait_until(lambda: self.stack.is_without_workers(run), NOTICE)
            in_time = any(job.is_active for job in self._jobs())
            if run.case.target is Target.MARKED_RESUMED:
                in_time &= self._wait_until(lambda: self._state() == "scheduled", self._seconds_until_late())
                patiently(self._use)
            self._wait_until(
                lambda: not any(job.is_active for job in self._jobs()), self._seconds_until_late()
            )
        return in_time

    def _seconds_until_late(self) -> float:
        """Return how many seconds are left in which the planned stop may come, and one in which it is late."""
        began = min(job.accepted_at for job in self._jobs())
        return PLANNED_SECONDS + LATE_BOUND + 1 - (datetime.now(UTC) - began).total_seconds()

    def _lock_row(self) -> bool:
        """Let END come while the task instance's row is locked, and then the END of another task's stream."""
        records, sandbox, run = self.stack.records, self.stack.sandbox, self.run
        self._wait_until(
            lambda: any(job.connected_at for job in records.jobs(run.other_room_id)), NEIGHBOUR_PATIENCE
        )
        neighbours = records.jobs(run.other_room_id)
        with self.stack.locked_row(run.dag_id, run.run_id, STARTER, LOCKED):
            for job in self._jobs():
                sandbox.finish(job.job_id)
            self._given_up.wait(NEIGHBOUR_ENDS)
            for job in neighbours:
                sandbox.finish(job.job_id)
        return any(job.connected_at for job in neighbours)

    def _strike(self, target: Target) -> None:
        self.stack.kill(target)
        if target is Target.ORPHAN:
            patiently(self._use)
            time.sleep(5)  # for the row of the trigger to be removed
        else:
            self.stack.injections.release(self.run.run_id)
        time.sleep(self.run.down_seconds)
        self.stack.revive(target)

    def _use(self) -> None:
        """Do what a user does."""
        run, api = self.run, self.api
        match run.case.target:
            case Target.MARK_FAILED | Target.ORPHAN | Target.MARKED_RESUMED:
                api.mark(run.dag_id, run.run_id, STARTER, "failed")
            case Target.MARK_SUCCESS:
                api.mark(run.dag_id, run.run_id, STARTER, "success")
            case Target.CLEAR | Target.CLEAR_MOVED | Target.STANDBY_CLEARED:
                api.clear(run.dag_id, run.run_id, [STARTER])
            case Target.FAIL_RUN:
                api.mark_dag_run(run.dag_id, run.run_id, "failed")
            case Target.DELETE:  # Airflow deletes no run that goes on
                api.mark_dag_run(run.dag_id, run.run_id, "failed")
                api.delete_dag_run(run.dag_id, run.run_id)
            case Target.TRIGGERED_AGAIN:
                api.mark_dag_run(run.dag_id, run.run_id, "failed")
                api.delete_dag_run(run.dag_id, run.run_id)
                self._trigger()

    def _is_over(self) -> bool:
        self._end_show()
        tasks = patiently(lambda: _tasks(self.api, self.run))
        states = {name: task["state"] for name, task in tasks.items()}
        starter, sensor = states.get(STARTER, "gone"), states.get(SENSOR, "gone")
        target = self.run.case.target
        if starter == "failed" or (target.is_user and not target.begins_anew):
            return starter in _OVER  # a sensor waits on for the job of a starter that may be cleared
        return starter in _OVER and sensor in _OVER

    def _end_show(self) -> None:
        """Let an endless show be over some time after its run was hit."""
        run, now = self.run, datetime.now(UTC)
        if run.ends_by_itself or run.case.target.is_stop:
            return
        for number, job in enumerate(self._jobs()):
            old_life = run.case.target.begins_anew and number == 0
            if old_life and run.case.target is not Target.CLEAR:
                continue  # nobody can adopt it: it has to be stopped
            if job.is_active and job.connected_at:
                age = now - (job.accepted_at if old_life else job.connected_at)
                if age > timedelta(seconds=OLD_LIFE if old_life else ENCORE):
                    patiently(partial(self.stack.sandbox.finish, job.job_id))

    def _state(self) -> str | None:
        task = patiently(lambda: _tasks(self.api, self.run)).get(STARTER, {})
        return task.get("state")

    def _try_number(self) -> int:
        task = patiently(lambda: _tasks(self.api, self.run)).get(STARTER, {})
        return int(task.get("try_number", 0))

    def _jobs(self) -> list[Job]:
        return patiently(lambda: self.stack.jobs(self.run))

    def _wait_until(self, condition: Callable[[], bool], patience: float) -> bool:
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline or self._given_up.wait(LOOK):
                return False
        return True


def _tasks(api: AirflowApi, run: Run) -> dict[str, dict[str, Any]]:
    """Return the task instances of a run; none if the run is gone."""
    answer = api.request("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return {}
    return {task["task_id"]: task for task in answer.raise_for_status().json()["task_instances"]}
