"""A field that cannot be read is said with line, field, problem and fix, and no secret of it is repeated."""

from __future__ import annotations

import pytest

from tests.campaigns.campaign_files import GOOD, errors_of

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
    ("schedule: 7", 8, "shows[0].schedule", "is neither a cron expression"),
    ("schedule: [2027-02-29]\n    start: 19:00", 8, "shows[0].schedule[0]", "a day that does not exist"),
    ("schedule: [24.12.2026]\n    start: 19:00", 8, "shows[0].schedule[0]", "is '24.12.2026', no date"),
    ("schedule: '0 19 * * *'\n    stop: 25:00", 9, "shows[0].stop", "is '25:00', no time of day. Write hours and"),
    ("schedule: '0 19 * * *'\n    stop: 2200", 9, "shows[0].stop", "is 2200, no time of day"),
    ("schedule: '0 19 * * *'\n    max_duration: 2x", 9, "shows[0].max_duration", "no duration. Write minutes"),
    ("schedule: '0 19 * * *'\n    connected_within: soon", 9, "shows[0].connected_within", "no duration. Write"),
    ("schedule: '0 19 * * *'\n    max_reconnects: 1.5", 9, "shows[0].max_reconnects", "has to be a valid integer"),
    ("schedule: '0 19 * * *'\n    max_reconnects: -1", 9, "shows[0].max_reconnects", "greater than or equal to 0"),
    ("schedule: '0 19 * * *'\n    max_reconnects: many", 9, "shows[0].max_reconnects", "has to be a valid integer"),
    ("schedule: '0 19 * * *'\n    outlets: tea", 9, "shows[0].outlets", "has to be the outlets, with fields"),
    ("schedule: '0 19 * * *'\n    outlets: {endde: tea}", 9, "shows[0].outlets.endde", "Did you mean ended?"),
    ("schedule: '0 19 * * *'\n    outlets: {ended: [a, 'b?']}", 9, "shows[0].outlets.ended[1]", "no name of an asset"),
    ("schedule: '0 19 * * *'\n    standby: spare", 9, "shows[0].standby", "has to be a standby, with fields"),
    ("schedule: '0 19 * * *'\n    standby: {rom: b}", 9, "shows[0].standby.rom", "Did you mean room?"),
    ("schedule: '0 19 * * *'\n    standby: {outputs: 'rtmp://x'}", 9, "shows[0].standby.outputs[0]", "connection id"),
    ("schedule: '0 19 * * *'\n    standby_room_id: b", 9, "shows[0].standby_room_id", "Write standby, with a room."),
    ("schedule: '0 19 * * *'\n    start_at: 19:00", 9, "shows[0].start_at", "of a show. Write schedule and start."),
    ("schedule: '0 19 * * *'\n    output_conn_ids: a", 9, "shows[0].output_conn_ids", "Write outputs."),
    ("schedule: '0 19 * * *'\n    retries: true", 9, "shows[0].retries", "has to be a valid integer"),
    ("schedule: '0 19 * * *'\n    show: ''", 9, "shows[0].show", "is empty. Its name in the file"),
    ("schedule: '0 19 * * *'\n    show: a b", 9, "shows[0].show", "not taken there. Its name in the file and in the"),
    ("schedule: '0 19 * * *'\n    commands: hello", 9, "shows[0].commands", "has to be a list: a line for each entry"),
    ("schedule: '0 19 * * *'\n    retries: many", 9, "shows[0].retries", "has to be a valid integer"),
    ("schedule: '0 19 * * *'\n    outputs: [a, b]", 9, "shows[0].outputs", "at most 1 item"),
    ("schedule: '0 19 * * *'\n    notify: [{notifer: a.b}]", 9, "shows[0].notify[0].notifer", "mean notifier?"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "at", "field", "text"), MISTAKES)
def test_a_field_of_a_show(line: str, at: int, field: str, text: str) -> None:
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


def test_a_message_ends_once() -> None:
    mistakes = [GOOD.replace("Europe/Berlin", zone) for zone in ("Europe/Berlim", "Mars", "")]
    for ((_line, _field, said),) in map(errors_of, mistakes):
        assert said.endswith((".", "?"))
        assert not said.endswith(("..", "?."))


def test_a_stream_key_in_the_file_is_refused_and_not_repeated() -> None:
    for key in ("rtmp://push.example.com/live/fake-key-1", "fake?key=1", "fake-key/1"):
        text = GOOD + f'    outputs: "{key}"\n'
        ((line, field, said),) = errors_of(text)
        assert (line, field) == (9, "shows[0].outputs[0]")
        assert "Put URL and key into an Airflow connection" in said
        assert key not in said


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
