"""Tell people what goes wrong, by an Airflow connection or any notifier."""

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
        # The id of a run may look like a key, and is none.
        message = f"{ti.dag_id}, {self.subject}: {safe_text(text)} (run {ti.run_id})"
        for recipient in self.recipients:
            try:
                _send(recipient, message, context)
            except Exception as error:
                log.error("Nobody was told by %s: %s", name_of(recipient), error)


def dump(recipients: Iterable[str | Recipient]) -> list[str | dict[str, Any]]:
    """Return recipients as JSON-able primitives."""
    return [
        one if isinstance(one, str) else {"path": one.path, "arguments": dict(one.arguments)}
        for one in recipients
    ]


def _send(recipient: Notified, message: str, context: Context) -> None:
    notifier: Any = recipient
    if isinstance(recipient, str):
        from airflow_provider_smartlive.client.lookup import find_connection

        kind = find_connection(recipient, argument="notify").conn_type
        notifier = of_connection(recipient, kind, message).load()
    elif isinstance(recipient, Recipient):
        notifier = recipient.load()
    # Notifiers change the context that they render with.
    told: Any = {**context, "message": message}
    notifier(told)


def of_connection(conn_id: str, kind: str | None, message: str) -> Recipient:
    """
    Return the notifier of a connection.

    :param conn_id: its id.
    :param kind: its type.
    :param message: what it tells.
    :raises ValueError: if no notifier is known for its type.
    """
    if kind is None or kind not in BY_CONNECTION_TYPE:
        raise ValueError(
            f"connection {conn_id!r} is of type {kind!r}, for which no notifier is known. Use one of "
            f"{', '.join(BY_CONNECTION_TYPE)}, or name a notifier by its dotted path."
        )
    path, conn_argument, text_argument = BY_CONNECTION_TYPE[kind]
    text: Any = {"text": message} if text_argument == "json" else message
    return Recipient(path, {conn_argument: conn_id, text_argument: text})


def name_of(recipient: Notified) -> str:
    """Return a recipient as logs name it."""
    if isinstance(recipient, str):
        return f"connection {recipient!r}"
    return recipient.path if isinstance(recipient, Recipient) else repr(recipient)
