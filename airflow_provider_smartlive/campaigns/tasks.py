"""The tasks of a show that are no operator or sensor of this provider."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk.timezone import utcnow

from airflow_provider_smartlive.campaigns.times import Airing, ShowTimes
from airflow_provider_smartlive.campaigns.waiting import wait_until
from airflow_provider_smartlive.livestream import arguments
from airflow_provider_smartlive.livestream.job_operator import JobOperator
from airflow_provider_smartlive.operators import SmartLiveCommandOperator
from airflow_provider_smartlive.provider_info import DEFAULT_CONN_ID
from airflow_provider_smartlive.retries import failing_for_good

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_smartlive.campaigns.checks import Finding, Preroll
    from airflow_provider_smartlive.campaigns.notify import Notification

#: Key in Airflow's task state store: the airing that was checked. What is cleared behind the check finds it again.
STORE_KEY = "smartlive_airing"

_VERSION = 1

#: The param of a campaign's DAG: which shows a run by hand plays.
SHOWS_PARAM = "shows"


class PrerollCheckFailedError(AirflowException):
    """A show cannot go live as things are. A retry looks again."""


class PrerollCheckOperator(BaseOperator):
    """
    Check everything that a show needs some minutes before it goes live, wait for its start, and look again.

    It decides when the show starts and stops, once: after a clear of tasks behind it, it returns the same again without
    another check. Its result is ``{version, planned_start, planned_end}``, in ISO 8601.

    :param room_id: the room. Templated.
    :param output_conn_ids: connections that hold the RTMP outputs. Templated.
    :param standby_room_id: the room to go live in if MetaStudio refuses the start. Templated.
    :param standby_output_conn_ids: the outputs of that livestream. Templated.
    :param interaction_conn_id: connection of the ``interaction_callback_url``. Templated.
    :param smartlive_conn_id: connection to MetaStudio. Templated.
    :param starter_task_id: the task that will start the job.
    :param start_at: when the livestream starts: a datetime, or a text with date and time (ISO 8601). The check is made
        ``check_before`` it. Without it and ``times``: ``check_before`` after the run's scheduled time. Templated.
    :param show: the name of the show, which a run by hand can choose.
    :param times: when the show goes out; it is skipped in a run in which it is not due. None: in every run.
    :param check_before: without ``times``, how long before the start it checks.
    :param start_window: how late it may still go live; later it is skipped. None: however late.
    :param quota: how many livestreams the account may run at once.
    :param notification: who is told what blocks nothing, but has to be known.
    """

    template_fields: Sequence[str] = (
        "room_id",
        "output_conn_ids",
        "standby_room_id",
        "standby_output_conn_ids",
        "interaction_conn_id",
        "smartlive_conn_id",
        "start_at",
    )
    ui_color = "#ffe3e0"

    def __init__(
        self,
        *,
        room_id: str,
        output_conn_ids: Sequence[str] | str | None = (),
        standby_room_id: str | None = None,
        standby_output_conn_ids: Sequence[str] | str | None = (),
        interaction_conn_id: str | None = None,
        smartlive_conn_id: str = DEFAULT_CONN_ID,
        starter_task_id: str,
        start_at: datetime | str | None = None,
        show: str | None = None,
        times: ShowTimes | None = None,
        check_before: timedelta = timedelta(0),
        start_window: timedelta | None = timedelta(hours=1),
        quota: int | None = None,
        notification: Notification | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.room_id = room_id
        self.output_conn_ids = output_conn_ids
        self.standby_room_id = standby_room_id
        self.standby_output_conn_ids = standby_output_conn_ids
        self.interaction_conn_id = interaction_conn_id
        self.smartlive_conn_id = smartlive_conn_id
        self.starter_task_id = starter_task_id
        self.start_at = start_at
        self.show = show
        self.times = times
        self.check_before = check_before
        self.start_window = start_window
        self.quota = quota
        self.notification = notification

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Check, and wait for the start.

        :raises AirflowSkipException: if the show is not due in this run, or it is too late for it.
        :raises AirflowFailException: if an argument is wrong.
        :raises PrerollCheckFailedError: if it cannot go live.
        """
        store: Any = context["task_state_store"]
        known = store.get(STORE_KEY)
        if isinstance(known, dict) and known.get("version") == _VERSION:
            self.log.info("Checked before: it goes live at %s.", known["planned_start"])
            return dict(known)
        start, stop = self._due(context)
        if self.start_at:
            wait_until(self, start - self.check_before, method_name="execute_check")
        preroll = self._preroll(context, start)
        self._judge(context, list(preroll.findings()))
        if start > utcnow():
            kwargs = {"start": start.isoformat(), "stop": stop.isoformat() if stop else None}
            self.log.info("All is well. It goes live at %s.", start.isoformat())
            wait_until(self, start, method_name="execute_complete", kwargs=kwargs)
            self._look_again(context, preroll)
        return self._remember(context, start, stop)

    def execute_check(self, context: Context, event: Any) -> dict[str, Any]:
        """
        Check, as it is time for that.

        :param event: of the trigger; nothing.
        """
        return self.execute(context)

    def execute_complete(self, context: Context, event: Any, start: str, stop: str | None) -> dict[str, Any]:
        """
        Look again, as it is time.

        :param event: of the trigger; nothing.
        :param start: when the show starts (ISO 8601).
        :param stop: when it is stopped, if that is known.
        """
        start_at = datetime.fromisoformat(start)
        self._look_again(context, self._preroll(context, start_at))
        return self._remember(context, start_at, datetime.fromisoformat(stop) if stop else None)

    def _due(self, context: Context) -> tuple[datetime, datetime | None]:
        """Return when the show starts and stops in this run."""
        run: Any = context["dag_run"]
        kind = str(getattr(run.run_type, "value", run.run_type))
        if kind == "backfill":
            raise AirflowSkipException("This run is a backfill: what was not shown then is not shown now.")
        now = utcnow().astimezone(UTC)
        stop = None
        if self.times is not None:
            airing = self._airing(context, kind, run.run_after.astimezone(UTC), now)
            start, stop = airing.start, airing.stop
        elif self.start_at and (given := self._start_at(context)) is not None:
            start = given
        else:
            start = now if kind == "manual" else run.run_after.astimezone(UTC) + self.check_before
        if (why := self._too_late(start, stop, now)) is not None:
            if self.notification is not None:
                self.notification.tell(context, f"skipped, as it is too late: {why}")
            raise AirflowSkipException(why)
        return start, stop

    def _too_late(self, start: datetime, stop: datetime | None, now: datetime) -> str | None:
        """Return why it is too late for the show; None if it is not."""
        if stop is not None and stop <= now:
            return f"The show was to be over at {stop.isoformat()}."
        late = now - start
        if self.start_window is not None and late > self.start_window:
            return f"The show was to start at {start.isoformat()}, {late} ago; start_window is {self.start_window}."
        return None

    def _start_at(self, context: Context) -> datetime | None:
        with failing_for_good(unless=lambda: False):
            return arguments.time("start_at", self.start_at, zone=arguments.zone_of(context["dag"]))

    def _airing(self, context: Context, kind: str, run_at: datetime, now: datetime) -> Airing:
        times = self.times
        assert times is not None  # noqa: S101 -- the caller has looked
        if kind != "scheduled":
            wanted = context["params"].get(SHOWS_PARAM)
            if wanted is not None and self.show is not None and self.show not in wanted:
                raise AirflowSkipException(f"This run plays {', '.join(wanted) or 'nothing'}.")
            return times.like(now)
        airing = times.at_run(run_at)
        if airing is None:
            raise AirflowSkipException("The show is not due in this run.")
        return airing

    def _preroll(self, context: Context, start: datetime) -> Preroll:
        from airflow_provider_smartlive.campaigns.preroll import read_preroll

        return read_preroll(self, context["ti"], start)

    def _look_again(self, context: Context, preroll: Preroll) -> None:
        """Look once more at what may have changed since the check: who else is in the room or on the output."""
        self._judge(context, list(preroll.in_the_way(preroll.hook.profile())))

    def _judge(self, context: Context, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self.log.warning("%s: %s", finding.check, finding.text)
        if blocking := [f"{finding.check}: {finding.text}" for finding in findings if finding.blocks]:
            raise PrerollCheckFailedError(" ".join(blocking))
        if findings and self.notification is not None:
            self.notification.tell(context, " ".join(f"{found.check}: {found.text}" for found in findings))

    def _remember(self, context: Context, start: datetime, stop: datetime | None) -> dict[str, Any]:
        airing = {
            "version": _VERSION,
            "planned_start": start.isoformat(),
            "planned_end": stop.isoformat() if stop else None,
        }
        store: Any = context["task_state_store"]
        store.set(STORE_KEY, airing)
        return airing


class TimedCommandOperator(SmartLiveCommandOperator):
    """
    Send a command some time after the stream was CONNECTED. The other arguments are those of its base.

    :param after: how long after.
    :param connected_task_id: the sensor that has waited for CONNECTED.
    """

    def __init__(self, *, after: timedelta, connected_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.after = after
        self.connected_task_id = connected_task_id

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Wait, and send the command.

        :raises AirflowSkipException: if the livestream is over by then.
        :raises AirflowFailException: if the sensor has no result.
        """
        ti = context["ti"]
        seen = ti.xcom_pull(task_ids=self.connected_task_id, map_indexes=ti.map_index)
        if not isinstance(seen, dict) or "at" not in seen:
            raise AirflowFailException(
                f"{self.connected_task_id} has not said when the stream was CONNECTED."
            )
        moment = datetime.fromisoformat(seen["at"]) + self.after
        wait_until(self, moment, method_name="execute_now")
        return self.execute_now(context, None)

    def execute_now(self, context: Context, event: Any) -> dict[str, Any]:
        """
        Send the command, as it is time.

        :param event: of the trigger; nothing.
        """
        starter = self.find_starter(context)
        if starter is not None and (status := starter.status()).is_over:
            raise AirflowSkipException(
                f"The {starter} is over ({status}): there is nobody to talk to any more."
            )
        return super().execute(context)


class NotConnectedOperator(JobOperator):
    """
    Tell that a stream was not CONNECTED in time.

    It runs if the sensor has failed. The other arguments are those of its base.

    :param within: how long the stream was given, for the message.
    :param notification: who is told.
    """

    def __init__(self, *, within: timedelta, notification: Notification | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.within = within
        self.notification = notification

    def execute(self, context: Context) -> None:
        """
        Tell.

        :raises AirflowSkipException: if the livestream is over: then its own task says why.
        """
        starter = self.find_starter(context)
        if starter is not None and (status := starter.status()).is_over:
            raise AirflowSkipException(f"The {starter} is over ({status}); it says why.")
        text = f"the stream was not CONNECTED within {self.within}"
        self.log.warning("%s", text)
        if self.notification is not None:
            self.notification.tell(context, text)
