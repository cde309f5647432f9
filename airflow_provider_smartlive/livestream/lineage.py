"""What OpenLineage is told of a livestream. Imported only by that provider's listener."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs
from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import OutputDataset
from openlineage.client.facet_v2 import RunFacet

from airflow_provider_smartlive.livestream import arguments, request

#: What is told of a result, as the run facet ``smartlive``.
_TOLD = (
    "job_id",
    "room_id",
    "state",
    "outcome",
    "woken_by",
    "origin",
    "started_at",
    "end_time",
    "stream_duration",
)


@attrs.define
class SmartLiveRunFacet(RunFacet):  # type: ignore[misc]  # openlineage is an optional dependency
    """The job and the room of a run. No field is a secret."""

    room_id: str | None = None
    job_id: str | None = None
    state: str | None = None
    outcome: str | None = None
    woken_by: str | None = None
    origin: str | None = None
    started_at: str | None = None
    end_time: str | None = None
    stream_duration: float | None = None

    @staticmethod
    def _get_schema() -> str:
        return "https://github.com/airflow-provider-smartlive/airflow-provider-smartlive#SmartLiveRunFacet"


def lineage(output_conn_ids: object, told: Mapping[str, Any]) -> OperatorLineage:
    """
    Return the lineage of a livestream.

    :param output_conn_ids: this argument of its task. Outputs that cannot be read are left out: the task itself says
        what is wrong with them.
    :param told: what is known of it: its result, or its room alone.
    """
    try:
        rtmp_outputs = request.rtmp_outputs(arguments.conn_ids("output_conn_ids", output_conn_ids))
    except ValueError:
        rtmp_outputs = []
    facet = SmartLiveRunFacet(**{name: told.get(name) for name in _TOLD})
    return OperatorLineage(
        outputs=[_dataset(output.label) for output in rtmp_outputs if "://" in output.label],
        run_facets={"smartlive": facet},
    )


def _dataset(label: str) -> OutputDataset:
    # As outputs may be shown: scheme, host, and path without the last part, which may be a key.
    url = urlsplit(label)
    return OutputDataset(
        namespace=f"{url.scheme}://{url.netloc}", name=url.path.removesuffix("***").strip("/") or "/"
    )
