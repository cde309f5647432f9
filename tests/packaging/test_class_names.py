"""A class name stands once in the package, so that whoever reads it knows which one is meant."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import airflow_provider_smartlive

PACKAGE = Path(airflow_provider_smartlive.__file__).parent


def classes(text: str) -> list[str]:
    return [node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]


def test_no_class_name_is_defined_twice() -> None:
    modules: dict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in classes(path.read_text(encoding="utf-8")):
            modules[name].append(str(path.relative_to(PACKAGE)))
    assert len(modules) > 200
    assert {name: where for name, where in modules.items() if len(where) > 1} == {}


def test_a_class_within_a_function_would_be_seen() -> None:
    assert classes("def f():\n    class A: ...\nclass B: ...") == ["B", "A"]
