"""
What ``make demo`` and ``make up`` run: one livestream from DAG to END, on this machine only.

``make up`` stays, and starts a campaign of three rooms, so that the board has something to show.

Nothing is simulated between the parts: Airflow's four processes run the example DAG, the sandbox sends video
over RTMP to a server, and calls back what becomes of that link. The reconciliation interval stays at its
default of 300 seconds, so only a callback can wake the task in time.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dev.command import ignore_signals, run_command
from dev.full_stack import COUNT_INTERVAL, PROJECT, FullStack
from dev.process import ProgramError
from dev.stack import PARSE_OFTEN, AirflowStack

DAG_ID = "smartlive_nightly"
STARTER = "go_live"

#: The room of the DAG and how long its show takes; any other room is made when a DAG names it.
SHOW = ("--room", "24bad716-87b1-45e5-8912-6102f7693265=Evening show:12", "--any-room")

#: The campaign of ``make up``: its rooms, and how long their shows take. A small picture, as three are drawn at once.
CAMPAIGN_ID = "smartlive_campaign"
CAMPAIGN = (
    *("--room", "7f3e1a52-0d1c-4c38-9a55-3d2c50a1b001=Skincare:600"),
    *("--room", "7f3e1a52-0d1c-4c38-9a55-3d2c50a1b002=Kitchen and home:900"),
    *("--room", "7f3e1a52-0d1c-4c38-9a55-3d2c50a1b003=Tea house:1200"),
    *("--picture", "small"),
)

#: The board: what is live now, in Airflow's UI.
BOARD_PATH = "/plugin/livestreams"

#: Seconds that the DAG run may take. The show itself takes about 15.
RUN_TIMEOUT = 120.0

#: Seconds between END and the task's code on a worker: about one on an idle machine, and far below the
#: reconciliation interval on any.
RESUME_LIMIT = 10.0

#: Seconds between two looks at the run, for the progress lines.
LOOK_INTERVAL = 0.3

EXPECTED_STATES = ("CONNECTING", "CONNECTED", "END")

#: The line with which Airflow begins each piece of work of a task on a worker.
WORK_BEGINS = "::group::Pre Execute"


@dataclass(frozen=True)
class Summary:
    """
    What became of the livestream.

    :param states: each state of the RTMP link, and when its callback was accepted.
    :param video_frames: frames that arrived at the platform.
    :param video_bytes: bytes of video and sound that arrived there.
    :param resumed_after: seconds between the callback of END and the task's code on a worker.
    :param seconds: how long the demo took until here.
    """

    run_state: str
    job_id: str | None
    job_state: str | None
    states: list[tuple[str, datetime]]
    video_frames: int
    video_bytes: int
    woken_by: str | None
    resumed_after: float | None
    seconds: float

    def broken_promises(self) -> list[str]:
        """Return what is not as promised, one sentence each."""
        order = [state for state, _ in self.states]
        late = self.resumed_after is None or self.resumed_after > RESUME_LIMIT
        checks = {
            f"The DAG run ended in {self.run_state}.": self.run_state != "success",
            f"The job ended in {self.job_state}.": self.job_state != "SUCCEED",
            f"The link went through {order}, not {list(EXPECTED_STATES)}.": order != list(EXPECTED_STATES),
            "No video arrived at the platform.": not self.video_frames,
            f"The task was woken by {self.woken_by}, not by a callback.": self.woken_by != "callback",
            f"The task was not resumed within {RESUME_LIMIT:.0f} s after END.": late,
        }
        return [sentence for sentence, broken in checks.items() if broken]

    def text(self) -> str:
        """Return the summary for a person."""
        after = "never" if self.resumed_after is None else f"{self.resumed_after:.1f} s after END"
        rows = [("job", self.job_id), ("job state", self.job_state)]
        rows += [(f"RTMP {state}", f"{at.astimezone():%H:%M:%S.%f}"[:-3]) for state, at in self.states]
        rows += [
            ("video at platform", f"{self.video_frames} frames, {self.video_bytes / 1000:.0f} kB"),
            ("task woken by", f"{self.woken_by}, {after}"),
            ("DAG run", self.run_state),
        ]
        return "\n".join(f"  {name:<20}{value}" for name, value in rows)


class Demo:
    """
    One run of the example DAG, told as it happens.

    :param began: when the demo began, on the monotonic clock.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._told: dict[str, Any] = {}

    def tell(self, what: str, news: str) -> None:
        """Print one line of progress."""
        print(f"{self.seconds():6.1f} s  {what:<20}{news}", flush=True)

    def seconds(self) -> float:
        """Return the seconds since the demo began."""
        return time.monotonic() - self._began

    def play(self, stage: FullStack) -> Summary:
        """
        Run the DAG once.

        :raises ProgramError: if it does not end in time.
        """
        airflow = stage.airflow
        run_id = airflow.run_dag(DAG_ID)
        self.tell("watch it at", f"{airflow.base_url}/dags/{DAG_ID}/runs/{run_id}")
        self.tell("and on the board", f"{airflow.base_url}{BOARD_PATH}")
        deadline = time.monotonic() + RUN_TIMEOUT
        while (state := airflow.api.dag_run(DAG_ID, run_id)["state"]) not in ("success", "failed"):
            self._look(airflow, run_id)
            if time.monotonic() > deadline:
                raise ProgramError(f"The DAG run did not end within {RUN_TIMEOUT:.0f} s.")
            time.sleep(LOOK_INTERVAL)
        self._look(airflow, run_id)
        return self._summary(stage, run_id, state)

    def _look(self, airflow: AirflowStack, run_id: str) -> None:
        for task in airflow.api.task_instances(DAG_ID, run_id):
            if task["state"]:
                self._tell_change(f"task {task['task_id']}", task["state"])
        for state, at in _transitions(airflow, run_id):
            self._tell_change(f"RTMP link at {at}", state, label="RTMP link")

    def _tell_change(self, key: str, news: str, *, label: str | None = None) -> None:
        if self._told.get(key) != news:
            self._told[key] = news
            self.tell(label or key, news)

    def _summary(self, stage: FullStack, run_id: str, state: str) -> Summary:
        api = stage.airflow.api
        result = api.xcom(DAG_ID, run_id, STARTER, "return_value") or {}
        states = [(name, datetime.fromisoformat(at)) for name, at in _transitions(stage.airflow, run_id)]
        time.sleep(COUNT_INTERVAL)  # for the platform's last count
        arrived = stage.arrived()
        return Summary(
            run_state=state,
            job_id=api.xcom(DAG_ID, run_id, STARTER, "job_id"),
            job_state=result.get("state"),
            states=states,
            video_frames=sum(stream["video_frames"] for stream in arrived),
            video_bytes=sum(stream["bytes"] for stream in arrived),
            woken_by=result.get("woken_by"),
            resumed_after=resumed_after(api.task_log(DAG_ID, run_id, STARTER), states),
            seconds=round(self.seconds(), 1),
        )


def _transitions(airflow: AirflowStack, run_id: str) -> list[tuple[str, str]]:
    table = airflow.api.xcom(DAG_ID, run_id, STARTER, "smartlive_callbacks") or {}
    streams = [stream for job in table.get("jobs", []) for stream in job["streams"]]
    return [(state, at) for stream in streams for state, at in stream["transitions"]]


def resumed_after(log: str, states: list[tuple[str, datetime]]) -> float | None:
    """Return the seconds from END to the next piece of work of the task; None if there was none."""
    ends = [at for state, at in states if state == "END"]
    lines = [json.loads(line) for line in log.splitlines()]
    begins = [datetime.fromisoformat(line["timestamp"]) for line in lines if line.get("event") == WORK_BEGINS]
    later = [begin - ends[-1] for begin in begins if ends and begin > ends[-1]]
    return round(min(later).total_seconds(), 2) if later else None


def _stay(airflow: AirflowStack) -> None:
    airflow.run_dag(CAMPAIGN_ID)
    print(f"\nThree rooms go live now. See them on the board: {airflow.base_url}{BOARD_PATH}", flush=True)
    print(f"Airflow stays at {airflow.base_url} (no login needed). Ctrl-C stops everything.", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.demo", description=__doc__)
    parser.add_argument("--stay", action="store_true", help="keep everything running until Ctrl-C")
    parser.add_argument("--home", type=Path, default=PROJECT / ".demo", help="folder for all files")
    parser.add_argument("--json", type=Path, help="file to write the summary to")
    return parser.parse_args()


def main() -> int:
    """Run the demo; 0 if everything was as promised."""
    arguments = _arguments()
    demo = Demo(time.monotonic())
    print(f"One livestream from DAG to END, on this machine only. Logs: {arguments.home}", flush=True)
    show, airflow = ((*SHOW, *CAMPAIGN), {"env": PARSE_OFTEN}) if arguments.stay else (SHOW, {})
    with FullStack(arguments.home, sandbox_arguments=show, airflow_options=airflow, tell=demo.tell) as stage:
        summary = demo.play(stage)
        print(f"\nThe livestream\n{summary.text()}\n", flush=True)
        if arguments.stay:
            _stay(stage.airflow)
        ignore_signals()
        demo.tell("stopping", "everything that was started")
    broken = summary.broken_promises()
    if arguments.json:
        facts = {**asdict(summary), "broken_promises": broken}
        arguments.json.write_text(json.dumps(facts, default=str, indent=2))
    print("\n".join(broken) or f"All as promised, in {demo.seconds():.0f} s.")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(run_command(main, failure=1))
