"""Whatever happens on the way, no secret reaches a log, an exception or a repr."""

from __future__ import annotations

import json
import logging
import traceback

import pytest
from airflow.sdk.log import redact

from airflow_provider_smartlive.metastudio.errors import MetaStudioError
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.metastudio.reports import LiveEvent
from tests.client.hook_connection import CONN_ID
from tests.client.recording_server import ACCESS_KEY, SECRET_KEY, answer, hang_up

STREAM_KEY = "fake-stream-key-1"
CALLBACK_KEY = "fake-callback-key-1"
REPORT_KEY = "fake-report-auth-key-1"
SECURITY_TOKEN = "fake-security-token-1"
RTC_SIGNATURE = "fake-rtc-signature-1"
SECRETS = (SECRET_KEY, STREAM_KEY, CALLBACK_KEY, REPORT_KEY, SECURITY_TOKEN, RTC_SIGNATURE)

REQUEST = {
    "output_urls": ["rtmp://push.example.com/live"],
    "stream_keys": [STREAM_KEY],
    "live_event_callback_config": {
        "live_event_type_callback_url": f"https://airflow.example.com/{CALLBACK_KEY}",
        "auth_type": "MSS_A_HEAD",
        "key": CALLBACK_KEY,
        "callback_event_type": ["RTMP_STREAM_STATE_CHANGE"],
    },
}
STARTED = {
    "job_id": "job-1",
    "live_event_report_url": f"https://metastudio.example.com/report?auth_key={REPORT_KEY}",
    "rtc_room_info": {"users": [{"user_type": "PLAYER", "user_id": "u", "signature": RTC_SIGNATURE}]},
    "live_event_callback_config": REQUEST["live_event_callback_config"],
}
ECHO = {
    "error_code": "APIGW.0301",
    "error_msg": f"verify fail,canonicalRequest:POST|x-security-token:{SECURITY_TOKEN}",
}

OUTCOMES = {
    "accepted": answer(202, STARTED),
    "accepted, unreadable": answer(202, {**STARTED, "job_id": [STREAM_KEY]}),
    "signature echoed": answer(401, ECHO),
    "request echoed": answer(
        400, {"error_code": "MSS.45000009", "error_msg": f"bad rtmp://h/app/{STREAM_KEY}"}
    ),
    "request echoed in pieces": answer(
        400,
        {
            "error_code": CALLBACK_KEY,
            "error_msg": f"[{STREAM_KEY}] {CALLBACK_KEY}/{SECRET_KEY} {ACCESS_KEY} {SECURITY_TOKEN}\x00\x1b[2J",
        },
        X_Request_Id=f"\x1b[31m{'r' * 9000}",
    ),
    "server error": answer(500, STARTED),
    "server error with an echo": answer(500, {"error_code": "X.1", "error_msg": json.dumps(REQUEST)}),
    "lost": hang_up,
}


@pytest.fixture
def everything(caplog, capfd):
    """Turn all logging on, that of the HTTP libraries too; afterwards return all that was said."""
    for name in ("", "urllib3", "aiohttp", "airflow.task.hooks", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)

    def said() -> str:
        out, err = capfd.readouterr()
        return caplog.text + out + err

    return said


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_start(server, driver, connect, everything, outcome):
    connect(extra={"security_token": SECURITY_TOKEN})
    server.will(OUTCOMES[outcome])
    try:
        told = repr(driver("start_job", "room-1", REQUEST))
    except MetaStudioError as error:
        told = f"{error!r} {''.join(traceback.format_exception(error))} {error.__dict__}"
    told += everything()
    assert len(server.requests) == 1
    assert "start_job" in told, "or nothing was recorded here"
    assert not [secret for secret in (*SECRETS, ACCESS_KEY) if secret in told]
    assert not {"\x00", "\x1b"} & set(told)
    assert "r" * 200 not in told


@pytest.mark.parametrize("outcome", ["request echoed in pieces", "signature echoed"])
def test_run(server, connect, outcome):
    from airflow_provider_smartlive.hooks import SmartLiveHook

    connect(extra={"security_token": SECURITY_TOKEN})
    server.will(OUTCOMES[outcome])
    with pytest.raises(MetaStudioError) as caught:
        SmartLiveHook(CONN_ID).run("smart-live-rooms")
    told = "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in (SECRET_KEY, SECURITY_TOKEN) if secret in told]


@pytest.mark.parametrize("header", ["a/b", STREAM_KEY, CALLBACK_KEY.upper(), ACCESS_KEY, "r" * 65])
def test_a_request_id_that_repeats_the_request(server, driver, connect, everything, header):
    connect()
    server.will(answer(202, STARTED, X_Request_Id=header))
    started = driver("start_job", "room-1", REQUEST)
    assert started.request_id is None
    assert header not in everything()


def test_run_repeats_neither_the_access_key_nor_what_the_caller_sent(server, connect, everything):
    from airflow_provider_smartlive.hooks import SmartLiveHook

    connect()
    held = [ACCESS_KEY, STREAM_KEY, CALLBACK_KEY]
    server.will(
        answer(400, {"error_code": "X.1", "error_msg": f"bad {' '.join(held)} room"}, X_Request_Id=STREAM_KEY)
    )
    with pytest.raises(MetaStudioError) as caught:
        SmartLiveHook(CONN_ID, method="POST").run("smart-live-rooms", data=json.dumps(REQUEST))
    told = "".join(traceback.format_exception(caught.value)) + everything()
    assert not [secret for secret in held if secret in told]
    assert caught.value.error_msg == "bad *** *** *** room"
    assert caught.value.request_id is None


@pytest.mark.parametrize("headers", [{"X-Auth-Token": f"{STREAM_KEY}\n"}, {f"\n{STREAM_KEY}": "x"}])
def test_run_does_not_repeat_a_header_that_cannot_be_sent(connect, everything, headers):
    from airflow_provider_smartlive.hooks import SmartLiveHook

    connect()
    with pytest.raises(MetaStudioError, match="no request can be made") as caught:
        SmartLiveHook(CONN_ID).run("smart-live-rooms", headers=headers)
    assert STREAM_KEY not in "".join(traceback.format_exception(caught.value)) + everything()


def test_an_iam_password_and_its_token(server, driver, connect):
    iam = {"auth": "password", "iam_domain": "account", "iam_endpoint": server.url}
    connect(login=f"secret user of {type(driver).__name__}", password="fake-iam-password", extra=iam)
    refused = answer(400, {"error_code": "X.1", "error_msg": "no fake-iam-password, no fake-iam-token"})
    server.will(
        refused,
        answer(201, {"token": {"expires_at": "2099-01-01T00:00:00Z"}}, X_Subject_Token="fake-iam-token"),
        refused,
    )
    with pytest.raises(MetaStudioError) as unknown:
        driver("show_job", JobRef("room-1", "job-1"))
    assert "fake-iam-password" not in str(unknown.value)
    assert unknown.value.operation == "obtain_token"
    with pytest.raises(MetaStudioError) as caught:
        driver("show_job", JobRef("room-1", "job-1"))
    assert caught.value.error_msg == "no ***, no ***"


@pytest.mark.parametrize("outcome", [answer(500, b""), hang_up])
def test_a_report_by_presigned_url(server, driver, everything, outcome):
    server.will(outcome)
    url = f"{server.url}/report?auth_key={REPORT_KEY}"
    with pytest.raises(MetaStudioError) as caught:
        driver("report_events", JobRef("room-1", "job-1"), [LiveEvent(timestamp=1)], report_url=url)
    assert REPORT_KEY not in "".join(traceback.format_exception(caught.value))
    # urllib3 writes paths and queries into its debug log, which only Airflow's masker can clean.
    assert REPORT_KEY not in redact(everything())


def test_an_unreachable_presigned_url(driver, everything):
    """HTTP libraries write the whole URL into their own exceptions."""
    url = f"http://127.0.0.1:1/report?auth_key={REPORT_KEY}"
    with pytest.raises(MetaStudioError) as caught:
        driver("report_events", JobRef("room-1", "job-1"), [LiveEvent(timestamp=1)], report_url=url)
    told = "".join(traceback.format_exception(caught.value)) + everything()
    assert "127.0.0.1:1" in told
    assert REPORT_KEY not in told


def test_the_hooks_themselves(connect):
    from airflow_provider_smartlive.hooks import SmartLiveHook

    connect(extra={"security_token": SECURITY_TOKEN})
    hook = SmartLiveHook(CONN_ID)
    told = f"{hook!r} {hook.profile()!r} {hook.profile().authentication!s}"
    assert not [secret for secret in (*SECRETS, ACCESS_KEY) if secret in told]


def test_parts_of_extra_are_registered_with_airflows_masker(connect):
    from airflow_provider_smartlive.hooks import SmartLiveHook

    connect(extra={"security_token": SECURITY_TOKEN})
    SmartLiveHook(CONN_ID).profile()
    assert redact(f"a line with {SECURITY_TOKEN} in it") == "a line with *** in it"
