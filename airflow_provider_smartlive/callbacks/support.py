"""Whether callbacks are supported by what is installed here: the version of Airflow, its tables, its database."""

from __future__ import annotations

from importlib.metadata import requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

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
    from airflow import settings

    from airflow_provider_smartlive.callbacks.shapes import UnsupportedDatabase, check_dialect, shape

    found = []
    if not is_airflow_supported():
        found.append(
            f"Airflow {installed_airflow()} is not supported by this release: "
            f"install apache-airflow {supported_airflow()}."
        )
    try:
        shape()
        if settings.engine is not None:
            check_dialect(settings.engine.dialect.name)
    except UnsupportedDatabase as error:
        found.append(str(error))
    return found
