"""The JavaScript modules of the board, and the hash of their content under which browsers may keep them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: Path of the board's modules below the API server's root.
MOUNT_PATH = "/smartlive-board"

#: The module that the UI imports; it imports the others, by relative paths.
ENTRY = "board.js"

_FOLDER = Path(__file__).parent / "static"


@dataclass(frozen=True)
class Bundle:
    """
    All modules of the board.

    :param digest: Changes with any of their contents.
    :param modules: Content by file name.
    """

    digest: str
    modules: dict[str, bytes]

    @property
    def url(self) -> str:
        """The entry's URL, relative to the UI's ``<base>``: right below a path prefix, too."""
        return f"{MOUNT_PATH.lstrip('/')}/{self.digest}/{ENTRY}"


@cache
def load_bundle() -> Bundle:
    """Read the modules, once per process."""
    modules = {path.name: path.read_bytes() for path in sorted(_FOLDER.glob("*.js"))}
    digest = hashlib.sha256()
    for name, content in modules.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return Bundle(digest.hexdigest()[:16], modules)
