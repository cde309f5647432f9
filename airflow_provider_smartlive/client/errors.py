"""Errors between a task and MetaStudio, beside MetaStudio's own."""

from __future__ import annotations

from enum import Enum
from typing import Any

from airflow_provider_smartlive.client.body import MAX_BODY
from airflow_provider_smartlive.metastudio import errors


class TransportFailure(Enum):
    """Why no complete answer came; ``sent`` tells whether MetaStudio may have received the request."""

    NAME = (False, "the name of {peer} cannot be resolved. Check host or region, and the DNS of this machine")
    CONNECT = (
        False,
        "no connection to {peer}. Check host and port, and whether a proxy or firewall is in between",
    )
    TLS = (False, "no trusted TLS connection to {peer}. If a company proxy re-signs traffic, set ca_bundle")
    PROXY = (False, "the proxy does not lead to {peer}. Check proxy, its user name and password")
    ADDRESS = (False, "no request can be made for {peer}. Check host, and the other fields of the connection")
    LATE = (False, "the request was ready for {peer} only after the time by which it had to be sent")
    TIMEOUT = (True, "{peer} did not answer in time ([smartlive] request_timeout)")
    LOST = (True, "the connection to {peer} broke before the answer was complete")
    TOO_LARGE = (
        True,
        f"{{peer}} answers with more than {MAX_BODY >> 20} MiB, which is not MetaStudio. Check host and proxy",
    )

    def __init__(self, sent: bool, text: str) -> None:
        self.sent = sent
        self.text = text


class Unreachable(errors.MetaStudioError):
    """
    No complete answer came from MetaStudio.

    :ivar failure: what happened, and whether the request may have been received.
    """

    def __init__(
        self, error_msg: str, *, failure: TransportFailure = TransportFailure.LOST, **details: Any
    ) -> None:
        super().__init__(error_msg, **details)
        self.failure = failure

    @property
    def is_transient(self) -> bool:
        """Always: networks recover."""
        return True


class StartOutcomeUnknown(errors.MetaStudioError):
    """
    A start request may or may not have started a job, as its answer is missing, broken or a server error.

    Sending it again could start, and bill, a second stream: look for the job first.
    """
