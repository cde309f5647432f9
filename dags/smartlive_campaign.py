"""The campaign of smartlive_campaign.yaml: several rooms go live together. Add a show there, and it has one more."""

from airflow_provider_smartlive.campaigns import load

dag = load(__file__)
