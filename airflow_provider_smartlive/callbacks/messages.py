"""Messages between tasks and the receiver: XCom keys, registrations of waiting tasks, resume events."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.metastudio.ids import normalise_id

#: XCom of the starting task that holds the callback table (see the module ``table``).
XCOM_TABLE_KEY = "smartlive_callbacks"

#: XCom of the starting task that holds the id of its job, pushed before the task waits.
JOB_ID_KEY = "job_id"

#: XCom of the starting task that holds the room of its job.
ROOM_ID_KEY = "room_id"

#: XCom of the starting task that says what it has started, for people and pages.
JOB_KEY = "smartlive_job"

#: Source of the resume events that come from the receiver.
CALLBACK = "callback"

_WAITER_KEY_PREFIX = "smartlive_waiter/"
_REFRESH_KEY_PREFIX = "smartlive_refresh/"
_STOP_KEY_PREFIX = "smartlive_stop/"
_END_KEY_PREFIX = "smartlive_end/"

#: Where the triggers of this provider are.
_TRIGGERS = "airflow_provider_smartlive.triggers."


def waiter_key(job_id: str) -> str:
    """
    Return the XCom key under which a task registers as a waiter for a job.

    Airflow indexes XCom keys, so the receiver finds the waiters of a job by one indexed look-up, in all DAGs.
    """
    return f"{_WAITER_KEY_PREFIX}{normalise_id(job_id)}"


def starter_waiter_key(starter: TaskRef) -> str:
    """
    Return the XCom key under which a task registers as a waiter for whatever job another task starts.

    That task may not have a job yet. Hashed, as the names may together be longer than an XCom's key.
    """
    names = json.dumps([starter.dag_id, starter.run_id, starter.task_id, starter.map_index])
    return f"{_WAITER_KEY_PREFIX}{hashlib.sha256(names.encode()).hexdigest()}"


def refresh_key(job_id: str) -> str:
    """Return the XCom key under which a task says that it exchanges the outputs of a job."""
    return f"{_REFRESH_KEY_PREFIX}{normalise_id(job_id)}"


def stop_key(source: str, job_id: str) -> str:
    """
    Return the XCom key under which the trigger of a task notes why it stops the job, before it does.

    The END that follows may resume the task before the trigger does. All that the note says stands in the key: if the
    resumed process dies, a retry is told which XComs Airflow has deleted, not what they held.

    :param source: What is due (a :class:`~airflow_provider_smartlive.decisions.WakeSource`).
    """
    return f"{_STOP_KEY_PREFIX}{source}/{normalise_id(job_id)}"


def read_stop_key(key: str) -> tuple[str, str] | None:
    """Return the source and the job id of a :func:`stop_key`; None for any other key."""
    source, slash, job_id = key.removeprefix(_STOP_KEY_PREFIX).partition("/")
    return (source, job_id) if key.startswith(_STOP_KEY_PREFIX) and slash else None


def end_key(job_id: str) -> str:
    """
    Return the XCom key under which the receiver notes that END of a job was complete, beside the callback table.

    A try that begins later finds no table, but is told of the key, as of a :func:`stop_key`.
    """
    return f"{_END_KEY_PREFIX}{normalise_id(job_id)}"


def read_end_key(key: str) -> str | None:
    """Return the job id of an :func:`end_key`; None for any other key."""
    return key.removeprefix(_END_KEY_PREFIX) if key.startswith(_END_KEY_PREFIX) else None


def is_ours(classpath: str) -> bool:
    """Tell by its trigger whether a deferred task is one of this provider's."""
    return classpath.startswith(_TRIGGERS)


class _Versioned(BaseModel):
    """A versioned value that crosses processes as JSON. Fields of a later version are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1

    @classmethod
    def load(cls, value: object) -> Self:
        """
        Read what :meth:`dump` wrote.

        :raises ValueError: if the value is something else, or of a version that this release does not know.
        """
        return cls.model_validate(value)

    def dump(self) -> dict[str, Any]:
        """Return the value as JSON-able primitives."""
        return self.model_dump(mode="json")


class WaiterRegistration(_Versioned):
    """
    The registration of a waiting task, kept in an XCom of that task itself.

    :param job_id: The job that the task waits for; None for whatever job its starter has.
    :param target_state: The stream state that it waits for, or the mark of a reply
        (:func:`~airflow_provider_smartlive.callbacks.table.reply_mark`).
    :param needs_worker: Whether the task has to be resumed on a worker. Otherwise the receiver ends it on the
        spot, which skips asset events, listeners and the task log.
    """

    job_id: str | None = None
    target_state: str
    needs_worker: bool = False


class OutputRefresh(_Versioned):
    """
    Says that a task exchanges the outputs of a job (REFRESH_OUTPUT_URL), kept in an XCom of that task itself.

    :param sending: Tells one sending of the command from the next one; the same in every try that goes on with it.
    :param refused: Whether MetaStudio has refused the command, so that the outputs are what they were.
    """

    sending: str
    refused: bool = False


class ResumeEvent(_Versioned):
    """
    The payload of every event that resumes one of our tasks, from the receiver and from our triggers.

    :param source: What woke the task: :data:`CALLBACK`, or the reason that its trigger gives.
    :param job_id: The job that the wake-up is about; a task compares it with its own before it believes it.
    :param state: The stream state that was reached, if the wake-up is about one.
    :param stopped: Whether the trigger has stopped the job, and MetaStudio has confirmed it: then the end that the
        task finds is our own doing.
    :param confirmed: Whether MetaStudio itself has said so when it was asked.
    :param at: When the event that woke the task was accepted, or the job was asked.
    """

    source: str
    job_id: str
    state: str | None = None
    stopped: bool = False
    confirmed: bool = False
    at: AwareDatetime


def is_fresh(deferred_at: datetime, now: datetime, delay: float) -> bool:
    """
    Tell whether a task deferred so recently that the receiver leaves it to its own trigger.

    Airflow may still be handling the exit of the worker that deferred it, and a resume in between fails the task
    (upstream issues 67287, 72716). To end a task at once, without a worker, is safe at any time.

    :param delay: ``[smartlive] resume_delay``, in seconds.
    """
    return now - deferred_at < timedelta(seconds=delay)
