"""Links from a task to MetaStudio's console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink
from airflow.sdk.bases.xcom import BaseXCom

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class SmartLiveRoomLink(BaseOperatorLink):
    """The room in MetaStudio's console; the task writes the address when it has a job."""

    name = "MetaStudio room"
    xcom_key = "smartlive_room_link"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address, or nothing while there is no job."""
        names = {name: getattr(ti_key, name) for name in ("dag_id", "run_id", "task_id", "map_index")}
        return BaseXCom.get_one(key=self.xcom_key, **names) or ""
