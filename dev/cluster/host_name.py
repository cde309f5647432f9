"""What Airflow calls the host that a process runs on: all of them share the name of one machine here."""

from __future__ import annotations

import os

#: The environment variable with the name.
VARIABLE = "SMARTLIVE_CLUSTER_HOST"


def host_name() -> str:
    """Return the name of this process's host (``[core] hostname_callable``)."""
    return os.environ.get(VARIABLE, "harness")
