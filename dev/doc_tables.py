"""
Write the tables in ``docs/`` that say what the code says: settings, arguments, modules.

Each stands between two marks, and a test fails when one of them is out of date. Run from the project's root:
``python -m dev.doc_tables``.
"""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator

from airflow_provider_smartlive.campaigns.model import Campaign
from airflow_provider_smartlive.campaigns.parts import FileModel, Outlets, PlannedCommand, Standby
from airflow_provider_smartlive.campaigns.show import Defaults, Show
from airflow_provider_smartlive.livestream.job_operator import JobOperator
from airflow_provider_smartlive.operators import (
    SmartLiveAsRunOperator,
    SmartLiveCommandOperator,
    SmartLiveRecordsOperator,
    SmartLiveSweepOperator,
    StartSmartLiveJobOperator,
    StopSmartLiveJobOperator,
)
from airflow_provider_smartlive.provider_info import OPTIONS
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PACKAGE = ROOT / "airflow_provider_smartlive"

_PARAM = re.compile(r"^:param (\w+): (.*?)(?=^:\w|\Z)", re.DOTALL | re.MULTILINE)
_BLOCK = re.compile(
    r"(?P<begin><!-- begin: (?P<name>[\w ]+?) \(python -m dev\.doc_tables\) -->\n).*?(?P<end><!-- end: (?P=name) -->)",
    re.DOTALL,
)


def settings_table() -> str:
    """Return the options of ``[smartlive]``."""
    rows = [
        (
            f"`{name}`",
            _accepted(option),
            _code(option["default"]) if option["default"] else "empty",
            _prose(option["description"]),
        )
        for name, option in OPTIONS.items()
    ]
    return _table(("option", "value", "default", "meaning"), rows)


def _accepted(option: Mapping[str, Any]) -> str:
    """Return the type of an option, or what else is said of its values."""
    if option["type"] == "integer":
        return f"{option['minimum']} to {option['maximum']}"
    if "choices" in option:
        kind = "list of" if option.get("is_list") else "one of"
        return f"{kind} {', '.join(map(_code, option['choices']))}"
    return str(option["type"])


def arguments_table(operator: type[BaseOperator]) -> str:
    """
    Return the arguments of an operator, and after its own those of its bases in the package.

    Those without a text of their own join the one before; a text about one of a base counts instead of that base's.
    The arguments that name a job have a table of their own, that of ``JobOperator``: here stand only those of which
    the operator says something else.
    """
    texts: dict[str, str] = {}
    parameters: dict[str, inspect.Parameter] = {}
    for made_of in operator.__mro__:
        if made_of.__module__.startswith(PACKAGE.name):
            elsewhere = made_of is JobOperator and made_of is not operator
            parameters |= {
                name: parameter
                for name, parameter in inspect.signature(made_of).parameters.items()
                if name not in ("kwargs", *parameters) and (name in texts or not elsewhere)
            }
            texts = dict(_PARAM.findall(inspect.getdoc(made_of) or "")) | texts
    rows: list[tuple[list[str], str, str]] = []
    for name, parameter in parameters.items():
        shown = f"`{name}`{' (t)' if name in operator.template_fields else ''}"
        if name in texts:
            rows.append(
                ([shown], _default(parameter.default), _prose(texts[name]).removesuffix(" Templated."))
            )
        else:
            rows[-1][0].append(shown)
    return _table(("argument", "default", "meaning"), [(", ".join(names), *more) for names, *more in rows])


def modules_table() -> str:
    """Return the layers of the package, as the import contract has them, and what their modules are."""
    return _layers("Arrows only point down", PACKAGE)


def inner_table(contract: str, folder: str) -> str:
    """Return the layers within a folder of the package."""
    return _layers(contract, PACKAGE / folder)


def _layers(contract: str, folder: Path) -> str:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(found["layers"] for found in contracts if found["name"] == contract)
    rows = [
        (str(number), f"`{module}`", _summary(folder / module))
        for number, layer in enumerate(layers, start=1)
        for module in layer.split(" | ")
    ]
    return _table(("layer", "module", "what it is"), rows)


def _summary(module: Path) -> str:
    """Return the first paragraph of a module's docstring."""
    file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(file.read_text())) or ""
    return _prose(docstring.split("\n\n")[0])


def fields_table(model: type[FileModel]) -> str:
    """Return the fields of a part of a campaign file, without those that it shares with its base."""
    inherited = set(Defaults.model_fields) if model is Show else set()
    rows = []
    for name, field in model.model_fields.items():
        if name in inherited:
            continue
        default = "needed" if field.is_required() else _default(field.get_default(call_default_factory=True))
        rows.append((f"`{name}`", default, field.description or ""))
    return _table(("field", "default", "meaning"), rows)


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "needed"
    if isinstance(value, timedelta):
        minutes = value.total_seconds() / 60
        return f"{minutes / 60:g} h" if minutes >= 60 else f"{minutes:g} min"
    return "-" if value is None or value == () else _code(str(value))


def _prose(text: str) -> str:
    """Turn a docstring's text into one line of Markdown."""
    text = re.sub(r":\w+:`~?\.*(?:[\w.]*\.)?(\w+)`", r"`\1`", " ".join(text.split()))
    return text.replace("``", "`").replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    lines.insert(1, "|---" * len(head) + "|")
    return "\n".join(lines) + "\n"


BLOCKS: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "arguments of start": partial(arguments_table, StartSmartLiveJobOperator),
    "arguments of job": partial(arguments_table, JobOperator),
    "arguments of sensor": partial(arguments_table, SmartLiveStreamStateSensor),
    "arguments of command": partial(arguments_table, SmartLiveCommandOperator),
    "arguments of stop": partial(arguments_table, StopSmartLiveJobOperator),
    "arguments of as run": partial(arguments_table, SmartLiveAsRunOperator),
    "arguments of records": partial(arguments_table, SmartLiveRecordsOperator),
    "arguments of sweep": partial(arguments_table, SmartLiveSweepOperator),
    "fields of a campaign": partial(fields_table, Campaign),
    "fields of a show": partial(fields_table, Show),
    "fields of defaults": partial(fields_table, Defaults),
    "fields of outlets": partial(fields_table, Outlets),
    "fields of a standby": partial(fields_table, Standby),
    "fields of a command": partial(fields_table, PlannedCommand),
    "modules": modules_table,
    "modules of livestream": partial(
        inner_table, "Arrows only point down, within a livestream", "livestream"
    ),
    "modules of campaigns": partial(inner_table, "Arrows only point down, within the campaigns", "campaigns"),
    "modules of client": partial(inner_table, "Arrows only point down, within the client", "client"),
}


def filled(text: str) -> str:
    """Return a page with its tables up to date."""
    return _BLOCK.sub(lambda match: f"{match['begin']}{BLOCKS[match['name']]()}{match['end']}", text)


def blocks_of(text: str) -> list[str]:
    """Return the names of the tables on a page."""
    return [match["name"] for match in _BLOCK.finditer(text)]


def pages() -> Iterator[Path]:
    """Yield the pages that have such a table."""
    for page in sorted(DOCS.glob("*.md")):
        if _BLOCK.search(page.read_text(encoding="utf-8")):
            yield page


def main() -> None:
    """Write the tables."""
    for page in pages():
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
