"""What the API answers: results, and errors with MetaStudio's codes and texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_provider_smartlive.sandbox.options import split_answer

#: The texts of the error codes, from the API's samples, the ErrorCode and ICSError pages and the gateway's guide.
TEXTS = {
    "MSS.00000001": "Unauthorized",
    "MSS.00000002": "Invalid body",
    "MSS.00000003": "Invalid parameter",
    "MSS.00000004": "Internal Error",
    "MSS.00010003": "api not found",
    "MSS.00010004": "method not allowed",
    "MSS.00010009": "The project of the URL differs from the project of the credentials",
    "MSS.20010045": "roomInfo not found.",
    "MSS.20010046": "roomId job exist.",
    "MSS.20010053": "Invalid command",
    "MSS.20010056": "The number of running tasks has reached the limit",
    "MSS.20010066": "Tasks in the Finish state cannot be changed.",
    "MSS.20010074": "The job info is not existed or the job is over.",
    "MSS.20010082": "The room must not be used",
    "MSS.20010093": "Illegal callback URL",
    "MSS.20020001": "The state of the task does not allow the operation",
    "MSS.45000009": "Invalid RTMP URL",
    "APIGW.0101": "The API does not exist or has not been published in the environment",
    "APIGW.0201": "Request entity too large",
    "APIGW.0301": "Incorrect IAM authentication information",
    "APIGW.0307": "The token must be updated",
    "APIGW.0308": "The throttling threshold has been reached: policy user over ratelimit",
}

#: Longest text of an error (schema ``ErrorResponse``); the gateway does not keep to it.
_LONGEST_TEXT = 256


@dataclass(frozen=True)
class ApiAnswer:
    """
    An answer of the API.

    :param content: the JSON content; None leaves the body empty.
    :param drips: real seconds for which the body comes byte by byte before the connection breaks; None: at once.
    """

    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    drips: float | None = None

    @property
    def error_code(self) -> str | None:
        """The error code, if this is an error."""
        return (
            self.content.get("error_code") if isinstance(self.content, dict) and self.status >= 400 else None
        )


class ApiError(Exception):
    """
    A call is refused.

    :param status: the HTTP status.
    :param code: the error code.
    :param detail: follows the text of the code, after a colon; never a secret.
    """

    def __init__(
        self, status: int, code: str, detail: str | None = None, *, headers: dict[str, str] | None = None
    ) -> None:
        text = TEXTS.get(code, "Internal Error")
        message = f"{text}: {detail}" if detail else text
        if code.startswith("MSS."):
            message = message[:_LONGEST_TEXT]
        super().__init__(message)
        self.answer = ApiAnswer(status, {"error_code": code, "error_msg": message}, headers or {})

    @classmethod
    def of(cls, choice: str, detail: str | None = None) -> ApiError:
        """Make an error of one of the assumptions, like ``400 MSS.20010045``."""
        status, code = split_answer(choice)
        return cls(status, code, detail)


def invalid(detail: str) -> ApiError:
    """Return the error for a bad parameter."""
    return ApiError(400, "MSS.00000003", detail)
