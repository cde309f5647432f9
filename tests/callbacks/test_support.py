"""What the API server says when it starts where callbacks are not supported."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow import settings
from structlog.testing import capture_logs

from airflow_provider_smartlive.callbacks import shapes, support
from airflow_provider_smartlive.plugin import SmartLivePlugin


def said_at_start() -> list[str]:
    with capture_logs() as lines:
        assert SmartLivePlugin().fastapi_apps
    return [line["problem"] for line in lines if "not supported here" in line["event"]]


def test_where_all_is_well_nothing_is_said(sqlite: Any) -> None:
    # The version is set, so that the tests may run on one that is not declared yet.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(support, "version", lambda package: "3.3.2")
        assert said_at_start() == []


@pytest.mark.parametrize("release", ["3.2.1", "3.4.0b2", "3.4.0", "4.0.0"])
def test_an_airflow_outside_the_range_is_one_line(
    release: str, sqlite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "version", lambda package: release)
    [problem] = said_at_start()
    assert problem.startswith(f"Airflow {release} is not supported")
    assert "install apache-airflow <3.4,>=3.3.0" in problem


def test_mysql_is_said_at_start(sqlite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "version", lambda package: "3.3.2")
    monkeypatch.setattr(settings, "engine", SimpleNamespace(dialect=SimpleNamespace(name="mysql")))
    [problem] = support.problems()
    assert "not supported on mysql" in problem
    assert "Use PostgreSQL" in problem


def test_tables_of_an_unknown_shape_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        __tablename__ = "xcom_v3"

    monkeypatch.setattr(shapes.airflow_xcom, "XComModel", Other, raising=False)
    monkeypatch.delattr(shapes.airflow_xcom, "XComModelV2", raising=False)
    shapes.shape.cache_clear()
    try:
        with pytest.raises(shapes.UnsupportedDatabase, match="do not know the tables of Airflow"):
            shapes.shape()
    finally:
        shapes.shape.cache_clear()
