"""Operators: start a livestream and wait for its end; stop one; speak into one."""

from __future__ import annotations

from airflow_provider_smartlive.operators.start import StartSmartLiveJobOperator
from airflow_provider_smartlive.operators.stop import StopSmartLiveJobOperator

__all__ = ["StartSmartLiveJobOperator", "StopSmartLiveJobOperator"]
