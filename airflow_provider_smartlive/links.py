"""Links from a task to MetaStudio's console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class SmartLiveRoomLink(BaseOperatorLink):
    """The room in MetaStudio's console; the task writes the address when it has a job."""

    name = "MetaStudio room"
    xcom_key = "smartlive_room_link"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address, or nothing while there is no job."""
        return XCom.get_value(ti_key=ti_key, key=self.xcom_key) or ""
