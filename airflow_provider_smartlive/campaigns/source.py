"""
Read the YAML of a campaign file, with the line of every field.

YAML 1.2 counts, where ``19:00``, ``on`` and ``2026-12-24`` are texts. PyYAML by itself reads YAML 1.1, in which they
are 1140, true and a date. What is ambiguous is refused: a key twice, and aliases, which would be
a second kind of defaults.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from airflow_provider_smartlive.campaigns.problems import CampaignError, Place, Problem, SourceFile, dotted

#: Characters of a file: some thousand shows.
MAX_FILE_LENGTH = 1_000_000

#: How deep fields may stand in each other; the request presets are the deepest.
MAX_FIELD_DEPTH = 20

_STRING = "tag:yaml.org,2002:str"
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}

#: The parser in C is ten times as fast; it is in all wheels of PyYAML.
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def read(path: Path, name: str | None = None) -> SourceFile:
    """
    Read a campaign file.

    :param path: the file.
    :param name: how errors name it; its path by default.
    :raises CampaignError: if it is not there, or is no YAML with a mapping at its top.
    """
    name = name or str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CampaignError([Problem(name, 1, "", f"cannot be read: {reason}.")]) from None
    return parse(text, name)


def parse(text: str, name: str) -> SourceFile:
    """
    Read the text of a campaign file.

    :param text: the YAML.
    :param name: how errors name it.
    :raises CampaignError: if it is no YAML with a mapping at its top.
    """
    if len(text) > MAX_FILE_LENGTH:
        raise CampaignError([Problem(name, 1, "", f"is longer than {MAX_FILE_LENGTH} characters.")])
    try:
        documents = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(filter(None, (error.context, error.problem)))
        raise CampaignError(
            [Problem(name, mark.line + 1 if mark else 1, "", f"is no YAML: {said}.")]
        ) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise CampaignError([Problem(name, 1, "", f"is no YAML: {type(error).__name__}.")]) from None
    if len(documents) != 1:
        found = "is empty" if not documents else f"holds {len(documents)} documents"
        raise CampaignError([Problem(name, 1, "", f"{found}. Write one campaign in a file.")])
    reader = _Reader(name)
    content = reader.value(documents[0], ())
    if not isinstance(content, dict):
        text = "holds no fields. Begin with `version: 1`, `campaign: NAME` and `timezone: ZONE`."
        raise CampaignError([Problem(name, 1, "", text)])
    if reader.problems:
        raise CampaignError(reader.problems)
    return SourceFile(name, content, reader.lines)


class _Reader:
    """Makes values of nodes, and keeps the line of each."""

    def __init__(self, name: str) -> None:
        self.problems: list[Problem] = []
        self.lines: dict[Place, int] = {}
        self._name = name
        self._seen: set[int] = set()

    def value(self, node: yaml.Node, place: Place) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(place, line)
        if id(node) in self._seen and not isinstance(node, yaml.ScalarNode):
            self._refuse(line, place, "is an alias (*name). Write it out, or put it into defaults.")
            return None
        self._seen.add(id(node))
        if len(place) > MAX_FIELD_DEPTH:
            self._refuse(line, place, f"stands more than {MAX_FIELD_DEPTH} levels deep.")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(entry, (*place, number)) for number, entry in enumerate(node.value)]
        # Plain words may be numbers and the like; what is quoted is a text.
        is_plain = isinstance(node, yaml.ScalarNode) and not node.style and node.tag == _STRING
        return _scalar(node.value) if is_plain else node.value

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._refuse(line, place, "has a key that is no word.")
                continue
            key = key_node.value
            if key == "<<":
                self._refuse(line, place, "has a merge key (<<). Write it out, or put it into defaults.")
            elif key in found:
                first = self.lines[(*place, key)]
                self._refuse(line, (*place, key), f"is given twice, first in line {first}. Keep one of them.")
            else:
                self.lines[(*place, key)] = line
                found[key] = self.value(value_node, (*place, key))
        return found

    def _refuse(self, line: int, place: Place, text: str) -> None:
        self.problems.append(Problem(self._name, line, dotted(place), text))


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text) if len(text) <= 18 else text
    return float(text) if _FLOAT.fullmatch(text) else text
