"""``smartlive-sandbox serve`` and ``rtmp``: the commands that stay."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from typing import Any

from airflow_provider_smartlive.sandbox.cli.exit_codes import OK, USAGE
from airflow_provider_smartlive.sandbox.clock import MAX_RATE
from airflow_provider_smartlive.sandbox.config import (
    Account,
    Config,
    ConfigError,
    RoomSeed,
    Scenario,
    parse_assumptions,
)
from airflow_provider_smartlive.sandbox.model.store import StateError
from airflow_provider_smartlive.sandbox.rtmp.platform import Platform
from airflow_provider_smartlive.sandbox.server import Sandbox
from airflow_provider_smartlive.sandbox.video.encoder_job import Audio, MissingEncoderError

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_serve(arguments) if arguments.command == "serve" else _rtmp(arguments))
    except (ConfigError, StateError, MissingEncoderError, OSError) as error:
        print(f"smartlive-sandbox {arguments.command}: {error}", file=sys.stderr)
        return USAGE
    return OK


async def _serve(arguments: argparse.Namespace) -> None:
    config = _config(arguments)
    platform = None
    if arguments.with_rtmp:
        platform = Platform(arguments.host, arguments.rtmp_port, keys=tuple(arguments.rtmp_key))
    stopped = _signals()
    async with Sandbox(config, host=arguments.host, port=arguments.port, platform=platform) as sandbox:
        _say(f"listening on {sandbox.url}")
        if platform is not None:
            _say(f"platform: {platform.url}")
        if sandbox.backend.any_room:
            print("any room: a start, or a look at it, makes the room (--room names rooms)", file=sys.stderr)
        if arguments.host not in _LOOPBACK:
            print("anybody who reaches this host can use /sandbox: it asks for no key", file=sys.stderr)
        await stopped.wait()


def _config(arguments: argparse.Namespace) -> Config:
    if not 0 < arguments.time_scale <= MAX_RATE:
        raise ConfigError(
            f"--time-scale must be more than 0 show seconds per second, and {MAX_RATE:.0f} at most"
        )
    try:
        account = Account(
            access_key=arguments.access_key,
            secret_key=arguments.secret_key,
            project_id=arguments.project_id,
            security_token=arguments.security_token,
            token=arguments.token,
            domain=arguments.iam_domain,
            user=arguments.iam_user,
            password=arguments.iam_password,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    config = Config(
        account=account,
        rate=arguments.time_scale,
        seed=arguments.seed,
        state=arguments.state,
        any_room=arguments.any_room,
        rooms=tuple(RoomSeed.parse(text) for text in arguments.room),
        assumptions=parse_assumptions(arguments.assume),
        link=arguments.link,
        picture=arguments.picture,
        audio=Audio(arguments.audio),
        may_crash=True,
        ca_file=arguments.ca_file,
        hosts=(arguments.host, *arguments.allow_host),
    )
    return config if arguments.scenario is None else config.with_scenario(Scenario.load(arguments.scenario))


async def _rtmp(arguments: argparse.Namespace) -> None:
    platform = Platform(arguments.host, arguments.port, keys=tuple(arguments.key))
    stopped = _signals()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _say_counts, platform)
    await platform.server.start()
    try:
        _say(f"listening on {platform.url}")
        while not stopped.is_set():
            try:
                await asyncio.wait_for(stopped.wait(), arguments.every)
            except TimeoutError:
                _say_counts(platform)
    finally:
        _say_counts(platform)
        await platform.server.stop()


def _say_counts(platform: Platform) -> None:
    counts: dict[str, Any] = platform.describe()
    _say(json.dumps(counts))


def _signals() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


def _say(text: str) -> None:
    print(text, flush=True)
