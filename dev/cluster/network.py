"""The hosts of a cluster on one machine: network namespaces with addresses of their own, or loopback ports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Protocol, Self

from dev.process import Program, free_port

#: Tells a process of ours that it runs in a network namespace of its own.
ENTERED = "SMARTLIVE_CLUSTER_NAMESPACE"

#: What a namespace is made with, all of iproute2 and util-linux.
TOOLS = ("ip", "bridge", "unshare", "setpriv")

#: The bridge that all hosts hang on, and the first three numbers of their addresses. Both exist in a namespace only.
BRIDGE, SUBNET = "hub", "10.77.0"

#: A port of a bridge that forwards nothing, and one that forwards all.
DISABLED, FORWARDING = "0", "3"

_NAMESPACES = Path("/run/netns")


class Network(Protocol):
    """The hosts of a cluster."""

    #: What this is, in a line.
    text: str

    #: Whether a host can be cut off from all others.
    can_cut: bool

    def address(self, host: str) -> str:
        """Return the IP address of a host; a new host is made."""

    def port(self, usual: int) -> int:
        """Return the port on which a service is to listen."""

    def program(
        self, host: str, argv: Sequence[str], *, env: Mapping[str, str], log_folder: Path, name: str = ""
    ) -> Program:
        """
        Return a program on a host, which is not started yet.

        :param name: its name; default: that of the host.
        """

    def cut(self, host: str) -> None:
        """Drop all packets from and to a host; whoever sends them is told nothing."""

    def mend(self, host: str) -> None:
        """Let a host's packets through again."""


class Loopback:
    """All hosts are 127.0.0.1, and each service has a free port."""

    text = (
        "all hosts on 127.0.0.1, with ports of their own (no root, or no namespaces): a partition is not run"
    )
    can_cut = False

    def address(self, host: str) -> str:
        return "127.0.0.1"

    def port(self, usual: int) -> int:
        return free_port()

    def program(
        self, host: str, argv: Sequence[str], *, env: Mapping[str, str], log_folder: Path, name: str = ""
    ) -> Program:
        return Program(name or host, argv, env=env, log_folder=log_folder)

    def cut(self, host: str) -> None:
        raise NotImplementedError("A process on loopback cannot be cut off.")

    mend = cut


class Namespaces:
    """
    Each host is a network namespace, and this process is in one of its own: see :func:`enter_namespace`.

    They are gone with the last of their processes.
    """

    text = f"each host in a network namespace with an address of its own ({SUBNET}.0/24)"
    can_cut = True

    def __init__(self) -> None:
        self._hosts: dict[str, int] = {}

    def __enter__(self) -> Self:
        _NAMESPACES.mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", str(_NAMESPACES))
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "link", "set", BRIDGE, "up")
        run("ip", "address", "add", f"{SUBNET}.1/24", "dev", BRIDGE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in self._hosts:
            run("ip", "netns", "delete", host)
        run("ip", "link", "delete", BRIDGE)
        run("umount", str(_NAMESPACES))

    def address(self, host: str) -> str:
        if host not in self._hosts:
            self._hosts[host] = len(self._hosts) + 11
            self._add(host, f"{SUBNET}.{self._hosts[host]}")
        return f"{SUBNET}.{self._hosts[host]}"

    def port(self, usual: int) -> int:
        return usual

    def program(
        self, host: str, argv: Sequence[str], *, env: Mapping[str, str], log_folder: Path, name: str = ""
    ) -> Program:
        self.address(host)
        return Program(name or host, ["ip", "netns", "exec", host, *argv], env=env, log_folder=log_folder)

    def cut(self, host: str) -> None:
        run("bridge", "link", "set", "dev", self._cable(host), "state", DISABLED)

    def mend(self, host: str) -> None:
        run("bridge", "link", "set", "dev", self._cable(host), "state", FORWARDING)

    def _add(self, host: str, address: str) -> None:
        cable = self._cable(host)
        run("ip", "netns", "add", host)
        run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", host)
        run("ip", "link", "set", cable, "master", BRIDGE, "up")
        run("ip", "-n", host, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            run("ip", "-n", host, "link", "set", device, "up")

    def _cable(self, host: str) -> str:
        return f"cable-{self._hosts[host]}"


def enter_namespace(module: str, arguments: Sequence[str]) -> None:
    """
    Go on in a network namespace of its own, if this machine permits it: the module is begun again there.

    :param module: what ``python -m`` runs.
    :param arguments: its arguments.
    """
    if ENTERED not in os.environ and namespaces_permitted():
        _execute([*_UNSHARE, sys.executable, "-W", "ignore", "-m", module, *arguments])


def namespaces_permitted() -> bool:
    """Whether network namespaces can be made here."""
    if os.geteuid() != 0 or not all(map(shutil.which, TOOLS)):
        return False
    tried = subprocess.run(
        [*_UNSHARE, "ip", "link", "add", BRIDGE, "type", "bridge"], capture_output=True, check=False
    )
    return tried.returncode == 0


def is_entered() -> bool:
    """Whether this process is in a network namespace of its own."""
    return ENTERED in os.environ


def run(*argv: str) -> None:
    """Run a command of the system."""
    subprocess.run(argv, check=True, capture_output=True)


_UNSHARE = ("unshare", "--net", "--mount", "--propagation", "private")


def _execute(argv: Sequence[str]) -> NoReturn:
    os.execvpe(argv[0], list(argv), os.environ | {ENTERED: "1"})
