"""
What ``make demo CAMPAIGN=FILE`` runs: a campaign from its file to the end of its last show, on this machine only.

Airflow's four processes run the DAG of the file, by hand, so that all shows are played at once. The sandbox publishes
video over RTMP to the platform that it has built in, which cuts the link of the second show once, so that it has to
connect again. A show that is planned to last less than five minutes has a script without an end, and is stopped as
planned; the scripts of the others end by themselves.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_provider_smartlive.campaigns import Campaign, CampaignError
from airflow_provider_smartlive.campaigns.show import Show
from airflow_provider_smartlive.cli.output import table
from dev.command import ignore_signals, run_command
from dev.full_stack import OUTPUT_CONN_IDS, PROJECT, FullStack
from dev.process import ProgramError, free_port

#: Seconds of the scripts that end by themselves, and of one that is stopped before its end.
SCRIPT, ENDLESS = 25, 3600

#: Seconds of a show after which its link is cut once.
CUT_AFTER = 8

#: A show that is planned shorter is stopped as planned in the demo.
SHORT = timedelta(minutes=5)

#: Seconds that the run may take; about 60 on an idle machine.
RUN_TIMEOUT = 300.0

LOOK_INTERVAL = 0.5

COLUMNS = ("show", "outcome", "on_air", "reconnects", "woken_by", "planned_end")


@dataclass(frozen=True)
class ShowResult:
    """
    What became of a show.

    :param states: the states of the tasks of its group.
    :param reconnects: how often its link was interrupted.
    :param stopped_as_planned: whether it was to be stopped, and was.
    """

    show: str
    states: dict[str, str]
    outcome: str | None
    woken_by: str | None
    on_air: float | None
    reconnects: int
    planned_end: str | None
    ends_by_plan: bool
    is_interrupted: bool

    @property
    def stopped_as_planned(self) -> bool:
        return bool(self.outcome and "planned" in self.outcome)

    def broken_promises(self) -> list[str]:
        """Return what is not as promised, one sentence each."""
        checks = {
            f"{self.show} ended in {self.states.get('go_live')}.": self.states.get("go_live") != "success",
            f"{self.show} was not CONNECTED.": self.states.get("connected") != "success",
            f"{self.show} was told to be late.": self.states.get("not_connected") != "skipped",
            f"The tear-down of {self.show} ended in {self.states.get('stop')}.": self.states.get("stop")
            != "success",
            f"The records of {self.show} were not fetched.": self.states.get("records") != "success",
            f"{self.show}: {self.outcome}, not stopped as planned.": self.ends_by_plan
            and not self.stopped_as_planned,
            f"{self.show} was stopped.": not self.ends_by_plan and self.stopped_as_planned,
            f"{self.show} had {self.reconnects} reconnects.": bool(self.reconnects) != self.is_interrupted,
            f"A command to {self.show} was not sent.": any(
                state != "success" for name, state in self.states.items() if name.startswith("command_")
            ),
        }
        return [sentence for sentence, broken in checks.items() if broken]


class CampaignStage(FullStack):
    """
    A stage whose platform is the one that the sandbox has built in: that one can cut a single link.

    :param campaign: what is played; its DAG file and it alone are in the DAG folder.
    """

    def __init__(self, home: Path, campaign: Campaign, file: Path, **options: Any) -> None:
        self.campaign = campaign
        self.file = file
        self.dags = home.resolve() / "dags"
        self.records = home.resolve() / "records"
        port = free_port()
        self.rtmp_url = f"rtmp://127.0.0.1:{port}/live"
        arguments = ("--no-any-room", "--picture", "small", "--with-rtmp", "--rtmp-port", str(port))
        log = f"file://{home.resolve()}/as-run"
        airflow = {"dags_folder": self.dags, "env": {"AIRFLOW__SMARTLIVE__AS_RUN_PATH": log}}
        super().__init__(home, sandbox_arguments=arguments, airflow_options=airflow, **options)

    def connections(self) -> dict[str, str | dict[str, Any]]:
        """Return the connections that the campaign names."""
        found = super().connections()
        metastudio = found["smartlive_default"]
        keys = list(self.stream_keys.values())
        outputs = dict.fromkeys(output for show in self.campaign.shows for output in show.outputs)
        for number, output in enumerate(outputs):
            key = keys[number] if number < len(keys) else f"fake-stream-key-{number}"
            found[output] = {"conn_type": "generic", "host": self.rtmp_url, "password": key}
        return found | {show.connection: metastudio for show in self.campaign.shows}

    def _start(self, exits: Any) -> None:
        self.dags.mkdir(parents=True)
        shutil.copy(self.file.with_suffix(".py"), self.dags)
        text = self.file.read_text(encoding="utf-8")
        if self.campaign.records_path is None:
            text += f"\nrecords_path: {self.records.as_uri()}\n"
        (self.dags / self.file.name).write_text(text, encoding="utf-8")
        super()._start(exits)
        for number, show in enumerate(self.campaign.shows):
            seconds = ENDLESS if ends_by_plan(self.campaign, show) else SCRIPT
            self.sandbox_client.add_rooms({"room_id": show.room, "name": show.name, "seconds": seconds})
            if number == 1:
                self.sandbox_client.add_fault(
                    target="job", action="kick", room=show.room, seconds=CUT_AFTER, times=1
                )

    def as_run(self, *options: str) -> str:
        """Return what ``airflow smartlive as-run`` prints."""
        argv = [sys.executable, "-m", "airflow", "smartlive", "as-run", *options]
        env = self.airflow.environment()
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        return done.stdout or done.stderr

    def frames(self) -> int:
        """Return how many pictures have arrived at the platform."""
        found = self.sandbox_client.control("GET", "/platform")
        return sum(stream["video_frames"] for stream in found["streams"])


def ends_by_plan(campaign: Campaign, show: Show) -> bool:
    """Tell whether a show is so short that the demo can wait for its planned end."""
    return show.times(campaign.zone).length < SHORT


def play(stage: CampaignStage, tell: Any) -> tuple[str, list[ShowResult]]:
    """
    Play the campaign, and tell as it happens.

    :return: the state of the run, and what became of each show.
    :raises ProgramError: if it does not end in time.
    """
    airflow, dag_id = stage.airflow, stage.campaign.campaign
    run_id = airflow.run_dag(dag_id)
    tell("watch it at", f"{airflow.base_url}/dags/{dag_id}/runs/{run_id}")
    deadline = time.monotonic() + RUN_TIMEOUT
    told: dict[str, str] = {}
    while True:
        state = airflow.api.dag_run(dag_id, run_id)["state"]
        for task in airflow.api.task_instances(dag_id, run_id):
            if task["state"] and told.get(task["task_id"]) != task["state"]:
                told[task["task_id"]] = task["state"]
                tell(task["task_id"], task["state"])
        if state in ("success", "failed"):
            break
        if time.monotonic() > deadline:
            raise ProgramError(f"The DAG run did not end within {RUN_TIMEOUT:.0f} s.")
        time.sleep(LOOK_INTERVAL)
    results = [_result(stage, run_id, number, told) for number in range(len(stage.campaign.shows))]
    return state, results


def _result(stage: CampaignStage, run_id: str, number: int, states: dict[str, str]) -> ShowResult:
    campaign, show = stage.campaign, stage.campaign.shows[number]
    api = stage.airflow.api
    of_show = f"{show.name}."
    result = api.xcom(campaign.campaign, run_id, f"{of_show}go_live", "return_value") or {}
    checked = api.xcom(campaign.campaign, run_id, f"{of_show}check", "return_value") or {}
    return ShowResult(
        show=show.name,
        states={
            name.removeprefix(of_show): state for name, state in states.items() if name.startswith(of_show)
        },
        outcome=result.get("outcome"),
        woken_by=result.get("woken_by"),
        on_air=result.get("stream_duration"),
        reconnects=sum(stream["reconnects"] for stream in result.get("streams", [])),
        planned_end=checked.get("planned_end"),
        ends_by_plan=ends_by_plan(campaign, show),
        is_interrupted=number == 1,
    )


def _row(campaign: Campaign, result: ShowResult) -> dict[str, object]:
    end = datetime.fromisoformat(result.planned_end).astimezone(campaign.zone) if result.planned_end else None
    return {
        "show": result.show,
        "outcome": result.outcome,
        "on_air": f"{result.on_air:.0f} s" if result.on_air is not None else None,
        "reconnects": result.reconnects,
        "woken_by": result.woken_by,
        "planned_end": f"{end:%H:%M:%S}" if end else None,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.campaign_demo", description=__doc__)
    parser.add_argument("file", type=Path, help="the campaign file; its stub stands beside it")
    parser.add_argument("--home", type=Path, default=PROJECT / ".demo", help="folder for all files")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    return parser.parse_args()


def main() -> int:
    """Run the demo; 0 if everything was as promised."""
    arguments = _arguments()
    try:
        campaign = Campaign.read(arguments.file)
    except CampaignError as error:
        print(error, file=sys.stderr)
        return 1
    if len(campaign.shows) > len(OUTPUT_CONN_IDS):
        print(
            f"The demo plays {len(OUTPUT_CONN_IDS)} shows at most, so that one machine can.", file=sys.stderr
        )
        return 1
    began = time.monotonic()

    def tell(what: str, news: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what:<28}{news}", flush=True)

    print(f"Campaign {campaign.campaign}, on this machine only. Logs: {arguments.home}", flush=True)
    with CampaignStage(arguments.home, campaign, arguments.file, tell=tell) as stage:
        state, results = play(stage, tell)
        frames = stage.frames()
        print(f"\n{table(COLUMNS, [_row(campaign, result) for result in results])}")
        rows = [json.loads(line) for line in stage.as_run("--json").splitlines() if line.startswith("{")]
        print(f"\nThe as-run log\n{stage.as_run()}")
        for listed in sorted(stage.records.rglob("records.json")):
            found = json.loads(listed.read_text(encoding="utf-8"))
            sizes = [record["size"] for record in found["records"].values()]
            print(f"Records of job {found['job_id']}: {len(sizes)} files, {sum(sizes)} bytes")
        print(f"{frames} pictures arrived at the platform. The DAG run: {state}.\n", flush=True)
        ignore_signals()
        tell("stopping", "everything that was started")
    broken = [sentence for result in results for sentence in result.broken_promises()]
    broken += [f"The DAG run ended in {state}."] if state != "success" else []
    broken += ["No video arrived at the platform."] if not frames else []
    if sorted(row["show"] for row in rows) != sorted(result.show for result in results):
        broken.append(f"The as-run log has {len(rows)} rows, not one for each show.")
    if arguments.json:
        facts = {
            "run_state": state,
            "video_frames": frames,
            "shows": list(map(asdict, results)),
            "as_run": rows,
            "broken_promises": broken,
        }
        arguments.json.write_text(json.dumps(facts, indent=2))
    print("\n".join(broken) or f"All as promised, in {time.monotonic() - began:.0f} s.")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(run_command(main, failure=1))
