"""A module-level constant with a number has one name for one value, so that nobody takes one for another."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import airflow_provider_smartlive

PACKAGE = Path(airflow_provider_smartlive.__file__).parent

#: Constants that each module has for itself.
OF_EACH_MODULE = {
    "_VERSION": "of the format that this module stores",
    "VERSION": "of the format that this module stores",
}


def numbers(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and value, as it is written, of the module-level constants that are a number or a duration."""
    for node in ast.parse(text).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case _:
                continue
        if name.isupper() and _is_number(value):
            yield name, ast.unparse(value)


def _is_number(value: ast.expr) -> bool:
    match value:
        case ast.Constant(value=number):
            return isinstance(number, int | float) and not isinstance(number, bool)
        case ast.UnaryOp(operand=operand):
            return _is_number(operand)
        case ast.BinOp(left=left, right=right):
            return _is_number(left) and _is_number(right)
        case ast.Call(func=ast.Name(id="timedelta")):
            return True
        case _:
            return False


def test_no_constant_has_two_values() -> None:
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(PACKAGE.rglob("*.py")):
        for name, value in numbers(path.read_text(encoding="utf-8")):
            found[name][value].append(str(path.relative_to(PACKAGE)))
    assert len(found) > 100
    twice = {name: dict(values) for name, values in found.items() if len(values) > 1}
    assert {name: values for name, values in twice.items() if name not in OF_EACH_MODULE} == {}


def test_every_way_to_write_a_number_is_seen() -> None:
    text = (
        "A = 1\nB: float = -2.5\nC = 4 * 1024\nD = timedelta(days=1)\nE = 'text'\nF = True\nG = (1, 2)\ng = 1"
    )
    assert [name for name, _ in numbers(text)] == ["A", "B", "C", "D"]
