"""
Puts DAGs and livestreams into Airflow's database, as the scheduler, workers and the receiver would have done.

Runs in Airflow's environment: ``python -m tests.board.seeding FILE``. The file holds ``dags`` and ``livestreams``,
as :mod:`tests.board.scenes` makes them. What was there before stays.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.dag_processing.collection import update_dag_parsing_results_in_db
from airflow.models import xcom
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.session import create_session
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from airflow_provider_smartlive.operators import StartSmartLiveJobOperator

BUNDLE = "seeded"

#: Airflow 3.4 has a row for every try, which its XComs and rendered fields belong to.
has_attempts = hasattr(xcom, "XComModelV2")
XCom: Any = xcom.XComModelV2 if has_attempts else xcom.XComModel
INDEX = "region_index" if has_attempts else "map_index"


def at(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def seed(order: dict[str, Any]) -> None:
    """Put everything of the order into the database."""
    with create_session() as session:
        if order.get("forget"):
            # In Core, so that every try goes; XComs and rendered fields go with them.
            for model in (TaskInstance, DagRun):
                session.execute(delete(model.__table__))
        if session.get(DagBundleModel, BUNDLE) is None:
            session.add(DagBundleModel(name=BUNDLE))
            session.flush()
        for dag in order["dags"]:
            _dag(session, dag)
        session.flush()
        _livestreams(session, order["livestreams"])


def _dag(session: Session, dag: dict[str, Any]) -> None:
    """Store a DAG as the DAG processor does, with one mapped task that starts livestreams."""
    dag_id, name = dag["dag_id"], dag.get("display_name") or dag["dag_id"]
    with DAG(dag_id=dag_id, dag_display_name=name, schedule=None, tags=["smartlive"]) as made:
        StartSmartLiveJobOperator.partial(task_id="go_live").expand(room_id=["a", "b"])
    lazy = [LazyDeserializedDAG.from_dag(made)]
    update_dag_parsing_results_in_db(BUNDLE, None, lazy, {}, None, set(), session)
    session.execute(
        update(DagModel)
        .where(DagModel.dag_id == dag_id)
        .values(
            is_paused=False, next_dagrun=at(dag.get("next")), next_dagrun_create_after=at(dag.get("next"))
        )
    )


def _livestreams(session: Session, livestreams: list[dict[str, Any]]) -> None:
    runs = {(live["dag_id"], live["run_id"]): live for live in livestreams}
    known = {(run.dag_id, run.run_id) for run in session.scalars(select(DagRun))}
    for (dag_id, run_id), live in runs.items():
        if (dag_id, run_id) in known:
            continue
        session.execute(
            insert(DagRun).values(
                dag_id=dag_id,
                run_id=run_id,
                run_type="scheduled",
                run_after=at(live["run_after"]),
                state="running",
            )
        )
    run_keys = {(run.dag_id, run.run_id): run.id for run in session.scalars(select(DagRun))}
    versions = {row.dag_id: row.id for row in session.scalars(select(DagVersion))}
    for live in livestreams:
        session.execute(
            insert(TaskInstance.__table__).values(
                dag_id=live["dag_id"],
                run_id=live["run_id"],
                task_id=live["task_id"],
                **{INDEX: live["map_index"]},
                state=live["state"],
                max_tries=live.get("max_tries", 2),
                try_number=live.get("try_number", 1),
                pool="default_pool",
                operator=live.get("operator", "StartSmartLiveJobOperator"),
                custom_operator_name=live.get("operator", "StartSmartLiveJobOperator"),
                start_date=at(live.get("start")),
                end_date=at(live.get("end")),
                queue="default",
                task_display_name=live["task_id"],
                rendered_map_index=live.get("label"),
                dag_version_id=versions[live["dag_id"]],
            )
        )
        names = {name: live[name] for name in ("dag_id", "run_id", "task_id", "map_index")}
        run = {"dag_run_id": run_keys[live["dag_id"], live["run_id"]]}
        if has_attempts:
            names, run = {"task_instance_id": session.scalar(select(TaskInstance.id).filter_by(**names))}, {}
        for key, (value, when) in live.get("xcoms", {}).items():
            session.execute(insert(XCom).values(**names, **run, key=key, value=value, timestamp=at(when)))
        rendered = {"rendered_fields": live.get("rendered", {}), "k8s_pod_yaml": None}
        session.execute(insert(RenderedTaskInstanceFields).values(**names, **rendered))


if __name__ == "__main__":
    seed(json.loads(Path(sys.argv[1]).read_text()))
