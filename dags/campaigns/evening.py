"""The campaign of evening.yaml, three rooms on weekdays. The DAG is made of that file."""

from airflow_provider_smartlive.campaigns import load

dag = load(__file__)
