"""What the command operator sends, what it waits for, and that nothing is said twice."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRuntimeError,
    ErrorType,
    TaskDeferred,
)
from airflow.sdk.execution_time.comms import ErrorResponse

from airflow_provider_smartlive.callbacks.apply import apply_event
from airflow_provider_smartlive.callbacks.messages import (
    XCOM_TABLE_KEY,
    OutputRefresh,
    ResumeEvent,
    refresh_key,
    starter_waiter_key,
    waiter_key,
)
from airflow_provider_smartlive.callbacks.table import CallbackTable, reply_mark
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.client.flow import TransportFailure, Unreachable
from airflow_provider_smartlive.client.operations import Operation
from airflow_provider_smartlive.hooks import SmartLiveHook
from airflow_provider_smartlive.livestream.starter import OWN_XCOMS_AFTER
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.errors import (
    AuthenticationError,
    Conflict,
    InvalidRequest,
    MetaStudioError,
    NotFound,
    ServerError,
    UnexpectedResponse,
)
from airflow_provider_smartlive.metastudio.events import CallbackEvent
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.metastudio.jobs import JobList, SmartLiveJob
from airflow_provider_smartlive.operators import SmartLiveCommandOperator
from airflow_provider_smartlive.operators import command as module
from airflow_provider_smartlive.sandbox.testing import LocalSandbox

ROOM = "24bad716-87b1-45e5-8912-6102f7693265"
JOB = "26f06524-4f75-4b3a-a853-b649a21aaf66"
SPEECH = {"text_config": {"text": "A warm welcome to everybody who has just joined."}}
STARTER = TaskRef("nightly", "run", "go_live")


@dataclass
class FakeAirflow:
    """
    One try of a task, and the XComs of its DAG run.

    :param store: the task state store, which outlives a try and a clear.
    :param states: of the tasks of the run.
    """

    xcoms: dict[tuple[str, str], Any] = field(default_factory=dict)
    store: dict[str, Any] = field(default_factory=dict)
    states: dict[str, str | None] = field(default_factory=lambda: {"go_live": "deferred"})
    max_tries: int = 0
    clear_number: int = 0
    #: What the next questions to Airflow meet; None lets one through.
    faults: list[BaseException | None] = field(default_factory=list)
    #: Called with the seconds that somebody has slept.
    passes: Callable[[float], object] = lambda seconds: None

    def meet_fault(self) -> None:
        if self.faults and (fault := self.faults.pop(0)) is not None:
            raise fault

    def _or_fault(self, action: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*arguments: Any, **named: Any) -> Any:
            self.meet_fault()
            return action(*arguments, **named)

        return asked

    @property
    def context(self) -> Any:
        ti = SimpleNamespace(
            dag_id="nightly",
            run_id="run",
            task_id="say",
            map_index=-1,
            max_tries=self.max_tries,
        )
        store = SimpleNamespace(
            get=self._or_fault(self.store.get),
            set=self._or_fault(self.store.__setitem__),
            delete=self._or_fault(lambda key: self.store.pop(key, None)),
        )
        run = SimpleNamespace(clear_number=self.clear_number)
        return {"ti": ti, "task_state_store": store, "dag_run": run}

    def has_job(self, job_id: str) -> None:
        """Let the starter have a job."""
        self.xcoms |= {("go_live", "job_id"): job_id, ("go_live", "room_id"): ROOM}


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> FakeAirflow:
    airflow = FakeAirflow()

    def get_one(*, key: str, dag_id: str, run_id: str, task_id: str, map_index: int) -> Any:
        assert (dag_id, run_id, map_index) == ("nightly", "run", -1)
        airflow.meet_fault()
        return airflow.xcoms.get((task_id, key))

    def set_(key: str, value: Any, *, task_id: str, **names: Any) -> None:
        assert names == {"dag_id": "nightly", "run_id": "run", "map_index": -1}
        airflow.meet_fault()
        airflow.xcoms[task_id, key] = value

    monkeypatch.setattr(BaseXCom, "get_one", get_one)
    monkeypatch.setattr(BaseXCom, "set", set_)
    monkeypatch.setattr(
        "airflow_provider_smartlive.livestream.starter._ask_for_states",
        airflow._or_fault(lambda **_: {"run": airflow.states}),
    )
    return airflow


def operator(**arguments: Any) -> SmartLiveCommandOperator:
    arguments = {
        "command": "INSERT_PLAY_SCRIPT",
        "command_params": SPEECH,
        "job_id": JOB,
        "room_id": ROOM,
        **arguments,
    }
    return SmartLiveCommandOperator(task_id="say", **arguments)


# --- against the sandbox


@pytest.fixture
def job(smartlive_sandbox: LocalSandbox, smartlive_connection: str) -> str:
    """A livestream that runs for long."""
    smartlive_sandbox.add_room(ROOM, seconds=3600)
    job_id = SmartLiveHook(smartlive_connection).start_job(ROOM, {}).job_id
    smartlive_sandbox.step(2)
    wait_until(lambda: "PROCESSING" in smartlive_sandbox.states(job_id))
    return job_id


def wait_until(happened: Any) -> None:
    """Wait for the sandbox, which lives in another thread."""
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("command", "params"),
    [
        ("INSERT_PLAY_SCRIPT", SPEECH),
        ("INSERT_PLAY_AUDIO", {"audio_url": "https://cdn.example.com/hello.wav"}),
        ("CLEAN_UP_INSERT_COMMAND", {}),
        ("RESET_EXIT_CONFIG", {"max_live_duration": 168, "auto_stop_mode": "FORCE_EXIT"}),
        (
            "REWRITE_PLAY_SCRIPT",
            {
                "scene_scripts": [
                    {"script_name": "Encore", "shoot_scripts": [{"text_config": {"text": "More!"}}]}
                ]
            },
        ),
    ],
)
def test_metastudio_takes_the_command(
    airflow: FakeAirflow, smartlive_sandbox: LocalSandbox, job: str, command: str, params: dict[str, Any]
) -> None:
    result = operator(command=command, command_params=params, job_id=job).execute(airflow.context)
    assert result["command"] == command
    assert result["command_id"]
    assert commands(smartlive_sandbox) == [command]


def commands(sandbox: LocalSandbox) -> list[str]:
    """Return the commands that the sandbox has carried out."""
    return [entry["command"] for entry in sandbox.ledger(kind="job") if entry.get("why") == "command"]


def test_an_answer_is_decoded(airflow: FakeAirflow, job: str) -> None:
    asking = operator(command="GET_CURRENT_PLAYING_SCRIPTS", command_params=None, job_id=job)
    assert "scene_scripts" in asking.execute(airflow.context)["result"]


def test_an_answer_with_stream_keys_stays_out_of_the_result(airflow: FakeAirflow, job: str) -> None:
    asking = operator(command="GET_LIVE_JOB_CONFIG_INFO", command_params=None, job_id=job)
    assert set(asking.execute(airflow.context)) == {"command", "command_id"}


def test_the_starter_names_the_job(airflow: FakeAirflow, smartlive_sandbox: LocalSandbox, job: str) -> None:
    airflow.has_job(job)
    operator(job_id=None, room_id=None, starter_task_id="go_live").execute(airflow.context)
    assert commands(smartlive_sandbox) == ["INSERT_PLAY_SCRIPT"]


NEW_OUTPUT = {"output_urls": ["rtmp://push.example.com/live/new"]}


def test_an_exchange_of_outputs_is_announced_to_the_receiver_in_every_try(
    airflow: FakeAirflow, job: str
) -> None:
    refreshing = operator(command="REFRESH_OUTPUT_URL", command_params=NEW_OUTPUT, job_id=job)
    refreshing.execute(airflow.context)
    announced = airflow.xcoms.pop(("say", refresh_key(job)))  # Airflow deletes it when the next try begins
    refreshing.execute(airflow.context)
    again = airflow.xcoms.pop(("say", refresh_key(job)))
    airflow.store.clear()
    refreshing.execute(airflow.context)

    assert OutputRefresh.load(announced) == OutputRefresh.load(again)
    assert OutputRefresh.load(airflow.xcoms["say", refresh_key(job)]) != OutputRefresh.load(announced)


def test_an_exchange_of_outputs_that_is_refused_is_taken_back(airflow: FakeAirflow, job: str) -> None:
    SmartLiveHook().stop_job(JobRef(ROOM, job))
    wait_until(lambda: SmartLiveHook().show_job(JobRef(ROOM, job)).is_final)
    with pytest.raises(Conflict):
        operator(command="REFRESH_OUTPUT_URL", command_params=NEW_OUTPUT, job_id=job).execute(airflow.context)

    assert airflow.xcoms["say", refresh_key(job)]["refused"]


def test_other_commands_announce_nothing(airflow: FakeAirflow, job: str) -> None:
    operator(job_id=job).execute(airflow.context)
    assert airflow.xcoms == {}


def test_a_job_that_is_over_takes_no_command(airflow: FakeAirflow, job: str) -> None:
    SmartLiveHook().stop_job(JobRef(ROOM, job))
    wait_until(lambda: SmartLiveHook().show_job(JobRef(ROOM, job)).is_final)
    with pytest.raises(Conflict):
        operator(job_id=job).execute(airflow.context)
    assert airflow.store == {}


@dataclass
class Listener:
    """Takes callbacks as the receiver does, into the callback table of the starter."""

    airflow: FakeAirflow
    url: str = ""

    def take(self, body: bytes) -> None:
        table = CallbackTable.load(self.airflow.xcoms.get(("go_live", XCOM_TABLE_KEY)))
        table, _ = apply_event(
            table, CallbackEvent.parse(body), at=datetime.now(UTC), fingerprint_key=b"fake"
        )
        self.airflow.xcoms["go_live", XCOM_TABLE_KEY] = json.loads(json.dumps(table.dump()))


@pytest.fixture
def listener(airflow: FakeAirflow) -> Iterator[Listener]:
    listener = Listener(airflow)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            listener.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        listener.url = f"http://127.0.0.1:{server.server_port}/callbacks"
        Thread(target=server.serve_forever, daemon=True).start()
        yield listener
        server.shutdown()


@pytest.fixture
def heard_job(
    airflow: FakeAirflow, smartlive_sandbox: LocalSandbox, smartlive_connection: str, listener: Listener
) -> str:
    """A livestream that runs for long and calls back when a reply was spoken."""
    smartlive_sandbox.add_room(ROOM, seconds=3600)
    callback = {
        "live_event_type_callback_url": listener.url,
        "auth_type": AuthType.NONE,
        "callback_event_type": ["REPLY_COMMAND_FINISH"],
    }
    hook = SmartLiveHook(smartlive_connection)
    job_id = hook.start_job(ROOM, {"live_event_callback_config": callback}).job_id
    smartlive_sandbox.step(2)
    wait_until(lambda: "PROCESSING" in smartlive_sandbox.states(job_id))
    airflow.has_job(job_id)
    return job_id


def test_a_worker_waits_until_the_speech_was_spoken(
    monkeypatch: pytest.MonkeyPatch, airflow: FakeAirflow, heard_job: str
) -> None:
    monkeypatch.setattr(module, "REPLY_POLL_INTERVAL", 0.02)
    saying = operator(
        job_id=None, room_id=None, starter_task_id="go_live", wait_for_reply=True, deferrable=False
    )
    result = saying.execute(airflow.context)
    table = CallbackTable.load(airflow.xcoms["go_live", XCOM_TABLE_KEY])
    callbacks = table.job(heard_job)
    assert callbacks is not None
    assert callbacks.has_reached(reply_mark(result["command_id"]))


# --- what cannot be waited for is refused before anything is said


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"command": "RESET_EXIT_CONFIG", "command_params": {}, "wait_for_reply": True}, "wait_for_reply"),
        ({"wait_for_reply": True, "deferrable": False}, "starter_task_id"),
        ({"command_params": {"text_config": {"text": ""}}}, "text_config.text"),
        ({"job_id": None, "room_id": None, "starter_task_id": "go_liv"}, "no such task"),
        ({"job_id": None, "room_id": None}, "starter_task_id"),
        ({"room_id": None}, "room_id"),
        ({"job_id": "None"}, "job_id was rendered to nothing"),
        ({"room_id": "a/b"}, "room_id is 'a/b'"),
        ({"command_params": "{}"}, "^command_params: has to be a dict"),
    ],
)
def test_what_cannot_work_is_refused_for_good(
    airflow: FakeAirflow, metastudio: FakeHook, arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(AirflowFailException, match=text):
        operator(**arguments).execute(airflow.context)
    assert metastudio.sent == 0


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("Verify aksk signature fail", error_code="APIGW.0301"),
        InvalidRequest("invalid command", error_code="MSS.20010053"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_metastudio_will_refuse_again_is_not_sent_again(
    airflow: FakeAirflow, metastudio: FakeHook, error: MetaStudioError
) -> None:
    metastudio.answers = [error]
    with pytest.raises(AirflowFailException, match="A retry would meet the same"):
        operator().execute(airflow.context)
    assert airflow.store == {}


# --- sent once


@dataclass
class FakeHook:
    """A MetaStudio that answers as a test wants it to."""

    answers: list[Any] = field(default_factory=list)
    sent: int = 0
    requests: list[Any] = field(default_factory=list)
    job_ids: list[str] = field(default_factory=list)
    on_command: Callable[[], None] = lambda: None
    #: What is seen of the job: its state, or an error.
    status: str | MetaStudioError = "PROCESSING"

    def profile(self) -> Any:
        return SimpleNamespace(
            conn_id="smartlive_default", base_url="https://elsewhere.example.com/v1/project"
        )

    def show_job(self, job_ref: JobRef) -> SmartLiveJob:
        if isinstance(self.status, MetaStudioError):
            raise self.status
        return SmartLiveJob.model_validate({**asdict(job_ref), "state": self.status})

    def perform(self, operation: Operation[Any]) -> Any:
        if operation.name == "list_jobs":
            return JobList(count=0)
        assert operation.name == "show_job"
        return self.show_job(JobRef(operation.room_id or "", operation.job_id or ""))

    def execute_command(self, job_ref: JobRef, request: Any) -> Any:
        self.on_command()
        self.sent += 1
        self.requests.append(request)
        self.job_ids.append(job_ref.job_id)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, BaseException):
            raise answer
        return answer or an_answer()


def an_answer(**fields: Any) -> Any:
    from airflow_provider_smartlive.metastudio.commands import CommandResponse

    return CommandResponse.model_validate({"command_id": "Command-1", **fields})


@pytest.fixture
def metastudio(monkeypatch: pytest.MonkeyPatch) -> FakeHook:
    fake = FakeHook()
    monkeypatch.setattr(SmartLiveCommandOperator, "hook", fake)
    return fake


UNCLEAR = [
    Unreachable("no answer in time", failure=TransportFailure.TIMEOUT),
    Unreachable("the connection broke", failure=TransportFailure.LOST),
    ServerError("Internal Error", http_status=500),
    UnexpectedResponse("the answer cannot be read", http_status=200),
]

CLEAR = [
    Unreachable("no connection", failure=TransportFailure.CONNECT),
    Conflict("the state does not allow this", http_status=400),
    UnexpectedResponse("some proxy's page", http_status=404),
]


@pytest.mark.parametrize("error", UNCLEAR, ids=str)
def test_what_may_have_been_said_is_not_said_again(
    airflow: FakeAirflow, metastudio: FakeHook, error: MetaStudioError
) -> None:
    metastudio.answers = [error]
    for _ in range(2):  # whoever runs it again in the same life
        with pytest.raises(AirflowFailException, match="not known"):
            operator().execute(airflow.context)
    assert metastudio.sent == 1


@pytest.mark.parametrize("error", CLEAR, ids=str)
def test_what_was_surely_not_said_may_be_tried_again(
    airflow: FakeAirflow, metastudio: FakeHook, error: MetaStudioError
) -> None:
    metastudio.answers = [error]
    with pytest.raises(type(error)):
        operator().execute(airflow.context)
    assert operator().execute(airflow.context)["command_id"] == "Command-1"
    assert metastudio.sent == 2


def test_a_question_may_be_asked_again(airflow: FakeAirflow, metastudio: FakeHook) -> None:
    metastudio.answers = [ServerError("Internal Error", http_status=500)]
    asking = operator(command="GET_CURRENT_PLAYING_SCRIPTS", command_params=None)
    with pytest.raises(ServerError):
        asking.execute(airflow.context)
    asking.execute(airflow.context)
    assert airflow.store == {}


def test_a_job_of_another_project_is_not_talked_to(airflow: FakeAirflow, metastudio: FakeHook) -> None:
    """The connection was edited since the starter has used it."""
    airflow.has_job(JOB)
    airflow.xcoms["go_live", "smartlive_job"] = {
        "job_id": JOB,
        "address": "https://here.example.com/v1/project",
    }
    saying = operator(job_id=None, room_id=None, starter_task_id="go_live")
    with pytest.raises(AirflowFailException, match=rf"leads to https://elsewhere.*{JOB}.*at https://here"):
        saying.execute(airflow.context)
    assert metastudio.sent == 0
    assert airflow.store == {}


def test_a_retry_goes_on_with_what_was_sent(airflow: FakeAirflow, metastudio: FakeHook) -> None:
    first = operator().execute(airflow.context)
    metastudio.answers = [an_answer(command_id="Command-2")]
    assert operator().execute(airflow.context) == first
    assert metastudio.sent == 1


def test_a_try_that_died_while_it_sent_is_not_repeated(airflow: FakeAirflow, metastudio: FakeHook) -> None:
    metastudio.answers = [KeyboardInterrupt()]  # the process dies
    with pytest.raises(KeyboardInterrupt):
        operator().execute(airflow.context)
    with pytest.raises(AirflowFailException, match="was lost"):
        operator().execute(airflow.context)
    assert metastudio.sent == 1


@pytest.mark.parametrize("change", ["clear", "clear with fewer retries", "job"])
def test_a_cleared_task_and_another_job_are_told_anew(
    airflow: FakeAirflow, metastudio: FakeHook, change: str
) -> None:
    operator().execute(airflow.context)
    if change != "job":
        airflow.clear_number += 1
    if change == "clear":
        airflow.max_tries += 1
    operator(job_id="7" * 32 if change == "job" else JOB).execute(airflow.context)
    assert metastudio.sent == 2


def test_a_spoken_number_that_was_rendered_natively_is_spoken(
    airflow: FakeAirflow, metastudio: FakeHook
) -> None:
    saying = operator(command_params={"text_config": {"text": 888}})
    saying.execute(airflow.context)
    assert metastudio.requests[0].to_body() == (
        b'{"command":"INSERT_PLAY_SCRIPT","params":{"text_config":{"text":"888"}}}'
    )


def test_a_result_that_is_no_json_stays_text(airflow: FakeAirflow, metastudio: FakeHook) -> None:
    metastudio.answers = [an_answer(result="done")]
    assert operator().execute(airflow.context)["result"] == "done"


# --- new outputs: END is counted by the links that come up anew

REFRESH = {
    "command": "REFRESH_OUTPUT_URL",
    "command_params": {"output_urls": ["rtmp://push.example.com/live"]},
}


def test_new_outputs_are_announced_before_they_are_sent(airflow: FakeAirflow, metastudio: FakeHook) -> None:
    announced: list[Any] = []
    metastudio.on_command = lambda: announced.append(airflow.xcoms.get(("say", refresh_key(JOB))))
    operator(**REFRESH).execute(airflow.context)
    assert OutputRefresh.load(announced[0]).sending


def test_a_try_that_goes_on_with_a_sent_command_announces_it_again(
    airflow: FakeAirflow, metastudio: FakeHook
) -> None:
    operator(**REFRESH).execute(airflow.context)
    first = airflow.xcoms.pop(("say", refresh_key(JOB)))  # as Airflow does when a try begins
    operator(**REFRESH).execute(airflow.context)
    assert airflow.xcoms["say", refresh_key(JOB)] == first
    assert metastudio.sent == 1
    airflow.clear_number, airflow.max_tries = 1, 1
    operator(**REFRESH).execute(airflow.context)
    assert airflow.xcoms["say", refresh_key(JOB)] != first


def test_what_metastudio_refused_is_withdrawn(airflow: FakeAirflow, metastudio: FakeHook) -> None:
    metastudio.answers = [Conflict("the state does not allow this", http_status=400)]
    with pytest.raises(Conflict):
        operator(**REFRESH).execute(airflow.context)
    refused = airflow.xcoms.pop(("say", refresh_key(JOB)))  # as Airflow does when a try begins
    assert refused["refused"]

    operator(**REFRESH).execute(airflow.context)
    assert airflow.xcoms["say", refresh_key(JOB)] == {**refused, "refused": False}
    assert metastudio.sent == 2


def test_what_it_may_have_taken_stays_announced(airflow: FakeAirflow, metastudio: FakeHook) -> None:
    metastudio.answers = [ServerError("Internal Error", http_status=500)]
    with pytest.raises(AirflowFailException):
        operator(**REFRESH).execute(airflow.context)
    assert airflow.xcoms["say", refresh_key(JOB)] is not None


def test_no_other_command_announces_anything(airflow: FakeAirflow, metastudio: FakeHook) -> None:
    operator().execute(airflow.context)
    assert airflow.xcoms == {}


# --- the wait


def defer(airflow: FakeAirflow, **arguments: Any) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        operator(wait_for_reply=True, reply_timeout=timedelta(minutes=3), **arguments).execute(
            airflow.context
        )
    return caught.value


@pytest.mark.usefixtures("metastudio")
def test_the_task_registers_and_defers(airflow: FakeAirflow) -> None:
    airflow.has_job(JOB)
    began = datetime.now(UTC)
    deferred = defer(airflow, job_id=None, room_id=None, starter_task_id="go_live")
    mark = reply_mark("Command-1")
    assert airflow.xcoms["say", starter_waiter_key(STARTER)] == {
        "version": 1,
        "job_id": None,
        "target_state": mark,
        "needs_worker": True,
    }
    trigger = deferred.trigger
    assert (trigger.job_id, trigger.room_id, trigger.target_state) == (JOB, ROOM, mark)
    assert trigger.starter == vars(STARTER)
    assert timedelta(minutes=3) <= datetime.fromisoformat(trigger.timeout_at) - began < timedelta(minutes=4)
    assert deferred.timeout is None
    assert deferred.method_name == "execute_complete"
    json.dumps(deferred.kwargs)


@pytest.mark.usefixtures("metastudio")
def test_a_job_that_is_named_by_its_id_is_waited_for_by_its_id(airflow: FakeAirflow) -> None:
    deferred = defer(airflow)
    assert airflow.xcoms["say", waiter_key(JOB)]["target_state"] == reply_mark("Command-1")
    assert deferred.trigger.starter is None


def test_a_command_without_an_id_cannot_be_waited_for(airflow: FakeAirflow, metastudio: FakeHook) -> None:
    metastudio.answers = [an_answer(command_id=None)]
    with pytest.raises(AirflowFailException, match="without an id"):
        operator(wait_for_reply=True).execute(airflow.context)


RESULT = {"command": "INSERT_PLAY_SCRIPT", "command_id": "Command-1"}


def wake(source: str, state: str | None) -> dict[str, Any]:
    return ResumeEvent(source=source, job_id=JOB, state=state, at=datetime.now(UTC)).dump()


def test_a_reply_that_was_spoken_is_a_success(airflow: FakeAirflow) -> None:
    event = wake("callback", reply_mark("Command-1"))
    assert operator(wait_for_reply=True).execute_complete(airflow.context, event, RESULT) == RESULT


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("timeout", "within 0:10:00"),
        ("reconciliation", "ended before"),
        ("budget-over", "failure_budget"),
    ],
)
def test_a_reply_that_was_not_heard_is_not_said_again(airflow: FakeAirflow, source: str, text: str) -> None:
    with pytest.raises(AirflowFailException, match=text):
        operator(wait_for_reply=True).execute_complete(airflow.context, wake(source, None), RESULT)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch, airflow: FakeAirflow) -> list[float]:
    """A clock that moves only when somebody sleeps, and for how long they did."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += timedelta(seconds=seconds)
        pauses.append(seconds)
        airflow.passes(sum(pauses))

    monkeypatch.setattr(module, "utcnow", lambda: now)
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(
        "airflow_provider_smartlive.livestream.airflow_api.time", SimpleNamespace(sleep=sleep)
    )
    return pauses


@pytest.mark.parametrize(
    ("status", "reply_timeout", "text", "least", "most"),
    [
        ("PROCESSING", timedelta(seconds=9), "within 0:00:09", 9, 9),
        ("SUCCEED", "3600", "ended before command Command-1 was spoken", 60, 60),
        (Unreachable("away"), 7200, "unreachable for 3600 s .*not known", 3660, 3660),
    ],
)
def test_a_worker_gives_up_as_a_trigger_does(
    pauses: list[float],
    airflow: FakeAirflow,
    metastudio: FakeHook,
    status: str | MetaStudioError,
    reply_timeout: Any,
    text: str,
    least: float,
    most: float,
) -> None:
    airflow.has_job(JOB)
    metastudio.status = status
    saying = operator(
        starter_task_id="go_live", wait_for_reply=True, deferrable=False, reply_timeout=reply_timeout
    )
    with pytest.raises(AirflowFailException, match=text):
        saying.execute(airflow.context)
    assert least <= sum(pauses) <= most + 60 + module.REPLY_POLL_INTERVAL


@pytest.mark.parametrize("timeout", ["soon", 0, -1, True, "{{ x }}"])
def test_what_is_no_reply_timeout_is_refused_when_the_dag_is_read(timeout: Any) -> None:
    with pytest.raises(ValueError, match="reply_timeout is"):
        operator(reply_timeout=timeout)


# --- the starter


@pytest.mark.parametrize("state", [None, "scheduled", "queued", "restarting", "up_for_retry"])
def test_the_job_of_an_earlier_try_is_not_talked_to(
    airflow: FakeAirflow, metastudio: FakeHook, state: str | None
) -> None:
    airflow.has_job(JOB)
    airflow.states["go_live"] = state
    with pytest.raises(AirflowException, match="There is no job to talk to") as refused:
        operator(job_id=None, room_id=None, starter_task_id="go_live").execute(airflow.context)
    assert not isinstance(refused.value, AirflowFailException), "a retry may find one"
    assert metastudio.sent == 0


@pytest.mark.parametrize("state", ["skipped", "failed", "upstream_failed", "success"])
def test_a_starter_that_is_over_without_a_job_will_have_none(
    airflow: FakeAirflow, metastudio: FakeHook, state: str
) -> None:
    airflow.states["go_live"] = state
    with pytest.raises(AirflowFailException, match=f"is {state} and has none"):
        operator(job_id=None, room_id=None, starter_task_id="go_live").execute(airflow.context)
    assert metastudio.sent == 0


def talk(**arguments: Any) -> SmartLiveCommandOperator:
    return operator(job_id=None, room_id=None, starter_task_id="go_live", **arguments)


OTHER_JOB = "26f06524-4f75-4b3a-a853-b649a21aaf67"


def test_the_job_of_a_starter_that_runs_counts_when_it_is_surely_its_own(
    airflow: FakeAirflow, metastudio: FakeHook, pauses: list[float]
) -> None:
    airflow.has_job(JOB)
    airflow.states["go_live"] = "running"
    talk().execute(airflow.context)
    assert metastudio.sent == 1
    assert OWN_XCOMS_AFTER <= sum(pauses) <= OWN_XCOMS_AFTER + module.REPLY_POLL_INTERVAL


def test_the_job_of_its_life_before_is_not_talked_to(
    airflow: FakeAirflow, metastudio: FakeHook, pauses: list[float]
) -> None:
    """A worker has begun to read the DAG file: Airflow deletes the old XComs when it has."""

    def passes(seconds: float) -> None:
        if seconds >= 20:
            airflow.xcoms.pop(("go_live", "job_id"), None)

    airflow.has_job(JOB)
    airflow.states["go_live"] = "running"
    airflow.passes = passes
    with pytest.raises(AirflowException, match="is running and has none yet") as refused:
        talk().execute(airflow.context)
    assert not isinstance(refused.value, AirflowFailException), "a retry may find one"
    assert metastudio.sent == 0


def test_a_starter_that_defers_meanwhile_is_talked_to_at_once(
    airflow: FakeAirflow, metastudio: FakeHook, pauses: list[float]
) -> None:
    def passes(seconds: float) -> None:
        if seconds >= 10:
            airflow.has_job(OTHER_JOB)
            airflow.states["go_live"] = "deferred"

    airflow.has_job(JOB)
    airflow.states["go_live"] = "running"
    airflow.passes = passes
    talk().execute(airflow.context)
    assert metastudio.job_ids == [OTHER_JOB]
    assert sum(pauses) == 10


@pytest.mark.parametrize("passing", range(8))
@pytest.mark.parametrize(
    "arguments",
    [{}, {"command": "REFRESH_OUTPUT_URL", "command_params": NEW_OUTPUT}, {"wait_for_reply": True}],
    ids=["", "announced", "waited for"],
)
def test_a_passing_fault_of_airflows_api_costs_seconds(
    airflow: FakeAirflow, metastudio: FakeHook, pauses: list[float], passing: int, arguments: dict[str, Any]
) -> None:
    """Whichever question meets it: nothing is sent twice, and what was sent is remembered."""
    airflow.has_job(JOB)
    away = AirflowRuntimeError(ErrorResponse(error=ErrorType.GENERIC_ERROR, detail={"message": "away"}))
    airflow.faults = [*[None] * passing, away, away]
    with suppress(TaskDeferred):
        talk(**arguments).execute(airflow.context)
    assert metastudio.sent == 1
    assert airflow.store[module.STORE_KEY]["result"]["command_id"] == "Command-1"


def test_a_worker_that_waits_asks_airflow_again_too(
    airflow: FakeAirflow, metastudio: FakeHook, pauses: list[float]
) -> None:
    away = AirflowRuntimeError(ErrorResponse(error=ErrorType.GENERIC_ERROR, detail={"message": "away"}))

    def passes(seconds: float) -> None:
        airflow.faults = [away] if seconds == 4 else airflow.faults

    airflow.has_job(JOB)
    airflow.passes = passes
    with pytest.raises(AirflowFailException, match="was not reported as spoken"):
        talk(wait_for_reply=True, deferrable=False, reply_timeout=20).execute(airflow.context)
    assert airflow.faults == []


def test_a_job_that_metastudio_does_not_show_yet_is_not_over(
    monkeypatch: pytest.MonkeyPatch, airflow: FakeAirflow, metastudio: FakeHook, pauses: list[float]
) -> None:
    monkeypatch.setenv("AIRFLOW__SMARTLIVE__LOOK_AGAIN_WINDOW", "90")

    def passes(seconds: float) -> None:
        metastudio.status = NotFound("job not found", http_status=404) if seconds < 80 else "PROCESSING"

    airflow.has_job(JOB)
    airflow.passes = passes
    with pytest.raises(AirflowFailException, match="was not reported as spoken"):
        talk(wait_for_reply=True, deferrable=False, reply_timeout=300).execute(airflow.context)


@pytest.mark.parametrize("state", ["deferred", "success", "failed"])
def test_one_that_has_a_job_is_found_in_every_state(
    airflow: FakeAirflow, metastudio: FakeHook, state: str
) -> None:
    airflow.has_job(JOB)
    airflow.states["go_live"] = state
    operator(job_id=None, room_id=None, starter_task_id="go_live").execute(airflow.context)
    assert metastudio.sent == 1


def test_the_trigger_sees_a_reply_that_came_before_it_ran(
    monkeypatch: pytest.MonkeyPatch, airflow: FakeAirflow, metastudio: FakeHook
) -> None:
    """A short speech is spoken before the task is deferred: the receiver found nobody to wake."""
    airflow.has_job(JOB)
    trigger = defer(airflow, starter_task_id="go_live").trigger
    body = {"event_type": "REPLY_COMMAND_FINISH"}
    body["message"] = json.dumps({"room_id": ROOM, "job_id": JOB, "reply_id": "command-1"})
    Listener(airflow).take(json.dumps(body).encode())

    async def aget_one(*, key: str, task_id: str, **names: Any) -> Any:
        return airflow.xcoms.get((task_id, key))

    monkeypatch.setattr(BaseXCom, "aget_one", aget_one)
    monkeypatch.setattr("airflow_provider_smartlive.triggers.stream.first_read", lambda: 0.0)

    async def first_event() -> Any:
        return await anext(trigger.run())

    event = asyncio.run(first_event())
    assert ResumeEvent.load(event.payload).state == reply_mark("Command-1")
