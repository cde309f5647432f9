"""Send one harmless event, as MetaStudio would, to see whether callbacks get through."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from airflow.sdk.timezone import utcnow

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import MOUNT_PATH, CallbackTarget
from airflow_provider_smartlive.livestream.ownership import issue_url_for
from airflow_provider_smartlive.metastudio.callback_auth import sign

if TYPE_CHECKING:
    from airflow_provider_smartlive.callbacks.url import IssuedUrl
    from airflow_provider_smartlive.client.connection import ConnectionProfile

#: A type that MetaStudio does not have: the receiver notes it in the callback table, and wakes nobody.
EVENT_TYPE = "SMARTLIVE_TEST"

#: A task that there is not: the way of an event to the receiver can be tested with any.
NO_TASK = TaskRef("smartlive_test", "test", "test")

#: Bytes of an answer that are read: the receiver's own are far shorter.
_MAX_ANSWER = 2048

#: What the receiver says to everybody whom it does not let in.
_REFUSAL = {"error": "not found"}

_UNREACHABLE: tuple[tuple[type[Exception], str], ...] = (
    (requests.exceptions.ProxyError, "the proxy of this machine's environment does not lead there."),
    (
        requests.exceptions.SSLError,
        "its certificate is not trusted here. MetaStudio will hardly trust it either.",
    ),
    (requests.exceptions.Timeout, "no answer in time. Is a firewall in between?"),
    (
        requests.exceptions.ConnectionError,
        "no connection. Check callback_base_url, the name's DNS entry, and whether the API server runs.",
    ),
)


@dataclass(frozen=True)
class Diagnosis:
    """
    What the answer to a test event means.

    :param works: whether MetaStudio's events would be taken.
    :param text: why, and what to change.
    """

    works: bool
    text: str


def issue_for(task_ref: TaskRef, profile: ConnectionProfile, *, max_tries: int | None = None) -> IssuedUrl:
    """
    Make the callback URL of a test event.

    :param task_ref: the task instance that the event is for; it need not exist.
    :param profile: the connection.
    :param max_tries: those of the task instance, if there is one.
    :raises CallbackUrlError: if a setting does not allow callbacks.
    """
    # No life of the task: the event belongs to whatever life there is.
    return issue_url_for(CallbackTarget(task_ref, "", max_tries or 0, settings.deployment()), profile)


def send(issued: IssuedUrl, *, has_task: bool) -> Diagnosis:
    """
    Send the event, and say what came back.

    :param issued: where to.
    :param has_task: whether there is a task instance that the event is about.
    """
    url, headers = sign(issued.url, auth_type=issued.auth_type, key=issued.key, now=utcnow())
    message = json.dumps({"note": "airflow smartlive send-test-event"})
    try:
        with requests.post(
            url,
            json={"event_type": EVENT_TYPE, "message": message},
            headers=headers,
            timeout=settings.number("request_timeout"),
            allow_redirects=False,
            stream=True,
        ) as response:
            answer = next(response.iter_content(_MAX_ANSWER), b"")
            return explain(response.status_code, answer, has_task=has_task)
    except requests.exceptions.RequestException as error:
        # Its own text would show the token in the URL.
        reason = next((text for kind, text in _UNREACHABLE if isinstance(error, kind)), "no usable answer.")
        return Diagnosis(False, f"Not delivered: {reason}")


def explain(status: int, answer: bytes, *, has_task: bool) -> Diagnosis:
    """
    Say what an answer means.

    :param status: its HTTP status.
    :param answer: its body, whoever it comes from.
    :param has_task: whether there is a task instance that the event is about.
    """
    content = _content(answer)
    if status == 200 and "result" in content:
        return Diagnosis(
            True,
            "200: it works. The URL leads to the receiver, the secrets agree, the signature was verified, and the "
            'event was stored: see "unrecognised" in the XCom smartlive_callbacks of the task.',
        )
    if status == 410 and not has_task:
        return Diagnosis(
            True,
            "410: it works. The event was let in, and there is no such task instance to store it for: the URL leads "
            "to the receiver, the secrets agree, and the signature was verified.",
        )
    return Diagnosis(False, f"{status}: {_problem(status, content)}")


def _problem(status: int, content: dict[str, Any]) -> str:
    if status == 404 and content == _REFUSAL:
        return (
            "the receiver refuses. Either [smartlive] callback_secrets is not the same there, or something on the "
            "way changes what was signed, or the clocks differ by more than callback_auth_window. Its log says "
            "which: look for 'smartlive: callback refused'."
        )
    if status == 404:
        return (
            f"no receiver there. callback_base_url must lead to the API server, a proxy must forward {MOUNT_PATH}, and "
            "the provider must be installed in the API server."
        )
    if status == 410:
        return "the task instance was cleared or deleted just now. Try again."
    if status == 503 and "error" in content:
        return (
            "the receiver verified the event and could not store it. Its log says why: look for 'smartlive: callback "
            "not stored'."
        )
    if "error" in content:
        return f"the receiver verified the event and does not take it: {content['error']}"
    if 300 <= status < 400:
        return "something in front of the receiver redirects. MetaStudio may not follow: use the final URL."
    if status in (401, 403, 407):
        return (
            f"something in front of the receiver asks for a login. It must let {MOUNT_PATH}/callbacks/ pass."
        )
    return "this answer is not the receiver's, but that of something in front of it."


def _content(answer: bytes) -> dict[str, Any]:
    try:
        content = json.loads(answer)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def shown(issued: IssuedUrl) -> str:
    """Return a callback URL without its token."""
    parts = urlsplit(issued.url)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rpartition('/')[0]}/***"
