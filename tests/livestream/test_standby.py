"""When a standby may be started: each row of the page, and what each error of a start means."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from airflow_provider_smartlive.client.errors import StartOutcomeUnknown, TransportFailure, Unreachable
from airflow_provider_smartlive.livestream.standby import StartOutcome, reason_against, start_outcome
from airflow_provider_smartlive.metastudio import errors

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"
CASES = list(product(StartOutcome, (False, True)))


def rows() -> list[list[str]]:
    """Return the cells of the page's table."""
    lines = PAGE.read_text(encoding="utf-8").partition("| the start in the primary |")[2].splitlines()[2:]
    table = lines[: next(number for number, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_page_says_what_is_done(case: tuple[StartOutcome, bool]) -> None:
    outcome, unclear = case
    said = [str(outcome), "yes" if unclear else "no"]
    row = next(
        row for row in rows() if all(cell in ("", value) for cell, value in zip(row, said, strict=False))
    )
    reason = reason_against(outcome, unclear_start=unclear)
    assert row[2:] == (["is started", ""] if reason is None else ["is not started", reason])


def test_one_case_of_all_starts_it() -> None:
    started = [case for case in CASES if reason_against(case[0], unclear_start=case[1]) is None]
    assert started == [(StartOutcome.REFUSED, False)]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (errors.QuotaExceeded("at the limit", http_status=400, error_code="MSS.20010056"), "refused"),
        (errors.Blocked("frozen", http_status=400, error_code="MSS.20010044"), "refused"),
        (errors.Conflict("has a job", http_status=400, error_code="MSS.20010046"), "refused"),
        (errors.NotFound("no such room", http_status=404, error_code="MSS.20010045"), "refused"),
        (errors.InvalidRequest("invalid field", http_status=400, error_code="MSS.00000003"), "refused"),
        (errors.PermissionDenied("not allowed", http_status=403, error_code="APIGW.0302"), "refused"),
        (errors.PermissionDenied("a proxy's word", http_status=403), "unknown"),
        (errors.UnexpectedResponse("a proxy's word", http_status=400), "unknown"),
        (errors.Conflict("a proxy's word", http_status=409, error_code="409"), "unknown"),
        (errors.NotFound("a proxy's word", http_status=404, error_code="NoSuchRoute"), "unknown"),
        (errors.InvalidRequest("IAM's word", http_status=400, error_code="IAM.0011"), "unknown"),
        (errors.QuotaExceeded("at the limit", http_status=400, error_code="20010056"), "refused"),
        (errors.ServerError("down", http_status=503, error_code="MSS.00000004"), "unknown"),
        (errors.MetaStudioError("never heard of", http_status=418, error_code="MSS.99999999"), "unknown"),
        (StartOutcomeUnknown("no answer"), "unknown"),
        (Unreachable("no answer", failure=TransportFailure.TIMEOUT), "unknown"),
        (Unreachable("no answer", failure=TransportFailure.LOST), "unknown"),
        (Unreachable("no connection", failure=TransportFailure.CONNECT), "not carried out"),
        (Unreachable("too late", failure=TransportFailure.LATE), "not carried out"),
        (errors.Throttled("too many", http_status=429), "not carried out"),
        (
            errors.AuthenticationError("wrong signature", http_status=401, error_code="APIGW.0301"),
            "not carried out",
        ),
    ],
)
def test_what_an_error_of_the_start_means(error: errors.MetaStudioError, outcome: str) -> None:
    assert start_outcome(error) == outcome


def test_each_kind_of_error_that_metastudio_has_a_code_for_is_decided_on() -> None:
    known = set(errors.FAMILY_OF_CODE.values()) | set(errors.FAMILY_OF_GATEWAY_CODE.values())
    outcomes = {kind: start_outcome(kind("?", error_code="MSS.00000001")) for kind in known}
    assert {kind.__name__ for kind, outcome in outcomes.items() if outcome is StartOutcome.REFUSED} == {
        "Conflict",
        "InvalidRequest",
        "NotFound",
        "PermissionDenied",
        "QuotaExceeded",
    }
