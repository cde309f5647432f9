"""What a task remembers of its job, across tries and clears."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from airflow_provider_smartlive.metastudio.ids import same_id


@dataclass(frozen=True)
class JobRecord:
    """
    What a task remembers of its job across tries, in the task state store.

    :param generation: the generation it belongs to.
    :param room_id: the room.
    :param sent_at: when a start was about to be sent (ISO 8601); stays without a job id if the outcome is
        unknown.
    :param job_id: the job, once MetaStudio has answered.
    :param started_at: when the job was started (ISO 8601); deadlines count from here, whatever try waits.
    :param stopped: jobs of this generation that we stopped on a kill or a time-out: their end is nobody's
        result.
    :param ended: whether END was called back on every output of the job. The callback table says so, too, but
        a new try begins without it, and END does not come twice.
    :param version: of this format.
    """

    generation: str
    room_id: str
    sent_at: str | None = None
    job_id: str | None = None
    started_at: str | None = None
    stopped: tuple[str, ...] = ()
    ended: bool = False
    version: int = 1

    @classmethod
    def load(cls, value: object) -> JobRecord | None:
        """Read what :meth:`dump` wrote; what a later release wrote is not ours to read, and counts as nothing."""
        if not isinstance(value, dict) or value.get("version") != 1:
            return None
        fields: dict[str, Any] = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        return cls(**fields | {"stopped": tuple(fields.get("stopped", ()))})

    @property
    def is_unsettled(self) -> bool:
        """Whether a start was sent whose outcome is unknown."""
        return self.sent_at is not None and self.job_id is None

    def is_stopped(self, job_id: str) -> bool:
        """Whether we stopped a job ourselves, so that neither it nor its end may be taken up again."""
        return any(same_id(job_id, stopped) for stopped in self.stopped)

    def has_ended(self, job_id: str) -> bool:
        """Whether END was called back for a job, in whatever try."""
        return self.ended and self.job_id is not None and same_id(self.job_id, job_id)

    def with_stopped(self, job_id: str) -> JobRecord:
        """Return the record with a job added that we are about to stop."""
        return self if self.is_stopped(job_id) else replace(self, stopped=(*self.stopped, job_id))

    def dump(self) -> dict[str, Any]:
        """Return the record as JSON-able primitives."""
        return asdict(self) | {"stopped": list(self.stopped)}
