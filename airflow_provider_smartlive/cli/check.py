"""``airflow smartlive check``: is everything there that a livestream needs, and what to do about what is not."""

from __future__ import annotations

import platform
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import metadata, version
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.callbacks.task_ref import TaskRef
from airflow_provider_smartlive.callbacks.url import MIN_SECRET_LENGTH, MOUNT_PATH, CallbackUrlError
from airflow_provider_smartlive.cli import airflow_core, callback_check
from airflow_provider_smartlive.cli.definition import TEST_TASK
from airflow_provider_smartlive.cli.errors import EXPECTED, command, describe, fail
from airflow_provider_smartlive.cli.output import one_line, plural, say, say_json, table
from airflow_provider_smartlive.metastudio.addresses import is_out_of_reach
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.provider_info import OPTIONS
from airflow_provider_smartlive.receiver import support
from airflow_provider_smartlive.receiver.support import PACKAGE

if TYPE_CHECKING:
    from airflow_provider_smartlive.client.connection import ConnectionProfile


class Status(StrEnum):
    """What came of a check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Result:
    """
    What a check found.

    :param check: what was looked at.
    :param status: whether a livestream can do with it.
    :param found: what is there, without a secret in it.
    :param fix: what to do about it; empty if nothing has to be done, or if ``found`` says so.
    """

    check: str
    status: Status
    found: str
    fix: str = ""


@command
def check(args: Namespace) -> None:
    """Print what was found; exits with 1 if something is missing."""
    results = list(_results(args))
    failed = sum(result.status is Status.FAIL for result in results)
    if args.json:
        say_json({"ok": not failed, "checks": [asdict(result) for result in results]})
    else:
        _print(results)
    if failed:
        fail(f"{failed} of {plural(len(results), 'check')} failed.")


def _print(results: list[Result]) -> None:
    head, *lines = table(("status", "check", "found"), [asdict(result) for result in results]).splitlines()
    say(head)
    for line, result in zip(lines, results, strict=True):
        say(line)
        if result.fix:
            say(f"{' ' * head.index('FOUND')}Fix: {one_line(result.fix)}")


def _results(args: Namespace) -> Iterator[Result]:
    yield Result("provider", Status.OK, version(PACKAGE))
    yield _python()
    yield _airflow()
    yield _guarded("database", _database, args)
    yield _guarded("triggerer", _triggerer, args)
    yield _guarded("plugin", _plugin, args)
    yield _guarded("xcom backend", _xcom_backend, args)
    yield _guarded("settings", _settings, args)
    secrets = _guarded("callback secrets", _secrets, args)
    yield secrets
    hook = airflow_core.CommandHook(args.conn_id)
    connection = _guarded("connection", lambda: _connection(hook), args)
    yield connection
    if first := [result.check for result in (secrets, connection) if result.status is Status.FAIL]:
        yield Result("callbacks", Status.WARN, "not tried", f"Mend {' and '.join(first)} first.")
    else:
        yield _guarded("callbacks", lambda: _callbacks(hook.profile()), args)


def _guarded(check: str, look: Callable[[], Result], args: Namespace) -> Result:
    """Return what a check finds; what goes wrong in one of them keeps no other from its turn."""
    try:
        return look()
    except EXPECTED as error:
        return Result(check, Status.FAIL, describe(error, args))


def _python() -> Result:
    needed = SpecifierSet(metadata(PACKAGE)["Requires-Python"])
    here = platform.python_version()
    if needed.contains(here, prereleases=True):
        return Result("python", Status.OK, here)
    return Result("python", Status.FAIL, here, f"Run Airflow with a Python {needed}.")


def _airflow() -> Result:
    needed, here = support.supported_airflow(), support.installed_airflow()
    if support.is_airflow_supported():
        return Result("airflow", Status.OK, f"{here} (needed: {needed})")
    return Result("airflow", Status.FAIL, here, f"Install apache-airflow {needed}.")


def _database() -> Result:
    kind = airflow_core.database_kind()
    if kind in ("postgresql", "sqlite"):
        return Result("database", Status.OK, kind)
    return Result(
        "database",
        Status.FAIL,
        f"{kind}: callbacks are refused, as nobody has tested their locking there",
        "Use PostgreSQL, or start jobs with use_callbacks=False.",
    )


def _triggerer() -> Result:
    hosts = airflow_core.live_triggerers()
    if hosts:
        return Result("triggerer", Status.OK, f"{len(hosts)} alive: {', '.join(hosts)}")
    return Result(
        "triggerer",
        Status.FAIL,
        "none is alive: a task that waits is never resumed",
        "Start `airflow triggerer`.",
    )


def _plugin() -> Result:
    if MOUNT_PATH in airflow_core.mounted_paths():
        return Result(
            "plugin", Status.OK, f"puts the receiver at {MOUNT_PATH} of an API server that starts now"
        )
    errors = "; ".join(f"{name}: {text}" for name, text in airflow_core.plugin_errors().items())
    return Result(
        "plugin",
        Status.FAIL,
        f"Airflow has not loaded it ({errors or 'without an error'})",
        f"Install {PACKAGE} anew in this environment and in the API server's, and restart the API server.",
    )


def _xcom_backend() -> Result:
    name = airflow_core.xcom_backend()
    if name is None:
        return Result("xcom backend", Status.OK, "Airflow's own")
    if airflow_core.reads_plain_xcoms():
        return Result("xcom backend", Status.OK, f"{name} reads what the receiver writes")
    return Result(
        "xcom backend",
        Status.FAIL,
        f"{name} does not read what the receiver writes: the results of sensors, and the id of a job in templates",
        "Its deserialize_value has to return a value as it is that its serialize_value has not made.",
    )


def _settings() -> Result:
    problems = []
    for option in OPTIONS:
        try:
            settings.check_option(option)
        except settings.InvalidSettingError as error:
            problems.append(str(error))
    if problems:
        return Result("settings", Status.FAIL, " ".join(problems), "See docs/settings.md.")
    return Result(
        "settings", Status.OK, f"{plural(len(OPTIONS), 'option')} of [{settings.SECTION}] can be read"
    )


def _secrets() -> Result:
    secrets = settings.callback_secrets()
    make = "Make one with `airflow smartlive generate-secret`, for workers and API servers alike."
    if not secrets:
        return Result(
            "callback secrets", Status.FAIL, "[smartlive] callback_secrets is empty on this machine", make
        )
    if short := sum(len(secret) < MIN_SECRET_LENGTH for secret in secrets):
        found = f"{short} of {len(secrets)} in [smartlive] callback_secrets shorter than {MIN_SECRET_LENGTH} characters"
        return Result("callback secrets", Status.FAIL, found, make)
    return Result("callback secrets", Status.OK, f"{len(secrets)} on this machine")


def _connection(hook: airflow_core.CommandHook) -> Result:
    profile = hook.profile()
    works, text = hook.test_connection()
    where = f"{hook.smartlive_conn_id!r}: project {profile.project_id} at {profile.endpoint}"
    if works:
        return Result("connection", Status.OK, f"{where} answers")
    return Result("connection", Status.FAIL, f"{where}: {text}")


def _callbacks(profile: ConnectionProfile) -> Result:
    try:
        issued = callback_check.issue_for(TaskRef(*TEST_TASK), profile)
    except CallbackUrlError as error:
        return Result("callbacks", Status.FAIL, str(error))
    url = callback_check.shown(issued)
    if is_out_of_reach(url, profile.endpoint):
        return Result(
            "callbacks",
            Status.FAIL,
            f"{url} is an address of this machine or network, which MetaStudio cannot reach",
            "Set [smartlive] callback_base_url to the public https address of the API server.",
        )
    diagnosis = callback_check.send(issued, has_task=False)
    if diagnosis.works and issued.auth_type is AuthType.NONE:
        return Result(
            "callbacks",
            Status.WARN,
            f"{url} takes events, tried from here; they are not signed",
            "Whoever reads the address in a log can send events: set callback_auth_type to MSS_A_HEAD.",
        )
    if diagnosis.works:
        return Result("callbacks", Status.OK, f"{url} takes signed events, tried from here")
    return Result("callbacks", Status.FAIL, f"{url}: {diagnosis.text}", "docs/exposing.md has the whole way.")
