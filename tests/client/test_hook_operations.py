"""What the operations ask for and what they make of the answers."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_smartlive.metastudio.errors import Conflict, NotFound, ServerError, UnexpectedResponse
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.metastudio.jobs import JobState
from airflow_provider_smartlive.metastudio.reports import LiveEvent
from airflow_provider_smartlive.metastudio.start import StartJobRequest
from tests.client.hook_connection import PROJECT_ID
from tests.client.recording_server import answer

JOBS_OF_ROOM = f"/v1/{PROJECT_ID}/smart-live-rooms/room-1/smart-live-jobs"


def _page(first: int, last: int, count: int):
    jobs = [{"job_id": f"job-{number}", "state": "SUCCEED"} for number in range(first, last)]
    return answer(200, {"count": count, "smart_live_jobs": jobs})


def _offsets(server) -> list[str]:
    return [parse_qs(urlsplit(request.target).query)["offset"][0] for request in server.requests]


def test_start_takes_a_model_or_its_fields(server, driver):
    server.will(*[answer(202, {"job_id": "job-1"}, X_Request_Id="request-1")] * 2)
    fields = {"output_urls": ["rtmp://push.example.com/live"], "stream_keys": ["fake-stream-key"]}
    first = driver("start_job", "room-1", StartJobRequest.model_validate(fields))
    driver("start_job", "room-1", fields)
    assert first.request_id == "request-1"
    assert server.requests[0].body == server.requests[1].body
    assert server.requests[0].target == JOBS_OF_ROOM


def test_an_invalid_start_is_not_sent_and_repeats_no_value(server, driver):
    with pytest.raises(ValueError, match="stream_keys") as caught:
        driver("start_job", "room-1", {"stream_keys": ["fake-stream-key"] * 2})
    assert "fake-stream-key" not in str(caught.value)
    assert not server.requests


def test_show(server, driver):
    server.will(answer(200, {"job_id": "job-1", "state": "PROCESSING", "stream_duration": 1.5}))
    job = driver("show_job", JobRef("room-1", "job-1"))
    assert (job.state, job.stream_duration) == (JobState.PROCESSING, 1.5)
    assert server.requests[0].target == f"{JOBS_OF_ROOM}/job-1"


@pytest.mark.parametrize(("code", "kind"), [("MSS.20010066", Conflict), ("MSS.20010074", NotFound)])
def test_stop_of_a_finished_job_passes_on_what_metastudio_says(server, driver, code, kind):
    server.will(answer(400, {"error_code": code, "error_msg": "over"}))
    with pytest.raises(kind):
        driver("stop_job", JobRef("room-1", "job-1"))
    assert server.requests[0].target == f"{JOBS_OF_ROOM}/job-1/stop"


def test_listing_goes_on_to_the_last_page(server, driver):
    server.will(_page(0, 100, 230), _page(100, 200, 230), _page(200, 230, 230))
    jobs = driver("list_room_jobs", "room-1", state="SUCCEED")
    assert [job.job_id for job in jobs] == [f"job-{number}" for number in range(230)]
    assert _offsets(server) == ["0", "100", "200"]


def test_listing_of_a_full_last_page_asks_no_more(server, driver):
    server.will(_page(0, 100, 100))
    assert len(driver("list_jobs")) == 100
    assert len(server.requests) == 1


def test_listing_ends_when_a_page_is_empty_although_more_were_announced(server, driver):
    server.will(_page(0, 100, 500), _page(0, 0, 500))
    assert len(driver("list_jobs")) == 100


@pytest.mark.parametrize("operation", [("list_jobs",), ("list_room_jobs", "room-1")])
def test_entries_that_cannot_be_read_hide_neither_the_others_nor_the_next_page(server, driver, operation):
    jobs = [{"job_id": f"job-{number}", "state": "PROCESSING"} for number in range(98)]
    odd = [None, "text", {"job_id": 5}]
    server.will(
        answer(200, {"count": 201, "smart_live_jobs": [odd[0], *jobs, odd[1]]}),
        answer(200, {"count": 201, "smart_live_jobs": [odd[2]] * 100}),
        answer(200, {"count": 201, "smart_live_jobs": [{"job_id": "job-98", "duration": "1h"}]}),
    )
    assert [job.job_id for job in driver(*operation)] == [f"job-{number}" for number in range(99)]
    assert _offsets(server) == ["0", "100", "200"]


@pytest.mark.parametrize("body", [{}, [], {"count": 3, "smart_live_jobs": "text"}])
def test_an_answer_that_is_no_listing_is_not_an_empty_one(server, driver, body):
    server.will(answer(200, body))
    with pytest.raises(UnexpectedResponse, match="list_jobs cannot be read"):
        driver("list_jobs")


def test_a_start_with_an_odd_answer_is_not_ambiguous(server, driver):
    server.will(answer(202, {"job_id": "job-1", "rtc_room_info": "text", "limit_duration": {}}))
    started = driver("start_job", "room-1", {})
    assert (started.job_id, started.rtc_room_info) == ("job-1", None)


def test_listing_asks_for_a_page_only_when_it_is_needed(server, connect):
    from airflow_provider_smartlive.hooks import SmartLiveHook

    server.will(_page(0, 100, 200))
    assert next(SmartLiveHook("smartlive_test").list_jobs()).job_id == "job-0"
    assert len(server.requests) == 1


def test_an_unknown_filter_names_the_known_ones(driver):
    with pytest.raises(TypeError, match=r"stat; there are .*state"):
        driver("list_room_jobs", "room-1", stat="WAITING")


def test_a_naive_time_is_refused(driver):
    from datetime import datetime

    with pytest.raises(ValueError, match="time zone"):
        driver("list_jobs", create_since=datetime(2026, 11, 22))


COMMAND = {"command": "INSERT_PLAY_SCRIPT", "params": {"text_config": {"text": "你好"}}}


def test_command(server, driver):
    server.will(answer(200, {"command_id": "command-1", "command": "INSERT_PLAY_SCRIPT"}))
    assert driver("execute_command", JobRef("room-1", "job-1"), COMMAND).command_id == "command-1"
    assert server.requests[0].target == f"{JOBS_OF_ROOM}/job-1/command"
    assert server.requests[0].json == COMMAND


def test_a_command_is_not_given_twice(server, driver):
    server.will(answer(500, b""))
    with pytest.raises(ServerError):
        driver("execute_command", JobRef("room-1", "job-1"), COMMAND)
    assert len(server.requests) == 1


def test_a_command_that_only_asks_is_repeated(server, driver):
    server.will(answer(500, b""), answer(200, {"result": "{}"}))
    driver("execute_command", JobRef("room-1", "job-1"), {"command": "GET_CURRENT_PLAYING_SCRIPTS"})
    assert len(server.requests) == 2


def test_rooms(server, driver):
    server.will(
        answer(200, {"room_id": "room-1"}),
        answer(200, {"room_id": "room-1", "room_name": "夜"}),
        answer(200, {"count": 1, "smart_live_rooms": [{"room_id": "room-1"}]}),
        answer(404, {"error_code": "MSS.20010045", "error_msg": "roomInfo not found."}),
    )
    assert driver("create_room", {"room_name": "夜"}).room_id == "room-1"
    assert driver("show_room", "room-1").room_name == "夜"
    assert [room.room_id for room in driver("list_rooms", room_name="夜")] == ["room-1"]
    with pytest.raises(NotFound):
        driver("show_room", "room-2")
    assert [(request.method, urlsplit(request.target).path) for request in server.requests] == [
        ("POST", f"/v1/{PROJECT_ID}/smart-live-rooms"),
        ("GET", f"/v1/{PROJECT_ID}/smart-live-rooms/room-1"),
        ("GET", f"/v1/{PROJECT_ID}/smart-live-rooms"),
        ("GET", f"/v1/{PROJECT_ID}/smart-live-rooms/room-2"),
    ]
    assert all(request.accepted_by_huawei() for request in server.requests)


def test_a_room_is_not_made_twice(server, driver):
    server.will(answer(500, b""))
    with pytest.raises(ServerError):
        driver("create_room", {"room_name": "夜"})
    assert len(server.requests) == 1


def test_live_warnings(server, driver):
    server.will(
        answer(200, {"live_warning_info": [{"warning_type": "TOO_SHORT_SCRIPT_TIME"}], "limit_duration": 2})
    )
    info = driver("live_warnings", "room-1")
    assert [warning.warning_type for warning in info.live_warning_info] == ["TOO_SHORT_SCRIPT_TIME"]
    assert server.requests[0].target == f"/v1/{PROJECT_ID}/smart-live-rooms/room-1/live-warning-info"


def _events(count: int) -> list[LiveEvent]:
    return [LiveEvent(timestamp=number, type=2, content="{}") for number in range(count)]


def test_live_events_are_sent_a_thousand_at_a_time(server, driver):
    server.will(*[answer(200, {})] * 3)
    assert driver("report_events", JobRef("room-1", "job-1"), _events(2001)) is None
    sent = [request.json for request in server.requests]
    assert [(report["total"], len(report["events"])) for report in sent] == [
        (1000, 1000),
        (1000, 1000),
        (1, 1),
    ]
    assert {request.target for request in server.requests} == {f"{JOBS_OF_ROOM}/job-1/live-event-report"}
    assert all(request.accepted_by_us() and request.accepted_by_huawei() for request in server.requests)


def test_no_live_events_are_no_request(server, driver):
    driver("report_events", JobRef("room-1", "job-1"), [])
    assert not server.requests


def test_live_events_by_the_presigned_url_carry_no_other_authorisation(server, driver):
    url = f"{server.url}/report?auth_key=fake%2Bauth,key&expires_time=1"
    renewed = f"{server.url}/report?auth_key=fake-new-auth-key&expires_time=2"
    server.will(answer(200, {"live_event_report_url": renewed}), answer(200, {}))
    newest = driver(
        "report_events", JobRef("room-1", "job-1"), _events(1001), report_url=url, refresh_url=True
    )
    assert newest == renewed
    assert [request.target for request in server.requests] == [
        "/report?auth_key=fake%2Bauth,key&expires_time=1&refresh_url=true",
        "/report?auth_key=fake-new-auth-key&expires_time=2&refresh_url=true",
    ]
    unwanted = {"authorization", "x-auth-token", "x-security-token", "x-project-id", "x-sdk-date"}
    assert not any(unwanted & request.headers.keys() for request in server.requests)


def test_live_events_are_not_sent_twice_and_the_error_says_how_many_went_out(server, driver):
    server.will(answer(200, {}), answer(500, {"error_code": "MSS.00000004", "error_msg": "Internal Error"}))
    with pytest.raises(ServerError) as caught:
        driver("report_events", JobRef("room-1", "job-1"), _events(1500))
    assert caught.value.__notes__ == ["1000 live events were reported before."]
    assert len(server.requests) == 2


def test_a_report_url_that_is_none(driver):
    with pytest.raises(ValueError, match="report_url") as caught:
        driver("report_events", JobRef("room-1", "job-1"), _events(1), report_url="fake-secret")
    assert "fake-secret" not in str(caught.value)
