"""When END is complete: the callback table against a model of a few lines, over whatever may come in whatever order."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_smartlive.callbacks.apply import OutcomeKind, apply_event, event_digest
from airflow_provider_smartlive.callbacks.table import CallbackTable
from airflow_provider_smartlive.metastudio.events import StreamState
from airflow_provider_smartlive.metastudio.outputs import describe_output
from tests.support.callback_events import JOB, stream, stream_body

AT = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
KEY = b"fake-fingerprint-key"
LINKS = {name: f"rtmp://{name}.example.com/live/fake" for name in "abcd"}
MARKS = ("first", "second")


def _fingerprint(name: str) -> str:
    return describe_output(LINKS[name], "fake-separate-key", key=KEY).fingerprint


@dataclass
class Link:
    was_up: bool = False
    ended: bool = False
    replaced_by: set[str] = field(default_factory=set)
    state: str = ""
    second: int = -1

    def is_later(self, second: int | None) -> bool:
        """Return whether the state was reported later than an event was."""
        if second is None:
            return False
        return second < self.second or (second == self.second and self.state == "CONNECTED")

    def hears(self, state: str, second: int | None) -> None:
        if not self.ended and (state == "END" or not self.is_later(second)):
            self.state, self.second = state, self.second if second is None else second
        self.was_up |= state == "CONNECTED"
        self.ended |= state == "END"


@dataclass
class Show:
    """
    What is known of a show after each event.

    :param started: the links that it was started with, as far as that is known.
    :ivar over: whether END was complete, for whoever owns the job. Only an exchange of the outputs takes it back.
    """

    started: frozenset[str]
    links: dict[str, Link] = field(default_factory=dict)
    marks: set[str] = field(default_factory=set)
    over: bool = False

    def hears(
        self, name: str, state: str, sent: set[str], refused: set[str], second: int | None
    ) -> tuple[bool, bool]:
        """
        Take an event, and return whether it was over, and for sensors too, before it and after all commands.

        :param second: when it was signed.
        """
        self._forgets(refused)
        link = self.links.get(name)
        comes_up = state in ("CONNECTING", "CONNECTED")
        if state == "END" or link is None or (link.replaced_by and comes_up):
            self._exchanges(sent - self.marks)
        before = self.over, self.over and not self.is_up
        if link is not None and len(link.replaced_by) > 1 and comes_up and not link.is_later(second):
            self.links[f"{name} {len(self.links)}"] = self.links.pop(name)  # back on an output of before
        link = self.links.setdefault(name, Link())
        link.hears(state, second)
        self.over = self.over or self._is_complete()
        return before

    def _forgets(self, refused: set[str]) -> None:
        self.marks -= refused
        for link in self.links.values():
            link.replaced_by -= refused

    def _exchanges(self, new: set[str]) -> None:
        self.marks |= new
        self.over = self.over and not new
        for link in self.links.values():
            link.replaced_by |= new

    def _is_complete(self) -> bool:
        links = {name: link for name, link in self.links.items() if not link.replaced_by}
        if self.started and self.started <= links.keys() and not self.marks:
            return all(links[name].ended for name in self.started)
        expected = 1 if self.marks else max(1, len(self.started))
        counted = [link for link in links.values() if link.was_up] or list(links.values())
        return len(links) >= expected and all(link.ended for link in counted)

    @property
    def is_up(self) -> bool:
        """Whether a link may be up: nobody may take this for the end, whatever was reported before."""
        return any(link.was_up and not link.ended and not link.replaced_by for link in self.links.values())


#: Which link reports what, to an API server whose clock is so many seconds off; or a command that exchanges the
#: outputs, or is refused after all; or the event of so long ago comes once more.
_steps = st.one_of(
    st.tuples(
        st.just("event"),
        st.sampled_from(list(LINKS)),
        st.sampled_from([*StreamState, StreamState.END, StreamState.CONNECTED]),
        st.sampled_from([0, -3600, 3600]),
    ),
    st.tuples(st.sampled_from(["sent", "refused"]), st.sampled_from(MARKS)),
    st.tuples(st.just("repeated"), st.integers(0, 30)),
)


@given(
    st.sampled_from([frozenset(), frozenset("a"), frozenset("ab")]),
    st.lists(_steps, max_size=40),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_end_is_complete_exactly_when_it_is_in_the_model(
    started: frozenset[str], steps: list[Any], is_signed: bool
) -> None:
    show, table = Show(started), CallbackTable()
    sent, refused, told = set[str](), set[str](), list[tuple[str, str, int]]()
    outputs = [_fingerprint(name) for name in sorted(started)]
    for number, step in enumerate(steps):
        if step[0] in ("sent", "refused"):
            (sent if step[0] == "sent" else refused).add(step[1])
            continue
        is_repeated = step[0] == "repeated"
        if is_repeated and step[1] >= len(told):
            continue
        name, state, second = told[step[1]] if is_repeated else (step[1], str(step[2]), number + step[3])
        told += [] if is_repeated else [(name, state, second)]
        # MetaStudio has one clock; the receivers, which tell when an event was accepted, have two.
        signed_at = AT + timedelta(seconds=second % 3600) if is_signed else None
        digest = event_digest(signed_at, stream_body(state, output=LINKS[name]))
        table, outcome = apply_event(
            table,
            stream(state, output=LINKS[name]),
            at=AT + timedelta(seconds=second),
            fingerprint_key=KEY,
            signed_at=signed_at,
            digest=digest,
            outputs=outputs,
            refreshes=lambda: sorted(sent - refused),
            refused=lambda: sorted(refused),
        )
        if outcome.kind is OutcomeKind.DUPLICATE:
            assert is_signed
            continue
        signed = second % 3600 if is_signed else None
        was_over, was_reached = show.hears(name, state, sent - refused, refused, signed)

        job = table.job(JOB)
        assert job is not None
        assert job.ended() == show.over
        assert job.has_reached("END") == (show.over and not show.is_up)
        # Whoever waits is woken at that moment, be it the first or one after an exchange.
        assert ("END" in outcome.reached) == (job.has_reached("END") and not was_reached)
        assert outcome.all_ended == (job.ended() and not was_over)


@given(st.permutations([(name, state) for name in "ab" for state in ("CONNECTING", "CONNECTED", "END")]))
@settings(max_examples=100, deadline=None)
def test_whatever_the_order_of_all_events_the_last_one_leaves_it_complete(events: list[Any]) -> None:
    """Also if a link is exchanged in the console and its END comes before the other one is heard of."""
    for started in ([], ["a"], ["a", "b"]):
        table = CallbackTable()
        for number, (name, state) in enumerate(events):
            table, _ = apply_event(
                table,
                stream(state, output=LINKS[name]),
                at=AT + timedelta(seconds=number),
                fingerprint_key=KEY,
                outputs=list(map(_fingerprint, started)),
            )
        job = table.job(JOB)
        assert job is not None
        assert job.has_reached("END")
        assert job.ended()
