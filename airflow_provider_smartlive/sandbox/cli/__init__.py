"""The command ``smartlive-sandbox``, also ``python -m airflow_provider_smartlive.sandbox.cli``."""

from __future__ import annotations

from airflow_provider_smartlive.sandbox.cli.command import main

__all__ = ["main"]
