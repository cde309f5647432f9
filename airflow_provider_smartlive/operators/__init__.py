"""Operators: start, talk to, stop, log and sweep livestreams, and fetch their records."""

from __future__ import annotations

from airflow_provider_smartlive.operators.as_run import SmartLiveAsRunOperator
from airflow_provider_smartlive.operators.command import SmartLiveCommandOperator
from airflow_provider_smartlive.operators.records import SmartLiveRecordsOperator
from airflow_provider_smartlive.operators.start import StartSmartLiveJobOperator
from airflow_provider_smartlive.operators.stop import StopSmartLiveJobOperator
from airflow_provider_smartlive.operators.sweep import SmartLiveSweepOperator

__all__ = [
    "SmartLiveAsRunOperator",
    "SmartLiveCommandOperator",
    "SmartLiveRecordsOperator",
    "SmartLiveSweepOperator",
    "StartSmartLiveJobOperator",
    "StopSmartLiveJobOperator",
]
