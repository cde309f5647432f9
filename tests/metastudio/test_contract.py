"""No row of the API page without a field, and no field without a row or a note of where it comes from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from airflow_provider_smartlive.metastudio import errors
from airflow_provider_smartlive.metastudio.jobs import StartJobResponse
from airflow_provider_smartlive.metastudio.signing import Credentials, sign
from airflow_provider_smartlive.metastudio.start import StartJobRequest
from dev.contract_table import DOCUMENT, Row, models, read_sections, render, resolve, source_of

SECTIONS = {section.title: section.rows for section in read_sections()}
ROWS = [
    pytest.param(title, row, id=f"{title}-{row.parameter}") for title in SECTIONS for row in SECTIONS[title]
]
SAMPLES = Path(__file__).parent / "samples"


def test_the_page_s_rows_are_all_there() -> None:
    """The tables of the page, with their numbers of rows; then the parts of the events inside of cells."""
    assert {title: len(rows) for title, rows in SECTIONS.items()} == {
        "URI": 2,
        "Request headers": 5,
        "Request body": 9,
        "VideoConfig": 11,
        "SubtitleConfig": 6,
        "PlayPolicy": 5,
        "LiveEventCallBackConfig": 4,
        "Event callback (inside callback_event_type)": 5,
        "Message of SHOOT_SCRIPT_SWITCH": 5,
        "Message of RTMP_STREAM_STATE_CHANGE": 10,
        "Message of REPLY_COMMAND_FINISH": 3,
        "RTCLiveEventCallBackConfig": 1,
        "RTC message (inside rtc_callback_event_type)": 4,
        "Data of live_progress_notify": 5,
        "Data of reply_command_finish_notify": 1,
        "CoStreamerConfig": 2,
        "VoiceConfig": 4,
        "Response header, status code 202": 1,
        "Response body, status code 202": 5,
        "RTCRoomInfoList": 3,
        "RTCUserInfo": 4,
        "LiveEventCallBackConfig in the response": 4,
        "LiveWarningItem": 1,
        "Status code 400": 2,
        "Status code 401": 2,
        "Status code 500": 2,
        "Status codes": 4,
    }


@pytest.mark.parametrize(("title", "row"), ROWS)
def test_every_row_has_a_field(title: str, row: Row) -> None:
    found = resolve(row.target)
    assert found is not None
    if isinstance(found, FieldInfo) and title != "Response header, status code 202":
        assert row.target.rpartition(".")[2] == row.parameter  # sent and read under the page's name
        assert found.alias is None


@pytest.mark.parametrize(
    "target",
    ["metastudio.start.StartJobRequest.no_such", "no_such.Thing", "hooks.SmartLiveHook.start_job(no_such)"],
)
def test_a_row_without_a_field_would_be_noticed(target: str) -> None:
    with pytest.raises((LookupError, ImportError)):
        resolve(target)


MODELS = list(models())


def is_on_the_page(model: type[BaseModel], name: str) -> bool:
    """Tell whether a row is mapped to a field, in this model or in one that it shares the field with."""
    for row in (row for rows in SECTIONS.values() for row in rows):
        owner, _, field = row.target.rpartition(".")
        if field == name and "(" not in owner:
            other = resolve(owner)
            if isinstance(other, type) and (issubclass(other, model) or issubclass(model, other)):
                return True
    return False


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_has_a_row_or_another_source(model: type[BaseModel]) -> None:
    unexplained = [
        name
        for name in model.model_fields
        if source_of(model, name) is None and not is_on_the_page(model, name)
    ]
    assert unexplained == [], "say where it is from: Source(...), or a row in page-rows.txt"


def test_a_field_without_a_source_would_be_noticed() -> None:
    class Invented(BaseModel):
        field: int = 0

    assert source_of(Invented, "field") is None
    assert not is_on_the_page(Invented, "field")
    assert len(MODELS) > 40


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render(), "run: python -m dev.contract_table"


def test_the_signer_s_headers_are_those_of_the_page() -> None:
    rows = {row.parameter for row in SECTIONS["Request headers"] if row.target == "metastudio.signing.sign"}
    pair = Credentials("FAKEACCESSKEY", "fake-secret-key")
    added = sign("GET", "https://h.example.com/", {}, b"", credentials=pair, now=datetime.now(UTC))
    assert rows == added.keys() - {"Host"}


def test_the_page_s_request_round_trips() -> None:
    sample = (SAMPLES / "request.json").read_bytes()
    request = StartJobRequest.model_validate_json(sample)
    assert request.output_urls == ["rtmp://vfxpush.hwcloudvr.cn/live/lysa"]
    assert request.to_body() == b'{"output_urls":["rtmp://vfxpush.hwcloudvr.cn/live/lysa"]}'


def test_the_page_s_answer_is_read() -> None:
    response = StartJobResponse.from_body((SAMPLES / "response-202.json").read_bytes(), request_id="r-1")
    assert response.job_id == "26f06524-4f75-4b3a-a853-b649a21aaf66"
    assert response.request_id == "r-1"


@pytest.mark.parametrize(
    ("status", "kind", "code", "text"),
    [
        (400, errors.InvalidRequest, "MSS.00000003", "Invalid parameter"),
        (401, errors.AuthenticationError, "MSS.00000001", "Unauthorized"),
        (500, errors.ServerError, "MSS.00000004", "Internal Error"),
    ],
)
def test_the_page_s_errors_are_read(
    status: int, kind: type[errors.MetaStudioError], code: str, text: str
) -> None:
    error = errors.from_response(
        status, {"X-Request-Id": "r-1"}, (SAMPLES / f"response-{status}.json").read_bytes()
    )
    assert type(error) is kind
    assert (error.http_status, error.error_code, error.error_msg) == (status, code, text)
    assert error.request_id == "r-1"
