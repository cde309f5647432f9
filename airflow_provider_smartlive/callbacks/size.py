"""
Keep the callback table small, whatever a week of events brings. Pure.

What costs the reader least is given up first; the counts stay.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from airflow_provider_smartlive.callbacks.table import CallbackTable, StreamRow, Unrecognised

#: The largest table, as JSON text.
MAX_BYTES = 16 * 1024

#: Transitions of a stream, as long as there is room for them.
MAX_TRANSITIONS = 20


def fits(table: CallbackTable) -> bool:
    """Tell whether the table is no larger than :data:`MAX_BYTES`."""
    return len(json.dumps(table.dump())) <= MAX_BYTES


def fitted(table: CallbackTable, kept: str | None = None) -> CallbackTable:
    """
    Hold the table to :data:`MAX_BYTES`, giving up first what costs the reader least.

    :param kept: The job to which all others are given up in the end; None: none is.
    """
    if _is_ordinary(table):
        return table
    steps: tuple[Callable[[CallbackTable], CallbackTable], ...] = (
        lambda table: _with_transitions(table, MAX_TRANSITIONS // 4),
        _without_lists,
        lambda table: _with_transitions(table, 1),
        *((lambda table: _with_one_job(table, kept),) if kept else ()),
    )
    for step in steps:
        if fits(table):
            break
        table = step(table)
    return table


def _is_ordinary(table: CallbackTable) -> bool:
    """
    Tell whether this is the table of one job with one output, and everything in it was recognised.

    Such a table fits, be every text in it as long as it may: no need to write it out in order to measure it,
    which would take longer than all the rest.
    """
    return (
        len(table.jobs) <= 1
        and all(len(job.streams) <= 1 for job in table.jobs)
        and table.unrecognised is None
    )


def _with_transitions(table: CallbackTable, bound: int) -> CallbackTable:
    def shortened(stream: StreamRow) -> StreamRow:
        return stream.model_copy(update={"transitions": stream.transitions[-bound:]})

    jobs = [
        job.model_copy(update={"streams": [shortened(stream) for stream in job.streams]})
        for job in table.jobs
    ]
    return table.model_copy(update={"jobs": jobs})


def _without_lists(table: CallbackTable) -> CallbackTable:
    """Keep the counts of replies, switches and unrecognised events, and the latest reply: a task may wait for it."""
    jobs = [
        job.model_copy(
            update={
                "replies": job.replies and job.replies.model_copy(update={"recent": job.replies.recent[-1:]}),
                "scripts": job.scripts and job.scripts.model_copy(update={"recent": []}),
            }
        )
        for job in table.jobs
    ]
    notes = table.unrecognised and Unrecognised(count=table.unrecognised.count)
    return table.model_copy(update={"jobs": jobs, "unrecognised": notes})


def _with_one_job(table: CallbackTable, kept: str) -> CallbackTable:
    latest = max(table.jobs, key=lambda job: (job.job_id == kept, job.last_event), default=None)
    return table.model_copy(update={"jobs": [latest] if latest else []})
