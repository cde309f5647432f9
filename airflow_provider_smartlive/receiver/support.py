"""Whether callbacks are supported by what is installed here: the version of Airflow, its tables, its database."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import requires, version

from airflow import settings
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from airflow_provider_smartlive.receiver.shapes import UnsupportedDatabase, check_dialect, shape

PACKAGE = "airflow-provider-smartlive"


def supported_airflow() -> SpecifierSet:
    """Return the versions of Airflow that this release was tested on."""
    declared = map(Requirement, requires(PACKAGE) or ())
    return next(found.specifier for found in declared if found.name == "apache-airflow")


def installed_airflow() -> str:
    """Return the version of Airflow that is installed here."""
    return version("apache-airflow-core")


def is_airflow_supported() -> bool:
    """Tell whether this release was tested on the Airflow that is installed here, pre-releases included."""
    return supported_airflow().contains(installed_airflow(), prereleases=True)


def problems() -> list[str]:
    """Return what keeps callbacks from being supported here, each with its fix. Reads no table."""
    if is_airflow_supported():
        found = _refused(shape)
    else:
        # Its tables may be unknown, too: that is the same problem, with the same fix.
        fix = f"install apache-airflow {supported_airflow()}"
        found = [f"Airflow {installed_airflow()} is not supported by this release: {fix}."]
    if settings.engine is not None:
        found += _refused(partial(check_dialect, settings.engine.dialect.name))
    return found


def _refused(check: Callable[[], object]) -> list[str]:
    """Return what a check says that refuses; nothing if it does not."""
    try:
        check()
    except UnsupportedDatabase as error:
        return [str(error)]
    return []
