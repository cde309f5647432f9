"""
What the sandbox assumes where MetaStudio's documents are silent: one named option for each choice.

The descriptions are the text of the table "what we assumed" in ``docs/sandbox.md``; a test compares the two.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_ANSWER = re.compile(r"(\d{3}) ([A-Z]+\.\d+)")


def _check_answer(value: str) -> str:
    if not _ANSWER.fullmatch(value):
        raise ValueError("must be an HTTP status and an error code, like '400 MSS.20010045'")
    return value


#: An HTTP status and an error code, like ``400 MSS.20010045``.
Answer = Annotated[str, AfterValidator(_check_answer)]


def split_answer(answer: str) -> tuple[int, str]:
    """Split an :data:`Answer` into its HTTP status and its error code."""
    status, code = answer.split(" ")
    return int(status), code


class Assumptions(BaseModel):
    """Choices that no document settles. "show seconds" run on the sandbox's clock, "seconds" are real."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The life of a job
    waiting_seconds: float = Field(
        1.0, ge=0, description="Show seconds that a job stays WAITING before it is PROCESSING."
    )
    show_seconds: float = Field(
        20.0, gt=0, description="Show seconds of one pass of the script in a room that names no length."
    )
    speech_rate: float = Field(
        5.0, gt=0, description="Characters that the virtual human speaks in one show second."
    )
    settle_seconds: float = Field(
        0.3, ge=0, description="Show seconds between END of the last link and the job's final state."
    )
    stop_waits: bool = Field(
        False, description="Whether stop answers only after the job is over; else it answers at once."
    )
    state_after_stop: Literal["SUCCEED", "FAILED"] = Field(
        "SUCCEED", description="The final state of a job that was stopped by the API."
    )
    state_after_lost_link: Literal["SUCCEED", "FAILED"] = Field(
        "FAILED", description="The final state of a job whose links all gave up reconnecting."
    )
    lost_link_code: str = Field(
        "MSS.45000009", description="The error code of such a job ('invalid RTMP URL' in the error list)."
    )
    temp_room_linger_seconds: float = Field(
        0.0,
        ge=0,
        description="Show seconds for which a TEMP room and its job can still be seen after the end.",
    )
    max_running_jobs: int = Field(
        0, ge=0, description="Jobs that may be active at once in the project; 0 sets no limit."
    )
    max_outputs: int = Field(1, ge=1, le=10, description="RTMP outputs of one job; the schema allows one.")

    refresh_old_end: Literal["first", "after-connect", "last", "never"] = Field(
        "first",
        description="When REFRESH_OUTPUT_URL tells END of the old link: before the new one begins to connect, "
        "after it is CONNECTED, after its END, or never.",
    )

    # Error answers
    unknown_room: Answer = Field(
        "400 MSS.20010045", description="Start or list in a room that does not exist."
    )
    unknown_job: Answer = Field("400 MSS.20010074", description="Show, stop or command of an unknown job.")
    stop_finished: Answer | Literal["200"] = Field(
        "400 MSS.20020001", description="Stop of a job that is over; '200' makes stop idempotent."
    )
    command_refused: Answer = Field(
        "400 MSS.20020001", description="Command or event report for a job that is not PROCESSING."
    )
    second_job: Answer = Field(
        "400 MSS.20010046", description="Start with single_job_in_room while the room has an active job."
    )
    quota: Answer = Field("403 MSS.20010056", description="Start when max_running_jobs are active.")
    blocked_room: Answer = Field("403 MSS.20010082", description="Start in a room that is not ENABLEd.")
    wrong_project: Answer = Field(
        "400 MSS.00010009", description="A path or X-Project-Id that names another project than the key's."
    )
    unknown_path: Answer = Field("404 APIGW.0101", description="A path or method that the API does not have.")
    refuse_live_limits: bool = Field(
        False, description="Whether limits that only prose gives (sizes, bitrates) are enforced as well."
    )
    refuse_unknown_fields: bool = Field(
        False, description="Whether a request field that the schema does not know is an error; else ignored."
    )

    # Callbacks
    callback_timeout_seconds: float = Field(
        5.0, gt=0, description="Seconds after which an unanswered callback counts as failed."
    )
    callback_attempts: int = Field(
        4, ge=1, le=50, description="How often a callback is sent until it is answered with a 2xx status."
    )
    callback_retry_seconds: float = Field(
        1.0, ge=0, description="Seconds between two attempts of the same callback."
    )
    callback_form: Literal["host-path-query", "full-url", "path-query"] = Field(
        "host-path-query", description="The part of the URL that MSS_A and MSS_A_HEAD sign."
    )
    callback_ids: Literal["plain", "dashed"] = Field(
        "plain", description="Room and job ids in callbacks: without dashes, as in the samples, or with."
    )
    callback_requires_https: bool = Field(
        False, description="Whether a callback URL must be https, as the page says (a laptop has none)."
    )

    # Reading
    listing_lag_seconds: float = Field(
        0.0, ge=0, description="Seconds after its start in which a job is missing from listings."
    )
    show_lag_seconds: float = Field(
        0.0, ge=0, description="Seconds after its start in which a job is unknown to show, stop and command."
    )
    echo_callback_config: bool = Field(
        True, description="Whether start, show and list return live_event_callback_config."
    )
    empty_lists: Literal["omit", "array"] = Field(
        "omit", description="How an empty list is answered: left out (the schema has minItems 1), or []."
    )

    # Limits
    throttle_create: float = Field(
        0.0, ge=0, description="Writing requests per second before 429 APIGW.0308; 0 sets no limit."
    )
    throttle_query: float = Field(
        0.0, ge=0, description="Reading requests per second before 429 APIGW.0308; 0 sets no limit."
    )
    lock_after_failures: int = Field(
        0, ge=0, description="Bad signatures in a row that lock an access key; 0 never locks (Huawei: 5)."
    )
    lock_seconds: float = Field(300.0, ge=0, description="Seconds for which such a key stays locked.")

    # Warnings about the script
    warn_script_items: int = Field(
        2, ge=0, description="TOO_LESSS_SCRIPT_ITEMS for a script with fewer paragraphs."
    )
    warn_script_seconds: float = Field(
        5.0, ge=0, description="TOO_SHORT_SCRIPT_TIME for a script that is shorter, in show seconds."
    )
    warn_rules: int = Field(
        0, ge=0, description="TOO_LESS_DANMAKU_RULES for a room with fewer interaction rules."
    )
