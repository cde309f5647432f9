"""The command ``smartlive-sandbox``: what it prints and how it exits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_smartlive.sandbox.cli import main
from airflow_provider_smartlive.sandbox.config import (
    Config,
    ConfigError,
    RoomSeed,
    Scenario,
    parse_assumptions,
)
from airflow_provider_smartlive.sandbox.testing import LocalSandbox, quick_config
from tests.sandbox.signed_client import ROOM, SignedClient

CALLBACK_KEY = "fake-callback-key-0123456789abcd"


@pytest.fixture
def client(smartlive_sandbox: LocalSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[SignedClient]:
    monkeypatch.setenv("SMARTLIVE_SANDBOX_URL", smartlive_sandbox.url)
    made = SignedClient(smartlive_sandbox)
    yield made
    made.http.close()


def test_jobs_as_a_table_and_as_json(client: SignedClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs"]) == 0
    assert capsys.readouterr().out == "no jobs\n"
    job_id = client.start({"play_policy": {"repeat_count": -1}}).json()["job_id"]
    assert main(["jobs"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["JOB", "ROOM", "STATE", "SECONDS", "LINK", "FPS", "CALLBACKS"]
    assert row.startswith(job_id)
    assert main(["jobs", "--json"]) == 0
    (job,) = json.loads(capsys.readouterr().out)
    assert job["job_id"] == job_id


def test_jobs_exits_by_the_fate_of_a_job(client: SignedClient, capsys: pytest.CaptureFixture[str]) -> None:
    client.sandbox.add_fault(target="job", action="fail", nth=1)
    failing, fine = (client.start().json()["job_id"] for _ in range(2))
    assert main(["jobs", failing, "--watch"]) == 1
    assert main(["jobs", fine.replace("-", ""), "--watch", "--json"]) == 0
    assert main(["jobs"]) == 0
    assert main(["jobs", "unknown"]) == 1
    assert "no such job" in capsys.readouterr().err


def test_without_a_sandbox_the_exit_code_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "--url", "http://127.0.0.1:1"]) == 3
    assert "no sandbox at http://127.0.0.1:1" in capsys.readouterr().err


def test_an_event_is_sent_for_a_job(client: SignedClient, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"live_event_type_callback_url": "http://127.0.0.1:9/x", "key": "fake-key"}
    policy = {"repeat_count": -1}
    job_id = client.start({"live_event_callback_config": config, "play_policy": policy}).json()["job_id"]
    client.sandbox.add_fault(target="callback", action="drop")
    assert main(["send-event", job_id, "--set", "state=END"]) == 0
    # The livestream goes on meanwhile, and calls back by itself.
    states = [entry.get("state") for entry in client.sandbox.ledger(kind="callback")]
    assert states.count("END") == 1
    assert main(["send-event", "unknown", "--set", "state=END"]) == 1
    assert main(["send-event", job_id, "--set", "state"]) == 2
    assert "NAME=VALUE" in capsys.readouterr().err


def test_an_event_is_sent_to_any_receiver(client: SignedClient, capsys: pytest.CaptureFixture[str]) -> None:
    # The sandbox itself is the receiver here: it answers 404, which is an answer.
    url = f"{client.sandbox.url}/nobody/fake-token"
    arguments = ["send-event", "fake-job", "--callback-url", url, "--key", CALLBACK_KEY, "--set", "state=END"]
    assert main([*arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"status": 404}
    assert main([*arguments[:-4], "--key", "", "--set", "state=END"]) == 2
    assert "needs a callback key" in capsys.readouterr().err


SCENARIO = """
seed: 7
time_scale: 60
rooms:
  - {room_id: room-1, name: Shoes, seconds: 90, room: {room_type: TEMP}}
faults:
  - {target: start, action: status, status: 503, nth: [2, 4]}
  - {target: callback, event: END, action: drop, probability: 0.5}
assumptions: {callback_attempts: 2}
"""


def test_a_scenario_is_checked_and_loaded(
    client: SignedClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(SCENARIO)
    assert main(["scenario", "check", str(file)]) == 0
    assert main(["scenario", "load", str(file)]) == 1  # seed and assumptions are for "serve"
    assert "serve --scenario" in capsys.readouterr().err
    file.write_text(json.dumps({"rooms": [{"room_id": ROOM}]}))
    assert main(["scenario", "load", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"rooms": 1, "faults": 0}


BAD_SCENARIOS = [
    ("faults: [{target: start, action: explode}]", "faults.0"),
    ("rooms: [{name: Shoes}]", "rooms.0.room_id"),
    ("assumptions: {callback_attempts: 0}", "callback_attempts"),
    ("surprise: 1", "surprise"),
    ("a: [", "line 1"),
]


@pytest.mark.parametrize(("text", "place"), BAD_SCENARIOS)
def test_a_wrong_scenario_names_its_mistake(
    text: str, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(text)
    assert main(["scenario", "check", str(file)]) == 2
    assert place in capsys.readouterr().err
    assert main(["serve", "--port", "0", "--scenario", str(file)]) == 2


def test_a_scenario_sets_a_sandbox_up(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(SCENARIO)
    config = quick_config(assumptions=parse_assumptions(["waiting_seconds=0"])).with_scenario(
        Scenario.load(file)
    )
    assert (config.rate, config.seed, len(config.faults)) == (60, 7, 2)
    assert (config.assumptions.callback_attempts, config.assumptions.waiting_seconds) == (2, 0)
    with LocalSandbox(config) as sandbox:
        client = SignedClient(sandbox)
        assert [client.start(room="room-1").status_code for _ in range(4)] == [202, 503, 202, 503]
        assert client.start().json()["error_code"] == "MSS.20010045"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", RoomSeed(room_id="a")),
        ("a=Shoes", RoomSeed(room_id="a", name="Shoes")),
        ("a=Shoes: day and night:90", RoomSeed(room_id="a", name="Shoes: day and night", seconds=90)),
    ],
)
def test_rooms_of_the_command_line(text: str, expected: RoomSeed) -> None:
    assert RoomSeed.parse(text) == expected


@pytest.mark.parametrize("text", ["", "=Shoes", "a=Shoes:long", "a=Shoes:-1", f"{'x' * 65}=Shoes"])
def test_wrong_rooms_of_the_command_line(text: str) -> None:
    with pytest.raises(ConfigError, match="ID=NAME"):
        RoomSeed.parse(text)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--time-scale", "0"], "--time-scale"),
        (["--time-scale", "nan"], "--time-scale"),
        (["--time-scale", "1e308"], "--time-scale"),
        (["--assume", "waiting_seconds"], "NAME=VALUE"),
        (["--assume", "wating_seconds=1"], "wating_seconds"),
        (["--assume", "unknown_room=no"], "400 MSS.20010045"),
        (["--state", "/nowhere/state"], "/nowhere/state"),
        (["--ca-file", "/nowhere/ca.pem"], "No such file"),
        (["--access-key", "two words"], "access_key"),
        (["--scenario", "/nowhere/scenario.yaml"], "/nowhere/scenario.yaml"),
    ],
)
def test_a_wrong_command_line_names_its_mistake(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--port", "0", *arguments]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["serve"], ["rtmp"], ["jobs"], ["send-event"], ["scenario"]])
def test_every_command_has_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([*command, "--help"])
    assert exit_.value.code == 0
    assert "exit codes" in capsys.readouterr().out


@pytest.fixture
def smartlive_sandbox_config() -> Config:
    return quick_config()


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("testing.pytest_plugin", {"airflow", "aiohttp", "pydantic", "starlette", "uvicorn", "av", "PIL"}),
        ("sandbox.cli", {"airflow", "aiohttp", "pydantic", "starlette", "uvicorn", "av", "PIL"}),
        ("sandbox.cli.client", {"airflow", "aiohttp", "starlette", "uvicorn", "av", "PIL"}),
        ("sandbox.server", {"airflow", "av", "PIL"}),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(module: str, absent: set[str]) -> None:
    code = f"import sys, airflow_provider_smartlive.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert absent & set(done.stdout.split()) == set()
