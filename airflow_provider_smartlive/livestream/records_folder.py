"""
The records of one job in a folder: the files, and a list with their checksums.

Storages have no append, so what has arrived of a file when a task gives up is an object of its own (``.part``), with
which the next try goes on, on whatever worker.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit

from airflow.sdk import ObjectStoragePath

from airflow_provider_smartlive.client.download import PartialFile
from airflow_provider_smartlive.livestream import storage
from airflow_provider_smartlive.metastudio.ids import JobRef

#: The file that lists the records.
LIST = "records.json"

#: Of the list, and of what has arrived of a file.
VERSION = 1

#: Ends of the names of files that are taken over from a URL. Whatever else stands there may be a secret.
_SUFFIXES = (".json", ".jsonl", ".txt", ".csv", ".log", ".xml", ".html", ".xlsx", ".zip", ".gz", ".tar")

#: Bytes of the first line of a part.
_LONGEST_HEAD = 4096


@dataclass(frozen=True)
class StoredRecord:
    """
    A record that is there.

    :param file: the name of its file.
    :param size: its size in bytes.
    :param sha256: its checksum.
    :param content_type: what the server said of it.
    :param content_encoding: likewise: the file is kept as it was sent.
    """

    file: str
    size: int
    sha256: str
    content_type: str | None = None
    content_encoding: str | None = None

    @classmethod
    def load(cls, value: Any) -> Self | None:
        """Read an entry of the list; None if it is none."""
        try:
            return cls(**value)
        except TypeError:
            return None


class RecordsFolder:
    """
    The folder of one job.

    :param folder: the folder of all records.
    :param job_ref: the job.
    :ivar name: its name below that.
    """

    def __init__(self, folder: ObjectStoragePath, job_ref: JobRef) -> None:
        self._job_ref = job_ref
        # No id can name another folder, as something stands before it.
        self.name = f"room={storage.safe_name(job_ref.room_id)}/job={storage.safe_name(job_ref.job_id)}"
        self._folder = folder / self.name

    def stored(self) -> dict[str, StoredRecord]:
        """Return the records that are there, each as large and with the checksum that the list says."""
        try:
            listed = json.loads((self._folder / LIST).read_bytes())["records"]
            found = {name: StoredRecord.load(value) for name, value in listed.items()}
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            return {}
        return {name: record for name, record in found.items() if record and self._is_there(name, record)}

    def write_list(self, records: Mapping[str, StoredRecord]) -> None:
        """Write the list of the records that are there."""
        values = {name: asdict(record) for name, record in sorted(records.items())}
        whole = {"version": VERSION, **asdict(self._job_ref), "records": values}
        storage.make(self._folder)
        storage.put(self._folder / LIST, f"{json.dumps(whole, indent=1)}\n".encode())

    def put(self, name: str, url: str, file: PartialFile) -> StoredRecord:
        """
        Store a record that has arrived.

        :param name: the record.
        :param url: where it came from.
        :param file: the complete file.
        :raises OSError: if the storage does not have all of it afterwards.
        """
        suffix = PurePosixPath(urlsplit(url).path).suffix.lower()
        record = StoredRecord(
            file=f"{name}{suffix if suffix in _SUFFIXES else ''}",
            size=file.size,
            sha256=_checksum(file.data),
            content_type=file.content_type,
            content_encoding=file.content_encoding,
        )
        storage.make(self._folder)
        target = self._folder / record.file
        file.data.seek(0)
        storage.put(target, file.data)
        if (size := target.size()) != record.size:
            raise OSError(f"{record.file} has {size} bytes in the storage; {record.size} were written.")
        self._part(name).unlink(missing_ok=True)
        return record

    def put_part(self, name: str, file: PartialFile, scratch: BinaryIO) -> None:
        """
        Store what has arrived of a record, if a download can go on with it.

        :param scratch: an empty file for what is written.
        """
        if not file.size or file.version is None:
            return
        head = {
            "version": VERSION,
            "of": file.version,
            "total": file.total,
            "sha256": _checksum(file.data),
            "content_type": file.content_type,
            "content_encoding": file.content_encoding,
        }
        scratch.write(f"{json.dumps(head)}\n".encode())
        file.data.seek(0)
        shutil.copyfileobj(file.data, scratch)
        scratch.seek(0)
        storage.make(self._folder)
        storage.put(self._part(name), scratch)

    def read_part(self, name: str, data: BinaryIO) -> PartialFile:
        """
        Return what an earlier try has stored of a record; nothing if there is none, or it is broken.

        :param data: an empty file, which takes it.
        """
        part = self._part(name)
        try:
            with storage.read(part) as source:
                head = json.loads(source.readline(_LONGEST_HEAD))
                if head["version"] != VERSION:
                    return PartialFile(data)
                shutil.copyfileobj(source, data)
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return PartialFile(data)
        if _checksum(data) != head.get("sha256"):
            data.seek(0)
            data.truncate()
            return PartialFile(data)
        return PartialFile(
            data,
            version=head.get("of"),
            total=head.get("total"),
            content_type=head.get("content_type"),
            content_encoding=head.get("content_encoding"),
        )

    def _part(self, name: str) -> ObjectStoragePath:
        return self._folder / f"{name}.part"

    def _is_there(self, name: str, record: StoredRecord) -> bool:
        if record.file not in [f"{storage.safe_name(name)}{suffix}" for suffix in ("", *_SUFFIXES)]:
            return False
        file = self._folder / record.file
        try:
            if file.size() != record.size:
                return False
            with storage.read(file) as data:
                return _checksum(data) == record.sha256
        except FileNotFoundError:
            return False


def _checksum(data: BinaryIO) -> str:
    data.seek(0)
    return hashlib.file_digest(data, "sha256").hexdigest()  # type: ignore[arg-type]  # files have readinto
