"""What the provider tells Airflow of itself: no more than its schema knows, and nothing that is not there."""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.sdk import BaseHook, BaseOperator, BaseSensorOperator
from airflow.triggers.base import BaseTrigger

from airflow_provider_smartlive.provider_info import get_provider_info

#: Airflow's schema lets keys through that it does not know: a misspelt one would do nothing.
KEYS = {
    "package-name",
    "name",
    "description",
    "integrations",
    "operators",
    "sensors",
    "hooks",
    "triggers",
    "connection-types",
    "cli",
    "extra-links",
    "config",
}
SCHEMA = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())


def test_it_has_these_keys_and_no_other() -> None:
    assert set(get_provider_info()) == KEYS
    assert set(SCHEMA["properties"]) >= KEYS


def test_it_is_what_airflow_takes() -> None:
    jsonschema.validate(get_provider_info(), SCHEMA)


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        ("operators", BaseOperator),
        ("sensors", BaseSensorOperator),
        ("hooks", BaseHook),
        ("triggers", BaseTrigger),
    ],
)
def test_its_modules_have_what_they_are_listed_for(kind: str, base: type) -> None:
    (entry,) = get_provider_info()[kind]
    names = {integration["integration-name"] for integration in get_provider_info()["integrations"]}
    assert entry["integration-name"] in names
    for name in entry["python-modules"]:
        module: Any = import_module(name)
        assert any(issubclass(found, base) for _, found in inspect.getmembers(module, inspect.isclass)), name
