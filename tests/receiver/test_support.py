"""What the API server says when it starts where callbacks are not supported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from airflow import settings
from sqlalchemy import create_mock_engine
from structlog.testing import capture_logs

from airflow_provider_smartlive.plugin import SmartLivePlugin
from airflow_provider_smartlive.receiver import shapes, support


def said_at_start() -> list[str]:
    with capture_logs() as lines:
        assert SmartLivePlugin().fastapi_apps
    return [line["problem"] for line in lines if "not supported here" in line["event"]]


@pytest.mark.parametrize("release", ["3.3.0", "3.3.2", "3.4.0b2", "3.4.0"])
def test_where_all_is_well_nothing_is_said(
    release: str, sqlite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The version is set, so that the tests may run on one that is not declared yet.
    monkeypatch.setattr(support, "version", lambda package: release)
    assert said_at_start() == []


@pytest.mark.parametrize("release", ["3.2.1", "3.5.0b1", "3.5.0", "4.0.0"])
def test_an_airflow_outside_the_range_is_one_line(
    release: str, sqlite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "version", lambda package: release)
    [problem] = said_at_start()
    assert problem.startswith(f"Airflow {release} is not supported")
    assert "install apache-airflow <3.5,>=3.3.0" in problem


@pytest.mark.parametrize("url", ["mysql://", "mariadb://"])
def test_mysql_is_said_at_start(url: str, sqlite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "version", lambda package: "3.3.2")
    monkeypatch.setattr(settings, "engine", create_mock_engine(url, lambda *statement: None))
    [problem] = said_at_start()
    assert f"not supported on {url.removesuffix('://')}" in problem
    assert "Use PostgreSQL" in problem


@pytest.fixture
def unknown_tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    class Other:
        __tablename__ = "xcom_v3"

    monkeypatch.setattr(shapes.airflow_xcom, "XComModel", Other, raising=False)
    monkeypatch.delattr(shapes.airflow_xcom, "XComModelV2", raising=False)
    shapes.shape.cache_clear()
    yield
    shapes.shape.cache_clear()


def test_tables_of_an_unknown_shape_are_refused(unknown_tables: None) -> None:
    with pytest.raises(shapes.UnsupportedDatabase, match="do not know the tables of Airflow"):
        shapes.shape()


def test_tables_of_an_unknown_shape_are_said_at_start(
    unknown_tables: None, sqlite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "version", lambda package: "3.3.2")
    [problem] = said_at_start()
    assert "do not know the tables of Airflow" in problem


def test_an_unknown_airflow_with_unknown_tables_is_one_line(
    unknown_tables: None, sqlite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables are unknown because the version is: one problem, one fix."""
    monkeypatch.setattr(support, "version", lambda package: "4.0.0")
    [problem] = said_at_start()
    assert problem.startswith("Airflow 4.0.0 is not supported")
