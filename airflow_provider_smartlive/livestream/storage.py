"""Folders on any ``ObjectStoragePath``, into which files are written as a whole."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from airflow.sdk import ObjectStoragePath


def open_folder(path: str, *, called: str) -> ObjectStoragePath:
    """
    Return a folder.

    :param path: such as ``s3://aws_default@bucket/as-run`` or ``file:///var/as-run``.
    :param called: what an error calls it, such as "The path of the as-run log".
    :raises ValueError: if it is no such path.
    """
    if "://" not in path:
        raise ValueError(
            f"{called} is {path!r}. Write it with its scheme, such as file:///var/as-run or "
            "s3://aws_default@bucket/as-run."
        )
    return ObjectStoragePath(path)


def safe_name(text: str) -> str:
    """Return an id, or several, as a part of a path: with letters, digits, ``_``, ``.`` and ``-`` only."""
    return re.sub(r"[^\w.-]", "_", text)


def make(folder: ObjectStoragePath) -> None:
    """Make a folder, and those around it, unless it is there."""
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)


def put(file: ObjectStoragePath, content: bytes | BinaryIO) -> None:
    """
    Write a file as a whole or not at all; local files are moved to their place when they are complete.

    :param content: what is to stand in it; of an open file the rest.
    """
    source = io.BytesIO(content) if isinstance(content, bytes) else content
    if file.protocol in ("file", "local"):
        _put_local(Path(file.path), source)
        return
    with file.fs.transaction, _open(file, "wb") as target:
        shutil.copyfileobj(source, target)


def _put_local(file: Path, source: BinaryIO) -> None:
    """
    Write a local file beside its place, and move it there.

    ``fsspec`` collects it in the machine's temporary folder. From there to another file system a move is a copy: it
    can be seen half done, and where a link stands it overwrites what that leads to.
    """
    part = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        with part.open("xb") as target:
            shutil.copyfileobj(source, target)
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def read(file: ObjectStoragePath) -> BinaryIO:
    """
    Open a file to be read.

    :raises FileNotFoundError: if it is not there.
    """
    return _open(file, "rb")


def _open(file: ObjectStoragePath, mode: str) -> BinaryIO:
    opened: BinaryIO = file.open(mode)  # type: ignore[no-untyped-call]  # Airflow's
    return opened
