"""What OpenLineage is told of a livestream. Its provider is an extra: where it is not installed, stand-ins count."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import attrs
import pytest

from airflow_provider_smartlive import livestream
from airflow_provider_smartlive.exceptions import SmartLiveJobFailedError
from airflow_provider_smartlive.metastudio.errors import QuotaExceeded
from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from tests.support.fake_callbacks import STREAM_KEY
from tests.support.simulation import StartSimulation


@attrs.define
class Lineage:
    inputs: list[Any] = attrs.Factory(list)
    outputs: list[Any] = attrs.Factory(list)
    run_facets: dict[str, Any] = attrs.Factory(dict)
    job_facets: dict[str, Any] = attrs.Factory(dict)


@attrs.define
class Dataset:
    namespace: str
    name: str


@attrs.define
class Facet:
    pass


STANDINS: dict[str, dict[str, Any]] = {
    "airflow.providers.openlineage": {},
    "airflow.providers.openlineage.extractors": {"OperatorLineage": Lineage},
    "openlineage": {},
    "openlineage.client": {},
    "openlineage.client.event_v2": {"OutputDataset": Dataset},
    "openlineage.client.facet_v2": {"RunFacet": Facet},
}


@pytest.fixture(autouse=True)
def _openlineage(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if find_spec("openlineage") is None:
        for name, attributes in STANDINS.items():
            module = ModuleType(name)
            vars(module).update(attributes)
            monkeypatch.setitem(sys.modules, name, module)
    yield
    # It was made of the stand-ins: whoever imports it next gets another one, from the package, too.
    if sys.modules.pop("airflow_provider_smartlive.livestream.lineage", None) is not None:
        del livestream.lineage


def facet(lineage: Any) -> dict[str, Any]:
    told = attrs.asdict(lineage.run_facets["smartlive"])
    return {name: value for name, value in told.items() if value is not None and not name.startswith("_")}


def test_the_outputs_and_the_room_at_the_start(connections: None) -> None:
    operator = StartSmartLiveJobOperator(task_id="go_live", room_id="shoes", output_conn_ids=["rtmp_main"])
    lineage = operator.get_openlineage_facets_on_start()
    assert [(output.namespace, output.name) for output in lineage.outputs] == [
        ("rtmp://push.example.com", "live")
    ]
    assert facet(lineage) == {"room_id": "shoes"}
    assert STREAM_KEY not in str(lineage)


def test_the_job_at_the_end(deferred: StartSimulation) -> None:
    deferred.at(600, deferred.ends(stream_duration=590))
    result = deferred.go_live()
    lineage = deferred.process.get_openlineage_facets_on_complete(None)
    told = facet(lineage)
    assert told == {name: result[name] for name in told}
    assert (told["job_id"], told["outcome"], told["stream_duration"]) == (
        deferred.job.job_id,
        "the job succeeded; END was not seen",
        590,
    )
    assert len(lineage.outputs) == 1
    assert STREAM_KEY not in str(lineage)


def test_the_job_of_a_failure(deferred: StartSimulation) -> None:
    deferred.at(600, deferred.ends("FAILED"))
    with pytest.raises(SmartLiveJobFailedError):
        deferred.go_live()
    lineage = deferred.process.get_openlineage_facets_on_failure(None)
    assert facet(lineage).items() >= {"job_id": deferred.job.job_id, "outcome": "failed"}.items()


def test_an_output_that_is_wrong_keeps_nobody_from_telling_the_rest() -> None:
    operator = StartSmartLiveJobOperator(task_id="go_live", room_id="shoes", output_conn_ids=["no_such"])
    lineage = operator.get_openlineage_facets_on_failure(None)
    assert (lineage.outputs, facet(lineage)) == ([], {"room_id": "shoes", "outcome": "failed"})


@pytest.mark.parametrize("state", ["SUCCEED", "FAILED"])
def test_a_standby_is_told_with_its_own_room_and_output(
    deferred: StartSimulation, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    output = (
        '{"conn_type": "rtmp", "host": "rtmp://other.example.com/show", "password": "fake-stream-key-0002"}'
    )
    monkeypatch.setenv("AIRFLOW_CONN_RTMP_OTHER", output)
    deferred.metastudio.start_outcomes = [
        QuotaExceeded("at the limit", http_status=400, error_code="MSS.20010056")
    ]
    deferred.at(600, deferred.ends(state))
    with contextlib.suppress(SmartLiveJobFailedError):
        deferred.go_live(standby_room_id="shoes-2", standby_output_conn_ids="rtmp_other")
    operator = deferred.process
    told_of = {
        "SUCCEED": operator.get_openlineage_facets_on_complete,
        "FAILED": operator.get_openlineage_facets_on_failure,
    }
    lineage = told_of[state](None)
    assert facet(lineage)["room_id"] == "shoes-2"
    assert [output.namespace for output in lineage.outputs] == ["rtmp://other.example.com"]
