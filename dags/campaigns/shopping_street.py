"""The campaign of shopping_street.yaml: twenty rooms in one file."""

from airflow_provider_smartlive.campaigns import load

dag = load(__file__)
