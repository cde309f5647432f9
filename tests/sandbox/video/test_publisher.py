"""The publisher's supervision, with encoders that do what the test says and a clock that the test moves."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_smartlive.metastudio.events import StreamState
from airflow_provider_smartlive.sandbox.clock import ManualClock
from airflow_provider_smartlive.sandbox.rtmp.output_url import join_output
from airflow_provider_smartlive.sandbox.video import encoder_job, publisher
from airflow_provider_smartlive.sandbox.video.encoder_job import (
    Audio,
    EncoderJob,
    LinkFault,
    MissingEncoderError,
)
from airflow_provider_smartlive.sandbox.video.publisher import DEFAULT_WAITING, Publisher

KEY = "fake-stream-key-1"
CONNECTED: dict[str, Any] = {"event": "connected"}
CLOSED: dict[str, Any] = {"event": "closed"}


def stats(frames: int, size: int, fps: float = 25.0) -> dict[str, Any]:
    return {"event": "stats", "frames": frames, "bytes": size, "fps": fps}


def failed(fault: str, text: str = "") -> dict[str, Any]:
    return {"event": "failed", "fault": fault, "text": text}


class FakeEncoder:
    """Reports what the test says; closes in good order when it is asked to, unless it is stuck."""

    def __init__(self, job: EncoderJob) -> None:
        self.job = job
        self.stuck = False
        self.killed = False
        self.titles: list[str] = []
        self._reports: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def tell(self, *reports: dict[str, Any] | None) -> None:
        for report in reports:
            self._reports.put_nowait(report)

    async def report(self) -> dict[str, Any] | None:
        return await self._reports.get()

    def retitle(self, script_title: str) -> None:
        self.titles.append(script_title)

    def finish(self) -> None:
        if not self.stuck:
            self.tell(stats(99, 9900), CLOSED)

    async def kill(self) -> None:
        self.killed = True


@dataclass
class Scene:
    """A publisher with all that stands around it."""

    clock: ManualClock = field(default_factory=ManualClock)
    encoders: list[FakeEncoder] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    #: What every new encoder reports at once.
    script: list[dict[str, Any] | None] = field(default_factory=list)

    def publisher(self, **options: Any) -> Publisher:
        arguments: dict[str, Any] = {
            "title": "Tea room",
            "on_state": lambda state: self.states.append(state.value),
            "sleep": self.clock.sleep,
            "launch": self.launch,
            **options,
        }
        return Publisher("rtmp://push.example.com/live", KEY, **arguments)

    async def launch(self, job: EncoderJob) -> FakeEncoder:
        encoder = FakeEncoder(job)
        encoder.tell(*self.script)
        self.encoders.append(encoder)
        return encoder

    async def tell(self, *reports: dict[str, Any] | None) -> None:
        self.encoders[-1].tell(*reports)
        await self.clock.settle()


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def started(scene: Scene, **options: Any) -> Publisher:
    running = scene.publisher(**options)
    await running.start()
    await scene.clock.settle()
    return running


async def test_from_connecting_to_end(scene: Scene) -> None:
    running = await started(scene)
    assert scene.states == ["CONNECTING"]
    await scene.tell(CONNECTED, stats(10, 1000))
    assert scene.states == ["CONNECTING", "CONNECTED"]
    assert running.state is StreamState.CONNECTED
    assert (running.stats.frames, running.stats.bytes, running.stats.fps) == (10, 1000, 25.0)
    await running.stop()
    assert scene.states == ["CONNECTING", "CONNECTED", "END"]
    assert (running.stats.frames, running.stats.fps, running.stats.reconnects) == (99, 0.0, 0)
    assert running.fault is None
    assert scene.encoders[0].killed


async def test_the_encoder_gets_all_that_was_asked_for(scene: Scene) -> None:
    running = await started(
        scene, script_title="Hello", width=1081, height=1921, frame_rate=30, bitrate_kbit=4000, audio="tone",
        watchdog=7.0,
    )  # fmt: skip
    job = scene.encoders[0].job
    assert job == EncoderJob(
        url=f"rtmp://push.example.com/live/{KEY}",
        room_name="Tea room",
        script_title="Hello",
        width=1080,
        height=1920,
        frame_rate=30,
        bitrate_kbit=4000,
        audio=Audio.TONE,
        stuck_after=14.0,
    )
    assert EncoderJob.load(job.dump()) == job
    await running.stop()


@pytest.mark.parametrize(
    ("last_words", "fault"),
    [
        (failed("broken"), LinkFault.BROKEN),
        (None, LinkFault.UNAVAILABLE),
    ],
)
async def test_an_interruption_and_the_way_back(
    scene: Scene, last_words: dict[str, Any] | None, fault: LinkFault
) -> None:
    running = await started(scene)
    await scene.tell(CONNECTED, stats(10, 1000), last_words)
    assert scene.states == ["CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING"]
    assert running.fault is fault
    assert running.stats.fps == 0.0
    assert scene.encoders[0].killed
    await scene.clock.advance(1.0)
    await scene.tell(CONNECTED, stats(5, 500))
    assert scene.states[-1] == "CONNECTED"
    assert running.fault is None
    assert (running.stats.frames, running.stats.bytes, running.stats.reconnects) == (15, 1500, 1)
    await running.stop()


async def test_one_interruption_is_told_once_however_many_attempts_it_takes(scene: Scene) -> None:
    scene.script = [failed("refused")]
    running = await started(scene)
    await scene.clock.advance(60.0)
    assert len(scene.encoders) > 5
    assert scene.states == ["CONNECTING", "DISCONNECTED", "RECONNECTING"]
    assert running.fault is LinkFault.REFUSED
    await running.stop()
    assert scene.states[-1] == "END"


async def test_attempts_come_more_seldom(scene: Scene) -> None:
    scene.script = [failed("refused")]
    running = await started(scene)
    at: list[float] = []
    for _ in range(18):
        before = len(scene.encoders)
        await scene.clock.advance(1.0)
        if len(scene.encoders) > before:
            at.append(scene.clock.shown())
    assert at == [1.0, 3.0, 7.0, 12.0, 17.0]
    await running.stop()


@pytest.mark.parametrize(("waiting", "seconds"), [(None, DEFAULT_WAITING), (60.0, 60.0), (0.5, 0.5)])
async def test_the_waiting_has_an_end(scene: Scene, waiting: float | None, seconds: float) -> None:
    scene.script = [failed("denied")]
    running = await started(scene, max_exception_waiting=waiting)
    await scene.clock.advance(seconds - 0.1)
    assert scene.states[-1] == "RECONNECTING"
    await scene.clock.advance(0.1)
    assert scene.states[-1] == "END"
    await running.wait()
    assert running.fault is LinkFault.DENIED


async def test_zero_waits_for_ever(scene: Scene) -> None:
    scene.script = [failed("refused")]
    running = await started(scene, max_exception_waiting=0)
    await scene.clock.advance(3600.0)
    assert scene.states[-1] == "RECONNECTING"
    await running.stop()


async def test_every_interruption_has_its_own_waiting(scene: Scene) -> None:
    running = await started(scene, max_exception_waiting=10.0)
    for _ in range(5):
        await scene.tell(CONNECTED, stats(10, 1000), failed("broken"))
        await scene.clock.advance(8.0)
        assert scene.states[-1] == "RECONNECTING"
    await scene.tell(CONNECTED, stats(10, 1000))
    await scene.clock.advance(100.0)
    assert scene.states[-1] == "CONNECTED"
    await running.stop()


async def test_a_server_that_admits_and_cuts_counts_as_one_interruption(scene: Scene) -> None:
    scene.script = [CONNECTED, failed("broken")]
    running = await started(scene, max_exception_waiting=10.0)
    await scene.clock.advance(9.9)
    assert scene.states == ["CONNECTING", *["CONNECTED", "DISCONNECTED", "RECONNECTING"] * 4]
    await scene.clock.advance(0.1)
    assert scene.states[-1] == "END"
    await running.wait()


async def test_a_link_that_is_back_just_in_time_stays(scene: Scene) -> None:
    scene.script = [failed("refused")]
    running = await started(scene, max_exception_waiting=10.0)
    scene.script = [CONNECTED]
    await scene.clock.advance(50.0)
    assert scene.states[-1] == "CONNECTED"
    await scene.tell(failed("broken"))
    assert scene.states[-3:] == ["DISCONNECTED", "RECONNECTING", "END"]
    await running.wait()


async def test_the_waiting_ends_an_attempt_that_hangs(scene: Scene) -> None:
    scene.script = [failed("refused")]
    running = await started(scene, max_exception_waiting=10.0)
    scene.script = []
    await scene.clock.advance(1.0)
    hanging = scene.encoders[-1]
    await scene.clock.advance(9.0)
    await running.wait()
    assert scene.states[-1] == "END"
    assert hanging.killed


async def test_the_watchdog_takes_a_silent_link_for_broken(scene: Scene) -> None:
    interrupted = asyncio.Event()

    def on_state(state: StreamState) -> None:
        scene.states.append(state.value)
        if state is StreamState.RECONNECTING:
            interrupted.set()

    running = await started(scene, watchdog=0.01, on_state=on_state)
    scene.encoders[0].tell(CONNECTED)
    async with asyncio.timeout(5):
        await interrupted.wait()
    assert scene.states == ["CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING"]
    assert running.fault is LinkFault.FROZEN
    assert scene.encoders[0].killed
    await running.stop()


@pytest.mark.parametrize("report", [CONNECTED, failed("refused")], ids=["connected", "pausing"])
async def test_stop_ends_it_wherever_it_is(scene: Scene, report: dict[str, Any]) -> None:
    running = await started(scene)
    await scene.tell(report)
    await running.stop()
    await running.stop()
    assert scene.states[-1] == "END"
    assert scene.states.count("END") == 1
    assert len(scene.encoders) == 1


async def test_stop_does_not_wait_for_an_encoder_that_hangs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "STOP_GRACE", 0.01)
    running = await started(scene)
    scene.encoders[0].stuck = True
    await scene.tell(CONNECTED)
    await running.stop()
    assert scene.states[-1] == "END"
    assert scene.encoders[0].killed


async def test_stop_before_the_start_is_nothing(scene: Scene) -> None:
    running = scene.publisher()
    await running.stop()
    assert scene.states == []


async def test_it_starts_once(scene: Scene) -> None:
    running = await started(scene)
    with pytest.raises(RuntimeError, match="starts once"):
        await running.start()
    await running.stop()


async def test_cancelling_who_waits_does_not_end_the_stream(scene: Scene) -> None:
    running = await started(scene)
    await scene.tell(CONNECTED)
    waiting = asyncio.create_task(running.wait())
    await scene.clock.settle()
    waiting.cancel()
    await scene.clock.settle()
    assert scene.states[-1] == "CONNECTED"
    await running.stop()


async def test_an_encoder_that_cannot_start_is_an_interruption(scene: Scene) -> None:
    async def launch(job: EncoderJob) -> FakeEncoder:
        raise OSError("no more processes")

    running = await started(scene, launch=launch, max_exception_waiting=5.0)
    await scene.clock.advance(5.0)
    assert scene.states == ["CONNECTING", "DISCONNECTED", "RECONNECTING", "END"]
    assert running.fault is LinkFault.UNAVAILABLE


async def test_a_listener_may_be_async_and_may_fail(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    told: list[StreamState] = []

    async def listener(state: StreamState) -> None:
        await asyncio.sleep(0)
        told.append(state)
        raise RuntimeError(KEY)

    running = await started(scene, on_state=listener)
    await scene.tell(CONNECTED)
    await running.stop()
    assert told == [StreamState.CONNECTING, StreamState.CONNECTED, StreamState.END]
    assert "RuntimeError" in caplog.text
    assert KEY not in caplog.text


async def test_the_script_title_survives_a_reconnect(scene: Scene) -> None:
    running = await started(scene, script_title="one")
    await scene.tell(CONNECTED)
    running.set_script_title("two")
    assert scene.encoders[0].titles == ["two"]
    await scene.tell(failed("broken"))
    running.set_script_title("three")
    await scene.clock.advance(1.0)
    assert scene.encoders[1].job.script_title == "three"
    await running.stop()


async def test_what_the_encoder_says_of_itself_is_logged(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    running = await started(scene)
    await scene.tell(failed("unavailable", "PyAV is not installed"))
    assert "PyAV is not installed" in caplog.text
    await running.stop()
    assert KEY not in caplog.text


def test_no_repr_shows_the_key(scene: Scene) -> None:
    assert KEY not in repr(scene.publisher())
    assert KEY not in repr(EncoderJob(url=f"rtmp://h/live/{KEY}", room_name="x"))


@pytest.mark.parametrize(("module", "remedy"), [("av", "[sandbox]"), ("PIL", "[sandbox]")])
async def test_a_missing_part_names_what_to_install(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, module: str, remedy: str
) -> None:
    monkeypatch.setattr(
        encoder_job.importlib.util, "find_spec", lambda name: None if name == module else name
    )
    with pytest.raises(MissingEncoderError) as caught:
        await scene.publisher().start()
    assert remedy in str(caught.value)
    assert scene.states == []


@pytest.mark.parametrize(
    ("url", "key", "joined"),
    [
        ("rtmp://h/live", "k", "rtmp://h/live/k"),
        ("rtmp://h/live/", "/k?a=b", "rtmp://h/live/k?a=b"),
        ("RTMPS://h:443/live", "k", "RTMPS://h:443/live/k"),
        ("rtmp://h/live/k", None, "rtmp://h/live/k"),
        ("rtmp://h/live/k", "", "rtmp://h/live/k"),
    ],
)
def test_joining_output_url_and_stream_key(url: str, key: str | None, joined: str) -> None:
    assert join_output(url, key) == joined


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("file:///etc/fake-target", None),
        ("/tmp/fake-target.flv", None),
        ("https://h/live", KEY),
        ("", KEY),
        ("rtmp://h/live", "fake key"),
        ("rtmp://h/live listen=1", KEY),
        ("rtmp://h/live", "fake\nkey"),
    ],
)
def test_what_is_no_rtmp_output_is_refused_without_quoting_it(url: str, key: str | None) -> None:
    with pytest.raises(ValueError, match="output_urls") as caught:
        join_output(url, key)
    assert "fake" not in str(caught.value)
