"""Campaign files as tests write them."""

from __future__ import annotations

from typing import Any

from airflow_provider_smartlive.campaigns.model import Campaign
from airflow_provider_smartlive.campaigns.problems import CampaignError
from airflow_provider_smartlive.campaigns.source import parse

HEAD = """\
version: 1
campaign: spring
timezone: {zone}
shows:
"""


#: One show; tests put something else in the place of a line.
GOOD = """\
version: 1
campaign: spring
timezone: Europe/Berlin
defaults:
  stop: 22:00
shows:
  - room: skincare
    schedule: "0 19 * * mon-fri"
"""


def campaign(text: str, name: str = "spring.yaml") -> Campaign:
    """Return the campaign of a text."""
    return Campaign.of(parse(text, name))


def of_shows(shows: str, zone: str = "Asia/Shanghai") -> Campaign:
    """Return a campaign with shows, each a line of YAML's short form."""
    return campaign(
        HEAD.format(zone=zone) + "\n".join(f"  - {{{show}}}" for show in shows.splitlines() if show)
    )


def errors_of(text: str) -> list[tuple[int, str, str]]:
    """Return what is wrong with a text: line, field, what is wrong."""
    try:
        found: Any = campaign(text)
    except CampaignError as error:
        return [(problem.line, problem.field, problem.text) for problem in error.problems]
    raise AssertionError(f"nothing is wrong with {found}")
