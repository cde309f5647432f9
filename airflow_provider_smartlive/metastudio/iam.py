"""User tokens of IAM: an IAM user's password becomes the value of X-Auth-Token. Source: IAM API reference."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from pydantic import AwareDatetime, BaseModel

from airflow_provider_smartlive.metastudio.base import COMMON

#: Below the IAM endpoint. Without the service catalogue the answer is a tenth of the size.
TOKEN_PATH = "/v3/auth/tokens?nocatalog=true"  # noqa: S105 - a path

CONTENT_TYPE = "application/json;charset=utf8"

_VISIBLE = re.compile(r"[!-~]+")

#: Response header that carries the token.
TOKEN_HEADER = "X-Subject-Token"  # noqa: S105 - the name of a header


@dataclass(frozen=True)
class TokenRequest:
    """
    What a token is asked for with.

    :param domain: the name of the account.
    :param user: the name of the IAM user.
    :param password: the user's password.
    :param project_id: the project that the token is good for.
    """

    domain: str
    user: str
    password: str = field(repr=False)
    project_id: str

    def to_body(self) -> bytes:
        """Return the JSON bytes to send; they hold the password."""
        user = {"domain": {"name": self.domain}, "name": self.user, "password": self.password}
        auth = {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"id": self.project_id}},
        }
        return json.dumps({"auth": auth}).encode()


@dataclass(frozen=True)
class Token:
    """
    A user token.

    :param value: goes into X-Auth-Token.
    :param expires_at: an aware datetime, 24 hours after the token was made. Changing the password or the
        permissions ends a token earlier, within 30 minutes.
    """

    value: str = field(repr=False)
    expires_at: datetime

    @classmethod
    def from_answer(cls, headers: Mapping[str, str], body: bytes) -> Self:
        """
        Read the answer (201) of IAM.

        :param headers: names in any case.
        :param body: the bytes of the body.
        :raises ValueError: if it holds no token.
        """
        value = next((value for name, value in headers.items() if name.lower() == TOKEN_HEADER.lower()), "")
        if not _VISIBLE.fullmatch(value):
            raise ValueError(f"IAM's answer has no header {TOKEN_HEADER}, or one that cannot be sent.")
        return cls(value=value, expires_at=_Body.model_validate_json(body).token.expires_at)


class _Expiry(BaseModel):
    model_config = COMMON

    expires_at: AwareDatetime


class _Body(BaseModel):
    model_config = COMMON

    token: _Expiry
