"""Calling out to MetaStudio: :class:`SmartLiveHook` for tasks, :class:`SmartLiveAsyncHook` for triggers."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import requests
from airflow.providers.http.hooks.http import HttpHook

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.client import calls
from airflow_provider_smartlive.client.async_hook import SmartLiveAsyncHook
from airflow_provider_smartlive.client.calls import Answer
from airflow_provider_smartlive.client.connection import DEFAULT_CONN_ID, InvalidConnectionError
from airflow_provider_smartlive.client.diagnosis import explain
from airflow_provider_smartlive.client.exchange import AmbiguousStart, Unreachable, refusal, utc_now
from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
from airflow_provider_smartlive.client.transport import RequestsAuth
from airflow_provider_smartlive.metastudio.errors import MetaStudioError

__all__ = ["AmbiguousStart", "InvalidConnectionError", "SmartLiveAsyncHook", "SmartLiveHook", "Unreachable"]


class SmartLiveHook(SmartLiveTaskHook, HttpHook):
    """
    Talk to MetaStudio from a task.

    Its operations are those of :class:`~airflow_provider_smartlive.client.task_hook.SmartLiveTaskHook`. From
    :class:`~airflow.providers.http.hooks.http.HttpHook` come the keep-alive adapter and ``run``, the way to
    operations that have no method here (its endpoints are relative to ``/v1/{project_id}``). Unlike there,
    redirects are not followed, everything has a timeout, and ``extra`` never becomes a header.

    :param smartlive_conn_id: the connection.
    :param method: the HTTP method of ``run``; the operations bring their own.
    :param sleep: waits between two attempts, in seconds.
    :param now: the clock, aware.
    """

    def __init__(
        self,
        smartlive_conn_id: str = DEFAULT_CONN_ID,
        *,
        method: str = "GET",
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(smartlive_conn_id, sleep=sleep, now=now)
        self.http_conn_id = smartlive_conn_id
        self.method = method.upper()

    def test_connection(self) -> tuple[bool, str]:
        """Ask for one job and say in words what is wrong (the form's Test button)."""
        try:
            exchange = self._exchange(attempts=1)
            with self._open() as session:
                self._drive(session, exchange.conduct(calls.list_jobs(0, {}, limit=1)))
        except (InvalidConnectionError, MetaStudioError) as error:
            return False, explain(error)
        return True, "MetaStudio accepts this connection."

    def get_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> requests.Session:
        """Return a session that authorises whatever is sent through it (for :meth:`run`)."""
        session = self._open()
        session.auth = RequestsAuth(self._drive(session, self._exchange().authorisation()))
        session.headers.update(self.profile().headers)
        session.headers.update(headers or {})
        timeout = settings.number("request_timeout")
        self.merged_extra = {"timeout": timeout, **(extra_options or {}), "allow_redirects": False}
        return session

    def check_response(self, response: requests.Response) -> None:
        """Raise MetaStudio's error for any answer but 2xx (for :meth:`run`)."""
        if not 200 <= response.status_code < 300:
            raise refusal(Answer(response.status_code, response.headers, response.content))

    def _set_base_url(self, connection: object) -> None:
        self.base_url = self.profile().base_url
        self._base_url_initialized = True

    def _open(self) -> requests.Session:
        """Return a session with HttpHook's keep-alive adapter."""
        self._set_base_url(None)
        return self._configure_session_from_mount_adapters(super()._open())
