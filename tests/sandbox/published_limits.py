"""The limits that Huawei publishes: the OpenAPI description inside the PyPI package ``huaweicloud-mcp-server``."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import distribution
from typing import Any

from jsonschema import Draft202012Validator


@cache
def description() -> dict[str, Any]:
    """Return Huawei's own description of MetaStudio."""
    files = distribution("huaweicloud-mcp-server").files or []
    (path,) = (file for file in files if str(file).endswith("mcp_server_metastudio/config/metastudio.json"))
    content: dict[str, Any] = json.loads(path.locate().read_text(encoding="utf-8"))
    return content


def success_schema(operation: str) -> tuple[int, dict[str, Any] | None]:
    """Return the success code of an operation, like ``StartSmartLive``, and the schema of its answer."""
    methods = description()["paths"][f"/{operation}"]
    (details,) = (value for value in methods.values() if isinstance(value, dict))
    ((status, answer),) = ((int(s), a) for s, a in details["responses"].items() if s.startswith("2"))
    content = answer.get("content", {}).get("application/json")
    return status, content and content["schema"]


def problems(schema: dict[str, Any], content: Any) -> list[str]:
    """Return what is wrong with an answer, also fields that the schema does not know."""
    whole = {**schema, "components": description()["components"], "unevaluatedProperties": False}
    found = Draft202012Validator(whole).iter_errors(content)
    return [f"{error.json_path}: {error.message}" for error in found]
