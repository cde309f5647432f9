"""Who calls: signatures, tokens, the project, and how often one may call."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_smartlive.metastudio.ids import same_id
from airflow_provider_smartlive.metastudio.signing import (
    SignatureError,
    SignatureProblem,
    verify,
)
from airflow_provider_smartlive.sandbox.api.answers import ApiAnswer, ApiError
from airflow_provider_smartlive.sandbox.clock import Clock
from airflow_provider_smartlive.sandbox.config import Account
from airflow_provider_smartlive.sandbox.options import Assumptions

#: Validity of an IAM token (IAM documents).
_TOKEN_LIFE = timedelta(hours=24)

_USER_ID = re.compile(r"[^\u4e00-\u9fff]{1,256}")


class Authenticator:
    """
    Lets only the account in.

    :param account: who may call.
    :param monotonic: tells real seconds.
    """

    def __init__(
        self,
        account: Account,
        clock: Clock,
        assumptions: Assumptions,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = account
        self._clock = clock
        self._assumptions = assumptions
        self._monotonic = monotonic
        self._tokens: dict[str, datetime] = {}
        self._failures = 0
        self._locked_until = 0.0

    def check(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """
        Check who calls.

        :param url: the URL as it came, path and query still encoded.
        :param headers: names in lower case.
        :raises ApiError: if it is not the account.
        """
        user = headers.get("x-app-userid")
        if user is not None and not _USER_ID.fullmatch(user):
            raise ApiError(400, "MSS.00000003", "X-App-UserId")
        if "x-auth-token" in headers and "authorization" not in headers:
            self._check_token(headers["x-auth-token"])
        else:
            self._check_signature(method, url, headers, body)

    def check_project(self, project_id: str, headers: Mapping[str, str]) -> None:
        """
        Check that the path, and X-Project-Id if it is there, name the account's project.

        :raises ApiError: if they do not.
        """
        for named in (project_id, headers.get("x-project-id", project_id)):
            if not same_id(named, self._account.project_id):
                raise ApiError.of(self._assumptions.wrong_project)

    # --- signatures

    def _check_signature(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> None:
        if self._monotonic() < self._locked_until:
            raise _refused("AK access failed to reach the limit,forbidden")
        try:
            verify(method, url, headers, body, secret_key_for=self._secret_key, now=self._clock.now())
        except SignatureError as error:
            self._count_failure(error.reason)
            raise _refused(_explain(error)) from None
        self._failures = 0
        expected = self._account.security_token
        if expected and not hmac.compare_digest(expected, headers.get("x-security-token", "")):
            raise _refused("the security token does not belong to the access key")

    def _secret_key(self, access_key: str) -> str | None:
        return self._account.secret_key if access_key == self._account.access_key else None

    def _count_failure(self, reason: SignatureProblem) -> None:
        if reason is not SignatureProblem.MISMATCH or not self._assumptions.lock_after_failures:
            return
        self._failures += 1
        if self._failures > self._assumptions.lock_after_failures:
            self._locked_until = self._monotonic() + self._assumptions.lock_seconds
            self._failures = 0

    # --- tokens

    def _check_token(self, token: str) -> None:
        if self._account.token and hmac.compare_digest(self._account.token.encode(), token.encode()):
            return
        expires = self._tokens.get(token)
        if expires is None:
            raise _refused("decrypt token fail")
        if expires <= self._clock.now():
            raise ApiError(401, "APIGW.0307")

    def expire_tokens(self) -> None:
        """Let all issued tokens expire at once."""
        self._tokens = dict.fromkeys(self._tokens, self._clock.now())

    def issue_token(self, body: Any) -> ApiAnswer:
        """
        Answer IAM's ``POST /v3/auth/tokens`` with a token for ``X-Auth-Token``.

        :param body: the decoded request.
        """
        try:
            identity = body["auth"]["identity"]
            user = identity["password"]["user"]
            given = (user["domain"]["name"], user["name"], user["password"])
            is_password = identity["methods"] == ["password"]
        except (KeyError, TypeError):
            return _iam_error(400, "Bad Request", "The request body is invalid")
        account = self._account
        known = (account.domain, account.user, account.password)
        if not is_password or account.password is None or given != known:
            return _iam_error(401, "Unauthorized", "The username or password is wrong.")
        token = secrets.token_urlsafe(96)
        now = self._clock.now()
        self._tokens[token] = now + _TOKEN_LIFE
        content = {
            "token": {
                "issued_at": _iam_time(now),
                "expires_at": _iam_time(now + _TOKEN_LIFE),
                "methods": ["password"],
                "project": {"id": account.project_id, "name": "sandbox"},
                "roles": [],
                "user": {
                    "id": secrets.token_hex(16),
                    "name": account.user,
                    "domain": {"name": account.domain},
                },
            }
        }
        return ApiAnswer(201, content, {"X-Subject-Token": token})


class Throttle:
    """
    Allows so many calls per second, with a burst of one second's worth.

    :param rate: calls per second; 0 sets no limit.
    :param monotonic: tells real seconds.
    """

    def __init__(self, rate: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._left = max(rate, 1.0)
        self._at = monotonic()

    def check(self) -> None:
        """
        Count a call.

        :raises ApiError: if it is one too many.
        """
        if not self._rate:
            return
        now = self._monotonic()
        self._left = min(max(self._rate, 1.0), self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            raise ApiError(429, "APIGW.0308", f"limit:{self._rate:g},time:1 second")
        self._left -= 1


def _refused(detail: str) -> ApiError:
    return ApiError(401, "APIGW.0301", detail)


def _explain(error: SignatureError) -> str:
    if error.canonical_request is None:
        return str(error)
    shown = error.canonical_request.replace("\n", "|")
    return f"verify aksk signature fail,canonicalRequest:{shown}"


def _iam_error(status: int, title: str, message: str) -> ApiAnswer:
    return ApiAnswer(status, {"error": {"code": status, "message": message, "title": title}})


def _iam_time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"
