"""The benchmark of parsing compares like with like."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
import yaml

from airflow_provider_smartlive.campaigns import Campaign, build, load
from dev.bench.parsing import (
    BEGIN,
    END,
    PAGE,
    TEMPLATE,
    filled,
    how_measured,
    report,
    write_campaigns,
    write_factory_files,
)


def test_both_have_the_same_tasks_groups_and_dependencies(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder, write in ((ours, write_campaigns), (theirs, write_factory_files)):
        folder.mkdir()
        write(folder, 2)
    dag = load(str(ours / "campaign_001.py"))
    (config,) = yaml.safe_load((theirs / "campaign_001.yaml").read_text()).values()
    assert len(config["tasks"]) == len(dag.tasks) == len(build(Campaign.read(TEMPLATE)).tasks)
    assert set(config["task_groups"]) == set(dag.task_group.children)
    for task in config["tasks"]:
        group = task["task_group_name"]
        ours_too = dag.get_task(f"{group}.{task['task_id'].removeprefix(f'{group}_')}")
        kind = type(ours_too)
        assert task["operator"] == f"{kind.__module__}.{kind.__qualname__}"
        assert len(task["dependencies"]) == len(ours_too.upstream_task_ids)


def test_the_report_says_how_it_was_measured_and_whether_the_targets_are_met() -> None:
    one = {"wall": 1.0, "cpu": 0.5, "dags": 100, "tasks": 1900}
    how = how_measured(3, 100, load=2.04, day=date(2026, 11, 29))
    text = report({"this provider": one, "dag-factory": {**one, "cpu": 2.0}}, "1.1.0", how)
    assert text.startswith("100 campaigns of three shows each (medians of 3 processes each, ")
    assert "2026-11-29" in text
    assert "load 2.0 before" in text
    assert "| dag-factory 1.1.0 | 100 | 1900 | 1.00 | 2.00 |" in text
    assert "0.25 of dag-factory's CPU time" in text


def test_one_process_is_no_median() -> None:
    assert "(one process each, " in how_measured(1, 100, load=0.0, day=date(2026, 11, 29))


def test_the_page_takes_the_figures_and_nothing_else_changes() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert filled(filled(page, "some"), "new") == filled(page, "new")
    assert "\nnew\n" in filled(page, "new")
    figures = page.partition(BEGIN)[2].partition(END)[0].strip()
    assert filled(page, figures) == page
    assert re.search(r"\((one process|medians of \d+ processes) each, .*;\n\d{4}-\d\d-\d\d, ", figures)
    with pytest.raises(ValueError, match="no place for the figures"):
        filled("none", "new")
