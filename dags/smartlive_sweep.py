"""The last backstop: stop the livestreams that a task of this deployment started and that no task wants any more."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_smartlive.operators import SmartLiveSweepOperator

with DAG(
    dag_id="smartlive_sweep",
    schedule=timedelta(minutes=30),
    catchup=False,
    max_active_runs=1,
    tags=["smartlive"],
    doc_md=__doc__,
) as dag:
    SmartLiveSweepOperator(task_id="sweep")
