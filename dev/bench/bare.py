"""The bare endpoint: what a receiver in the API server can do at best. It takes the store's own statements."""

from __future__ import annotations

from airflow.sdk.timezone import utcnow
from airflow.utils.session import create_session  # noqa: TID251 - the benchmark's own receiver
from fastapi import FastAPI, HTTPException

from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.receiver import statements

#: As large as the callback table of a livestream that flaps.
VALUE = {"text": "x" * 2000}


def create_app() -> FastAPI:
    """Return the app."""
    app = FastAPI()

    @app.post("/{run_id}/{map_index}")
    def take(run_id: str, map_index: int) -> dict[str, str]:
        task_ref = TaskRef("bench_events", run_id, "wait", map_index)
        with create_session(scoped=False) as session:
            task = statements.lock(session, task_ref)
            if task is None:
                raise HTTPException(404)
            statements.save(session, task, task_ref, "bench", VALUE, utcnow())
        return {"result": "stored"}

    return app
