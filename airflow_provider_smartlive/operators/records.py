"""Fetch what MetaStudio has recorded of a livestream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_smartlive.livestream.job_operator import JobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Bytes of the largest record that is fetched, if nothing else is said.
LARGEST_RECORD = 256 * 1024 * 1024


class SmartLiveRecordsOperator(JobOperator):
    """
    Fetch the records of a livestream that is over: what was said, asked and commanded, and how it was set up.

    MetaStudio keeps each as a file behind a URL by which anybody can read it. The files are copied into the folder
    ``room=<room>/job=<job>`` below ``path``, beside a list of them with their sizes and SHA-256 checksums
    (``records.json``), which is the task's result, too. The URLs are in no log, XCom or exception.

    A retry, or a clear, fetches only what is not there with the checksum of the list, and goes on with a file of
    which a part has arrived.

    Give it the trigger rule ``all_done``, or make it a tear-down: livestreams that failed have records as well.

    :class:`~airflow_provider_smartlive.livestream.job_operator.JobOperator` has the arguments that name the job or the
    starting task.

    :param path: the folder, as ``ObjectStoragePath`` takes it (``s3://aws_default@bucket/records``,
        ``file:///var/records``). Templated.
    :param max_bytes: the largest file that is fetched, in bytes (256 MiB). A larger one fails the task; the others are
        fetched.
    """

    template_fields: Sequence[str] = (*JobOperator.template_fields, "path")

    def __init__(self, *, path: str, max_bytes: int = LARGEST_RECORD, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.max_bytes = max_bytes

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Fetch the records.

        :return: ``job_id``, ``room_id``, ``folder``, and ``records`` with file, size and checksum of each.
        :raises AirflowSkipException: if there was no livestream.
        :raises AirflowFailException: if an argument is wrong, or no retry can fetch a record.
        :raises AirflowException: if a retry may fetch what is missing.
        """
        from airflow_provider_smartlive.livestream.records_fetcher import RecordsFetcher

        return RecordsFetcher(self, context).fetch()
