"""IAM tokens, kept in memory only."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_provider_smartlive.client.connection import IamLogin
from airflow_provider_smartlive.metastudio.iam import Token

#: How long before its end a token is no longer used: it must not expire on the way.
RENEWAL_MARGIN = timedelta(minutes=10)


class TokenCache:
    """
    The tokens of a process, each until shortly before it expires.

    A new token does not invalidate an older one (IAM page), so two threads that both fetch one do no harm.
    """

    def __init__(self) -> None:
        self._tokens: dict[IamLogin, Token] = {}

    def get(self, login: IamLogin, now: datetime) -> Token | None:
        """Return a token that is still good."""
        token = self._tokens.get(login)
        return token if token and now < token.expires_at - RENEWAL_MARGIN else None

    def put(self, login: IamLogin, token: Token) -> None:
        """Keep a new token."""
        self._tokens[login] = token

    def forget(self, login: IamLogin) -> None:
        """Make way for a new token."""
        self._tokens.pop(login, None)


#: The tokens of this process: they are good for every hook that uses the same login.
TOKENS = TokenCache()
