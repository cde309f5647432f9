"""Hooks: :class:`SmartLiveHook` for tasks, :class:`SmartLiveAsyncHook` for triggers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from airflow.providers.http.hooks.http import HttpHook

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.client import operations
from airflow_provider_smartlive.client.async_hook import SmartLiveAsyncHook
from airflow_provider_smartlive.client.body import ACCEPT_ENCODING
from airflow_provider_smartlive.client.connection import InvalidConnectionError
from airflow_provider_smartlive.client.diagnosis import explain
from airflow_provider_smartlive.client.errors import StartOutcomeUnknown, TransportFailure, Unreachable
from airflow_provider_smartlive.client.flow import USER_AGENT, refusal, utc_now
from airflow_provider_smartlive.client.operations import HttpResponse
from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
from airflow_provider_smartlive.client.transport import RequestsAuth, respond
from airflow_provider_smartlive.metastudio.errors import MetaStudioError
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.provider_info import DEFAULT_CONN_ID

__all__ = [
    "InvalidConnectionError",
    "JobRef",
    "SmartLiveAsyncHook",
    "SmartLiveHook",
    "StartOutcomeUnknown",
    "Unreachable",
]


#: What may be a key or an address: no blanks, ASCII, and more than a word.
_MAY_BE_SECRET = re.compile(r"(?![A-Za-z_]{1,32}\Z)[!-~]{1,1024}")


class SmartLiveHook(SmartLiveTaskHook, HttpHook):
    """
    Talk to MetaStudio from a task.

    Its operations are those of :class:`~airflow_provider_smartlive.client.task_hook.SmartLiveTaskHook`. From
    :class:`~airflow.providers.http.hooks.http.HttpHook` comes ``run``, the way to operations that have no method
    here (its endpoints are relative to ``/v1/{project_id}``). Unlike there, redirects are not followed, everything
    has a timeout and a largest size, and ``extra`` never becomes a header.

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
            self._drive(self._flow(attempts=1).run(operations.list_jobs(0, {}, limit=1)))
        except (ValueError, MetaStudioError) as error:  # the connection, a setting, or MetaStudio's answer
            # The form tests under an id that Airflow makes up.
            return False, explain(error).removeprefix(f"Connection {self.smartlive_conn_id!r}: ")
        return True, "MetaStudio accepts this connection."

    def get_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> requests.Session:
        """Return a session that authorises whatever is prepared with it; :meth:`run` then sends it over our wire."""
        self._set_base_url(None)
        profile, session = self.profile(), requests.Session()
        session.proxies = {"http": profile.proxy, "https": profile.proxy} if profile.proxy else {}
        session.verify = profile.ca_bundle or True
        session.auth = RequestsAuth(self._drive(self._flow().authorisation()))
        session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": ACCEPT_ENCODING})
        session.headers.update(profile.headers)
        session.headers.update(headers or {})
        self.merged_extra = dict(extra_options or {})
        return session

    def run(
        self,
        endpoint: str | None = None,
        data: dict[str, Any] | str | None = None,
        headers: dict[str, Any] | None = None,
        extra_options: dict[str, Any] | None = None,
        **request_kwargs: Any,
    ) -> Any:
        """
        Send a request that has no method here, as :class:`~airflow.providers.http.hooks.http.HttpHook` does.

        :raises Unreachable: if no request can be made of the arguments, or no complete answer came.
        :raises MetaStudioError: if MetaStudio refused.
        """
        try:
            return super().run(endpoint, data, headers, extra_options, **request_kwargs)
        except requests.RequestException as error:
            # Its text repeats the header or the URL that is wrong.
            text = f"no request can be made of these arguments ({type(error).__name__}). Check endpoint and headers"
            raise Unreachable(text, failure=TransportFailure.ADDRESS) from None

    def run_and_check(
        self,
        session: requests.Session,
        prepped_request: requests.PreparedRequest,
        extra_options: dict[Any, Any],
    ) -> requests.Response:
        """
        Send a request over the same wire as the operations (for :meth:`run`).

        :param session: what prepared the request; it is not used.
        :param extra_options: ``timeout``, in seconds, and ``check_response`` are known.
        :raises Unreachable: if no complete answer came.
        """
        timeout = extra_options.get("timeout") or settings.number("request_timeout")
        response = respond(self.profile(), prepped_request, timeout)
        if isinstance(response, TransportFailure):
            peer = urlsplit(prepped_request.url or "").netloc.rpartition("@")[2]
            raise Unreachable(response.text.format(peer=peer), failure=response)
        if extra_options.get("check_response", True):
            self.check_response(response)
        return response

    def check_response(self, response: requests.Response) -> None:
        """Raise MetaStudio's error for any answer but 2xx (for :meth:`run`)."""
        if not 200 <= response.status_code < 300:
            answer = HttpResponse(response.status_code, response.headers, response.content)
            secrets = (*self._flow().secrets, *_held_by(response.request))
            raise refusal(answer, secrets=secrets, now=self._now())

    def _set_base_url(self, connection: object) -> None:
        self.base_url = self.profile().base_url
        self._base_url_initialized = True


def _held_by(request: requests.PreparedRequest) -> set[str]:
    """Return the texts of a request that may be secret: MetaStudio's errors may repeat what the caller has sent."""
    body = request.body or b""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    try:
        sent = list(_texts(json.loads(text)))
    except (ValueError, RecursionError):
        sent = [text, *(value for _, value in parse_qsl(text))]
    sent += [value for _, value in parse_qsl(urlsplit(request.url or "").query)]
    ours = ("authorization", "x-auth-token", "x-security-token", "cookie")
    sent += [str(value) for name, value in request.headers.items() if name.lower() in ours]
    return {value for value in sent if _MAY_BE_SECRET.fullmatch(value)}


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            yield from _texts(list(value.values()))
