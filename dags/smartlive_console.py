"""A DAG that runs when a livestream has ended that somebody started in Huawei's console, or by another program."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_smartlive.triggers import SmartLiveEventTrigger

BY_HAND = Asset(
    "smartlive://console/over",
    watchers=[AssetWatcher(name="over", trigger=SmartLiveEventTrigger(event="ended"))],
)

with DAG(dag_id="smartlive_after_console", schedule=[BY_HAND], tags=["smartlive"], doc_md=__doc__):

    @task
    def report(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
        """Say what became of each livestream: several may have ended since the last run."""
        ended = [event.extra["payload"] for event in triggering_asset_events[BY_HAND]]
        for livestream in ended:
            print(f"{livestream['job_id']} in room {livestream['room_id']}: {livestream['state']}")
        return ended

    report()
