"""What OpenLineage is told of a livestream. Imported only by its provider's listener, which brings ``openlineage``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs
from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import OutputDataset
from openlineage.client.facet_v2 import RunFacet

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


def lineage(labels: Iterable[str], told: Mapping[str, Any]) -> OperatorLineage:
    """
    Return the lineage of a livestream.

    :param labels: its outputs as they may be shown: scheme, host, and path without the last part, which may be a key.
    :param told: what is known of it: its result, or its room alone.
    """
    facet = SmartLiveRunFacet(**{name: told.get(name) for name in _TOLD})
    return OperatorLineage(
        outputs=[_dataset(label) for label in labels if "://" in label], run_facets={"smartlive": facet}
    )


def _dataset(label: str) -> OutputDataset:
    url = urlsplit(label)
    return OutputDataset(
        namespace=f"{url.scheme}://{url.netloc}", name=url.path.removesuffix("***").strip("/") or "/"
    )
