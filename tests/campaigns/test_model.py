"""The shows of a campaign together: names, kinds of schedules, defaults, the deadline; and that all is said at once."""

from __future__ import annotations

import pytest

from tests.campaigns.campaign_files import GOOD, campaign, errors_of


@pytest.mark.parametrize(
    ("after", "notify", "text"),
    [
        (
            "3h",
            "desk",
            "is 3:00:00, and 'skincare' is over 3:10:00 after its run begins. Write a longer one.",
        ),
        ("4h", "[]", "has nobody to tell. Write notify, into defaults or a show."),
        ("soon", "desk", "is 'soon', no duration."),
    ],
)
def test_a_deadline_that_makes_no_sense(after: str, notify: str, text: str) -> None:
    top = f"alert_if_not_over_after: {after}\ndefaults:\n  notify: {notify}"
    ((line, field, said),) = errors_of(GOOD.replace("defaults:", top))
    assert (line, field) == (4, "alert_if_not_over_after")
    assert text in said


def test_two_shows_of_one_name() -> None:
    text = GOOD + '  - room: skincare\n    schedule: "0 9 * * *"\n'
    ((line, field, said),) = errors_of(text)
    assert (line, field) == (9, "shows[1].room")
    assert "show: NAME" in said
    named = campaign(text + "    show: morning\n")
    assert [show.name for show in named.shows] == ["skincare", "morning"]


def test_dates_and_cron_expressions_do_not_mix() -> None:
    text = GOOD + "  - room: tea\n    schedule: [2026-12-24]\n    start: 19:00\n"
    ((line, field, said),) = errors_of(text)
    assert (line, field) == (10, "shows[1].schedule")
    assert "into a file of their own" in said


def test_everything_that_is_wrong_is_said_at_once() -> None:
    text = GOOD.replace("22:00", "29:00").replace("Europe/Berlin", "Mars") + "    retries: x\n"
    assert [line for line, _, _ in errors_of(text)] == [3, 5, 9]


def test_a_default_is_replaced_as_a_whole() -> None:
    text = GOOD.replace("stop: 22:00", "stop: 22:00\n  play_policy: {repeat_count: 3}\n  outputs: channel")
    inherits = campaign(text).shows[0]
    assert (inherits.play_policy, inherits.outputs) == ({"repeat_count": 3}, ["channel"])
    own = campaign(text + "    play_policy: {play_mode: NO_PRESET}\n    outputs: []\n").shows[0]
    assert (own.play_policy, own.outputs) == ({"play_mode": "NO_PRESET"}, [])


def test_a_mistake_in_a_default_is_said_once_and_there() -> None:
    text = GOOD.replace("22:00", "29:00") + '  - room: tea\n    schedule: "0 9 * * *"\n'
    assert [(line, field) for line, field, _ in errors_of(text)] == [(5, "defaults.stop")]
