"""Find active jobs in the same room, or on the same RTMP output."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from airflow_provider_smartlive.livestream.ownership import target_of
from airflow_provider_smartlive.livestream.starter import Starter
from airflow_provider_smartlive.metastudio.ids import same_id

if TYPE_CHECKING:
    from airflow_provider_smartlive.callbacks.url import CallbackTarget
    from airflow_provider_smartlive.metastudio.jobs import SmartLiveJob


def rival_warnings(
    jobs: Iterable[SmartLiveJob],
    *,
    room_id: str,
    outputs: Collection[str] = (),
    secrets: Sequence[str],
) -> Iterator[str]:
    """
    Yield a sentence for each job that gets in the way of another one, with the fix.

    :param jobs: the active jobs of the connection but that one, as MetaStudio lists them.
    :param room_id: the room of that one.
    :param outputs: the fingerprints of its RTMP outputs, as its callback URL carries them. A job that carries none,
        because nobody of ours started it, is only compared by its room.
    :param secrets: ``[smartlive] callback_secrets``.
    """
    for other in jobs:
        target = target_of(other, secrets)
        who = f"Job {other.job_id} in room {other.room_id} ({_started_by(target)})"
        if target is not None and set(outputs) & set(target.terms.outputs):
            yield (
                f"{who} has the same RTMP output. A platform takes one publisher per stream key, so each of the two "
                "interrupts the other. Give each room its own connection in output_conn_ids, and stop one of the jobs."
            )
        elif other.room_id is not None and same_id(other.room_id, room_id):
            yield (
                f"{who} runs in this room as well. Give each task its own room_id, or have the second start refused "
                "with job_run_config={'single_job_in_room': True}."
            )


def _started_by(target: CallbackTarget | None) -> str:
    return "not started by a task" if target is None else str(Starter(**asdict(target.task_ref)))
