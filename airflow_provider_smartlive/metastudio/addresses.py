"""Addresses: which host names exist at all, and which ones never leave the machine."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")


def is_host(host: str) -> bool:
    """
    Tell whether a text can be a host: an IP address, or labels of 1 to 63 characters with dots between them.

    HTTP libraries raise errors of their own for anything else, some of them only when a request is sent.
    """
    try:
        return bool(ip_address(host))
    except ValueError:
        labels = host.removesuffix(".").split(".")
        return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means the own machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_confidential(url: str) -> bool:
    """Tell whether nobody on the way can read what is sent to a URL: https, or the own machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")
