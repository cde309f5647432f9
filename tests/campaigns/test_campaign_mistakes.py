"""What is wrong with a campaign file is said with line, field, problem and fix."""

from __future__ import annotations

import pytest

from airflow_provider_smartlive.campaigns.model import Campaign
from airflow_provider_smartlive.campaigns.problems import CampaignError
from tests.campaigns.campaign_files import campaign, errors_of

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

#: What stands in the place of the last line, or of another, and what is said: line, field, words of the text.
MISTAKES = [
    ("schedule: '0 19 * * mon-fri'\n    strat: 1", 9, "shows[0].strat", "is no field of a show. Did you mean start?"),
    ("schedule: '0 19 * * xxx'", 8, "shows[0].schedule", "is no cron expression"),
    ("schedule: '0 19 * *'", 8, "shows[0].schedule", "has 4 fields, not five"),
    ("schedule: '0 19 30 2 *'", 8, "shows[0].schedule", "never comes: there is no such day in any year"),
    ("schedule: '0 19 31 4,6 *'", 8, "shows[0].schedule", "in any year. Write another day. See crontab(5)."),
    ("schedule: 'R 19 * * *'", 8, "shows[0].schedule", "has a random time (R), which is another one whenever"),
    ("schedule: '0 19 * * r'", 8, "shows[0].schedule", "has a random time (R), which is another one whenever"),
    ("schedule: 2026-12-24\n    start: 19:00", 8, "shows[0].schedule", "is one date. Write it as a list: [2026-"),
    ("schedule: '*/5 * * * *'", 8, "shows[0].schedule", "name the minutes and hours of the starts"),
    ("schedule: '* * * * mon'", 7, "shows[0].start", "is missing. Write the time of day; schedule '* * * * mon'"),
    ("schedule: '0 19 * * *'\n    start: 20:00", 9, "shows[0].start", "Leave start out, or write the schedule as"),
    ("schedule: '0 22 * * *'", 5, "defaults.stop", "is equal to the start (22:00). Write another time; for 24 hours,"),
    ("schedule: 7", 8, "shows[0].schedule", "is neither a cron expression"),
    ("schedule: []\n    start: 19:00", 8, "shows[0].schedule", "has no date in its list"),
    ("schedule: [2027-02-29]\n    start: 19:00", 8, "shows[0].schedule[0]", "a day that does not exist"),
    ("schedule: [24.12.2026]\n    start: 19:00", 8, "shows[0].schedule[0]", "is '24.12.2026', no date"),
    ("schedule: [2026-12-24, 2026-12-24]\n    start: 19:00", 8, "shows[0].schedule[1]", "stands in the list already"),
    ("schedule: [2026-03-29]\n    start: 02:30", 8, "shows[0].schedule[0]", "no 02:30 then. Choose another start"),
    (
        "schedule: [2026-03-28]\n    start: 22:00\n    stop: 02:30",
        8,
        "shows[0].schedule[0]",
        "ends on 2026-03-29, when clocks are put forward in Europe/Berlin: there is no 02:30 then. Choose another st",
    ),
    ("schedule: [2026-12-24]", 7, "shows[0].start", "is missing. Write the time of day"),
    ("schedule: '0 19 * * *'\n    stop: 25:00", 9, "shows[0].stop", "is '25:00', no time of day. Write hours and"),
    ("schedule: '0 19 * * *'\n    stop: 2200", 9, "shows[0].stop", "is 2200, no time of day"),
    ("schedule: '0 19 * * *'\n    max_duration: 2x", 9, "shows[0].max_duration", "no duration. Write minutes"),
    ("schedule: '0 19 * * *'\n    max_duration: 200h", 9, "shows[0].max_duration", "at most 168 hours"),
    ("schedule: '0 19 * * *'\n    check_before: 13h", 9, "shows[0].check_before", "at most 12 hours"),
    ("schedule: '0 19 * * *'\n    alert_if_not_connected_after: 0", 9, "shows[0].alert_if_not_connected_after", "more"),
    ("schedule: '0 19 * * *'\n    connected_within: 0", 9, "shows[0].connected_within", "has to be more than 0."),
    ("schedule: '0 19 * * *'\n    connected_within: soon", 9, "shows[0].connected_within", "no duration. Write"),
    ("schedule: '0 19 * * *'\n    connected_within: 4h", 9, "shows[0].connected_within", "the show lasts 3:00:00."),
    ("schedule: '0 8,19 * * *'\n    min_on_air: 4h", 9, "shows[0].min_on_air", "the show lasts 3:00:00."),
    ("schedule: '0 19 * * *'\n    max_reconnects: 1.5", 9, "shows[0].max_reconnects", "has to be a valid integer"),
    ("schedule: '0 19 * * *'\n    max_reconnects: -1", 9, "shows[0].max_reconnects", "greater than or equal to 0"),
    ("schedule: '0 19 * * *'\n    max_reconnects: many", 9, "shows[0].max_reconnects", "has to be a valid integer"),
    ("schedule: '0 19 * * *'\n    outlets: tea", 9, "shows[0].outlets", "has to be the outlets, with fields"),
    ("schedule: '0 19 * * *'\n    outlets: {endde: tea}", 9, "shows[0].outlets.endde", "Did you mean ended?"),
    ("schedule: '0 19 * * *'\n    outlets: {ended: [a, 'b?']}", 9, "shows[0].outlets.ended[1]", "no name of an asset"),
    ("schedule: '0 19 * * *'\n    outlets: {as_run: 'airflow:x'}", 9, "shows[0].outlets.as_run[0]", "is no asset: "),
    ("schedule: '0 19 * * *'\n    standby: spare", 9, "shows[0].standby", "has to be a standby, with fields"),
    ("schedule: '0 19 * * *'\n    standby: {}", 9, "shows[0].standby", "has neither room nor outputs. Write one of"),
    ("schedule: '0 19 * * *'\n    standby: {rom: b}", 9, "shows[0].standby.rom", "Did you mean room?"),
    ("schedule: '0 19 * * *'\n    standby: {room: Skin-care}", 9, "shows[0].standby.room", "is that of the show."),
    ("schedule: '0 19 * * *'\n    outputs: a\n    standby: {outputs: [a]}", 10, "shows[0].standby.outputs", "is that"),
    ("schedule: '0 19 * * *'\n    standby: {outputs: 'rtmp://x'}", 9, "shows[0].standby.outputs[0]", "connection id"),
    ("schedule: '0 19 * * *'\n    standby_room_id: b", 9, "shows[0].standby_room_id", "Write standby, with a room."),
    ("schedule: '0 19 * * *'\n    start_at: 19:00", 9, "shows[0].start_at", "of a show. Write schedule and start."),
    ("schedule: '0 19 * * *'\n    output_conn_ids: a", 9, "shows[0].output_conn_ids", "Write outputs."),
    ("schedule: '0 19 * * *'\n    commands: [{after: 3h, say: x}]", 9, "shows[0].commands[0].after", "show lasts 3:00"),
    ("schedule: '0 19 * * *'\n    retries: true", 9, "shows[0].retries", "has to be a valid integer"),
    ("schedule: '0 19 * * *'\n    alert_if_not_connected_after: 4h", 9, "shows[0].alert_if_not_connected_after", "the"),
    ("schedule: '0 19 * * *'\n    show: ''", 9, "shows[0].show", "is empty. Its name in the file"),
    ("schedule: '0 19 * * *'\n    show: a b", 9, "shows[0].show", "not taken there. Its name in the file and in the"),
    ("schedule: '0 19 * * *'\n    commands: hello", 9, "shows[0].commands", "has to be a list: a line for each entry"),
    ("schedule: '0 19 * * *'\n    retries: many", 9, "shows[0].retries", "has to be a valid integer"),
    ("schedule: '0 19 * * *'\n    outputs: [a, b]", 9, "shows[0].outputs", "at most 1 item"),
    ("schedule: '0 19 * * *'\n    video_config: {bitrate: 1}", 9, "shows[0].video_config.bitrate", "greater than"),
    ("schedule: '0 19 * * *'\n    play_policy: {repeat_cuont: 1}", 9, "shows[0].play_policy.repeat_cuont", "mean"),
    ("schedule: '0 19 * * *'\n    notify: [{notifer: a.b}]", 9, "shows[0].notify[0].notifer", "mean notifier?"),
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
def test_a_mistake_in_a_show(line: str, at: int, field: str, text: str) -> None:
    found = errors_of(GOOD.replace('schedule: "0 19 * * mon-fri"', line))
    assert found[0][:2] == (at, field)
    assert text in found[0][2]


@pytest.mark.parametrize(
    ("old", "new", "at", "field", "text"),
    [
        ("version: 1", "version: 2", 1, "version", "is 2, which this release does not know. Write `version: 1`."),
        ("version: 1\n", "", 1, "version", "is missing. Write `version: 1`."),
        ("timezone: Europe/Berlin\n", "", 1, "timezone", "is missing. What all times mean"),
        ("Europe/Berlin", "Europe/Berlim", 3, "timezone", "Did you mean Europe/Berlin?"),
        ("Europe/Berlin", "", 3, "timezone", "is empty. Write a name such as Asia/Shanghai or Europe/Berlin."),
        ("Europe/Berlin", "+08:00", 3, "timezone", "Write a name such as Asia/Shanghai"),
        ("campaign: spring", "campaign: spring sale", 2, "campaign", "has characters that are not taken there"),
        ("defaults:\n  stop: 22:00", "defaults: tea", 4, "defaults", "has to be a show, with fields of its own."),
        ("timezone:", "as_run_path: as-run\ntimezone:", 3, "as_run_path", "is no folder of a storage. Write"),
        ("timezone:", "records_path: [a]\ntimezone:", 3, "records_path", "is no folder of a storage. Write"),
        ("campaign: spring", "campain: spring", 2, "campain", "is no field of a campaign. Did you mean campaign?"),
        ("  stop: 22:00", "  stpo: 22:00", 5, "defaults.stpo", "is no field of a show. Did you mean stop?"),
        ("stop: 22:00", "tags: x", 7, "shows[0].stop", "is missing. Write the time of day"),
        ("room: skincare", "room: a/b", 7, "shows[0].room", "has characters that are not taken there"),
        ("  - room: skincare\n   ", "  -", 7, "shows[0].room", "is missing. The id of MetaStudio's room."),
        ('  - room: skincare\n    schedule: "0 19 * * mon-fri"', "  []", 6, "shows", "is empty. What goes live."),
        ("version: 1", "version: 1\nquota: true", 2, "quota", "has to be a valid integer"),
    ],
)  # fmt: skip
def test_a_mistake_elsewhere(old: str, new: str, at: int, field: str, text: str) -> None:
    assert old in GOOD
    found = errors_of(GOOD.replace(old, new))
    assert (at, field) in [problem[:2] for problem in found]
    assert any(text in problem[2] for problem in found)


def test_a_stop_on_the_day_before_clocks_are_put_forward_is_right() -> None:
    text = GOOD.replace(
        'schedule: "0 19 * * mon-fri"', "schedule: [2026-03-29]\n    start: 22:00\n    stop: 02:30"
    )
    assert campaign(text).shows[0].stop is not None


def test_a_message_ends_once() -> None:
    mistakes = [GOOD.replace("Europe/Berlin", zone) for zone in ("Europe/Berlim", "Mars", "")]
    for ((_line, _field, said),) in map(errors_of, mistakes):
        assert said.endswith((".", "?"))
        assert not said.endswith(("..", "?."))


def test_a_short_show_need_not_know_when_nobody_is_told() -> None:
    assert campaign(GOOD.replace("stop: 22:00", "max_duration: 3m")).shows[0].max_duration


def test_a_stream_key_in_the_file_is_refused_and_not_repeated() -> None:
    for key in ("rtmp://push.example.com/live/fake-key-1", "fake?key=1", "fake-key/1"):
        text = GOOD + f'    outputs: "{key}"\n'
        ((line, field, said),) = errors_of(text)
        assert (line, field) == (9, "shows[0].outputs[0]")
        assert "Put URL and key into an Airflow connection" in said
        assert key not in said


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


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("outlets: {ended: rtmp://push.example.com/live/fake-key-1}", "outlets.ended[0]"),
        ("outlets: {ended: smartlive://a?fake-key-1}", "outlets.ended[0]"),
        ("as_run_path: s3://fake-id:fake-key-1@bucket/as-run", "as_run_path"),
        ("as_run_path: s3://bucket/as-run?key=fake-key-1", "as_run_path"),
        ("records_path: s3://fake-id:fake-key-1@bucket/records", "records_path"),
    ],
)
def test_a_secret_elsewhere_in_the_file_is_refused_and_not_repeated(line: str, field: str) -> None:
    text = GOOD + f"    {line}\n" if "outlets" in line else GOOD.replace("defaults:", f"{line}\ndefaults:")
    ((_line, at, said),) = errors_of(text)
    assert at.endswith(field)
    assert "fake-key" not in said


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


def test_a_file_that_is_not_there(tmp_path: object) -> None:
    from pathlib import Path

    with pytest.raises(CampaignError, match=r"no\.yaml:1: cannot be read: No such file"):
        Campaign.read(Path(str(tmp_path)) / "no.yaml", "no.yaml")


def test_yaml_means_what_people_mean() -> None:
    text = GOOD.replace("room: skincare", "room: 00123\n    show: on\n    start: 19:00")
    (show,) = campaign(text).shows
    assert (show.room, show.show) == ("00123", "on")
    assert show.start is not None
    assert show.start.hour == 19


def test_a_default_is_replaced_as_a_whole() -> None:
    text = GOOD.replace("stop: 22:00", "stop: 22:00\n  play_policy: {repeat_count: 3}\n  outputs: channel")
    inherits = campaign(text).shows[0]
    assert (inherits.play_policy, inherits.outputs) == ({"repeat_count": 3}, ["channel"])
    own = campaign(text + "    play_policy: {play_mode: NO_PRESET}\n    outputs: []\n").shows[0]
    assert (own.play_policy, own.outputs) == ({"play_mode": "NO_PRESET"}, [])


def test_a_mistake_in_a_default_is_said_once_and_there() -> None:
    text = GOOD.replace("22:00", "29:00") + '  - room: tea\n    schedule: "0 9 * * *"\n'
    assert [(line, field) for line, field, _ in errors_of(text)] == [(5, "defaults.stop")]
