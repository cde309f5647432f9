"""The campaign of demo.yaml: three short shows, to see a campaign on one machine."""

from airflow_provider_smartlive.campaigns import load

dag = load(__file__)
