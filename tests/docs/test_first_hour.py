"""docs/first-hour.md: every command of Airflow on it is one, with options that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "first-hour.md").read_text()
BASH = "".join(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)).replace("\\\n", " ")
COMMANDS = re.findall(r"^airflow .*$|(?<=\$\()airflow [^)]*", BASH, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page(command: str) -> None:
    from airflow.cli.cli_parser import get_parser

    assert callable(get_parser().parse_args(shlex.split(command)[1:]).func)


def test_all_of_them_are_found() -> None:
    assert len(COMMANDS) == BASH.count("airflow ") >= 15


def test_the_connections_are_those_of_its_dag() -> None:
    dag = (Path(__file__).parents[2] / "dags" / "smartlive_campaign.yaml").read_text()
    outputs = set(re.findall(r"smartlive_output\w*", dag))
    assert outputs == set(re.findall(r"connections add (smartlive_output\w*)", BASH))
