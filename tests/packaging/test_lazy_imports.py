"""
Imports inside functions: what a task, a DAG file or the plugin must not pay for is imported where it is used.

That is right where it saves something, and hides what a module needs. So each unit of work has one such import, of a
module whose own imports stand at its top.
"""

from __future__ import annotations

import ast
from pathlib import Path

import airflow_provider_smartlive

PACKAGE = Path(airflow_provider_smartlive.__file__).parent

#: As many as there are: lower it with each that goes, and think twice before it is raised.
MOST = 45


def lazy_imports(text: str) -> list[str]:
    """Return the import statements of a module that stand inside functions, each once, with their lines."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    outer = [node for node in ast.walk(ast.parse(text)) if isinstance(node, functions)]
    found = {
        node.lineno: ast.unparse(node)
        for function in outer
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    return [f"{line}: {statement}" for line, statement in sorted(found.items())]


def test_imports_inside_functions_stay_few() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{statement}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for statement in lazy_imports(path.read_text(encoding="utf-8"))
    ]
    assert len(found) <= MOST, "\n".join([f"{len(found)} imports inside functions:", *found])


def test_each_import_counts_once_and_only_inside_functions() -> None:
    text = """
import os
if TYPE_CHECKING:
    import json
class A:
    import re
    def f(self):
        import ast
        def g():
            from abc import ABC
async def h():
    import csv
"""
    assert lazy_imports(text) == ["8: import ast", "10: from abc import ABC", "12: import csv"]
