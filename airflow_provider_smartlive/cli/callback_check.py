"""``airflow smartlive send-test-event``: does a callback get through to this deployment? In words."""

from __future__ import annotations

from argparse import Namespace

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.cli.airflow_core import CommandHook
from airflow_provider_smartlive.cli.errors import command, fail
from airflow_provider_smartlive.cli.output import one_line, say
from airflow_provider_smartlive.livestream.callback_check import Diagnosis, explain, issue_for, send, shown
from airflow_provider_smartlive.receiver.store import find_task

__all__ = ["Diagnosis", "explain", "issue_for", "send", "send_test_event", "shown"]


@command
def send_test_event(args: Namespace) -> None:
    """Send a harmless event the way MetaStudio does; exits with 1 if it does not get through."""
    task_ref = TaskRef(args.dag_id, args.run_id, args.task_id, args.map_index)
    task = find_task(task_ref)
    max_tries = task.max_tries if task else None
    issued = issue_for(task_ref, CommandHook(args.conn_id).profile(), max_tries=max_tries)
    say(one_line(f"POST {shown(issued)}, signed by {issued.auth_type}"))
    diagnosis = send(issued, has_task=task is not None)
    if not diagnosis.works:
        fail(diagnosis.text)
    say(one_line(diagnosis.text))
