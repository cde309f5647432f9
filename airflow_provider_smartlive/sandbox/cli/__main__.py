"""``python -m airflow_provider_smartlive.sandbox.cli``."""

from __future__ import annotations

import sys

from airflow_provider_smartlive.sandbox.cli.command import main

if __name__ == "__main__":
    sys.exit(main())
