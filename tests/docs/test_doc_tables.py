"""The generated tables are up to date, and the docstrings that they come from say what the code does."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from airflow.sdk import BaseOperator

from airflow_provider_smartlive import operators
from airflow_provider_smartlive.livestream.job_operator import JobOperator
from airflow_provider_smartlive.sensors import SmartLiveStreamStateSensor
from dev import doc_tables

OPERATORS = [getattr(operators, name) for name in operators.__all__] + [SmartLiveStreamStateSensor]


@pytest.mark.parametrize("page", doc_tables.pages(), ids=lambda page: page.name)
def test_the_tables_of_a_page_are_current(page: Path) -> None:
    """Run ``python -m dev.doc_tables`` if this fails."""
    text = page.read_text()
    assert text == doc_tables.filled(text)


def test_every_table_is_on_one_page() -> None:
    used = [name for page in doc_tables.pages() for name in doc_tables.blocks_of(page.read_text())]
    assert sorted(used) == sorted(doc_tables.BLOCKS)


def test_an_old_table_is_replaced() -> None:
    old = "<!-- begin: settings (python -m dev.doc_tables) -->\n| old |\n<!-- end: settings -->"
    new = doc_tables.filled(f"before\n{old}\nafter")
    assert "| old |" not in new
    assert "`callback_secrets`" in new
    assert new.startswith("before\n")
    assert new.endswith("\nafter")


def own_arguments(operator: type[BaseOperator]) -> list[str]:
    """Return the arguments of an operator: its own, and those of its bases that are not Airflow's."""
    ours = [kind for kind in operator.__mro__ if kind.__module__.startswith("airflow_provider_smartlive")]
    names = [name for kind in ours for name in inspect.signature(kind.__init__).parameters]
    return [name for name in dict.fromkeys(names) if name not in ("self", "kwargs")]


def in_the_table(operator: type[BaseOperator]) -> list[str]:
    """Return the arguments in the table of an operator."""
    table = doc_tables.arguments_table(operator)
    return [name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split(" | ")[0])]


@pytest.mark.parametrize("operator", [*OPERATORS, JobOperator])
def test_every_argument_is_in_the_table(operator: type[BaseOperator]) -> None:
    """In its own, or in that of all operators that work with a job that they did not start."""
    names = in_the_table(operator)
    if issubclass(operator, JobOperator) and operator is not JobOperator:
        documented = re.findall(r"^ *:param (\w+):", operator.__doc__ or "", re.MULTILINE)
        assert set(names) & set(own_arguments(JobOperator)) <= set(documented)
        names += [name for name in in_the_table(JobOperator) if name not in names]
    assert sorted(names) == sorted(own_arguments(operator))


@pytest.mark.parametrize("operator", [*OPERATORS, JobOperator])
def test_the_docstring_knows_no_other_arguments(operator: type[BaseOperator]) -> None:
    documented = re.findall(r"^ *:param (\w+):", operator.__doc__ or "", re.MULTILINE)
    assert set(documented) <= set(own_arguments(operator))


@pytest.mark.parametrize("operator", [*OPERATORS, JobOperator])
def test_the_docstring_says_what_is_templated(operator: type[BaseOperator]) -> None:
    texts = re.findall(
        r"^ *:param (\w+):(.*?)(?=^ *:\w|\Z)", operator.__doc__ or "", re.DOTALL | re.MULTILINE
    )
    said = {name for name, text in texts if text.strip().endswith("Templated.")}
    assert said == {name for name, _ in texts} & set(operator.template_fields)
