"""The DAG of a campaign, and the stub that loads it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction

from airflow_provider_smartlive.campaigns import Campaign, build, load
from airflow_provider_smartlive.operators import StartSmartLiveJobOperator
from tests.campaigns.campaign_files import campaign, of_shows

DAGS = Path(__file__).parents[2] / "dags" / "campaigns"
STUB = "from airflow_provider_smartlive.campaigns import load\n\ndag = load(__file__)\n"


def scheduled(dag: DAG) -> Any:
    """Return it as the scheduler has it."""
    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


def test_a_show_becomes_a_group_with_the_arguments_of_the_file() -> None:
    dag = build(
        campaign(
            "version: 1\ncampaign: spring\ntimezone: Asia/Shanghai\ntags: sale\nquota: 3\nshows:\n"
            "  - show: tea\n    room: a1\n    outputs: channel\n    schedule: 0 19 * * mon\n    stop: 22:00\n"
            "    retries: 4\n    pool: livestreams\n    tags: night\n    play_policy: {repeat_count: -1}\n"
            "    start_window: 20m\n    commands: [{after: 5, say: hello}]\n"
            "    connected_within: 10m\n    max_reconnects: 3\n    min_on_air: 1h\n"
            "    fail_on_disconnect_longer_than: 15m\n"
        )
    )
    assert (dag.dag_id, dag.tags, dag.catchup) == ("spring", {"smartlive", "sale", "night"}, False)
    go_live: Any = dag.get_task("tea.go_live")
    assert isinstance(go_live, StartSmartLiveJobOperator)
    assert (go_live.room_id, go_live.output_conn_ids, go_live.pool, go_live.retries) == (
        "a1",
        ["channel"],
        "livestreams",
        4,
    )
    assert go_live.play_policy == {"repeat_count": -1}
    assert go_live.start_window == timedelta(minutes=20)
    assert (go_live.connected_within, go_live.max_reconnects) == (timedelta(minutes=10), 3)
    assert (go_live.min_on_air, go_live.fail_on_disconnect_longer_than) == (
        timedelta(hours=1),
        timedelta(minutes=15),
    )
    check: Any = dag.get_task("tea.check")
    assert (check.quota, check.show) == (3, "tea")
    command: Any = dag.get_task("tea.command_1")
    assert (command.after, command.command) == (timedelta(minutes=5), "INSERT_PLAY_SCRIPT")
    assert dag.params["shows"] == ["tea"]


def test_a_standby_is_that_of_the_start_and_of_the_check() -> None:
    shows = "show: tea, room: a, schedule: 0 19 * * *, stop: 22:00, standby: {room: b, outputs: c}"
    dag = build(of_shows(f"{shows}\nshow: coffee, room: d, schedule: 0 19 * * *, stop: 22:00"))
    for task_id in ("go_live", "check"):
        of_tea: Any = dag.get_task(f"tea.{task_id}")
        assert (of_tea.standby_room_id, of_tea.standby_output_conn_ids) == ("b", ["c"])
        of_coffee: Any = dag.get_task(f"coffee.{task_id}")
        assert (of_coffee.standby_room_id, of_coffee.standby_output_conn_ids) == (None, ())


def test_the_log_and_the_assets_of_the_file_are_those_of_the_tasks() -> None:
    dag = build(
        campaign(
            "version: 1\ncampaign: spring\ntimezone: Asia/Shanghai\nas_run_path: file:///var/as-run\n"
            "defaults: {schedule: 0 19 * * *, stop: 22:00, outlets: {ended: over, as_run: [log, 's3://as/run']}}\n"
            "shows:\n  - room: tea\n  - {room: silk, outlets: {connected: smartlive://silk/on_air}}\n"
        )
    )
    tasks: dict[str, Any] = dag.task_dict
    assert tasks["tea.as_run"].path == "file:///var/as-run"
    told = {name: [asset.name for asset in task.outlets] for name, task in tasks.items() if task.outlets}
    assert told == {
        "tea.go_live": ["over"],
        "tea.as_run": ["log", "s3://as/run"],
        "silk.connected": ["smartlive://silk/on_air"],
    }


def test_it_is_built_again_the_same() -> None:
    text = (DAGS / "shopping_street.yaml").read_text()
    first, second = (DagSerialization.to_dict(build(campaign(text))) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("path", sorted(DAGS.glob("*.yaml")), ids=lambda path: path.name)
def test_the_scheduler_runs_it_when_the_plan_says(path: Path) -> None:
    found = Campaign.read(path)
    timetable = scheduled(build(found)).timetable
    begin = datetime(2027, 2, 1, tzinfo=UTC)
    times = [show.times(found.zone) for show in found.shows]
    planned = sorted(
        {a.run_at for of_show in times for a in of_show.airings(begin, begin + timedelta(days=20))}
    )
    restriction: Any = TimeRestriction(begin, None, catchup=True)  # type: ignore[arg-type]  # any aware time
    runs: list[datetime] = []
    last = None
    while len(runs) < len(planned):
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        runs.append(info.run_after)
        last = info.data_interval
    assert runs == planned


def test_dates_become_events() -> None:
    dag = scheduled(build(of_shows("room: a, schedule: [2026-12-31, 2026-12-24], start: 00:05, stop: 01:00")))
    assert [at.isoformat() for at in dag.timetable.event_dates] == [
        "2026-12-23T15:55:00+00:00",
        "2026-12-30T15:55:00+00:00",
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in DAGS.glob("evening.*"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_one_bad_file_hides_no_other_and_says_where_it_is_wrong(folder: Path) -> None:
    (folder / "bad.yaml").write_text(
        (folder / "evening.yaml").read_text().replace("stop: 22:00", "stpo: 22:00")
    )
    (folder / "bad.py").write_text(STUB)
    (folder / "alone.py").write_text(STUB)
    bag = DagBag(dag_folder=str(folder), safe_mode=False)
    assert set(bag.dags) == {"evening_campaign"}
    errors = {Path(name).name: text for name, text in bag.import_errors.items()}
    assert "bad.yaml:11: defaults.stpo: is no field of a show. Did you mean stop?" in errors["bad.py"]
    assert "alone.yaml:1: cannot be read: No such file" in errors["alone.py"]


def test_the_dag_belongs_to_its_stub(folder: Path) -> None:
    dag = load(str(folder / "evening.py"))
    assert dag.fileloc == str(folder / "evening.py")
    (folder / "evening.yaml").rename(folder / "evening.yml")
    assert load(str(folder / "evening.py")).dag_id == "evening_campaign"


def test_airflow_takes_the_stub_for_a_dag_file(folder: Path) -> None:
    """Airflow parses only files with certain words in them, unless it is told otherwise."""
    assert set(DagBag(dag_folder=str(folder), safe_mode=True).dags) == {"evening_campaign"}
