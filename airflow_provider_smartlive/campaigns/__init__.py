"""
Campaigns: what goes live when, in a YAML file; and the task group of one livestream.

Beside ``evening.yaml`` stands ``evening.py``::

    from airflow_provider_smartlive.campaigns import load

    dag = load(__file__)
"""

from airflow_provider_smartlive.campaigns.build import build, load
from airflow_provider_smartlive.campaigns.group import Livestream, livestream
from airflow_provider_smartlive.campaigns.model import Campaign
from airflow_provider_smartlive.campaigns.problems import CampaignError

__all__ = ["Campaign", "CampaignError", "Livestream", "build", "livestream", "load"]
