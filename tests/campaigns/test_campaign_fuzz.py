"""Whatever stands in a campaign file: it is a campaign, or a CampaignError with a line of the file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_smartlive.campaigns import Campaign, CampaignError
from airflow_provider_smartlive.campaigns.parts import Outlets, PlannedCommand
from airflow_provider_smartlive.campaigns.plan import airings, conflicts
from airflow_provider_smartlive.campaigns.show import Defaults, Show
from airflow_provider_smartlive.campaigns.source import parse

NOW = datetime(2026, 11, 29, tzinfo=UTC)

GOOD = """\
version: 1
campaign: spring
timezone: Europe/Berlin
quota: 3
defaults:
  stop: 22:00
  outputs: channel
shows:
  - room: skincare
    schedule: "0 19 * * mon-fri"
    commands: [{after: 5m, say: hello}]
  - room: tea
    schedule: "* * * * sat"
    start: 08:30
    max_duration: 2h
"""

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["19:00", "0 19 * * *", "@daily", "H * * * *", "0 0 L * *", "1-5/2 8,9 * * 5#2"]),
    st.sampled_from(["2026-12-24", "2h", "1e400", "a.b", "x" * 300]),
)
NAMES = sorted(
    {
        *Campaign.model_fields,
        *Show.model_fields,
        *Defaults.model_fields,
        *PlannedCommand.model_fields,
        *Outlets.model_fields,
    }
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)


def judge(text: str) -> None:
    """Read a text, and plan what it says."""
    try:
        found = Campaign.of(parse(text, "spring.yaml"))
    except CampaignError as error:
        problems = error.problems
    else:
        conflicts(airings([found], NOW, NOW + timedelta(days=14)))
        return
    assert problems
    for problem in problems:
        assert 1 <= problem.line <= text.count("\n") + 2
        assert problem.text
        assert "\n" not in problem.text


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    judge(text)


@settings(max_examples=300, deadline=None)
@given(
    where=st.sampled_from(["top", "defaults", "show", "command"]),
    name=st.sampled_from(NAMES),
    value=VALUES,
)
def test_any_value_in_any_field(where: str, name: str, value: Any) -> None:
    content = yaml.load(GOOD, Loader=yaml.BaseLoader)
    content["version"] = 1
    content["quota"] = 3
    place = {
        "top": content,
        "defaults": content["defaults"],
        "show": content["shows"][0],
        "command": content["shows"][0]["commands"][0],
    }[where]
    place[name] = value
    judge(yaml.safe_dump(content, allow_unicode=True))


@settings(deadline=None)
@given(line=st.integers(0, 14), text=st.text(alphabet="abc:-{}[]&*!|>'\"%@` \t#0123456789", max_size=12))
def test_a_line_that_was_mistyped(line: int, text: str) -> None:
    lines = GOOD.splitlines()
    lines[line] = text
    judge("\n".join(lines))
