"""Somebody who is told what goes wrong, and keeps it."""

from __future__ import annotations

from typing import Any

MESSAGES: list[str] = []


def listen(context: dict[str, Any]) -> None:
    """Take a task's context, as a callback of Airflow does."""
    MESSAGES.append(context["message"])


class Listener:
    """The same, as a class that is made with arguments."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __call__(self, context: dict[str, Any]) -> None:
        MESSAGES.append(f"{self.prefix}{context['message']}")
