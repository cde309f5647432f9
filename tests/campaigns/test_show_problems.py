"""What does not fit together in a show is said with line, field, problem and fix."""

from __future__ import annotations

import pytest

from tests.campaigns.campaign_files import GOOD, campaign, errors_of

#: What stands in the place of the last line, or of another, and what is said: line, field, words of the text.
MISTAKES = [
    ("schedule: '* * * * mon'", 7, "shows[0].start", "is missing. Write the time of day; schedule '* * * * mon'"),
    ("schedule: '0 19 * * *'\n    start: 20:00", 9, "shows[0].start", "Leave start out, or write the schedule as"),
    ("schedule: '0 22 * * *'", 5, "defaults.stop", "is equal to the start (22:00). Write another time; for 24 hours,"),
    ("schedule: []\n    start: 19:00", 8, "shows[0].schedule", "has no date in its list"),
    ("schedule: [2026-12-24, 2026-12-24]\n    start: 19:00", 8, "shows[0].schedule[1]", "stands in the list already"),
    ("schedule: [2026-03-29]\n    start: 02:30", 8, "shows[0].schedule[0]", "no 02:30 then. Choose another start"),
    (
        "schedule: [2026-03-28]\n    start: 22:00\n    stop: 02:30",
        8,
        "shows[0].schedule[0]",
        "ends on 2026-03-29, when clocks are put forward in Europe/Berlin: there is no 02:30 then. Choose another st",
    ),
    ("schedule: [2026-12-24]", 7, "shows[0].start", "is missing. Write the time of day"),
    ("schedule: '0 19 * * *'\n    max_duration: 200h", 9, "shows[0].max_duration", "at most 168 hours"),
    ("schedule: '0 19 * * *'\n    check_before: 13h", 9, "shows[0].check_before", "at most 12 hours"),
    ("schedule: '0 19 * * *'\n    alert_if_not_connected_after: 0", 9, "shows[0].alert_if_not_connected_after", "more"),
    ("schedule: '0 19 * * *'\n    connected_within: 0", 9, "shows[0].connected_within", "has to be more than 0."),
    ("schedule: '0 19 * * *'\n    connected_within: 4h", 9, "shows[0].connected_within", "the show lasts 3:00:00."),
    ("schedule: '0 8,19 * * *'\n    min_on_air: 4h", 9, "shows[0].min_on_air", "the show lasts 3:00:00."),
    ("schedule: '0 19 * * *'\n    outlets: {as_run: 'airflow:x'}", 9, "shows[0].outlets.as_run[0]", "is no asset: "),
    ("schedule: '0 19 * * *'\n    standby: {}", 9, "shows[0].standby", "has neither room nor outputs. Write one of"),
    ("schedule: '0 19 * * *'\n    standby: {room: Skin-care}", 9, "shows[0].standby.room", "is that of the show."),
    ("schedule: '0 19 * * *'\n    outputs: a\n    standby: {outputs: [a]}", 10, "shows[0].standby.outputs", "is that"),
    ("schedule: '0 19 * * *'\n    commands: [{after: 3h, say: x}]", 9, "shows[0].commands[0].after", "show lasts 3:00"),
    ("schedule: '0 19 * * *'\n    alert_if_not_connected_after: 4h", 9, "shows[0].alert_if_not_connected_after", "the"),
    ("schedule: '0 19 * * *'\n    video_config: {bitrate: 1}", 9, "shows[0].video_config.bitrate", "greater than"),
    ("schedule: '0 19 * * *'\n    play_policy: {repeat_cuont: 1}", 9, "shows[0].play_policy.repeat_cuont", "mean"),
    ("schedule: '0 19 * * *'\n    commands: [{after: 1}]", 9, "shows[0].commands[0]", "either say or command"),
    ("schedule: '0 19 * * *'\n    commands: [{after: 1, command: SAY}]", 9, "shows[0].commands[0].command", "There"),
    (
        "schedule: '0 19 * * *'\n    commands: [{after: 1, command: INSERT_PLAY_SCRIPT, params: {txt: 1}}]",
        9,
        "shows[0].commands[0].params.txt",
        "is no field of MetaStudio's API",
    ),
    ("schedule: '0 19 * * *'\n    commands: [{after: 1, say: x, params: {}}]", 9, "shows[0].commands[0].params", "say"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "at", "field", "text"), MISTAKES)
def test_what_does_not_fit_together(line: str, at: int, field: str, text: str) -> None:
    found = errors_of(GOOD.replace('schedule: "0 19 * * mon-fri"', line))
    assert found[0][:2] == (at, field)
    assert text in found[0][2]


def test_a_stop_on_the_day_before_clocks_are_put_forward_is_right() -> None:
    text = GOOD.replace(
        'schedule: "0 19 * * mon-fri"', "schedule: [2026-03-29]\n    start: 22:00\n    stop: 02:30"
    )
    assert campaign(text).shows[0].stop is not None


def test_a_short_show_need_not_know_when_nobody_is_told() -> None:
    assert campaign(GOOD.replace("stop: 22:00", "max_duration: 3m")).shows[0].max_duration
