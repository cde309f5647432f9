"""Files in a folder of any storage: as a whole, or not at all."""

from __future__ import annotations

import io
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach

from airflow_provider_smartlive.livestream import storage


def test_a_file_is_there_as_a_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, between_file_systems: None
) -> None:
    seen: list[bytes] = []
    file = tmp_path / "records.json"
    file.write_bytes(b"before")
    copy = shutil.copyfileobj

    def half(source: Any, target: Any, *length: int) -> None:
        copy(io.BytesIO(source.read(5)), target)
        target.flush()
        seen.append(file.read_bytes())
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfileobj", half)
    monkeypatch.setattr(shutil, "_USE_CP_SENDFILE", False, raising=False)
    storage.put(ObjectStoragePath(f"file://{tmp_path}/records.json"), b"0123456789")
    assert seen == [b"before"]
    assert file.read_bytes() == b"0123456789"
    assert [found.name for found in tmp_path.iterdir()] == ["records.json"]


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        storage.put(ObjectStoragePath(f"file://{tmp_path}/records.json"), Broken())
    assert list(tmp_path.iterdir()) == []


def test_whoever_may_read_the_folder_may_read_its_files(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    storage.put(ObjectStoragePath(f"file://{tmp_path}/records.json"), b"0123456789")
    assert (tmp_path / "records.json").stat().st_mode == plain.stat().st_mode


def test_other_storages_write_as_a_whole_by_themselves() -> None:
    memory: Any = import_module("fsspec.implementations.memory")  # it has no types
    attach("memory", fs=memory.MemoryFileSystem())
    file = ObjectStoragePath("memory://folder/records.json")
    storage.put(file, b"0123456789")
    with storage.read(file) as content:
        assert content.read() == b"0123456789"
