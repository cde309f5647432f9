"""Fetch MetaStudio's records of a livestream into a folder."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.client.download import Downloader, DownloadError
from airflow_provider_smartlive.livestream import storage
from airflow_provider_smartlive.livestream.airflow_api import ask
from airflow_provider_smartlive.livestream.records_folder import RecordsFolder, StoredRecord
from airflow_provider_smartlive.livestream.stop import look
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.metastudio.jobs import JobLog, SmartLiveJob
from airflow_provider_smartlive.retries import failing_for_good

if TYPE_CHECKING:
    from airflow.sdk import Context

#: The records, with the fields in which MetaStudio says where they are.
FIELDS: Mapping[str, str] = {field.removesuffix("_url"): field for field in JobLog.model_fields}


class RecordsFetcher:
    """
    Fetches the records of one livestream.

    :param operator: the :class:`~airflow_provider_smartlive.operators.records.SmartLiveRecordsOperator`.
    :param context: the context of its task.
    :param sleep: waits between two requests, in seconds.
    """

    def __init__(
        self,
        operator: Any,
        context: Context,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.operator = operator
        self.context = context
        self._sleep = sleep

    def fetch(self) -> dict[str, Any]:
        """
        Fetch what is not there yet.

        :return: which records there are: file, size and checksum of each.
        :raises AirflowSkipException: if there was no livestream.
        :raises AirflowFailException: if an argument is wrong, or no retry can fetch a record.
        :raises AirflowException: if a retry may fetch what is missing.
        """
        with failing_for_good(unless=lambda: False):
            self.operator.read_job_arguments()
            if not self.operator.max_bytes > 0:
                raise ValueError(f"max_bytes is {self.operator.max_bytes}. Pass a number above 0.")
            folder = storage.open_folder(str(self.operator.path), called="path")
        job_ref, address = self._find_job()
        urls = _urls(self._look(job_ref, address))
        if not urls and self._may_retry:
            raise AirflowException(f"MetaStudio names no records of {job_ref} yet.")
        if not urls:
            self.operator.log.warning("MetaStudio names no records of %s.", job_ref)
        of_job = RecordsFolder(folder, job_ref)
        stored = self._fetch_all(of_job, urls)
        return {
            **asdict(job_ref),
            "folder": of_job.name,
            "records": {name: asdict(record) for name, record in stored.items()},
        }

    @property
    def _may_retry(self) -> bool:
        ti = self.context["ti"]
        return bool(ti.try_number <= ti.max_tries)

    def _find_job(self) -> tuple[JobRef, str | None]:
        """Return the job, and where it was started, if that is known."""
        starter = self.operator.find_starter(self.context)
        if starter is None:
            if self.operator.room_id is None:
                raise AirflowFailException("Name the room of the job: pass room_id, or starter_task_id.")
            return JobRef(self.operator.room_id, self.operator.job_id), None
        self.operator.status_when_over(starter)
        announced = ask(starter.announcement) or {}
        if announced.get("job_id") is None:
            raise AirflowSkipException(f"The {starter} has started no livestream: there are no records.")
        return JobRef(announced["room_id"], announced["job_id"]), announced.get("address")

    def _look(self, job_ref: JobRef, address: str | None) -> SmartLiveJob:
        """Ask MetaStudio for the job, and so for new URLs of its records."""
        found = look(self.operator.hook, job_ref, address=address)
        if found.job is not None and found.job.is_final:
            return found.job
        text = f"MetaStudio says of {job_ref}: {found}."
        if found.is_clear and found.job is None:
            raise AirflowFailException(f"{text} Its records cannot be fetched.")
        raise AirflowException(f"{text} There are records when it is over.")

    def _fetch_all(self, folder: RecordsFolder, urls: Mapping[str, str]) -> dict[str, StoredRecord]:
        stored = folder.stored()
        folder.write_list(stored)
        downloader = Downloader(
            self.operator.hook.profile(),
            attempts=settings.number("request_attempts"),
            limit=self.operator.max_bytes,
            sleep=self._sleep,
        )
        problems: dict[str, DownloadError] = {}
        for name, url in urls.items():
            if name in stored:
                self.operator.log.info("%s is there already (SHA-256 %s).", name, stored[name].sha256)
                continue
            try:
                stored[name] = self._fetch(downloader, folder, name, url)
            except DownloadError as error:
                problems[name] = error
            else:
                # Each at once: the task may be ended over the next one.
                folder.write_list(stored)
        if problems:
            text = " ".join(f"{name}: {error}" for name, error in problems.items())
            may_pass = any(error.may_pass for error in problems.values())
            raise AirflowException(text) if may_pass else AirflowFailException(text)
        return stored

    def _fetch(self, downloader: Downloader, folder: RecordsFolder, name: str, url: str) -> StoredRecord:
        with tempfile.TemporaryFile() as data:
            file = folder.read_part(name, data)
            if file.size:
                self.operator.log.info("%s: goes on after %d bytes.", name, file.size)
            try:
                downloader.download(url, file)
            except BaseException as error:
                # Also if the task is ended from outside: the next try goes on.
                if not isinstance(error, DownloadError) or error.may_pass:
                    with tempfile.TemporaryFile() as scratch:
                        folder.put_part(name, file, scratch)
                raise
            record = folder.put(name, url, file)
        self.operator.log.info("%s: %d bytes, SHA-256 %s.", name, record.size, record.sha256)
        return record


def _urls(job: SmartLiveJob) -> dict[str, str]:
    """Return where the records of a job are. Each is a secret."""
    log = job.live_job_log
    found = {name: getattr(log, field) for name, field in FIELDS.items()} if log is not None else {}
    return {name: url for name, url in found.items() if url}
