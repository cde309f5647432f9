"""The JSON Schema that is shipped is that of the models, and takes and refuses what they do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from airflow_provider_smartlive.campaigns import schema
from airflow_provider_smartlive.campaigns.source import parse

DAGS = Path(__file__).parents[2] / "dags" / "campaigns"

HEAD = "version: 1\ncampaign: spring\ntimezone: Asia/Shanghai\nshows:\n"


def test_the_shipped_schema_is_that_of_the_models() -> None:
    """Run ``python -m airflow_provider_smartlive.campaigns.schema`` if this fails."""
    assert schema.PATH.read_text(encoding="utf-8") == schema.text()


@pytest.fixture(scope="module")
def validator() -> Any:
    found = json.loads(schema.PATH.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.mark.parametrize("path", sorted(DAGS.glob("*.yaml")), ids=lambda path: path.name)
def test_it_takes_the_examples(path: Path, validator: Any) -> None:
    assert list(validator.iter_errors(parse(path.read_text(), path.name).content)) == []
    first = path.read_text().splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.partition("=")[2]).resolve() == schema.PATH


@pytest.mark.parametrize(
    "show",
    [
        "{room: a, schedule: 0 19 * * *, stop: 22:00, outputs: a, tags: x, notify: a.b}",
        "{room: a, schedule: [2026-12-24], start: 19:00, max_duration: 90, notify: [desk, {notifier: a.b}]}",
        "{room: a, schedule: 0 19 * * *, max_duration: 2h 30m, video_config: {bitrate: 1000, width: 1, height: 1}}",
        "{room: a, schedule: 0 19 * * *, stop: 22:00, commands: [{after: 5m, say: hi}]}",
        "{room: a, schedule: 0 19 * * *, stop: 22:00, outlets: {ended: smartlive://a/ended, as_run: [as run]}}",
        "{room: a, schedule: 0 19 * * *, stop: 22:00, connected_within: 5m, max_reconnects: 0, min_on_air: 1h}",
        "{room: a, schedule: 0 19 * * *, stop: 22:00, standby: {room: b, outputs: c}}",
        "{room: a, schedule: 0 19 * * *, stop: 22:00, standby: {outputs: [c]}}",
    ],
)
def test_it_takes(show: str, validator: Any) -> None:
    content = parse(f"{HEAD}  - {show}", "spring.yaml").content
    assert [error.message for error in validator.iter_errors(content)] == []


@pytest.mark.parametrize(
    "show",
    [
        "{romm: a}",
        "{room: a, outputs: 'rtmp://push.example.com/live?key'}",
        "{room: a, start: 25:00}",
        "{room: a, max_duration: soon}",
        "{room: a, video_config: {bitrate: 1}}",
        "{room: a, play_policy: {repeat_cuont: 1}}",
        "{room: a, connected_within: soon}",
        "{room: a, max_reconnects: -1}",
        "{room: a, outlets: {ended: 'rtmp://push.example.com/live/key'}}",
        "{room: a, outlets: {endde: a}}",
        "{room: a, standby: b}",
        "{room: a, standby: {rom: b}}",
        "{room: a, standby: {outputs: 'rtmp://push.example.com/live/key'}}",
    ],
)
def test_it_refuses(show: str, validator: Any) -> None:
    assert list(validator.iter_errors(parse(f"{HEAD}  - {show}", "spring.yaml").content))
