"""The engine: the life of jobs, on a clock that the tests move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_smartlive.metastudio.events import ReplyFinished, ScriptSwitch, StreamState
from airflow_provider_smartlive.metastudio.jobs import JobState
from airflow_provider_smartlive.sandbox.model.faults import Fault
from airflow_provider_smartlive.sandbox.model.jobs import InsertedSpeech
from airflow_provider_smartlive.sandbox.model.output_links import make_outputs
from airflow_provider_smartlive.sandbox.model.run import Ending
from airflow_provider_smartlive.sandbox.options import Assumptions
from tests.sandbox.stage_set import CALLBACK, OUTPUT_URL, StageSet, message_of

SCENES = [
    {"script_name": "Shoes", "shoot_scripts": [{"title": "Red"}, {"title": "Blue"}]},
    {"script_name": "Hats", "shoot_scripts": [{"title": "Big"}]},
]


@pytest.fixture
async def stage() -> AsyncIterator[StageSet]:
    made = StageSet()
    yield made
    await made.close()


async def test_a_job_plays_its_script_and_tells_each_state_of_its_link(stage: StageSet) -> None:
    job = stage.start(seconds=30)
    assert job.state is JobState.WAITING
    await stage.clock.advance(1)
    assert job.state is JobState.PROCESSING
    await stage.clock.advance(5)  # the script waits for the link
    stage.links[0].tell(StreamState.CONNECTED)
    await stage.clock.advance(29.9)
    assert job.state is JobState.PROCESSING
    await stage.clock.advance(0.1)
    assert stage.mail.states() == ["CONNECTING", "CONNECTED", "END"]
    assert job.state is JobState.PROCESSING  # END comes a moment before the final state
    await stage.clock.advance(0.3)
    assert job.state is JobState.SUCCEED
    view = job.view(stage.clock.shown(), report_url="", record_url=str, echo=False)
    assert view["duration"] == pytest.approx(35.3)
    assert view["stream_duration"] == pytest.approx(30)


async def test_without_outputs_the_script_plays_and_no_stream_state_is_told(stage: StageSet) -> None:
    job = stage.start(seconds=6, output_urls=[], stream_keys=[])
    await stage.clock.advance(7)
    assert job.state is JobState.SUCCEED
    assert stage.mail.states() == []


async def test_stop_ends_the_link_and_then_the_job(stage: StageSet) -> None:
    job = await stage.go_live(seconds=1000)
    await stage.engine.stop(job)
    assert job.state is JobState.PROCESSING
    await stage.clock.advance(0.3)
    assert stage.mail.states()[-1] == "END"
    assert job.state is JobState.SUCCEED
    assert stage.ledger("job", why="stopped")


async def test_stop_while_waiting_opens_no_link(stage: StageSet) -> None:
    job = stage.start()
    await stage.engine.stop(job)
    await stage.clock.settle()
    assert job.state is JobState.SUCCEED
    assert stage.links == []
    assert stage.mail.states() == []


async def test_a_link_that_comes_back_goes_on(stage: StageSet) -> None:
    job = await stage.go_live(seconds=100)
    stage.links[0].tell(StreamState.DISCONNECTED, StreamState.RECONNECTING)
    await stage.clock.advance(60)
    stage.links[0].tell(StreamState.CONNECTED)
    await stage.clock.advance(39)
    assert job.state is JobState.PROCESSING
    assert job.stream_seconds(stage.clock.shown()) == pytest.approx(39)
    assert job.outputs[0].connects == 2


@pytest.mark.parametrize(("minutes", "given_up_after"), [(None, 180), (5, 300)])
async def test_a_link_that_stays_away_is_given_up(minutes: int | None, given_up_after: int) -> None:
    exits = {} if minutes is None else {"max_exception_waiting_duration": minutes}
    stage = StageSet()
    job = await stage.go_live(seconds=10_000, play_policy={"live_exit_config": exits})
    stage.links[0].tell(StreamState.DISCONNECTED, StreamState.RECONNECTING)
    await stage.clock.advance(given_up_after - 1)
    assert stage.mail.states()[-1] == "RECONNECTING"
    await stage.clock.advance(2)
    assert stage.mail.states()[-1] == "END"
    assert (job.state, job.error_code) == (JobState.FAILED, "MSS.45000009")
    await stage.close()


async def test_zero_minutes_of_exception_waiting_are_for_ever(stage: StageSet) -> None:
    policy = {"repeat_count": -1, "live_exit_config": {"max_exception_waiting_duration": 0}}
    job = await stage.go_live(seconds=100, play_policy=policy)
    stage.links[0].tell(StreamState.DISCONNECTED, StreamState.RECONNECTING)
    await stage.clock.advance(24 * 3600)
    assert job.state is JobState.PROCESSING


async def test_repeat_count_n_plays_n_plus_one_passes(stage: StageSet) -> None:
    job = await stage.go_live(seconds=10, play_policy={"repeat_count": 2})
    await stage.clock.advance(29.9)
    assert job.state is JobState.PROCESSING
    await stage.clock.advance(0.5)
    assert job.state is JobState.SUCCEED


# A pass takes 90 s: scene "Shoes" with two paragraphs of 30 s, then "Hats" with one. The script begins at 70 s, so
# that the hour, counted from 1 s, is over in the middle of a pass's first paragraph.
@pytest.mark.parametrize(
    ("mode", "ends_at"),
    [("FORCE_EXIT", 3601), ("SEGMENT_END", 3610), ("SCENE_END", 3640), ("SCRIPT_END", 3670)],
)
async def test_max_live_duration_leaves_where_the_stop_mode_says(mode: str, ends_at: int) -> None:
    stage = StageSet()
    exits = {"max_live_duration": 1, "auto_stop_mode": mode}
    policy = {"repeat_count": -1, "random_play_mode": "NONE", "live_exit_config": exits}
    job = stage.start(seconds=90, room={"scene_scripts": SCENES}, play_policy=policy)
    await stage.clock.advance(70)
    stage.links[0].tell(StreamState.CONNECTED)
    await stage.clock.advance(ends_at - 70 - 0.1)
    assert "END" not in stage.mail.states()
    await stage.clock.advance(0.1)
    assert "END" in stage.mail.states()
    await stage.clock.advance(0.3)
    assert job.state is JobState.SUCCEED
    await stage.close()


async def test_auto_play_off_waits_for_the_signal(stage: StageSet) -> None:
    job = await stage.go_live(seconds=10, play_policy={"auto_play_script": False})
    await stage.clock.advance(100)
    assert job.state is JobState.PROCESSING
    run = stage.engine.run_of(job)
    assert run is not None
    run.play_start()
    await stage.clock.advance(10.5)
    assert job.state is JobState.SUCCEED


async def test_without_preset_script_only_a_limit_ends_the_job(stage: StageSet) -> None:
    policy = {
        "play_mode": "NO_PRESET",
        "live_exit_config": {"max_live_duration": 1, "auto_stop_mode": "SCENE_END"},
    }
    job = await stage.go_live(play_policy=policy)
    await stage.clock.advance(3599.5)
    assert job.state is JobState.PROCESSING
    await stage.clock.advance(1)
    assert job.state is JobState.SUCCEED


async def test_script_switches_are_told_in_order() -> None:
    stage = StageSet()
    config = {**CALLBACK, "callback_event_type": ["SHOOT_SCRIPT_SWITCH"]}
    await stage.go_live(seconds=60, room={"scene_scripts": SCENES}, live_event_callback_config=config)
    await stage.clock.advance(61)
    told = [event.message for event in stage.mail.events()]
    assert [
        (m.scene_script_name, m.shoot_script_sequence_no, m.shoot_script_title)
        for m in told
        if isinstance(m, ScriptSwitch)
    ] == [("Shoes", "1", "Red"), ("Shoes", "2", "Blue"), ("Hats", "1", "Big")]
    assert stage.links[0].titles == ["Shoes: Red", "Shoes: Blue", "Hats: Big"]
    await stage.close()


async def test_inserted_speech_is_reported_when_it_was_spoken(stage: StageSet) -> None:
    config = {**CALLBACK, "callback_event_type": ["REPLY_COMMAND_FINISH"]}
    job = await stage.go_live(seconds=100, live_event_callback_config=config)
    run = stage.engine.run_of(job)
    assert run is not None
    for number in (1, 2):
        run.speech.insert(InsertedSpeech(command_id=f"c{number}", command="INSERT_PLAY_SCRIPT", seconds=5))
    await stage.clock.advance(9)
    replies = [
        event.message.reply_id for event in stage.mail.events() if isinstance(event.message, ReplyFinished)
    ]
    assert replies == ["c1"]
    run.speech.clean_up()
    await stage.clock.advance(50)
    assert len(stage.mail.posts) == 2  # the second was being spoken already


async def test_the_first_reason_to_end_counts(stage: StageSet) -> None:
    job = await stage.go_live(seconds=100)
    run = stage.engine.run_of(job)
    assert run is not None
    assert run.end(Ending(JobState.BLOCKED, "test", message="forbidden words"))
    assert not run.end(Ending(JobState.FAILED, "test"))
    await stage.clock.advance(1)
    assert (job.state, job.block_reason, job.error_code) == (JobState.BLOCKED, "forbidden words", None)


async def test_moving_the_output_ends_the_old_link_and_keeps_the_job(stage: StageSet) -> None:
    job = await stage.go_live(seconds=100)
    run = stage.engine.run_of(job)
    assert run is not None
    await run.output_links.move(make_outputs(["rtmp://other.example.com/live"], ["fake-stream-key-2"]))
    stage.links[1].tell(StreamState.CONNECTED)
    await stage.clock.advance(5)
    assert stage.mail.states() == ["CONNECTING", "CONNECTED", "END", "CONNECTING", "CONNECTED"]
    assert job.state is JobState.PROCESSING


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("first", ["old END", "new CONNECTING", "new CONNECTED", "new END"]),
        ("after-connect", ["new CONNECTING", "new CONNECTED", "old END", "new END"]),
        ("last", ["new CONNECTING", "new CONNECTED", "new END", "old END"]),
        ("never", ["new CONNECTING", "new CONNECTED", "new END"]),
    ],
)
async def test_when_the_end_of_a_moved_output_is_told_is_an_assumption(when: Any, told: list[str]) -> None:
    stage = StageSet(assumptions=Assumptions(refresh_old_end=when))
    job = await stage.go_live(seconds=100)
    run = stage.engine.run_of(job)
    assert run is not None
    await run.output_links.move(make_outputs(["rtmp://other.example.com/live"], ["fake-stream-key-2"]))
    await stage.clock.advance(5)
    stage.links[1].tell(StreamState.CONNECTED)
    await stage.clock.advance(5)
    assert stage.links[0].ended
    assert job.is_active
    await stage.engine.stop(job)
    await stage.clock.advance(5)
    names = {OUTPUT_URL: "old", "rtmp://other.example.com/live": "new"}
    messages = [message_of(body) for _, _, body in stage.mail.posts]
    assert [f"{names[m['output_url']]} {m['state']}" for m in messages][2:] == told
    assert job.state is JobState.SUCCEED
    await stage.close()


async def test_a_moved_output_goes_on_until_the_new_one_is_connected() -> None:
    stage = StageSet(assumptions=Assumptions(refresh_old_end="after-connect"))
    job = await stage.go_live(seconds=100)
    run = stage.engine.run_of(job)
    assert run is not None
    await run.output_links.move(make_outputs(["rtmp://other.example.com/live"], ["fake-stream-key-2"]))
    await stage.clock.advance(5)
    assert not stage.links[0].ended
    await stage.engine.stop(job)
    await stage.clock.advance(5)
    assert [link.ended for link in stage.links] == [True, True]
    await stage.close()


async def test_a_temp_room_vanishes_with_its_job() -> None:
    stage = StageSet(assumptions=Assumptions(temp_room_linger_seconds=10))
    job = await stage.go_live(seconds=5, room={"room_type": "TEMP"})
    await stage.clock.advance(14)
    assert stage.engine.get(job.job_id) is job
    await stage.clock.advance(3)
    assert stage.engine.get(job.job_id) is None
    assert stage.backend.rooms.get(job.room_id) is None
    await stage.close()


FAULTS: list[tuple[Fault, float, tuple[Any, ...]]] = [
    (Fault(target="job", action="fail", code="MSS.42000007"), 1, (JobState.FAILED, "MSS.42000007", None)),
    (Fault(target="job", action="fail", seconds=5), 6.5, (JobState.FAILED, "MSS.00000004", None)),
    (Fault(target="job", action="block", seconds=5, message="no"), 6.5, (JobState.BLOCKED, None, "no")),
]


@pytest.mark.parametrize(("fault", "after", "expected"), FAULTS)
async def test_jobs_fail_and_are_blocked_on_demand(
    fault: Fault, after: float, expected: tuple[Any, ...]
) -> None:
    stage = StageSet(faults=(fault,))
    job = stage.start(seconds=100)
    await stage.clock.advance(after)
    assert (job.state, job.error_code, job.block_reason) == expected
    if fault.seconds is None:
        assert stage.links == []  # failed before streaming
    await stage.close()


async def test_a_job_can_vanish_in_the_middle() -> None:
    stage = StageSet(faults=(Fault(target="job", action="vanish", seconds=5),))
    job = await stage.go_live(seconds=100)
    await stage.clock.advance(6)
    assert stage.engine.get(job.job_id) is None
    assert stage.links[0].ended
    assert stage.mail.states() == ["CONNECTING", "CONNECTED"]  # nobody says good-bye
    await stage.close()


async def test_a_job_can_linger_after_end_and_can_ignore_a_stop() -> None:
    faults = (
        Fault(target="job", action="linger", seconds=60, nth=(1,)),
        Fault(target="job", action="ignore_stop", nth=(2,)),
    )
    stage = StageSet(faults=faults)
    lingering, stubborn = await stage.go_live(seconds=5), await stage.go_live(seconds=1000)
    await stage.engine.stop(stubborn)
    await stage.clock.advance(50)
    assert "END" in stage.mail.states()
    assert (lingering.state, stubborn.state) == (JobState.PROCESSING, JobState.PROCESSING)
    await stage.clock.advance(20)
    assert (lingering.state, stubborn.state) == (JobState.SUCCEED, JobState.PROCESSING)
    await stage.close()


async def test_a_stop_ends_a_job_that_lingers() -> None:
    stage = StageSet(faults=(Fault(target="job", action="linger", seconds=60),))
    job = await stage.go_live(seconds=5)
    await stage.clock.advance(10)
    assert job.state is JobState.PROCESSING
    await stage.engine.stop(job)
    await stage.clock.advance(1)
    assert job.state is JobState.SUCCEED
    await stage.close()


async def test_a_restart_goes_on_where_the_state_file_stands(tmp_path: Path) -> None:
    first = StageSet(state=tmp_path / "state")
    job = await first.go_live(seconds=30)
    await first.clock.advance(10)
    await first.close()
    assert first.links[0].ended
    assert "END" not in first.mail.states()  # the sandbox died; the job did not

    second = StageSet(state=tmp_path / "state")
    again = second.engine.get(job.job_id)
    assert again is not None
    assert again.state is JobState.PROCESSING
    await second.clock.settle()
    second.links[0].tell(StreamState.CONNECTED)
    await second.clock.advance(19)
    assert again.state is JobState.PROCESSING
    await second.clock.advance(2)
    assert again.state is JobState.SUCCEED
    assert second.mail.states() == ["CONNECTING", "CONNECTED", "END"]
    assert second.ledger("job", why="start accepted")  # the ledger survived as well
    await second.close()
