"""The records of a livestream: fetched once, with a checksum each, and nobody is told where they were."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk.log import redact

from airflow_provider_smartlive.livestream.records_fetcher import RecordsFetcher
from airflow_provider_smartlive.operators import SmartLiveRecordsOperator
from tests.client.recording_server import Behaviour, RecordingServer, answer, hang_up, recording_server
from tests.support.fake_airflow import TASK, a_context
from tests.support.fake_metastudio import ROOM, unreachable
from tests.support.simulation import StartSimulation

SECRET = "fake-signature-0123456789abcdef"
SAID = b'{"said": "Welcome!"}\n' * 1000
ASKED = b'{"asked": "How much is it?"}\n'


@pytest.fixture
def files() -> Iterator[RecordingServer]:
    """The storage behind the URLs."""
    with recording_server() as server:
        yield server


@pytest.fixture
def over(
    deferred: StartSimulation, files: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> StartSimulation:
    """A livestream that is over, of which there are two records."""
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__REQUEST_ATTEMPTS", "2")
    deferred.metastudio.endpoint = files.url
    deferred.at(10, deferred.ends())
    deferred.supervisor.states[TASK] = "running"
    deferred.go_live()
    deferred.supervisor.states[TASK] = "success"
    name(deferred, files, "scripts_records", "interaction_records")
    return deferred


def name(stage: StartSimulation, files: RecordingServer, *records: str) -> None:
    """Let MetaStudio name records."""
    urls = {f"{record}_url": f"{files.url}/{record}.json?Signature={SECRET}" for record in records}
    stage.job.more["live_job_log"] = urls


def fetch(
    stage: StartSimulation,
    folder: Path,
    *,
    ti: dict[str, Any] | None = None,
    sleep: Callable[[float], None] = lambda seconds: None,
    **arguments: Any,
) -> Any:
    named = {"starter_task_id": TASK, "path": f"file://{folder}"} | arguments
    operator = SmartLiveRecordsOperator(task_id="records", **named)
    context: Any = a_context(stage.supervisor, **{"task_id": "records"} | (ti or {}))
    return RecordsFetcher(operator, context, sleep=sleep).fetch()


def record(file: str, content: bytes, kind: str | None = None) -> dict[str, Any]:
    checksum = hashlib.sha256(content).hexdigest()
    return {
        "file": file,
        "size": len(content),
        "sha256": checksum,
        "content_type": kind,
        "content_encoding": None,
    }


def cut(content: bytes, sent: int) -> Behaviour:
    head = f'HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\nETag: "v1"\r\nConnection: close\r\n\r\n'
    return lambda connection: connection.sendall(head.encode() + content[:sent])


def rest(content: bytes, start: int) -> Behaviour:
    span = f"bytes {start}-{len(content) - 1}/{len(content)}"
    return answer(206, content[start:], Content_Range=span, ETag='"v1"')


def of_job(stage: StartSimulation, folder: Path) -> Path:
    return folder / f"room={ROOM}" / f"job={stage.job.job_id}"


def test_each_record_is_a_file_and_the_list_has_its_checksum(
    over: StartSimulation, files: RecordingServer, tmp_path: Path
) -> None:
    files.will(answer(200, ASKED, Content_Type="application/json"), answer(200, SAID))
    result = fetch(over, tmp_path)
    folder = of_job(over, tmp_path)
    assert result == {
        "job_id": over.job.job_id,
        "room_id": ROOM,
        "folder": f"room={ROOM}/job={over.job.job_id}",
        "records": {
            "interaction_records": record("interaction_records.json", ASKED, "application/json"),
            "scripts_records": record("scripts_records.json", SAID),
        },
    }
    assert (folder / "interaction_records.json").read_bytes() == ASKED
    assert (folder / "scripts_records.json").read_bytes() == SAID
    listed = json.loads((folder / "records.json").read_text())
    assert (listed["version"], listed["records"]) == (1, result["records"])
    assert sorted(file.name for file in folder.iterdir()) == [
        "interaction_records.json",
        "records.json",
        "scripts_records.json",
    ]


def test_what_is_there_is_not_fetched_again(
    over: StartSimulation, files: RecordingServer, tmp_path: Path
) -> None:
    files.will(answer(200, ASKED), answer(404))
    with pytest.raises(AirflowException, match=r"^scripts_records: the server answers 404\."):
        fetch(over, tmp_path)
    files.will(answer(200, SAID))
    result = fetch(over, tmp_path)
    assert len(files.requests) == 3
    assert set(result["records"]) == {"interaction_records", "scripts_records"}
    assert fetch(over, tmp_path) == result
    assert len(files.requests) == 3


def test_a_file_that_was_changed_is_fetched_again(
    over: StartSimulation, files: RecordingServer, tmp_path: Path
) -> None:
    files.will(answer(200, ASKED), answer(200, SAID), answer(200, SAID))
    fetch(over, tmp_path)
    file = of_job(over, tmp_path) / "scripts_records.json"
    file.write_bytes(SAID[:-2] + b"X\n")
    fetch(over, tmp_path)
    assert file.read_bytes() == SAID
    assert len(files.requests) == 3


def test_the_next_try_goes_on_with_what_has_arrived(
    over: StartSimulation, files: RecordingServer, tmp_path: Path
) -> None:
    name(over, files, "scripts_records")
    files.will(cut(SAID, 8000), hang_up, hang_up)
    with pytest.raises(AirflowException, match="broke before the answer was complete"):
        fetch(over, tmp_path)
    part = of_job(over, tmp_path) / "scripts_records.part"
    assert part.exists()
    assert SECRET.encode() not in part.read_bytes()
    arrived = int(files.requests[-1].headers["range"].removeprefix("bytes=").removesuffix("-"))
    files.will(rest(SAID, arrived))
    result = fetch(over, tmp_path)
    assert files.requests[-1].headers["if-range"] == '"v1"'
    assert result["records"]["scripts_records"] == record("scripts_records.json", SAID)
    assert not part.exists()


def test_a_part_that_is_broken_counts_for_nothing(
    over: StartSimulation, files: RecordingServer, tmp_path: Path
) -> None:
    name(over, files, "scripts_records")
    folder = of_job(over, tmp_path)
    folder.mkdir(parents=True)
    for broken in (
        b"",
        b"no JSON\n",
        b"[]\n",
        b'{"version": 9}\nabc',
        b'{"version": 1, "of": "v", "sha256": "0"}\nabc',
    ):
        (folder / "scripts_records.part").write_bytes(broken)
        (folder / "records.json").write_bytes(broken)
        files.will(answer(200, SAID))
        assert fetch(over, tmp_path)["records"]["scripts_records"]["size"] == len(SAID)
        assert "range" not in files.requests[-1].headers


def test_a_task_that_is_ended_from_outside_leaves_its_part(
    over: StartSimulation, files: RecordingServer, tmp_path: Path
) -> None:
    name(over, files, "scripts_records")
    files.will(cut(SAID, 8000))

    class Ended(BaseException): ...

    def end(_: float) -> None:
        raise Ended

    with pytest.raises(Ended):
        fetch(over, tmp_path, sleep=end)
    assert (of_job(over, tmp_path) / "scripts_records.part").exists()


def test_one_that_is_too_large_keeps_no_other_from_being_fetched(
    over: StartSimulation, files: RecordingServer, tmp_path: Path
) -> None:
    name(over, files, "interaction_records", "scripts_records")
    files.will(answer(200, SAID), answer(200, ASKED))
    with pytest.raises(AirflowFailException, match=r"^interaction_records: is larger than 1000 bytes\.$"):
        fetch(over, tmp_path, max_bytes=1000)
    assert sorted(file.name for file in of_job(over, tmp_path).iterdir()) == [
        "records.json",
        "scripts_records.json",
    ]


def test_without_records_it_is_asked_again_and_is_no_failure_in_the_end(
    over: StartSimulation, tmp_path: Path
) -> None:
    over.job.more.clear()
    with pytest.raises(AirflowException, match="names no records of job"):
        fetch(over, tmp_path, ti={"try_number": 1, "max_tries": 1})
    assert fetch(over, tmp_path, ti={"try_number": 2, "max_tries": 1})["records"] == {}


def test_a_livestream_that_never_was_has_none(over: StartSimulation, tmp_path: Path) -> None:
    over.supervisor.xcoms.clear()
    with pytest.raises(AirflowSkipException, match="has started no livestream"):
        fetch(over, tmp_path)


def test_there_are_none_before_the_end(over: StartSimulation, tmp_path: Path) -> None:
    over.supervisor.states[TASK] = "running"
    with pytest.raises(AirflowException, match="is not over"):
        fetch(over, tmp_path)
    over.supervisor.states[TASK] = "success"
    over.job.state = "PROCESSING"
    with pytest.raises(AirflowException, match=r"PROCESSING\. There are records when it is over"):
        fetch(over, tmp_path)


def test_a_metastudio_that_does_not_answer_or_does_not_know(over: StartSimulation, tmp_path: Path) -> None:
    over.metastudio.down = unreachable()
    with pytest.raises(AirflowException, match="There are records when it is over"):
        fetch(over, tmp_path)
    over.metastudio.down = None
    with pytest.raises(AirflowFailException, match="cannot be fetched"):
        fetch(over, tmp_path, starter_task_id=None, job_id="f" * 32, room_id=ROOM)


def test_a_job_that_is_named_by_its_id(over: StartSimulation, files: RecordingServer, tmp_path: Path) -> None:
    files.will(answer(200, ASKED), answer(200, SAID))
    result = fetch(over, tmp_path, starter_task_id=None, job_id=over.job.job_id, room_id=ROOM)
    assert len(result["records"]) == 2
    with pytest.raises(AirflowFailException, match="pass room_id"):
        fetch(over, tmp_path, starter_task_id=None, job_id=over.job.job_id)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"path": "/var/records"}, "Write it with its scheme"), ({"max_bytes": 0}, "Pass a number above 0")],
)
def test_an_argument_that_is_wrong_is_no_use_to_retry(
    over: StartSimulation, tmp_path: Path, arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(AirflowFailException, match=text):
        fetch(over, tmp_path, **arguments)


def test_the_urls_are_told_to_nobody(
    over: StartSimulation, files: RecordingServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    files.will(answer(200, ASKED), answer(403))
    with pytest.raises(AirflowException) as caught:
        fetch(over, tmp_path)
    files.will(answer(200, SAID))
    result = fetch(over, tmp_path)
    written = [file.read_text() for file in of_job(over, tmp_path).iterdir()]
    told = [str(caught.value), str(result), redact(caplog.text), str(over.supervisor.xcoms), *written]
    assert not any(part in text for text in told for part in (SECRET, "scripts_records.json?"))


def test_what_has_arrived_is_listed_at_once(
    over: StartSimulation, files: RecordingServer, tmp_path: Path
) -> None:
    class Ended(BaseException): ...

    def end(_: float) -> None:
        raise Ended

    files.will(answer(200, ASKED), hang_up)
    with pytest.raises(Ended):
        fetch(over, tmp_path, sleep=end)
    files.will(answer(200, SAID))
    assert set(fetch(over, tmp_path)["records"]) == {"interaction_records", "scripts_records"}
    assert len(files.requests) == 3


@pytest.mark.parametrize(
    "listed", [b'{"records": []}', b"[]", b'{"records": {"scripts_records": {"file": 1}}}']
)
def test_a_list_that_is_broken_counts_for_nothing(
    over: StartSimulation, files: RecordingServer, tmp_path: Path, listed: bytes
) -> None:
    name(over, files, "scripts_records")
    folder = of_job(over, tmp_path)
    folder.mkdir(parents=True)
    (folder / "records.json").write_bytes(listed)
    files.will(answer(200, SAID))
    assert fetch(over, tmp_path)["records"]["scripts_records"]["size"] == len(SAID)


@pytest.mark.parametrize("file", ["..", ".", "records.json/x", 7])
def test_a_list_that_names_no_file_of_the_folder_counts_for_nothing(
    over: StartSimulation, files: RecordingServer, tmp_path: Path, file: Any
) -> None:
    name(over, files, "scripts_records")
    folder = of_job(over, tmp_path)
    folder.mkdir(parents=True)
    size = (folder / "..").stat().st_size
    listed = {"records": {"scripts_records": {"file": file, "size": size, "sha256": "0"}}}
    (folder / "records.json").write_text(json.dumps(listed))
    files.will(answer(200, SAID))
    assert fetch(over, tmp_path)["records"]["scripts_records"]["size"] == len(SAID)


def test_a_link_in_the_folder_is_replaced_and_not_followed(
    over: StartSimulation, files: RecordingServer, tmp_path: Path, between_file_systems: None
) -> None:
    name(over, files, "scripts_records")
    other = tmp_path / "other"
    other.write_bytes(b"of somebody else")
    folder = of_job(over, tmp_path)
    folder.mkdir(parents=True)
    for link in ("scripts_records.json", "records.json"):
        (folder / link).symlink_to(other)
    files.will(answer(200, SAID))
    fetch(over, tmp_path)
    assert other.read_bytes() == b"of somebody else"
    assert (folder / "scripts_records.json").read_bytes() == SAID
    assert sorted(file.name for file in folder.iterdir()) == ["records.json", "scripts_records.json"]
