"""The link of a task to its room."""

from __future__ import annotations

import pytest
from airflow.sdk.types import TaskInstanceKey

from airflow_provider_smartlive.links import SmartLiveRoomLink
from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from tests.support.fake_airflow import DAG, RUN, TASK, FakeSupervisor

pytestmark = pytest.mark.usefixtures("in_virtual_time")


def link(supervisor: FakeSupervisor, **xcoms: object) -> str:
    supervisor.xcoms |= {(TASK, -1, key): value for key, value in xcoms.items()}
    operator = StartSmartLiveJobOperator(task_id=TASK, room_id="room")
    key = TaskInstanceKey(dag_id=DAG, task_id=TASK, run_id=RUN, try_number=1, map_index=-1)
    return operator.operator_extra_links[0].get_link(operator, ti_key=key)


def test_it_leads_where_the_task_has_said(supervisor: FakeSupervisor) -> None:
    address = "https://console.example.com/room"
    assert link(supervisor, smartlive_room_link=address) == address


def test_without_a_job_it_leads_nowhere(supervisor: FakeSupervisor) -> None:
    assert link(supervisor) == ""


def test_airflow_is_told_about_it() -> None:
    from airflow_provider_smartlive.provider_info import get_provider_info

    name = f"{SmartLiveRoomLink.__module__}.{SmartLiveRoomLink.__name__}"
    assert name in get_provider_info()["extra-links"]
