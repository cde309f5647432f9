"""The parts of the encoder process, and the process by itself where no RTMP server is needed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from typing import Any

import pytest

from airflow_provider_smartlive.sandbox.video import encoder
from airflow_provider_smartlive.sandbox.video.encoder import EncoderControl, Pace, Reporter
from airflow_provider_smartlive.sandbox.video.encoder_job import EncoderJob

KEY = "fake-stream-key-1"


class Watch(threading.Event):
    """A clock that stands still, and an event whose waiting moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        return self.is_set()


class FakeLink:
    """A link with nothing but counters."""

    frames = 0
    sent_bytes = 0

    def send(self, planes: tuple[bytes, bytes, bytes], index: int) -> None:
        self.frames += 1

    def close(self) -> None: ...


def test_pictures_come_on_time() -> None:
    watch = Watch()
    pace = Pace(25, watch)
    times = [(pace.next(watch), round(watch.now - 100, 2)) for _ in range(4)]
    assert times == [(0, 0.0), (1, 0.04), (2, 0.08), (3, 0.12)]


def test_a_short_delay_is_made_up_for() -> None:
    watch = Watch()
    pace = Pace(10, watch)
    pace.next(watch)
    watch.now += 0.35
    assert [pace.next(watch) for _ in range(4)] == [1, 2, 3, 4]
    assert watch.now == pytest.approx(100.4)


def test_after_a_long_delay_pictures_are_left_out() -> None:
    watch = Watch()
    pace = Pace(10, watch)
    pace.next(watch)
    watch.now += 3.0
    assert [pace.next(watch) for _ in range(2)] == [30, 31]
    assert watch.now == pytest.approx(103.1)


def test_no_picture_when_it_is_time_to_stop() -> None:
    watch = Watch()
    pace = Pace(10, watch)
    watch.set()
    assert pace.next(watch) is None


def _lines(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


def test_stats_come_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    watch, link = Watch(), FakeLink()
    reporter = Reporter(watch)
    for _ in range(30):
        watch.now += 0.04
        link.frames += 1
        link.sent_bytes += 100
        reporter.stats(link)
    reporter.stats(link, at_once=True)
    assert _lines(capsys.readouterr().out) == [
        {"event": "stats", "frames": 13, "bytes": 1300, "fps": 25.0},
        {"event": "stats", "frames": 26, "bytes": 2600, "fps": 25.0},
        {"event": "stats", "frames": 30, "bytes": 3000, "fps": 25.0},
    ]


def test_the_owner_changes_the_title_and_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"script_title": "two"}\n{"stop": true}\n'))
    control = EncoderControl("one")
    control.listen()
    assert control.script_title == "two"
    assert control.stop.is_set()


def test_an_owner_that_is_gone_means_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    control = EncoderControl("one")
    control.listen()
    assert control.stop.is_set()


@pytest.mark.parametrize("line", ["", "nonsense", "[]", "{}", '{"url": "rtmp://h/live/fake-stream-key-1"}'])
def test_a_job_that_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(line))
    assert encoder.main() == 1
    (report,) = _lines(capsys.readouterr().out)
    assert (report["event"], report["fault"]) == ("failed", "unavailable")
    assert KEY not in json.dumps(report)


def test_no_text_of_a_library_gets_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(job: EncoderJob) -> None:
        raise RuntimeError(f"cannot open {job.url}")

    job = EncoderJob(url=f"rtmp://h/live/{KEY}", room_name="Tea room")
    monkeypatch.setattr(sys, "stdin", io.StringIO(job.dump().decode()))
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)
    monkeypatch.setattr(encoder, "_live_on", lambda job: None)
    monkeypatch.setattr(encoder, "_open", fail)
    assert encoder.main() == 1
    captured = capsys.readouterr()
    assert _lines(captured.out)[-1] == {"event": "failed", "fault": "unavailable", "text": "RuntimeError"}
    assert KEY not in captured.out + captured.err


@pytest.mark.processes
@pytest.mark.parametrize("module", ["av", "PIL"])
def test_without_the_extra_the_process_says_what_to_install(module: str) -> None:
    program = (
        f"import runpy, sys; sys.modules['{module}'] = None;"
        "runpy.run_module('airflow_provider_smartlive.sandbox.video.encoder', run_name='__main__')"
    )
    job = EncoderJob(url=f"rtmp://127.0.0.1:1/live/{KEY}", room_name="Tea room")
    done = subprocess.run(
        [sys.executable, "-c", program], input=job.dump(), capture_output=True, timeout=20, check=False
    )
    (report,) = _lines(done.stdout.decode())
    assert done.returncode == 1
    assert report["fault"] == "unavailable"
    assert "pip install 'airflow-provider-smartlive[sandbox]'" in report["text"]
    assert KEY not in done.stdout.decode() + done.stderr.decode()
