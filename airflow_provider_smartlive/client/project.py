"""Whether a connection still leads to the project of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_smartlive.client.connection import InvalidConnectionError

if TYPE_CHECKING:
    from airflow_provider_smartlive.client.connection import ConnectionProfile
    from airflow_provider_smartlive.metastudio.ids import JobRef


class OtherProjectError(InvalidConnectionError):
    """A connection leads to another project than the one in which a job was started, and where it may still run."""


def check_project(profile: ConnectionProfile, address: str | None, job: JobRef | str) -> None:
    """
    Refuse to ask about a job, or to stop it, where it cannot be: that it is not found there would tell nothing.

    :param profile: the connection as it is now.
    :param address: where it led when the job was started: MetaStudio's endpoint and the project; None: not known, or
        nothing of the job runs any more.
    :param job: the job, or what there is to say of one whose start has an unknown outcome.
    :raises OtherProjectError: if it leads elsewhere. The text names both addresses, room and job, and no secret.
    """
    if address is None or address == profile.base_url:
        return
    raise OtherProjectError(
        f"Connection {profile.conn_id!r} leads to {profile.base_url}, but {job} was started at {address} and "
        "may still run there. Set host, region and project_id back until it is over, and give the other project a "
        "connection of its own."
    )
