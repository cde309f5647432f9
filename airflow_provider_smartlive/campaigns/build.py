"""Make a DAG of a campaign."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, CronTriggerTimetable, MultipleCronTriggerTimetable, Param
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from airflow.sdk.definitions.param import ParamsDict
from pendulum import instance

from airflow_provider_smartlive.campaigns.group import Livestream, livestream
from airflow_provider_smartlive.campaigns.model import Campaign
from airflow_provider_smartlive.campaigns.notify import Recipient, dump
from airflow_provider_smartlive.campaigns.parts import Notifier
from airflow_provider_smartlive.campaigns.show import Show
from airflow_provider_smartlive.campaigns.tasks import SHOWS_PARAM
from airflow_provider_smartlive.campaigns.times import ShowTimes

#: What a campaign file ends with.
SUFFIXES = (".yaml", ".yml")

#: What the triggerer calls when a run is not over in time.
OVERDUE = "airflow_provider_smartlive.campaigns.overdue.tell_overdue"

#: How many runs of a campaign may go on at once: shows overlap, and yesterday's must not keep today's from starting.
MAX_ACTIVE_RUNS = 16

#: Tasks of a show that may need a worker at the same time.
TASKS_OF_A_SHOW = 4


def load(dag_file: str) -> DAG:
    """
    Make the DAG of the campaign file beside a DAG file: ``evening.yaml`` beside ``evening.py``.

    :param dag_file: the DAG file: ``__file__``.
    :raises CampaignError: with everything that is wrong with the campaign file; Airflow shows it as an import error.
    """
    stub = Path(dag_file)
    names = [stub.with_suffix(suffix) for suffix in SUFFIXES]
    path = next((path for path in names if path.exists()), names[0])
    # Airflow's import error names the folder already, and people know the file by its name.
    dag = build(Campaign.read(path, path.name))
    dag.fileloc = str(stub)
    return dag


def build(campaign: Campaign) -> DAG:
    """
    Make the DAG of a campaign: one task group per show.

    A run by hand plays all shows at once, for as long as planned, or those in its param ``shows``.

    :param campaign: the campaign.
    """
    times = [show.times(campaign.zone) for show in campaign.shows]
    names = [show.name for show in campaign.shows]
    shows = Param(
        names,
        type="array",
        items={"type": "string", "enum": names},
        description="The shows that a run by hand plays, at once.",
    )
    tags = {"smartlive", *campaign.tags, *(tag for show in campaign.shows for tag in show.tags)}
    with DAG(
        dag_id=campaign.campaign,
        schedule=_timetable(campaign, times),
        catchup=False,
        deadline=_deadline(campaign),
        max_active_runs=MAX_ACTIVE_RUNS,
        max_active_tasks=max(MAX_ACTIVE_RUNS, TASKS_OF_A_SHOW * len(names)),
        tags=sorted(tags),
        doc_md=campaign.description or f"Campaign {campaign.campaign}.",
    ) as dag:
        for show, of_show in zip(campaign.shows, times, strict=True):
            _livestream(campaign, show, of_show)
    # Not before: each task would copy it, and that takes a fifth of the time of parsing.
    dag.params = ParamsDict({SHOWS_PARAM: shows})
    return dag


def _livestream(campaign: Campaign, show: Show, times: ShowTimes) -> Livestream:
    return livestream(
        show.name,
        room_id=show.room,
        output_conn_ids=show.outputs,
        smartlive_conn_id=show.connection,
        interaction_conn_id=show.interaction,
        times=times,
        start_window=show.start_window,
        alert_if_not_connected_after=show.alert_if_not_connected_after,
        commands=[(command.after, command.request) for command in show.commands],
        notify=[_notified(one) for one in show.notify],
        quota=campaign.quota,
        retries=show.retries,
        as_run_path=campaign.as_run_path,
        records_path=campaign.records_path,
        **show.presets,
        **show.limits,
        **_outlets(show),
        **_standby(show),
        **_pool(show),
    )


def _deadline(campaign: Campaign) -> DeadlineAlert | None:
    """Return the alert of a run that is not over in time; None without one."""
    if campaign.alert_if_not_over_after is None:
        return None
    told: list[str | Recipient] = []
    for show in campaign.shows:
        told += [one for notify in show.notify if (one := _notified(notify)) not in told]
    after = campaign.alert_if_not_over_after
    arguments = {"recipients": dump(told), "after": after.total_seconds()}
    callback = AsyncCallback(OVERDUE, kwargs=arguments)
    return DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, after, callback)


def _pool(show: Show) -> dict[str, Any]:
    """Return the argument of the operator that names the pool: without one, Airflow's default counts."""
    return {"pool": show.pool} if show.pool is not None else {}


def _outlets(show: Show) -> dict[str, Any]:
    """Return the arguments of the task group that name assets."""
    if show.outlets is None:
        return {}
    of_event: dict[str, list[str]] = {
        "connected_outlets": show.outlets.connected,
        "outlets": show.outlets.ended,
        "as_run_outlets": show.outlets.as_run,
    }
    return {argument: [Asset(name) for name in names] for argument, names in of_event.items()}


def _standby(show: Show) -> dict[str, Any]:
    """Return the arguments of the operator that name the standby."""
    if show.standby is None:
        return {}
    return {"standby_room_id": show.standby.room, "standby_output_conn_ids": show.standby.outputs}


def _notified(notify: str | Notifier) -> str | Recipient:
    return notify if isinstance(notify, str) else Recipient(notify.notifier, notify.arguments)


def _timetable(campaign: Campaign, times: list[ShowTimes]) -> Any:
    """Return when the runs begin: for each show some minutes before its start, and one run for all that are due."""
    crons = sorted({cron for of_show in times for cron in of_show.run_crons})
    if len(crons) == 1:
        return CronTriggerTimetable(crons[0], timezone=campaign.timezone)
    if crons:
        return MultipleCronTriggerTimetable(*crons, timezone=campaign.timezone)
    # The core's: what the Task SDK's own writes into the database, Airflow 3.3 cannot read back.
    from airflow.timetables.events import EventsTimetable

    runs = sorted({run_at for of_show in times for run_at in of_show.run_times()})
    return EventsTimetable([instance(run_at) for run_at in runs], description=f"{len(runs)} dates")
