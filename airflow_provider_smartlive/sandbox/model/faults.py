"""Faults on demand: rules that say what goes wrong, where, for whom, how often; same seed, same faults."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from airflow_provider_smartlive.metastudio.ids import same_id
from airflow_provider_smartlive.sandbox.clock import MAX_SECONDS
from airflow_provider_smartlive.sandbox.model.ledger import Kind, Ledger
from airflow_provider_smartlive.sandbox.model.store import StateStore

#: Wildcard for every operation of the API.
ANY_REQUEST = "request"

#: What can go wrong, by what it happens to. "request" holds for one operation as well as for all.
ACTIONS: dict[str, frozenset[str]] = {
    "request": frozenset(
        {
            "latency",
            "status",
            "hang",
            "reset",
            "garble",
            "drip",
            "crash",
            "lag",
            "no_echo",
            "odd_types",
        }
    ),
    "callback": frozenset(
        {"drop", "duplicate", "reorder", "delay", "missign", "unsigned", "malformed", "skew"}
    ),
    "job": frozenset({"fail", "block", "kick", "vanish", "linger", "ignore_stop", "slow_stop"}),
}

#: Actions that mean nothing without a number of seconds.
_NEED_SECONDS = frozenset({"latency", "delay", "skew", "lag", "linger", "slow_stop"})


class Fault(BaseModel):
    """
    One rule.

    :param target: ``callback``, ``job``, ``request`` (every operation) or the name of one, like ``start``.
    :param action: what goes wrong, see :data:`ACTIONS`.
    :param room: only in this room.
    :param job: only for this job.
    :param event: only for this callback event type or RTMP state, like ``END``.
    :param nth: only for these occurrences (1 is the first) of what the rule matches.
    :param per: what ``nth`` and ``times`` count by.
    :param times: fires at most so often.
    :param probability: fires with this probability; the dice depend on seed, rule and occurrence only.
    :param seconds: of a delay, skew and the like: real seconds on the wire, show seconds of a job.
    :param when: whether a request fails before or after it took effect.
    :param status: the HTTP status to answer.
    :param code: the error code to answer, or to fail the job with.
    :param message: the text that goes with the code, or the reason of a block.
    :param retry_after: seconds for a Retry-After header.
    :param count: how often a duplicated callback is sent in all.
    :param form: how a malformed callback is malformed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = ""
    target: str
    action: str
    room: str | None = None
    job: str | None = None
    event: str | None = None
    nth: tuple[int, ...] | None = None
    per: Literal["rule", "room", "job"] = "rule"
    times: int | None = Field(None, ge=1)
    probability: float = Field(1.0, ge=0, le=1)
    seconds: float | None = Field(None, ge=-MAX_SECONDS, le=MAX_SECONDS)
    when: Literal["before", "after"] = "before"
    status: int = Field(500, ge=200, le=599)
    code: str = "MSS.00000004"
    message: str | None = None
    retry_after: int | None = Field(None, ge=0, le=int(MAX_SECONDS))
    count: int = Field(2, ge=2, le=100)
    form: Literal["not-json", "bad-message", "no-state", "truncated", "list", "huge"] = "not-json"

    @field_validator("nth", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _fits(self) -> Fault:
        group = self.target if self.target in ACTIONS else ANY_REQUEST
        if self.action not in ACTIONS[group]:
            raise ValueError(
                f"action {self.action!r} is none of {', '.join(sorted(ACTIONS[group]))} (target {self.target!r})"
            )
        if self.action in _NEED_SECONDS and self.seconds is None:
            raise ValueError(f"action {self.action!r} needs seconds")
        return self


@dataclass(frozen=True)
class Subject:
    """What is about to happen; ``target`` is ``callback``, ``job`` or the name of an operation."""

    target: str
    room_id: str | None = None
    job_id: str | None = None
    event: str | None = None
    state: str | None = None


class RuleState(BaseModel):
    """A rule with its counts, as it is kept in the state file."""

    rule: Fault
    matched: dict[str, int] = Field(default_factory=dict)
    fired: dict[str, int] = Field(default_factory=dict)


class FaultRules:
    """
    All rules and their counts.

    :param store: where they are kept, so that a restart goes on counting.
    :param ledger: told about every fault that fires.
    :param operations: the names of the operations that a rule may be on.
    :param seed: decides the dice of rules with a probability.
    """

    def __init__(
        self, store: StateStore, ledger: Ledger, operations: Iterable[str], *, seed: int = 0
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._known = frozenset(operations) | ACTIONS.keys()
        self.seed = seed
        self._states = {
            state.rule.id: state for state in map(RuleState.model_validate_json, store.all("fault"))
        }

    def add(self, rule: Fault) -> Fault:
        """
        Add a rule, or replace the one of the same id and begin to count anew.

        :raises ValueError: if there is no such operation.
        """
        if rule.target not in self._known:
            raise ValueError(f"target {rule.target!r} is none of {', '.join(sorted(self._known))}")
        if not rule.id:
            free = (f"fault-{number}" for number in itertools.count(1))
            rule = rule.model_copy(update={"id": next(name for name in free if name not in self._states)})
        self._states[rule.id] = RuleState(rule=rule)
        self._keep(self._states[rule.id])
        return rule

    def knows(self, rule_id: str) -> bool:
        """Tell whether there is a rule of this id."""
        return rule_id in self._states

    def remove(self, rule_id: str) -> bool:
        """Remove a rule and tell whether it was there."""
        self._store.remove("fault", rule_id)
        return self._states.pop(rule_id, None) is not None

    def clear(self) -> None:
        """Remove all rules."""
        for rule_id in list(self._states):
            self.remove(rule_id)

    def describe(self) -> list[dict[str, Any]]:
        """Return all rules with their counts."""
        return [
            {
                **state.rule.model_dump(mode="json", exclude_defaults=True),
                "matched": sum(state.matched.values()),
                "fired": sum(state.fired.values()),
            }
            for state in self._states.values()
        ]

    def pick(self, subject: Subject) -> list[Fault]:
        """Count the subject and return the rules that fire for it, in the order in which they were added."""
        return [state.rule for state in self._states.values() if self._fires(state, subject)]

    def _fires(self, state: RuleState, subject: Subject) -> bool:
        rule = state.rule
        if not _matches(rule, subject):
            return False
        key = {"rule": "", "room": subject.room_id, "job": subject.job_id}[rule.per] or ""
        number = state.matched[key] = state.matched.get(key, 0) + 1
        fires = (
            (rule.nth is None or number in rule.nth)
            and (rule.times is None or state.fired.get(key, 0) < rule.times)
            and self._dice(rule, key, number)
        )
        if fires:
            state.fired[key] = state.fired.get(key, 0) + 1
            self._ledger.add(
                Kind.FAULT,
                job_id=subject.job_id,
                room_id=subject.room_id,
                rule=rule.id,
                target=subject.target,
                event=subject.event,
                state=subject.state,
                action=rule.action,
            )
        self._keep(state)
        return fires

    def _dice(self, rule: Fault, key: str, number: int) -> bool:
        # Job ids differ from run to run: dice per job depend on the occurrence within the job only.
        salt = "" if rule.per == "job" else key
        dice = random.Random(f"{self.seed}/{rule.id}/{salt}/{number}")  # noqa: S311 (faults, not secrets)
        return dice.random() < rule.probability

    def _keep(self, state: RuleState) -> None:
        self._store.put("fault", state.rule.id, state.model_dump_json())


def _matches(rule: Fault, subject: Subject) -> bool:
    if rule.target != subject.target and not (rule.target == ANY_REQUEST and subject.target not in ACTIONS):
        return False
    if rule.room is not None and not (subject.room_id and same_id(rule.room, subject.room_id)):
        return False
    if rule.job is not None and not (subject.job_id and same_id(rule.job, subject.job_id)):
        return False
    return rule.event is None or rule.event in (subject.event, subject.state)
