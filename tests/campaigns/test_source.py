"""The YAML of a campaign file, and what is no campaign at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_smartlive.campaigns.model import Campaign
from airflow_provider_smartlive.campaigns.problems import CampaignError
from tests.campaigns.campaign_files import GOOD, campaign, errors_of


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: [1", 2, "is no YAML"),
        ("a: 1\nb: 2\n\tc: 3", 3, "is no YAML"),
        ("", 1, "is empty"),
        ("--- 1\n--- 2", 1, "2 documents"),
        ("- 1", 1, "holds no fields"),
        ("version: 1\nversion: 1", 2, "is given twice, first in line 1"),
        ("version: 1\na: &x [1]\nb: *x", 2, "is an alias"),
        ("version: 1\n<<: {a: 1}", 2, "merge key"),
        ("version: 1\n? [a]\n: 1", 2, "a key that is no word"),
        ("a: " + "[" * 30 + "]" * 30, 1, "levels deep"),
        ("x" * 1_000_001, 1, "longer than"),
    ],
)
def test_what_is_no_campaign_at_all(text: str, line: int, said: str) -> None:
    found = errors_of(text)
    assert said in found[0][2]
    assert found[0][0] == line


def test_what_no_parser_follows() -> None:
    ((_line, _field, said),) = errors_of("[" * 3000)  # releases of PyYAML give up in other lines
    assert "is no YAML" in said


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match=r"no\.yaml:1: cannot be read: No such file"):
        Campaign.read(tmp_path / "no.yaml", "no.yaml")


def test_yaml_means_what_people_mean() -> None:
    text = GOOD.replace("room: skincare", "room: 00123\n    show: on\n    start: 19:00")
    (show,) = campaign(text).shows
    assert (show.room, show.show) == ("00123", "on")
    assert show.start is not None
    assert show.start.hour == 19
