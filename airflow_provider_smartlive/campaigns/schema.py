"""The JSON Schema of campaign files, generated from the models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow_provider_smartlive.campaigns.model import VERSION, Campaign
from airflow_provider_smartlive.campaigns.show import Defaults
from airflow_provider_smartlive.metastudio.start import StartJobRequest

#: Where it is in the wheel. ``python -m airflow_provider_smartlive.campaigns.schema`` writes it.
PATH = Path(__file__).with_name(f"campaign-v{VERSION}.schema.json")

#: Fields that take one value for a list of one.
_ONE_OR_MORE = ("outputs", "notify", "tags", "connected", "ended", "as_run")


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a campaign file."""
    found = Campaign.model_json_schema()
    request = StartJobRequest.model_json_schema()
    definitions = found["$defs"] | request.pop("$defs", {})
    definitions["Notifier"] = _notifier(definitions["Notifier"])
    for model in ("Defaults", "Show"):
        fields = definitions[model]["properties"]
        for name in Defaults.PRESETS:
            fields[name] = request["properties"][name] | {"description": fields[name]["description"]}
    for part in (found, *(definitions[name] for name in ("Defaults", "Show", "Outlets", "Standby"))):
        for name in _ONE_OR_MORE:
            if name in part["properties"]:
                part["properties"][name] = _one_or_more(part["properties"][name])
    used = _used(found, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_tidy(found),
        "title": f"Campaign file of airflow-provider-smartlive, version {VERSION}",
        "$defs": {name: _tidy(definitions[name]) for name in sorted(used)},
    }


def text() -> str:
    """Return the schema as it stands in its file."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _one_or_more(field: dict[str, Any]) -> dict[str, Any]:
    about = {"description": field["description"]} if "description" in field else {}
    return {
        "anyOf": [{key: value for key, value in field.items() if key != "description"}, field["items"]],
        **about,
    }


def _notifier(model: dict[str, Any]) -> dict[str, Any]:
    """A dotted path by itself is a notifier, too."""
    return {"anyOf": [model, model["properties"]["notifier"]]}


def _used(part: Any, definitions: dict[str, Any]) -> set[str]:
    """Return the names of the definitions that a part refers to, and those that they refer to."""
    found: set[str] = set()
    parts = [part]
    while parts:
        one = parts.pop()
        if isinstance(one, dict):
            name = str(one.get("$ref", "")).removeprefix("#/$defs/")
            if name and name not in found:
                found.add(name)
                parts.append(definitions[name])
            parts += [value for key, value in one.items() if key != "$defs"]
        elif isinstance(one, list):
            parts += one
    return found


def _tidy(part: Any) -> Any:
    """
    Leave out what pydantic makes of the names of fields, as editors show the names.

    Alternatives may fit together: a dotted path is a possible connection id, too.
    """
    if isinstance(part, list):
        return [_tidy(one) for one in part]
    if not isinstance(part, dict):
        return part
    found = {}
    for key, value in part.items():
        if key == "properties":
            found[key] = {name: _tidy(field) for name, field in value.items()}
        elif key != "$defs" and not (key == "title" and isinstance(value, str)):
            found["anyOf" if key == "oneOf" else key] = _tidy(value)
    return found


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
