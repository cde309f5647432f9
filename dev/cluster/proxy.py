"""
The reverse proxies of the cluster: Caddy, whose program comes in a wheel.

A proxy as in production, because what it does with a server that is frozen or cut off is part of what is tested: it
asks each for its health, sends nothing to one that does not answer, and tries the other one if it cannot connect.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

#: Seconds between two questions for a backend's health, and for its answer.
HEALTH_INTERVAL, HEALTH_TIMEOUT = 2, 2

#: Caddy's program.
CADDY = Path(sys.executable).parent / "caddy"


def command(file: Path) -> list[str]:
    """Return the command that serves what a file says."""
    return [str(CADDY), "run", "--config", str(file), "--adapter", "caddyfile"]


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a Caddy that writes nowhere else."""
    return {"HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}


def write(file: Path, *sites: str) -> Path:
    """Write the file with all sites."""
    options = "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([options, *sites]))
    return file


def site(
    url: str,
    backends: Sequence[str],
    *,
    health: str | None = None,
    certificate: tuple[Path, Path] | None = None,
) -> str:
    """
    Return a site of the file.

    :param url: where it listens; ``http`` or ``https``, address and port.
    :param backends: addresses with ports, which take turns.
    :param health: the path that a healthy backend answers with 200; None: nobody asks.
    :param certificate: certificate and key, for https.
    """
    address = url.partition("://")[2].rpartition(":")[0]
    tls = [f"\ttls {certificate[0]} {certificate[1]}"] if certificate else []
    asked = [
        f"\t\thealth_uri {health}",
        f"\t\thealth_interval {HEALTH_INTERVAL}s",
        f"\t\thealth_timeout {HEALTH_TIMEOUT}s",
    ]
    lines = [
        f"{url} {{",
        f"\tbind {address}",
        *tls,
        f"\treverse_proxy {' '.join(backends)} {{",
        "\t\tlb_policy round_robin",
        "\t\tlb_try_duration 4s",
        *(asked if health else []),
        "\t\ttransport http {",
        "\t\t\tdial_timeout 1s",
        "\t\t}",
        "\t}",
        "}",
    ]
    return "\n".join(lines) + "\n"
