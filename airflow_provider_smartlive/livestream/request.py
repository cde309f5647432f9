"""Put the request together and check it: arguments, outputs, callback URL."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_smartlive.client.address import url_of
from airflow_provider_smartlive.client.connection import InvalidConnectionError
from airflow_provider_smartlive.client.lookup import find_connection
from airflow_provider_smartlive.livestream import arguments
from airflow_provider_smartlive.livestream.rtmp_output import RtmpOutput
from airflow_provider_smartlive.metastudio.addresses import is_host
from airflow_provider_smartlive.metastudio.start import StartJobRequest

if TYPE_CHECKING:
    from airflow_provider_smartlive.callbacks.url import IssuedUrl

#: What a request must not bring along, and what to do instead.
_ELSEWHERE = {
    "output_urls": "Airflow stores and shows arguments, and the URL may hold a key. Put it into a connection and "
    "name that in output_conn_ids",
    "stream_keys": "Airflow stores and shows arguments. Put the key into the password of a connection and name that "
    "in output_conn_ids",
    "interaction_callback_url": "it carries credentials, and Airflow stores and shows arguments. Put it into the host "
    "of a connection and name that in interaction_conn_id",
    "live_event_callback_config": "the provider sets it, to be woken by the events. To receive them yourself, pass "
    "use_callbacks=False and start the job with SmartLiveHook.start_job; a task then only asks MetaStudio",
}

#: Hours on top of the deadline before MetaStudio itself ends the job: our own stop comes first.
BACKSTOP_MARGIN = 1

#: The most hours that MetaStudio takes.
MAX_LIVE_DURATION = 168

EVENT_TYPES = ("RTMP_STREAM_STATE_CHANGE", "SHOOT_SCRIPT_SWITCH", "REPLY_COMMAND_FINISH")


#: Fields of the request that are arguments of their own as well.
ARGUMENTS = (
    "video_config",
    "play_policy",
    "view_mode",
    "co_streamer_config",
    "rtc_callback_config",
    "job_run_config",
)


def merge(request: Mapping[str, Any] | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """
    Put the request and the fields that were given as arguments together.

    :raises ValueError: if a field is given twice, or the request is no mapping.
    """
    if request is not None and not isinstance(request, Mapping):
        raise ValueError(
            f"request is of type {type(request).__name__}. Pass a dict with the fields of MetaStudio's API; a template "
            "that makes one needs render_template_as_native_obj=True on the DAG."
        )
    fields = dict(request or {})
    for name, value in arguments.items():
        if value is not None and fields.get(name) is not None:
            raise ValueError(f"{name} is given twice: in request and as an argument. Keep one of them.")
        fields[name] = value if value is not None else fields.get(name)
    return fields


def rtmp_outputs(conn_ids: Iterable[str], *, argument: str = "output_conn_ids") -> list[RtmpOutput]:
    """
    Read the RTMP outputs from their connections.

    :param argument: the argument that names the connections, for messages.
    :raises ValueError: naming the connection that holds none.
    """
    connections = [find_connection(conn_id, argument=argument) for conn_id in conn_ids]
    return [RtmpOutput.from_connection(connection) for connection in connections]


def secrets_of_outputs(operator: Any) -> list[str]:
    """
    Return what the connections of the outputs keep secret, those of the standby as well.

    :param operator: a :class:`~airflow_provider_smartlive.operators.StartSmartLiveJobOperator`.
    """
    found: list[str] = []
    for name in ("output_conn_ids", "standby_output_conn_ids"):
        for conn_id in arguments.conn_ids(name, getattr(operator, name)):
            try:
                (output,) = rtmp_outputs([conn_id], argument=name)
            except Exception as error:
                # One that cannot be read any more must not hide a failure, nor show the keys of the others.
                why = type(error).__name__
                operator.log.warning(
                    "Connection %r cannot be read (%s): its keys are not known here.", conn_id, why
                )
                continue
            found += output.secrets
    return found


def interaction_url(conn_id: str | None) -> str | None:
    """
    Read the ``interaction_callback_url`` from the host of a connection, or from that field of its extra.

    :param conn_id: the connection; None without one.
    :raises InvalidConnectionError: if it is not there, or holds no https address, never with its content.
    """
    if conn_id is None:
        return None
    connection = find_connection(conn_id, argument="interaction_conn_id")
    url = url_of(connection, field="interaction_callback_url", schemes=("https", "http"), default="https")
    problem = _problem_of_interaction(url or "")
    if problem:
        raise InvalidConnectionError(
            f"interaction_conn_id: connection {conn_id!r} {problem}. Put the address (https://...) that MetaStudio "
            "asks for answers into its host, or into `interaction_callback_url` of its extra."
        )
    return url


def check_fields(request: Mapping[str, Any]) -> None:
    """
    Refuse what must not stand in a task's arguments.

    :raises ValueError: naming the field and the way out.
    """
    for field, way_out in _ELSEWHERE.items():
        if request.get(field) is not None:
            raise ValueError(f"request.{field} is refused: {way_out}.")


def _problem_of_interaction(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("https", "http") and is_host(parts.hostname or "") and parts.port != 0
    except ValueError:  # its text would repeat the URL
        return "holds no address"
    if parts.scheme in ("rtmp", "rtmps"):
        return "holds an RTMP URL, which is an output: name it in output_conn_ids"
    if not usable:
        return "holds no address"
    return "holds an address with a blank in it" if any(char.isspace() for char in url) else None


def build(
    fields: Mapping[str, Any],
    *,
    rtmp_outputs: Sequence[RtmpOutput] = (),
    interaction_callback_url: str | None = None,
    issued: IssuedUrl | None = None,
    event_types: Sequence[str] = EVENT_TYPES,
    max_live_duration: int,
) -> StartJobRequest:
    """
    Put a request together.

    :param fields: the fields of the request as the API names them.
    :param rtmp_outputs: the RTMP outputs.
    :param interaction_callback_url: for interaction rules with reply mode CALLBACK.
    :param issued: the callback route, or None without callbacks.
    :param event_types: the events to subscribe to.
    :param max_live_duration: hours after which MetaStudio ends the job, unless the request says itself.
    :raises ValueError: naming the field that breaks a documented limit.
    """
    check_fields(fields)
    body: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    body["play_policy"] = _with_backstop(body.get("play_policy"), max_live_duration)
    if rtmp_outputs:
        body["output_urls"] = [output.url for output in rtmp_outputs]
        body["stream_keys"] = [output.stream_key or "" for output in rtmp_outputs]
    if interaction_callback_url:
        body["interaction_callback_url"] = interaction_callback_url
    if issued is not None:
        body["live_event_callback_config"] = {
            "live_event_type_callback_url": issued.url,
            "auth_type": issued.auth_type,
            "key": issued.key,
            "callback_event_type": list(event_types),
        }
    return StartJobRequest.read(body)


def hours_to_live(wanted: timedelta | None, *, cap: int) -> int:
    """
    Return ``max_live_duration``, in hours: the backstop behind an owner that may die.

    :param wanted: how long the livestream is planned to last at most; None if that is not known.
    :param cap: hours that count if it is not known.
    """
    if wanted is None:
        return max(1, min(cap, MAX_LIVE_DURATION))
    return max(1, min(math.ceil(wanted.total_seconds() / 3600) + BACKSTOP_MARGIN, MAX_LIVE_DURATION))


def _with_backstop(play_policy: Any, hours: int) -> Any:
    """Add ``max_live_duration``, unless the request says it, or is wrong in a way that it will be refused for."""
    policy = {} if play_policy is None else play_policy
    if not isinstance(policy, Mapping):
        return policy
    exit_config = policy.get("live_exit_config") or {}
    if isinstance(exit_config, Mapping) and not exit_config.get("max_live_duration"):
        exit_config = {**exit_config, "max_live_duration": hours}
    return {**policy, "live_exit_config": exit_config}
