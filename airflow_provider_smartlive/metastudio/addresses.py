"""Addresses: which host names exist at all, and which ones the world does not reach."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")

#: Top-level domains that no public name server knows.
_INTERNAL_DOMAINS = (".local", ".internal", ".lan", ".home.arpa", ".localhost")


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


def is_internal(host: str) -> bool:
    """Tell whether a host name or address means something only on the own machine or in the own network."""
    if is_loopback(host):
        return True
    try:
        return ip_address(host).is_private
    except ValueError:
        name = host.lower().removesuffix(".")
        return "." not in name or name.endswith(_INTERNAL_DOMAINS)


def is_confidential(url: str) -> bool:
    """Tell whether nobody on the way can read what is sent to a URL: https, or the own machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def is_out_of_reach(url: str, caller: str) -> bool:
    """
    Tell whether a URL can surely not be called from somewhere.

    :param url: what is to be called.
    :param caller: a URL of the caller's, which is on the internet unless it is internal itself.
    """
    return is_internal(urlsplit(url).hostname or "") and not is_internal(urlsplit(caller).hostname or "")
