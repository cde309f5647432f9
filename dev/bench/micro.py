"""What is measured inside one process: applying events, signing, and imports."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from airflow_provider_smartlive.callbacks.apply import apply_event, event_digest
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.metastudio.events import CallbackEvent
from airflow_provider_smartlive.metastudio.signing import Credentials, sign
from dev.bench.figures import median
from dev.bench.load import body_of

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
EARLY, LATE = 10, 10_000

ACCESS_KEY, SECRET_KEY = "FAKEACCESSKEY", "fake-secret-key"
HOST = "metastudio.cn-north-4.myhuaweicloud.com"
PATH = (
    "/v1/0123456789abcdef0123456789abcdef/smart-live-rooms/24bad71687b145e588126102f7693265/smart-live-jobs"
)

#: Calls of one kind in a row: the first one after another kind pays for cold caches, which says nothing of either.
TURN = 20

#: A line of ``-X importtime`` for a module that was not imported by another one: own and cumulative time.
_IMPORT = re.compile(r"^import time:\s*\d+ \|\s*(\d+) \| \S+$", re.MULTILINE)

#: Parts what is measured from what was imported before.
_MARK = "--- from here on"


def measure_apply(samples: int) -> dict[str, Any]:
    """Return the microseconds of an early and a late event of one job, and the table's size in bytes."""
    table, tables = CallbackTable(), {}
    for number in range(1, LATE + 1):
        if number in (EARLY, LATE):
            tables[number] = table
        table = _taking(number)(table)
    applies = [partial(_taking(number), before) for number, before in tables.items()]
    whole = [partial(_take_dumped, _taking(number), before.dump()) for number, before in tables.items()]
    return {
        "apply": _times(*applies, samples=samples),
        "load, apply, dump": _times(*whole, samples=samples),
        "bytes": len(json.dumps(table.dump())),
    }


def _taking(number: int) -> Callable[[CallbackTable], CallbackTable]:
    """Return what applies one event, which is parsed already."""
    at, body = AT + timedelta(seconds=number), body_of(number)
    event, digest = CallbackEvent.parse(body), event_digest(at, body)

    def take(table: CallbackTable) -> CallbackTable:
        key = b"a fake key of thirty-two bytes.."
        return apply_event(
            table, event, at=at, fingerprint_key=key, signed_at=at, digest=digest, current_job="b" * 32
        )[0]

    return take


def _take_dumped(take: Callable[[CallbackTable], CallbackTable], value: dict[str, Any]) -> None:
    take(CallbackTable.load(value)).dump()


def _times(*calls: Callable[[], object], samples: int) -> list[float]:
    """Return the median microseconds of each call, measured in turns of some calls each."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(samples // TURN):
        for call, seconds in zip(calls, times, strict=True):
            began = time.perf_counter()
            for _ in range(TURN):
                call()
            seconds.append((time.perf_counter() - began) / TURN)
    return [median(seconds) * 1e6 for seconds in times]


def measure_signing(samples: int) -> dict[str, float]:
    """Return how many start requests a second we sign, and how many Huawei's SDK."""
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkcore.sdk_request import SdkRequest
    from huaweicloudsdkcore.signer.signer import Signer

    body = json.dumps({"video_config": {"codec": "H264", "width": 1080, "height": 1920}}).encode()
    headers = {"Content-Type": "application/json"}
    credentials = Credentials(ACCESS_KEY, SECRET_KEY)
    theirs = BasicCredentials(ACCESS_KEY, SECRET_KEY, "fake-project")

    def ours() -> None:
        sign("POST", f"https://{HOST}{PATH}", headers, body, credentials=credentials, now=datetime.now(UTC))

    def sdk() -> None:
        request = SdkRequest(
            method="POST",
            schema="https",
            host=HOST,
            resource_path=PATH,
            query_params=[],
            header_params=dict(headers),
            body=body.decode(),
        )
        Signer(theirs).sign(request)

    own, other = (1e6 / micro for micro in _times(ours, sdk, samples=samples))
    return {"ours": own, "sdk": other}


def measure_imports(starts: int) -> dict[str, Any]:
    """Return the milliseconds of imports, beyond what a DAG file (or a worker) has imported already."""
    dag_file = "from airflow.sdk import DAG, BaseOperator, BaseSensorOperator"
    worker = "from airflow.sdk.plugins_manager import AirflowPlugin"
    wanted = {
        "operators": (dag_file, "airflow_provider_smartlive.operators"),
        "http operator": (dag_file, "airflow.providers.http.operators.http"),
        "plugin": (worker, "airflow_provider_smartlive.plugin"),
    }
    times: dict[str, list[float]] = {name: [] for name in wanted}
    for _ in range(starts):
        for name, (before, module) in wanted.items():
            times[name].append(_import_milliseconds(before, module))
    return {name: median(values) for name, values in times.items()}


def _import_milliseconds(before: str, module: str) -> float:
    program = f"import sys\n{before}\nprint({_MARK!r}, file=sys.stderr, flush=True)\nimport {module}"
    argv = [sys.executable, "-X", "importtime", "-c", program]
    # Compiled once, as an installed package is.
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    measured = done.stderr.rpartition(_MARK)[2]
    return sum(map(int, _IMPORT.findall(measured))) / 1000
