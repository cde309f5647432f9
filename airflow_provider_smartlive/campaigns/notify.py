"""Tell people what goes wrong with a show: by an Airflow connection, or by any notifier."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from airflow_provider_smartlive.metastudio.text import safe_text

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

#: The notifiers of connections, by their type: the path, and the names of the arguments for connection and text.
BY_CONNECTION_TYPE: Mapping[str, tuple[str, str, str]] = {
    "apprise": ("airflow.providers.apprise.notifications.apprise.AppriseNotifier", "apprise_conn_id", "body"),
    "discord": ("airflow.providers.discord.notifications.discord.DiscordNotifier", "discord_conn_id", "text"),
    "http": ("airflow.providers.http.notifications.HttpNotifier", "http_conn_id", "json"),
    "slackwebhook": (
        "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier",
        "slack_webhook_conn_id",
        "text",
    ),
}


@dataclass(frozen=True)
class Recipient:
    """
    A notifier of Airflow, or any other callable that takes a task's context, by its dotted path.

    :param path: such as ``airflow.providers.smtp.notifications.smtp.SmtpNotifier``.
    :param arguments: what a class is made with. Notifiers render their templates; ``{{ message }}`` is what happened.
    """

    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Callable[[Context], Any]:
        """
        Return what takes the context.

        :raises ValueError: if there is no such thing, or it does not take these arguments.
        """
        try:
            found: Any = resolve_name(self.path)
            notifier = found(**self.arguments) if isinstance(found, type) else found
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"notifier {self.path} cannot be used: {error}") from error
        if not callable(notifier):
            raise ValueError(f"notifier {self.path} cannot be called")
        return notifier  # type: ignore[no-any-return]  # whatever stands at that path


#: Who is told: the id of an Airflow connection, a notifier by its path, or any callable that takes a task's context.
Notified = str | Recipient | Callable[["Context"], Any]


class Notification:
    """
    Tells recipients what goes wrong. As a callback of a task it says why the task failed.

    One that cannot be reached keeps no other from being told, and fails no task.

    :param recipients: who is told.
    :param subject: what it is about, such as the name of the show.
    """

    def __init__(self, recipients: Sequence[Notified], *, subject: str) -> None:
        self.recipients = tuple(recipients)
        self.subject = subject

    def __call__(self, context: Context) -> None:
        """Tell why a task failed."""
        error = context.get("exception")
        self.tell(context, f"{context['ti'].task_id} failed: {error or 'see its log'}")

    def skipped(self, context: Context) -> None:
        """Tell, as the callback of a task that starts a livestream, that it was too late to go live."""
        self.tell(context, f"{context['ti'].task_id} was skipped: it was too late to go live")

    def tell(self, context: Context, text: str) -> None:
        """
        Tell something.

        :param context: of the task that has noticed it.
        :param text: what it is, as the rest of a sentence.
        """
        ti = context["ti"]
        send_all(self.recipients, f"{ti.dag_id}, {self.subject}: {text} (run {ti.run_id})", context)


def dump(recipients: Iterable[str | Recipient]) -> list[str | dict[str, Any]]:
    """Return recipients as JSON-able primitives."""
    return [
        one if isinstance(one, str) else {"path": one.path, "arguments": dict(one.arguments)}
        for one in recipients
    ]


def send_all(recipients: Iterable[Notified], text: str, context: Context) -> None:
    """
    Tell all of them; one that cannot be reached keeps no other from being told.

    :param recipients: who is told.
    :param text: what is told, without its secrets.
    :param context: what templates of notifiers can use.
    """
    message = safe_text(text)
    for recipient in recipients:
        try:
            _send(recipient, message, context)
        except Exception as error:
            log.error("Nobody was told by %s: %s", _name(recipient), error)


def _send(recipient: Notified, message: str, context: Context) -> None:
    notifier: Any = recipient
    if isinstance(recipient, str):
        notifier = _of_connection(recipient, message).load()
    elif isinstance(recipient, Recipient):
        notifier = recipient.load()
    # Notifiers change the context that they render with.
    told: Any = {**context, "message": message}
    notifier(told)


def _of_connection(conn_id: str, message: str) -> Recipient:
    from airflow_provider_smartlive.client.lookup import find_connection

    kind = find_connection(conn_id, argument="notify").conn_type or ""
    if kind not in BY_CONNECTION_TYPE:
        raise ValueError(
            f"connection {conn_id!r} is of type {kind!r}, for which no notifier is known. Use one of "
            f"{', '.join(BY_CONNECTION_TYPE)}, or name a notifier by its dotted path."
        )
    path, conn_argument, text_argument = BY_CONNECTION_TYPE[kind]
    text: Any = {"text": message} if text_argument == "json" else message
    return Recipient(path, {conn_argument: conn_id, text_argument: text})


def _name(recipient: Notified) -> str:
    if isinstance(recipient, str):
        return f"connection {recipient!r}"
    return recipient.path if isinstance(recipient, Recipient) else repr(recipient)
