"""What belongs together travels as one value: room and job as a JobRef, a task instance as a TaskRef."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import airflow_provider_smartlive

PACKAGE = Path(airflow_provider_smartlive.__file__).parent

#: Functions that take room and job apart, each with its reason.
ROOM_AND_JOB_APART = {
    "livestream/job_operator.py JobOperator.__init__": "arguments of a DAG: each may be left out",
    "livestream/teardown.py Teardown.stop_named": "those arguments: the room may not be known",
    "reconciler/registry.py watching": "the room may not be known yet",
    "triggers/stream.py SmartLiveStreamTrigger.__init__": "stored as texts; the room may not be known yet",
    "sandbox/model/ledger.py Ledger.add": "an entry may be about a room, about a job, or about neither",
    "sandbox/model/ledger.py Ledger.read": "filters: each may be left out",
    "sandbox/model/store.py StateStore.append": "as Ledger.add",
    "sandbox/model/store.py StateStore.entries": "as Ledger.read",
}

#: Functions that take the parts of a task instance's name apart, each with its reason.
TASK_APART = {
    "livestream/starter.py Starter.named": "arguments of a DAG: what is left out is that of the naming task",
}

ROOM_AND_JOB = {"room_id", "job_id"}
TASK = {"dag_id", "run_id", "task_id"}


def taking(names: set[str], text: str) -> Iterator[str]:
    """Yield the qualified names of the functions that have all these parameters."""
    yield from _taking(names, ast.parse(text), "")


def _taking(names: set[str], node: ast.AST, within: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        inner = within
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            inner = f"{within}.{child.name}".lstrip(".")
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            parameters = child.args.posonlyargs + child.args.args + child.args.kwonlyargs
            if names <= {parameter.arg for parameter in parameters}:
                yield inner
        yield from _taking(names, child, inner)


@pytest.mark.parametrize(("names", "apart"), [(ROOM_AND_JOB, ROOM_AND_JOB_APART), (TASK, TASK_APART)])
def test_no_function_takes_the_parts_of_a_ref(names: set[str], apart: dict[str, str]) -> None:
    found = {
        f"{path.relative_to(PACKAGE).as_posix()} {function}"
        for path in PACKAGE.rglob("*.py")
        for function in taking(names, path.read_text(encoding="utf-8"))
    }
    assert found - set(apart) == set(), "pass a JobRef (metastudio.ids) or a TaskRef (callbacks.task_ref)"
    assert set(apart) - found == set(), "the list names a function that is gone"


def test_methods_and_lambdas_would_be_seen() -> None:
    text = "class A:\n    async def f(self, room_id, *, job_id): ...\ng = lambda job_id, room_id: 0\ndef h(room_id): 0"
    assert list(taking(ROOM_AND_JOB, text)) == ["A.f", ""]
