"""``airflow smartlive campaign``: what is printed, where, and the exit codes."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_provider_smartlive.cli import campaign as commands
from airflow_provider_smartlive.livestream import callback_check
from airflow_provider_smartlive.livestream.callback_check import Diagnosis
from tests.cli.command_line import Connections, Run, Studio

GOOD = """\
version: 1
campaign: spring
timezone: Asia/Shanghai
shows:
  - {show: tea, room: a1, outputs: channel, schedule: 0 19 * * mon, stop: 22:00}
"""
CLASH = "  - {show: late, room: a1, schedule: 0 20 * * mon, stop: 23:00}\n"


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "utcnow", lambda: datetime(2026, 11, 29, 12, tzinfo=UTC))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "spring.yaml"
    path.write_text(GOOD)
    return path


def test_lint_of_a_good_file(run: Run, file: Path) -> None:
    done = run("campaign", "lint", "spring.yaml")
    assert (done.code, done.err) == (0, "")
    assert done.out == "1 campaign, 1 show: 2 airings in the next 14 days, no conflict.\n"
    assert "1 airing in the next 3 days" in run("campaign", "lint", ".", "--days", "3").out


def test_lint_says_everything_that_is_wrong_in_all_files(run: Run, file: Path) -> None:
    file.write_text(GOOD + CLASH)
    (file.parent / "bad.yml").write_text("version: 1\ncampain: x\n")
    (file.parent / "twin.yaml").write_text(
        GOOD.replace("a1", "b1")
        .replace("channel", "b")
        .replace("stop: 22:00", "stop: 22:00, notify: no.such.Notifier")
    )
    done = run("campaign", "lint", ".")
    assert done.code == 1
    lines = done.out.splitlines()
    assert "bad.yml:2: campain: is no field of a campaign. Did you mean campaign?" in lines
    assert any(line.startswith("spring.yaml:6: shows[1].room: a1 is in use") for line in lines)
    assert any(line.startswith("twin.yaml:2: campaign: is 'spring', as in spring.yaml.") for line in lines)
    assert any(
        line.startswith("twin.yaml:5: shows[0].notify[0]: notifier no.such.Notifier") for line in lines
    )
    assert done.err == f"{len(lines)} problems in 3 files.\n"


def test_lint_says_once_what_is_wrong_with_a_default(run: Run, file: Path) -> None:
    other = "  - {room: b1, schedule: 0 9 * * mon, stop: 10:00}\n"
    file.write_text(GOOD.replace("shows:", "defaults: {notify: no.such.Notifier}\nshows:") + other)
    done = run("campaign", "lint", "spring.yaml")
    (line,) = done.out.splitlines()
    assert line.startswith("spring.yaml:4: defaults.notify[0]: notifier no.such.Notifier cannot be used")


def test_lint_as_json(run: Run, file: Path) -> None:
    assert json.loads(run("campaign", "lint", "spring.yaml", "--json").out) == {
        "ok": True,
        "problems": [],
        "notes": [],
    }
    file.write_text(GOOD.replace("22:00", "19:00"))
    done = run("campaign", "lint", "spring.yaml", "--json")
    (problem,) = json.loads(done.out)["problems"]
    assert done.code == 1
    assert (problem["file"], problem["line"], problem["field"]) == ("spring.yaml", 5, "shows[0].stop")


def test_lint_notes_what_the_clocks_do(
    run: Run,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "utcnow", lambda: datetime(2026, 3, 20, tzinfo=UTC))
    file.write_text(GOOD.replace("Asia/Shanghai", "Europe/Berlin").replace("0 19 * * mon", "30 2 * * *"))
    done = run("campaign", "lint", "spring.yaml")
    assert done.code == 0
    assert done.err.startswith("Note: spring.yaml:5: shows[0].schedule: is 03:30 on 2026-03-29")


def test_a_file_or_folder_that_is_not_there(run: Run, file: Path) -> None:
    done = run("campaign", "lint", "none.yaml")
    assert done.code == 1
    assert done.out == "none.yaml:1: cannot be read: No such file or directory.\n"
    (file.parent / "empty").mkdir()
    assert "no campaign file in this folder" in run("campaign", "lint", "empty").err


def test_plan(run: Run, file: Path) -> None:
    done = run("campaign", "plan", "spring.yaml", "--days", "7")
    assert done.out.splitlines() == [
        "campaign spring, zone Asia/Shanghai",
        "START                 STOP   LENGTH  SHOW  ROOM  OUTPUTS",
        "Mon 2026-11-30 19:00  22:00  3:00    tea   a1    channel",
    ]
    assert (
        run("campaign", "plan", "spring.yaml", "--from", "2026-12-01", "--days", "2").out
        == "Nothing goes live then.\n"
    )
    more = "stop: 22:00, max_reconnects: 3, min_on_air: 1h, outlets: {ended: tea}"
    file.write_text(GOOD.replace("stop: 22:00", more))
    (line,) = run("campaign", "plan", "spring.yaml", "--days", "7", "--format", "json").out.splitlines()
    assert json.loads(line) == {
        "campaign": "spring",
        "show": "tea",
        "room": "a1",
        "connection": "smartlive_default",
        "outputs": ["channel"],
        "standby": None,
        "timezone": "Asia/Shanghai",
        "run_at": "2026-11-30T10:50:00+00:00",
        "start": "2026-11-30T19:00:00+08:00",
        "stop": "2026-11-30T22:00:00+08:00",
        "limits": {"max_reconnects": 3, "min_on_air": 3600.0},
        "outlets": {"connected": [], "ended": ["tea"], "as_run": []},
    }
    calendar = run("campaign", "plan", "spring.yaml", "--format", "ical").out
    assert calendar.count("BEGIN:VEVENT") == 2
    assert calendar.endswith("END:VCALENDAR\n")


def test_plan_refuses_conflicts_unless_it_is_told_not_to(run: Run, file: Path) -> None:
    file.write_text(GOOD + CLASH)
    done = run("campaign", "plan", "spring.yaml")
    assert (done.code, done.out) == (1, "")
    assert "spring.yaml:6: shows[1].room: a1 is in use" in done.err
    told = run("campaign", "plan", "spring.yaml", "--with-conflicts")
    assert told.code == 0
    assert "late" in told.out
    assert "is in use" in told.err


def test_what_is_on_the_air_is_in_the_way_of_what_comes_next(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = "  - {show: late, room: a1, schedule: [2026-11-30], start: 21:00, stop: 23:00}\n"
    (file.parent / "once.yaml").write_text(GOOD.replace("spring", "once").partition("  - {")[0] + once)
    # Monday at eight in Shanghai.
    monkeypatch.setattr(commands, "utcnow", lambda: datetime(2026, 11, 30, 12, tzinfo=UTC))
    said = "once.yaml:5: shows[0].room: a1 is in use when once/late"
    for text in (run("campaign", "lint", ".").out, run("campaign", "plan", ".").err):
        assert said in text
    assert run("campaign", "plan", ".", "--from", "2026-12-01").code == 0


def test_arguments_that_are_none(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("campaign", "plan", "x", "--days", "0").code == 2
    assert run("campaign", "plan", "x", "--from", "tomorrow").code == 2


def test_schema(run: Run) -> None:
    assert json.loads(run("campaign", "schema").out)["title"].endswith("version 1")
    assert Path(run("campaign", "schema", "--path").out.strip()).is_file()


@pytest.fixture
def callbacks(monkeypatch: pytest.MonkeyPatch) -> list[Diagnosis]:
    """What the probe of callbacks finds, instead of asking a server."""
    found = [Diagnosis(True, "it works")]
    monkeypatch.setattr(callback_check, "send", lambda issued, has_task: found[-1])
    return found


@pytest.fixture
def rooms(studio: Studio, connections: Connections) -> Studio:
    output = {"conn_type": "generic", "host": "rtmp://push.example.com/live/a", "password": "fake-key"}
    connections.into_database(output, "channel")
    studio.sandbox.add_room("a1", seconds=1000)
    return studio


def test_check_of_a_show_that_can_go_live(
    run: Run, file: Path, rooms: Studio, callbacks: list[Diagnosis]
) -> None:
    done = run("campaign", "check", "spring.yaml")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[1].split(maxsplit=4) == ["ok", "spring", "tea", "all", "room a1 can go live"]


def test_check_names_what_is_missing(run: Run, file: Path, rooms: Studio, callbacks: list[Diagnosis]) -> None:
    hats = "  - {show: hats, room: unknown, outputs: none, schedule: 0 9 * * mon, stop: 10:00}\n"
    text = GOOD.replace("timezone", "quota: 1\ntimezone").replace("22:00", "22:00, pool: livestreams")
    file.write_text(text + hats)
    rooms.start("elsewhere")
    rooms.sandbox.add_fault(
        target="show_room", action="status", status=404, code="MSS.20010045", room="unknown"
    )
    callbacks.append(Diagnosis(False, "404: no receiver there."))
    done = run("campaign", "check", "spring.yaml", "--json")
    assert done.code == 1
    assert done.err == "2 of 2 shows could not go live now.\n"
    tea, other = (json.loads(line) for line in done.out.splitlines())
    said = {found["check"]: found for found in tea["findings"]}
    assert set(said) == {"callbacks", "quota", "pool"}
    assert said["callbacks"] == {
        "check": "callbacks",
        "blocks": False,
        "file": "spring.yaml",
        "line": 6,
        "field": "shows[0]",
        "text": "404: no receiver there.",
    }
    assert "quota is 1, and 1 of http" in said["quota"]["text"]
    assert "airflow pools set livestreams SLOTS DESCRIPTION --include-deferred" in said["pool"]["text"]
    texts = {found["check"]: found["text"] for found in other["findings"]}
    lines = {found["check"]: (found["line"], found["field"]) for found in other["findings"]}
    assert lines["room"] == (7, "shows[1].room")
    assert "outputs: Connection 'none' is not defined" in texts["outputs"]
    assert "there is no room unknown over connection 'smartlive_default'" in texts["room"]
    table = run("campaign", "check", "spring.yaml", "--show", "tea")
    assert "FAIL" in table.out
    assert "spring.yaml:6: shows[0].pool: there is no pool 'livestreams'" in table.out
    assert "warn" in table.out
    assert "1 of 1 show could not" in table.err
    assert (
        "There is no show 'x' in these files." in run("campaign", "check", "spring.yaml", "--show", "x").err
    )


def test_check_sees_who_is_in_the_way(
    run: Run, file: Path, rooms: Studio, callbacks: list[Diagnosis]
) -> None:
    rooms.start("a1")
    done = run("campaign", "check", "spring.yaml")
    assert done.code == 1
    assert "runs in this room as well" in done.out


def test_a_standby_is_in_the_plan_and_in_the_check(
    run: Run, file: Path, rooms: Studio, callbacks: list[Diagnosis]
) -> None:
    file.write_text(GOOD.replace("stop: 22:00", "stop: 22:00, standby: {room: b1}"))
    table = run("campaign", "plan", "spring.yaml", "--days", "7").out.splitlines()
    assert [line.split()[-2:] for line in table[1:]] == [["OUTPUTS", "STANDBY"], ["channel", "b1"]]
    rooms.start("b1")
    done = run("campaign", "check", "spring.yaml")
    assert (done.code, done.err) == (0, "")
    assert "spring.yaml:5: shows[0].standby: other jobs: " in done.out


def test_check_without_a_connection(run: Run, file: Path, connections: Connections) -> None:
    done = run("campaign", "check", "spring.yaml")
    assert done.code == 1
    assert "Connection 'smartlive_default' is not defined" in done.out


def test_a_plan_of_several_campaigns_names_them(run: Run, file: Path) -> None:
    other = (
        GOOD.replace("spring", "autumn").replace("a1", "b1").replace("channel", "b").replace("22:00", "01:00")
    )
    (file.parent / "autumn.yaml").write_text(other.replace("Asia/Shanghai", "Europe/Berlin"))
    lines = run("campaign", "plan", ".", "--days", "7").out.splitlines()
    assert [line.split() for line in lines] == [
        ["START", "STOP", "LENGTH", "CAMPAIGN", "SHOW", "ROOM", "OUTPUTS", "ZONE"],
        ["Mon", "2026-11-30", "19:00", "22:00", "3:00", "spring", "tea", "a1", "channel", "Asia/Shanghai"],
        ["Mon", "2026-11-30", "19:00", "01:00", "+1", "6:00", "autumn", "tea", "b1", "b", "Europe/Berlin"],
    ]


PAGE = (Path(__file__).parents[2] / "docs" / "campaigns.md").read_text()
DAGS = Path(__file__).parents[2] / "dags" / "campaigns"


def blocks(begin: str) -> list[str]:
    """Return the blocks of text on the page that begin so."""
    return [block for block in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL) if block.startswith(begin)]


@pytest.mark.parametrize("block", blocks("$ airflow smartlive campaign"), ids=lambda block: block.split()[5])
def test_the_page_shows_what_a_plan_prints(run: Run, block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command, _, printed = block.partition("\n")
    monkeypatch.chdir(DAGS)
    assert run(*command.split()[3:]).out == printed


def test_the_page_shows_what_lint_says(run: Run, file: Path) -> None:
    (block,) = blocks("spring.yaml")
    said = " ".join(block.split())
    for show in ("{strat: 1, room: a", "{room: b, outputs: 'rtmp://x/y'", "{room: c, stop: 19:00"):
        file.write_text(GOOD.split("  - ")[0] + f"  - {show}, schedule: 0 19 * * *}}\n")
        (line, *_) = run("campaign", "lint", "spring.yaml").out.splitlines()
        assert line.partition("]")[2].partition(": ")[2] in said, line
