from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_smartlive.callbacks.apply import (
    MAX_DIGESTS,
    MAX_JOBS,
    MAX_LABEL,
    MAX_STREAMS,
    MAX_SWITCHES,
    Outcome,
    OutcomeKind,
    apply_event,
    event_digest,
    unrecognised,
)
from airflow_provider_smartlive.callbacks.size import MAX_BYTES, MAX_TRANSITIONS
from airflow_provider_smartlive.callbacks.table import CallbackTable, reply_mark
from airflow_provider_smartlive.metastudio.events import CallbackEvent, StreamState
from airflow_provider_smartlive.metastudio.outputs import describe_output
from tests.support.callback_events import (
    JOB,
    OTHER_JOB,
    OUTPUT,
    ROOM,
    body,
    reply,
    script,
    stream,
)

AT = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
KEY = b"fake-fingerprint-key"


def _fold(table, event, *, second=0, **more):
    return apply_event(table, event, at=AT + timedelta(seconds=second), fingerprint_key=KEY, **more)


def _applied(*events, table=None):
    table = table or CallbackTable()
    for second, event in enumerate(events):
        table, outcome = _fold(table, event, second=second)
    return table, outcome


def _size(table):
    return len(json.dumps(table.dump()))


def test_the_way_of_a_stream_is_told():
    table, _ = _applied(
        *(stream(state) for state in ("CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING"))
    )
    table, outcome = _fold(table, stream("END"), second=60)

    job = table.job(JOB)
    (row,) = job.streams
    assert [state for state, _ in row.transitions] == [
        "CONNECTING",
        "CONNECTED",
        "DISCONNECTED",
        "RECONNECTING",
        "END",
    ]
    assert row.transitions[-1][1] == AT + timedelta(seconds=60)
    assert (row.state, row.ended, row.first_at, row.last_at) == ("END", True, AT, AT + timedelta(seconds=60))
    assert row.counts == dict.fromkeys(row.counts, 1)
    assert job.room_id == ROOM
    assert outcome.all_ended
    assert outcome.reached == {"END"}
    assert (outcome.kind, outcome.job_id, outcome.state) == (OutcomeKind.APPLIED, JOB, "END")


def test_each_state_is_reached_once():
    table, first = _applied(stream("CONNECTED"))
    _, second = _applied(stream("CONNECTED"), table=table)

    assert first.reached == {"CONNECTED"}
    assert second.reached == frozenset()


def test_a_repeated_state_is_counted_but_is_no_transition():
    table, _ = _applied(stream("RECONNECTING"), stream("RECONNECTING"), stream("RECONNECTING"))

    (row,) = table.job(JOB).streams
    assert row.counts == {"RECONNECTING": 3}
    assert len(row.transitions) == 1


def test_no_secret_of_an_output_is_in_the_table():
    table, _ = _applied(stream("CONNECTED"))
    text = json.dumps(table.dump())

    assert "fake-stream-key" not in text
    assert "fake-separate-key" not in text
    assert "rtmp://push.example.com/live/***" in text


def test_end_is_final_for_its_stream():
    table, _ = _applied(stream("CONNECTED"), stream("END"))
    later, outcome = _applied(stream("RECONNECTING"), stream("CONNECTED"), table=table)

    (row,) = later.job(JOB).streams
    assert (row.state, row.ended) == ("END", True)
    assert row.counts == {"CONNECTED": 2, "END": 1, "RECONNECTING": 1}
    assert outcome.kind is OutcomeKind.LATE
    assert not outcome.all_ended


def test_a_second_end_wakes_nobody():
    table, _ = _applied(stream("END"))
    _, outcome = _applied(stream("END"), table=table)

    assert not outcome.all_ended
    assert outcome.reached == frozenset()


def test_a_connected_that_end_overtook_was_still_reached():
    table, outcome = _applied(stream("END"), stream("CONNECTED"))

    assert outcome.reached == {"CONNECTED"}
    assert table.job(JOB).has_reached("CONNECTED")


def test_two_outputs_end_when_both_ended():
    one, two = "rtmp://a.example.com/live/fake-1", "rtmp://b.example.com/live/fake-2"
    table, first = _applied(
        stream("CONNECTED", output=one), stream("CONNECTED", output=two), stream("END", output=one)
    )
    ended, second = _applied(stream("END", output=two), table=table)

    assert (first.all_ended, second.all_ended) == (False, True)
    assert not table.job(JOB).has_reached("END")
    assert ended.job(JOB).ended()


def _fingerprint(url, stream_key="fake-separate-key"):
    return describe_output(url, stream_key, key=KEY).fingerprint


FORGED = "rtmp://forged.example.com/x/y"
SECOND = "rtmp://b.example.com/live/fake-2"
STARTED = {"outputs": [_fingerprint(OUTPUT)]}


def _told(*events, **more):
    """Fold events in order, and return the job, and which events ended its stream and let sensors of END end."""
    table, ended, reached = CallbackTable(), [], []
    for second, event in enumerate(events):
        table, outcome = _fold(table, event, second=second, **more)
        ended += [second] if outcome.all_ended else []
        reached += [second] if "END" in outcome.reached else []
    return table.job(JOB), ended, reached


@pytest.mark.parametrize("state", list(StreamState))
@pytest.mark.parametrize("more", [{}, STARTED])
def test_no_later_event_takes_a_recorded_end_back(state, more):
    job, ended, reached = _told(stream("CONNECTED"), stream("END"), stream(state, output=FORGED), **more)

    assert (ended, reached) == ([1], [1])
    assert job.ended()
    # A link that is up leaves whoever asks later to MetaStudio; any other event does not even do that.
    assert job.has_reached("END") == (state != "CONNECTED")


@pytest.mark.parametrize("state", list(StreamState))
def test_end_is_counted_by_the_outputs_that_were_started(state):
    job, ended, _ = _told(stream("CONNECTED"), stream(state, output=FORGED), stream("END"), **STARTED)

    assert ended == [2]
    assert job.ended()


@pytest.mark.parametrize("more", [{}, STARTED])
def test_an_output_that_never_was_up_keeps_no_end_from_sensors(more):
    _, ended, reached = _told(stream("CONNECTED"), stream("CONNECTING", output=FORGED), stream("END"), **more)

    assert (ended, reached) == ([2], [2])


def test_the_end_of_an_output_that_nobody_started_ends_nothing():
    job, ended, reached = _told(stream("CONNECTED"), stream("END", output=FORGED), **STARTED)

    assert (ended, reached) == ([], [])
    assert not job.ended()


def test_all_outputs_that_were_started_have_to_end():
    outputs = [_fingerprint(OUTPUT), _fingerprint(SECOND)]
    _, ended, _ = _told(stream("END"), stream("END", output=FORGED), outputs=outputs)
    assert ended == [1]  # as many as were started: the forged one may be the other spelling of the second

    events = (stream("END"), stream("CONNECTED", output=SECOND), stream("END", output=SECOND))
    assert _told(*events, outputs=outputs)[1] == [2]


@pytest.mark.parametrize(
    "spelling",
    [
        {"output": OUTPUT + "/"},
        {"output": "RTMP://Push.example.com:1935/live/fake-stream-key"},
        {"output": "rtmp://user@push.example.com/live/fake-stream-key/fake-separate-key", "stream_key": ""},
    ],
)
def test_one_output_has_one_row_however_it_is_spelled(spelling):
    job, ended, reached = _told(stream("CONNECTED"), stream("END", **spelling), **STARTED)

    assert (ended, reached, len(job.streams)) == ([1], [1], 1)


def test_an_output_that_metastudio_writes_in_its_own_way_still_ends():
    other = "rtmp://edge-7.example.com/live"
    assert _told(stream("CONNECTED", output=other), stream("END", output=other), **STARTED)[1:] == ([1], [1])


def test_the_rows_of_strangers_leave_room_for_an_output_that_was_started():
    forged = [stream("CONNECTED", output=f"{FORGED}{number}") for number in range(2 * MAX_STREAMS)]
    job, ended, _ = _told(*forged, stream("END"), **STARTED)

    assert ended == [2 * MAX_STREAMS]
    assert len(job.streams) == MAX_STREAMS


NEW = "rtmp://new.example.com/live"


@pytest.mark.parametrize("more", [{}, STARTED])
@pytest.mark.parametrize(
    ("events", "ended_by"),
    [
        ([("END", OUTPUT), ("CONNECTED", NEW), ("END", NEW)], 3),
        ([("CONNECTED", NEW), ("END", OUTPUT), ("END", NEW)], 3),
        ([("CONNECTED", NEW), ("END", NEW), ("END", OUTPUT)], 2),
        ([("CONNECTED", NEW), ("DISCONNECTED", OUTPUT), ("END", NEW)], 3),
        ([("DISCONNECTED", OUTPUT), ("CONNECTED", NEW), ("RECONNECTING", NEW), ("END", NEW)], 4),
        ([("END", OUTPUT)], None),
        ([("END", OUTPUT), ("CONNECTED", OUTPUT)], None),
    ],
)
def test_after_the_outputs_were_exchanged_only_new_links_count(events, ended_by, more):
    table, _ = _fold(CallbackTable(), stream("CONNECTED"), **more)
    for second, (state, output) in enumerate(events, 1):
        event = stream(state, output=output)
        table, outcome = _fold(table, event, second=second, refreshes=lambda: ["mark"], **more)

        assert outcome.all_ended == ("END" in outcome.reached) == (second == ended_by)
    assert table.job(JOB).ended() == (ended_by is not None)
    assert table.job(JOB).interrupted_since() is None


def test_a_link_that_nobody_started_withholds_end_only_where_the_outputs_are_not_known():
    """What docs/security.md says of a forged CONNECTED: the rest is left to reconciliation."""
    events = stream("CONNECTED"), stream("CONNECTED", output=FORGED), stream("END")

    assert [_told(*events, **more)[1:] for more in (STARTED, {})] == [([2], []), ([], [])]


def test_a_command_that_was_refused_after_the_end_has_taken_nothing_back():
    table, _ = _applied(stream("CONNECTED"), stream("END"))
    table, _ = _fold(table, stream("END"), refreshes=lambda: ["one"])
    assert not table.job(JOB).ended()

    table, outcome = _fold(table, stream("CONNECTED"), refused=lambda: ["one"])
    assert table.job(JOB).ended()
    assert outcome.all_ended
    assert not table.job(JOB).refreshes


def test_of_two_commands_one_of_which_was_refused_the_other_has_exchanged_the_outputs():
    table, _ = _applied(stream("CONNECTED"))
    table, _ = _fold(table, stream("CONNECTED", output=NEW), refreshes=lambda: ["one", "two"])
    table, _ = _fold(table, stream("CONNECTED", output=NEW), refused=lambda: ["one"])

    old, new = table.job(JOB).streams
    assert table.job(JOB).refreshes == old.replaced_by == ["two"]
    assert (old.replaced, new.replaced) == (True, False)


def test_a_link_that_was_exchanged_leaves_a_full_table_before_one_that_nobody_started():
    table, _ = _applied(*(stream("CONNECTED", output=f"{FORGED}{number}") for number in range(2)))
    table, _ = _fold(table, stream("CONNECTED", output=NEW), refreshes=lambda: ["one"])
    for number in range(2, MAX_STREAMS - 1):
        table, _ = _fold(table, stream("CONNECTED", output=f"{FORGED}{number}"))
    table, _ = _fold(
        table, stream("CONNECTED", output=f"{FORGED}1")
    )  # the exchanged ones are not the silent ones
    table, _ = _fold(table, stream("CONNECTED", output=f"{FORGED}0"))
    table, _ = _fold(table, stream("CONNECTED"), **STARTED)

    kept = {row.fingerprint for row in table.job(JOB).streams}
    others = [f"{FORGED}{number}" for number in (0, *range(2, MAX_STREAMS - 1))]
    assert kept == set(map(_fingerprint, [*others, NEW, OUTPUT]))


def test_outputs_that_are_exchanged_after_the_end_begin_anew():
    table, _ = _applied(stream("CONNECTED"), stream("END"))
    table, _ = _fold(table, stream("CONNECTED", output=NEW), refreshes=lambda: ["one"])
    assert not table.job(JOB).ended()

    table, _ = _fold(table, stream("END", output=NEW), refreshes=lambda: ["one"])
    assert table.job(JOB).ended()
    table, outcome = _fold(table, stream("CONNECTED", output=FORGED), refreshes=lambda: ["two", "one"])
    assert not table.job(JOB).ended()
    assert not table.job(JOB).has_reached("END")
    assert outcome.reached == frozenset()


_BACK = [
    ("CONNECTED", OUTPUT, []),
    ("CONNECTED", NEW, ["there"]),
    ("DISCONNECTED", OUTPUT, ["there"]),
]


@pytest.mark.parametrize("more", [{}, STARTED])
@pytest.mark.parametrize(
    "events",
    [
        [("DISCONNECTED", NEW), ("CONNECTED", OUTPUT)],
        [("END", NEW), ("CONNECTED", OUTPUT)],
        [("CONNECTED", OUTPUT), ("END", NEW)],
        [("CONNECTED", OUTPUT), ("DISCONNECTED", NEW)],
        [("CONNECTING", OUTPUT), ("DISCONNECTED", NEW), ("CONNECTED", OUTPUT)],
    ],
)
@pytest.mark.parametrize("has_ended", [True, False])
def test_an_output_that_comes_back_is_a_new_link(events, more, has_ended):
    """From the main output to the spare one, and back again."""
    ended = [("END", OUTPUT, ["there"])] if has_ended else []
    events = [*_BACK, *ended, *((state, output, ["there", "back"]) for state, output in events)]
    table = CallbackTable()
    for second, (state, output, marks) in enumerate(events):
        event = stream(state, output=output)
        table, outcome = _fold(table, event, second=second, refreshes=lambda marks=marks: marks, **more)
        assert not outcome.all_ended

    assert table.job(JOB).interrupted_since() is None
    table, _ = _fold(table, stream("DISCONNECTED"), second=50, **more)
    assert table.job(JOB).interrupted_since() == AT + timedelta(seconds=50)
    table, outcome = _fold(table, stream("END"), second=60, refreshes=lambda: ["there", "back"], **more)
    assert outcome.all_ended
    assert outcome.reached >= {"END"}


def test_an_old_link_that_is_told_of_late_is_no_new_one():
    """After the spare output and the way back, of which the table does not know what has come up."""
    table = CallbackTable()
    for second, (state, output, marks) in enumerate([*_BACK, ("END", NEW, ["there", "back"])]):
        event, signed_at = stream(state, output=output), AT + timedelta(seconds=second)
        table, _ = _fold(
            table, event, second=second, signed_at=signed_at, refreshes=lambda marks=marks: marks
        )

    for state, signed in (("CONNECTED", 0), ("DISCONNECTED", 9)):
        table, _ = _fold(table, stream(state), second=9, signed_at=AT + timedelta(seconds=signed))
        assert len(table.job(JOB).streams) == 2
    table, _ = _fold(table, stream("CONNECTED"), second=10, signed_at=AT + timedelta(seconds=10))
    assert len(table.job(JOB).streams) == 3


def test_commands_are_looked_for_only_when_an_output_is_new_or_ends():
    asked, table = [], CallbackTable()
    states = ("CONNECTING", "CONNECTED", "DISCONNECTED", "CONNECTED", "END")
    for event in (*map(stream, states), script(1)):
        table, _ = _fold(table, event, refreshes=partial(_asked, asked, event.message))

    assert [message.state for message in asked] == ["CONNECTING", "END"]


def _asked(asked, message):
    asked.append(message)
    return ()


def test_an_exchange_that_nobody_told_us_of_leaves_sensors_to_metastudio_while_the_new_link_is_up():
    events = [stream("CONNECTED"), stream("CONNECTED", output=NEW), stream("END"), stream("END", output=NEW)]
    _, ended, reached = _told(*events, **STARTED)

    assert (ended, reached) == ([2], [3])


@pytest.mark.parametrize("more", [{}, STARTED])
@pytest.mark.parametrize("state", ["CONNECTED", "DISCONNECTED"])
def test_a_link_that_comes_up_after_the_end_is_waited_for_by_sensors_and_wakes_them_anew(state, more):
    """An exchange that nobody told us of: END of the old link comes before the new one is up."""
    events = [stream("CONNECTED"), stream("END"), *_links("CONNECTING", "CONNECTED", state, "END")]

    job, ended, reached = _told(*events, **more)
    assert (ended, reached) == ([1], [1, 5])
    assert job.has_reached("END")
    for count in (4, 5):
        job, _, _ = _told(*events[:count], **more)
        assert job.ended()
        assert not job.has_reached("END")


def _links(*states):
    return [stream(state, output=NEW) for state in states]


@pytest.mark.parametrize("skew", [-3600, -1, 0, 1, 3600])
def test_clocks_of_two_api_servers_that_differ_change_nothing(skew):
    """The link that was exchanged in the console is reported to another server than the rest."""
    table = CallbackTable()
    for number, (state, output) in enumerate([("CONNECTED", OUTPUT), ("CONNECTED", NEW), ("END", OUTPUT)]):
        second = number + (skew if output == NEW else 0)
        table, outcome = _fold(table, stream(state, output=output), second=second, **STARTED)

    assert outcome.all_ended
    assert outcome.reached == frozenset()
    assert not table.job(JOB).has_reached("END")


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_whose_turn_it_is_to_leave_a_full_table_is_told_by_the_count_of_events(skew):
    jobs = [f"{number:032x}" for number in range(MAX_JOBS + 1)]
    table = CallbackTable()
    for number, job_id in enumerate(jobs):
        table, _ = _fold(table, stream("CONNECTED", job_id=job_id), second=number + skew * (number % 2))
    assert [job.job_id for job in table.jobs] == jobs[1:]

    outputs = [f"{FORGED}{number}" for number in range(MAX_STREAMS)]
    table = CallbackTable()
    for number, output in enumerate([*outputs, OUTPUT]):
        event = stream("CONNECTED", output=output)
        table, _ = _fold(table, event, second=number + skew * (number % 2), **STARTED)
    kept = {row.fingerprint for row in table.job(JOB).streams}
    assert kept == set(map(_fingerprint, [*outputs[1:], OUTPUT]))


@pytest.mark.parametrize("state", ["DISCONNECTED", "RECONNECTING", "CONNECTING"])
@pytest.mark.parametrize("started", [{}, STARTED])
def test_an_interruption_of_a_link_that_nobody_told_us_of_is_no_end(started, state):
    up = [stream("CONNECTED"), stream("CONNECTED", output=NEW)]
    middle = [stream("END"), stream(state, output=NEW)]

    for events in ([*up, *middle], [*up, *reversed(middle)]):
        assert _told(*events, **started)[2] == []
        _, _, reached = _told(*events, stream("CONNECTED", output=NEW), stream("END", output=NEW), **started)
        assert reached == [5]


def test_the_label_of_an_output_is_bounded():
    table, _ = _applied(stream("CONNECTED", output=f"rtmp://{'h' * 500}.example.com/live/fake"))

    assert len(table.job(JOB).streams[0].label) == MAX_LABEL


def test_outputs_with_the_same_label_are_told_apart():
    table, _ = _applied(stream("CONNECTED", stream_key="fake-1"), stream("END", stream_key="fake-2"))

    rows = table.job(JOB).streams
    assert len({row.label for row in rows}) == 1
    assert [row.state for row in rows] == ["CONNECTED", "END"]


def test_jobs_are_kept_apart_whatever_the_spelling_of_their_ids():
    dashed = "26F06524-4f75-4b3a-a853-b649a21aaf66"
    table, _ = _applied(
        stream("CONNECTED"), stream("END", job_id=OTHER_JOB), stream("RECONNECTING", job_id=dashed)
    )

    assert [job.job_id for job in table.jobs] == [JOB, OTHER_JOB]
    assert table.job(dashed).streams[0].state == "RECONNECTING"
    assert table.job("another") is None


def test_states_are_ordered_by_the_signed_time():
    table, _ = _fold(CallbackTable(), stream("CONNECTED"), signed_at=AT + timedelta(seconds=5))
    overtaken, _ = _fold(table, stream("CONNECTING"), signed_at=AT + timedelta(seconds=4))
    next_second, _ = _fold(table, stream("DISCONNECTED"), signed_at=AT + timedelta(seconds=6))

    assert overtaken.job(JOB).streams[0].state == "CONNECTED"
    assert overtaken.job(JOB).has_reached("CONNECTING")
    assert next_second.job(JOB).streams[0].state == "DISCONNECTED"


def test_only_a_late_connected_shortens_an_interruption():
    table = CallbackTable()
    told = (("CONNECTED", 1, 1), ("DISCONNECTED", 5, 5), ("RECONNECTING", 7, 7), ("CONNECTING", 4, 8))
    for state, signed, second in told:
        table, _ = _fold(table, stream(state), second=second, signed_at=AT + timedelta(seconds=signed))
    assert table.job(JOB).interrupted_since() == AT + timedelta(seconds=5)

    table, _ = _fold(table, stream("CONNECTED"), second=9, signed_at=AT + timedelta(seconds=6))
    assert table.job(JOB).interrupted_since() > AT + timedelta(seconds=5)


def test_end_counts_however_old_its_signature_is():
    table, _ = _fold(CallbackTable(), stream("CONNECTED"), signed_at=AT + timedelta(seconds=5))
    _, outcome = _fold(table, stream("END"), signed_at=AT)

    assert outcome.all_ended


@pytest.mark.parametrize(
    "event", [stream("CONNECTED"), script(1), reply("r-1"), CallbackEvent.parse(body("PLATFORM_BANNED"))]
)
def test_the_same_event_again_changes_nothing(event):
    table, _ = _fold(CallbackTable(), event, signed_at=AT, digest="its-digest")
    again, outcome = _fold(table, event, second=9, signed_at=AT, digest="its-digest")

    assert outcome.kind is OutcomeKind.DUPLICATE
    assert again == table


def test_a_note_of_the_same_unreadable_event_is_kept_once():
    table, _ = unrecognised(CallbackTable(), "X", "not JSON", at=AT, digest="its-digest")
    again, outcome = unrecognised(table, "X", "not JSON", at=AT + timedelta(seconds=9), digest="its-digest")
    other, _ = unrecognised(table, "X", "not JSON", at=AT + timedelta(seconds=9), digest="another")

    assert outcome.kind is OutcomeKind.DUPLICATE
    assert again == table
    assert other.unrecognised.count == 2


def test_every_event_is_numbered_and_timed():
    table = CallbackTable()
    for number, event in enumerate([stream("CONNECTED"), script(1), reply("r-1"), stream("END")], 1):
        table, _ = _fold(table, event, second=number)

        assert table.events == table.job(JOB).last_event == number
        assert table.updated_at == table.job(JOB).last_at == AT + timedelta(seconds=number)
    assert table.job(JOB).first_at == AT + timedelta(seconds=1)
    (row,) = table.job(JOB).streams
    assert (row.last_event, row.first_at, row.last_at) == (
        4,
        AT + timedelta(seconds=1),
        AT + timedelta(seconds=4),
    )

    noted, _ = unrecognised(table, "X", "not JSON", at=AT + timedelta(seconds=60))
    assert (noted.events, noted.updated_at) == (5, AT + timedelta(seconds=60))


_DOWN = ("CONNECTING", "DISCONNECTED", "RECONNECTING")


@pytest.mark.parametrize("before", ["CONNECTED", "DISCONNECTED", None])
@pytest.mark.parametrize("states", list(permutations([*_DOWN, "CONNECTED"])))
def test_of_the_events_of_one_second_connected_is_the_last(before, states):
    """MetaStudio signs whole seconds, and its events may overtake each other."""
    table = CallbackTable()
    if before is not None:
        table, _ = _fold(table, stream(before), signed_at=AT - timedelta(seconds=1))
    for second, state in enumerate(states):
        table, _ = _fold(table, stream(state), second=second, signed_at=AT)

    (row,) = table.job(JOB).streams
    assert (row.state, row.down_since) == ("CONNECTED", None)
    assert all(row.counts[state] == 1 + (state == before) for state in states)

    later, _ = _fold(table, stream("RECONNECTING"), second=9, signed_at=AT + timedelta(seconds=1))
    assert later.job(JOB).interrupted_since() == AT + timedelta(seconds=9)


def test_a_link_that_is_back_within_the_second_is_up():
    """The second CONNECTED has the bytes and the time of the first, and counts as a repetition."""
    table, _ = _fold(CallbackTable(), stream("CONNECTED"), signed_at=AT, digest="up")
    table, _ = _fold(table, stream("DISCONNECTED"), signed_at=AT, digest="down")
    again, outcome = _fold(table, stream("CONNECTED"), signed_at=AT, digest="up")

    (row,) = table.job(JOB).streams
    assert (row.state, row.down_since, row.counts) == ("CONNECTED", None, {"CONNECTED": 1, "DISCONNECTED": 1})
    assert (again, outcome.kind) == (table, OutcomeKind.DUPLICATE)


@pytest.mark.parametrize("signed", [True, False])
def test_an_unknown_state_takes_no_link_down(signed):
    """What it means is not known: the link stays up, or down, as it was."""
    table, since = CallbackTable(), []
    for second, state in enumerate(["NEW", "CONNECTED", "NEW", "DISCONNECTED", "NEW", "CONNECTED", "OTHER"]):
        at = AT + timedelta(seconds=second) if signed else None
        table, _ = _fold(table, stream(state), second=second, signed_at=at)
        since.append(table.job(JOB).interrupted_since())

    down = AT + timedelta(seconds=3)
    assert since == [AT, None, None, down, down, None, None]
    assert table.job(JOB).streams[0].state == "OTHER"


def test_of_two_interruptions_the_later_one_counts_also_if_the_connected_between_them_is_late():
    table = CallbackTable()
    for second, state, signed in (
        (0, "CONNECTED", 0),
        (10, "DISCONNECTED", 10),
        (500, "DISCONNECTED", 500),
        (501, "CONNECTED", 11),
    ):
        table, _ = _fold(table, stream(state), second=second, signed_at=AT + timedelta(seconds=signed))

    (row,) = table.job(JOB).streams
    assert (row.state, row.down_since) == ("DISCONNECTED", AT + timedelta(seconds=500))


def test_a_digest_is_of_time_and_body():
    first = event_digest(AT, b"{}")

    assert first == event_digest(AT, b"{}")
    assert first != event_digest(AT + timedelta(seconds=1), b"{}")
    assert first != event_digest(AT, b"{ }")
    assert len(first) == 12
    assert event_digest(None, b"{}") is None


def test_a_replay_from_before_the_remembered_digests_still_turns_no_state_back():
    table, _ = _fold(CallbackTable(), stream("CONNECTED"), signed_at=AT, digest="the-replayed-one")
    for second in range(1, MAX_DIGESTS + 2):
        signed_at = AT + timedelta(seconds=second)
        table, _ = _fold(table, stream("RECONNECTING"), signed_at=signed_at, digest=f"digest-{second}")
    replayed, outcome = _fold(table, stream("CONNECTED"), signed_at=AT, digest="the-replayed-one")

    assert outcome.kind is OutcomeKind.APPLIED
    assert outcome.reached == frozenset()
    assert replayed.job(JOB).streams[0].state == "RECONNECTING"


def test_scripts_and_replies_are_kept():
    table, outcome = _applied(script(1), script(2), reply("r-1"), reply("r-2"))

    job = table.job(JOB)
    assert (job.scripts.scene, job.scripts.sequence_no, job.scripts.title) == ("开场", "2", "Hello")
    assert (job.scripts.switches, job.scripts.at) == (2, AT + timedelta(seconds=1))
    assert job.scripts.recent == [("1", AT), ("2", AT + timedelta(seconds=1))]
    assert (job.replies.finished, job.replies.recent) == (2, ["r-1", "r-2"])
    assert outcome == Outcome(OutcomeKind.APPLIED, JOB, reached=frozenset({reply_mark("r-2")}))
    assert job.has_reached(reply_mark("r-1"))
    assert not job.has_reached(reply_mark("r-3"))
    assert not job.ended()


def test_a_switch_of_the_script_wakes_nobody():
    _, outcome = _applied(script(1))

    assert outcome == Outcome(OutcomeKind.APPLIED, JOB)


def test_a_reply_that_is_reported_again_wakes_nobody():
    table, _ = _applied(reply("r-1"))
    table, outcome = _applied(reply("r-1"), table=table)

    assert table.job(JOB).replies.finished == 2
    assert outcome == Outcome(OutcomeKind.APPLIED, JOB)


def test_the_latest_switches_are_kept():
    table, _ = _applied(*(script(number) for number in range(MAX_SWITCHES + 3)))

    scripts = table.job(JOB).scripts
    assert scripts.switches == MAX_SWITCHES + 3
    assert [number for number, _ in scripts.recent] == [str(number) for number in range(3, MAX_SWITCHES + 3)]


def test_an_event_of_an_unknown_type_is_noted_without_its_content():
    event = CallbackEvent.parse(body("PLATFORM_BANNED", secret="fake-secret"))
    table, outcome = _applied(event)

    assert outcome.kind is OutcomeKind.UNRECOGNISED
    assert table.unrecognised.count == 1
    (note,) = table.unrecognised.recent
    assert (note.at, note.event_type, note.problem) == (AT, "PLATFORM_BANNED", "unknown event type")
    assert "fake-secret" not in json.dumps(table.dump())
    assert table.jobs == []


def test_an_unknown_state_passes_through():
    table, outcome = _applied(stream("PAUSED"))

    assert table.job(JOB).streams[0].state == "PAUSED"
    assert outcome.reached == {"PAUSED"}


def test_more_unknown_states_than_fit_are_counted_together():
    table, _ = _applied(*(stream(f"STATE_{number}") for number in range(20)))

    counts = table.job(JOB).streams[0].counts
    assert len(counts) == 9
    assert counts["OTHER"] == 12

    again, _ = _applied(stream("STATE_0"), table=table)
    assert again.job(JOB).streams[0].counts == {**counts, "STATE_0": 2}


def test_unknown_states_leave_room_for_those_that_tasks_wait_for():
    table, _ = _applied(*(stream(f"STATE_{number}") for number in range(20)))
    table, outcome = _applied(stream("CONNECTED"), table=table)

    assert outcome.reached == {"CONNECTED"}
    assert table.job(JOB).has_reached("CONNECTED")


def test_bounds_hold_and_the_current_job_keeps_its_place():
    table, _ = _applied(stream("CONNECTED"))
    for number in range(3 * MAX_JOBS):
        for output in range(2 * MAX_STREAMS):
            event = stream("CONNECTED", job_id=f"{number:032x}", output=f"rtmp://x.example.com/a/{output}")
            table, _ = _fold(table, event, second=number, current_job=JOB)

    assert len(table.jobs) <= MAX_JOBS
    assert table.job(JOB) is not None
    assert max(len(job.streams) for job in table.jobs) == MAX_STREAMS
    assert table.jobs[-1].omitted_streams == MAX_STREAMS
    assert _size(table) <= MAX_BYTES


def test_control_characters_do_not_reach_the_database():
    table, _ = _applied(script(1, shoot_script_title="a\x00b\x1b[31m"), stream("CONN\x01ECTED"))

    assert table.job(JOB).scripts.title == "ab?[31m"
    assert table.job(JOB).streams[0].state == "CONN?ECTED"


def test_a_table_survives_the_way_through_an_xcom():
    table, _ = _applied(stream("CONNECTED"), script(1), reply("r"), stream("END"))

    assert CallbackTable.load(json.loads(json.dumps(table.dump()))) == table


@pytest.mark.parametrize("value", [None, "", 3, [], {"version": 1}, {"version": 3}, {"jobs": "none"}])
def test_what_is_no_table_is_an_empty_one(value):
    assert CallbackTable.load(value) == CallbackTable()


def test_ten_thousand_events_stay_small_and_cost_no_more_than_ten():
    states = ("CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING")
    events = [stream(state) for state in states]

    # By the processor's time: the machine may be busy with something else.
    def cost(table, number):
        started = time.thread_time()
        for step in range(number):
            signed_at = AT + timedelta(seconds=step)
            table, _ = _fold(table, events[step % 4], second=step, signed_at=signed_at, digest=f"{step:016x}")
        return table, (time.thread_time() - started) / number

    warm, _ = cost(CallbackTable(), 100)
    table, _ = cost(warm, 10_000)

    assert _size(table) <= MAX_BYTES
    assert table.events == 10_100
    assert len(table.job(JOB).streams[0].transitions) == MAX_TRANSITIONS
    # A generous bound, against growth with the number of events; the benchmark measures the ratio.
    assert min(cost(table, 50)[1] for _ in range(5)) < 3 * min(cost(warm, 50)[1] for _ in range(5))


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
_ids = st.text(min_size=1, max_size=64).filter(lambda text: text.replace("\0", "").strip())
_events = st.one_of(
    st.builds(
        lambda state, job, output: stream(
            state, job_id=f"{job:032x}", output=f"rtmp://{'x' * 200}/live/{output}"
        ),
        st.sampled_from([*StreamState, "PAUSED", "S" * 200]),
        st.integers(0, 6),
        st.integers(0, 12),
    ),
    st.builds(
        lambda title, job: script(1, scene_script_name=title, shoot_script_title=title, job_id=job),
        _texts,
        _ids,
    ),
    st.builds(reply, _ids),
    st.builds(lambda name: CallbackEvent.parse(body("X" + name)), _texts),
)


@given(st.lists(_events, max_size=150))
@settings(max_examples=25, deadline=None)
def test_whatever_comes_the_table_keeps_its_bound_and_reads_back(events):
    table = CallbackTable()
    for second, event in enumerate(events):
        table, _ = _fold(table, event, second=second, digest=f"{second:016x}", signed_at=AT)

        assert _size(table) <= MAX_BYTES
    assert CallbackTable.load(json.loads(json.dumps(table.dump()))) == table


@given(
    st.permutations(
        [("CONNECTING", 1), ("CONNECTED", 1), ("END", 1), ("CONNECTED", 2), ("END", 2), ("RECONNECTING", 2)]
    )
)
def test_whatever_the_order_both_ends_are_seen(events):
    table, all_ended = CallbackTable(), 0
    for second, (state, output) in enumerate(events):
        table, outcome = _fold(table, stream(state, output=f"rtmp://x.example.com/a/{output}"), second=second)
        all_ended += outcome.all_ended

    assert table.job(JOB).ended()
    assert {row.state for row in table.job(JOB).streams} == {"END"}
    assert all_ended == 1


def test_an_unreadable_event_pushes_no_job_out_of_a_table_that_is_nearly_full():
    table, _ = _applied(stream("CONNECTED"), stream("END"))
    for job in ("a" * 32, "b" * 32, "c" * 32):
        for output, number, width in product(range(MAX_STREAMS), range(8), (63, 47, 31, 15, 7, 3)):
            event = stream(f"{number}" + "S" * width, job_id=job, output=f"rtmp://{'h' * 110}/{output}/k")
            trial, _ = _fold(table, event, current_job=JOB)
            if len(trial.jobs) >= len(table.jobs):  # only what just fits
                table = trial
            noted, outcome = unrecognised(table, "X" * 64, "p" * 200, at=AT, digest="z" * 12)

            assert [job.job_id for job in noted.jobs] == [job.job_id for job in table.jobs]
            assert outcome.kind is OutcomeKind.UNRECOGNISED
            assert _size(noted) <= MAX_BYTES
    assert table.job(JOB).ended()


def test_a_note_is_bounded_and_keeps_no_control_characters():
    table = CallbackTable()
    for _ in range(100):
        table, _ = unrecognised(table, "t" * 500, "p\x00" * 500, at=AT)

    assert table.unrecognised.count == 100
    assert len(table.unrecognised.recent) == 10
    assert _size(table) <= MAX_BYTES
    assert "\\u0000" not in json.dumps(table.dump())


@pytest.mark.parametrize(
    ("states", "interrupted_by"),
    [
        (["CONNECTING", "CONNECTED"], None),
        (["CONNECTING", "CONNECTED", "DISCONNECTED"], 2),
        (["CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING"], 2),
        (["CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING", "CONNECTED"], None),
        (["CONNECTING", "CONNECTED", "DISCONNECTED", "END"], None),
        (["CONNECTING", "DISCONNECTED"], 0),
        (["CONNECTING", "DISCONNECTED", "CONNECTING", "END"], None),
        (["CONNECTED", *["DISCONNECTED", "RECONNECTING"] * 50], 1),
    ],
)
def test_since_when_a_stream_is_interrupted(states, interrupted_by):
    table = CallbackTable()
    for number, state in enumerate(states):
        table, _ = apply_event(
            table, stream(state), at=AT + timedelta(seconds=number), fingerprint_key=b"fake"
        )

    since = table.jobs[0].interrupted_since()

    assert since == (None if interrupted_by is None else AT + timedelta(seconds=interrupted_by))


@pytest.mark.parametrize(
    ("events", "expected", "interrupted_by"),
    [
        # A refreshed output URL: whether its old link ever ends, or when, is not known.
        ([("CONNECTED", "old"), ("DISCONNECTED", "old"), ("CONNECTED", "new")], 1, None),
        (
            [("CONNECTED", "old"), ("DISCONNECTED", "old"), ("CONNECTED", "new"), ("DISCONNECTED", "new")],
            1,
            3,
        ),
        ([("CONNECTED", "old"), ("END", "old"), ("CONNECTING", "new")], 1, 2),
        ([("CONNECTED", "one"), ("DISCONNECTED", "one"), ("CONNECTED", "two")], 2, 1),
        ([("DISCONNECTED", "one"), ("DISCONNECTED", "two")], 2, 0),
        ([("DISCONNECTED", "one"), ("CONNECTED", "two"), ("END", "two")], 2, 0),
        ([("CONNECTED", "one"), ("END", "one")], 1, None),
    ],
)
def test_since_when_a_job_misses_one_of_its_streams(events, expected, interrupted_by):
    table = CallbackTable()
    for number, (state, output) in enumerate(events):
        event = stream(state, output=f"rtmp://push.example.com/live/{output}")
        table, _ = apply_event(table, event, at=AT + timedelta(seconds=number), fingerprint_key=b"fake")

    since = table.jobs[0].interrupted_since(expected)

    assert since == (None if interrupted_by is None else AT + timedelta(seconds=interrupted_by))
