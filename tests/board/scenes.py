"""Livestreams for the board's tests: what Airflow's database holds of them, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

Json = dict[str, Any]

STARTER = "go_live"

#: Rooms of a campaign, as their owners call them.
ROOMS = (
    "Skincare flagship",
    "Kitchen & home",
    "Sneaker drop",
    "Tea house",
    "Baby & family",
    "Phones and tablets",
    "Outdoor season",
    "Books at night",
    "Pet corner",
    "Winter coats",
    "Jewellery",
    "Fresh fruit",
    "Gaming gear",
    "Small appliances",
    "Garden",
    "Travel deals",
    "Watches",
    "Snacks",
    "Home office",
    "Toys",
)


def iso(at: datetime) -> str:
    return at.isoformat()


def room_id(number: int) -> str:
    return f"7f3e1a52-0d1c-4c38-9a55-3d2c50a1{number:04x}"


def stream(states: Sequence[tuple[str, datetime]], label: str = "rtmp://push.example.com/live/***") -> Json:
    """Return a stream of the callback table that went through the states."""
    counts: dict[str, int] = {}
    down: datetime | None = None
    for state, at in states:
        counts[state] = counts.get(state, 0) + 1
        down = None if state in ("CONNECTED", "END") else down or at
    return {
        "label": label,
        "fingerprint": "d395258a3e4a",
        "state": states[-1][0],
        "ended": states[-1][0] == "END",
        "first_at": iso(states[0][1]),
        "last_at": iso(states[-1][1]),
        "counts": counts,
        "transitions": [[state, iso(at)] for state, at in states],
        **({"down_since": iso(down)} if down else {}),
    }


def table(job_id: str, room: str, streams: Sequence[Json], scripts: Json | None = None) -> Json:
    """Return the XCom ``smartlive_callbacks``."""
    job: Json = {
        "job_id": job_id,
        "room_id": room,
        "first_at": streams[0]["first_at"],
        "last_at": streams[-1]["last_at"],
        "streams": list(streams),
        "omitted_streams": 0,
    }
    if all(stream["ended"] for stream in streams):
        job["ended_at"] = streams[-1]["last_at"]
    if scripts:
        job["scripts"] = scripts
    return {"version": 2, "events": 3, "updated_at": job["last_at"], "jobs": [job], "digests": []}


def job(
    job_id: str, room: str, *, name: str | None, began: datetime, planned: datetime, until: datetime | None
) -> Json:
    """Return the XCom ``smartlive_job``."""
    return {
        "version": 1,
        "job_id": job_id,
        "room_id": room,
        "room_name": name,
        "planned_start": iso(planned),
        "planned_end": iso(until) if until else None,
        "started_at": iso(began),
        "outputs": ["rtmp://push.example.com/live/***"],
        "origin": "started",
        "warnings": [],
        "smartlive_conn_id": "smartlive_default",
    }


def livestream(
    number: int,
    *,
    name: str | None,
    states: Sequence[tuple[str, datetime]],
    planned: datetime,
    until: datetime | None,
    began: datetime | None = None,
    dag_id: str = "evening_campaign",
    run_id: str | None = None,
    state: str = "deferred",
    scripts: Json | None = None,
    summary: Json | None = None,
    end: datetime | None = None,
    **more: Any,
) -> Json:
    """Return one livestream: a task instance with its XComs."""
    room, job_id = room_id(number), f"{number:032x}"
    began = began or planned + timedelta(seconds=3)
    xcoms: Json = {
        "smartlive_job": [job(job_id, room, name=name, began=began, planned=planned, until=until), iso(began)]
    }
    if states:
        xcoms["smartlive_callbacks"] = [table(job_id, room, [stream(states)], scripts), iso(states[-1][1])]
    if summary:
        xcoms["return_value"] = [summary, iso(end or began)]
    return {
        "dag_id": dag_id,
        "run_id": run_id or f"scheduled__{planned:%Y-%m-%dT%H:%M}",
        "task_id": STARTER,
        "map_index": number,
        "state": state,
        "run_after": iso(planned),
        "start": iso(began),
        "end": iso(end) if end else None,
        "rendered": {"room_id": room, "output_conn_ids": ["shop_rtmp"]},
        "xcoms": xcoms,
        **more,
    }


def script(number: int, title: str, at: datetime) -> Json:
    """Return the place in the script, which was switched every five minutes until then."""
    switches = [(str(index), at - timedelta(minutes=5 * (number - index))) for index in range(1, number + 1)]
    return {
        "scene": "Main show",
        "sequence_no": str(number),
        "title": title,
        "at": iso(at),
        "switches": number,
        "recent": [[name, iso(when)] for name, when in switches],
    }


def campaign(now: datetime) -> Json:
    """Twenty rooms half an hour into their evening: one in trouble, one late, one unstable, the others well."""
    planned = (now - timedelta(minutes=31)).replace(second=0, microsecond=0)
    until = planned + timedelta(hours=2)
    lives = []
    titles = ("Welcome", "Today's three offers", "Product 1: the serum", "Questions of viewers", "Flash sale")
    for number, name in enumerate(ROOMS):
        up = planned + timedelta(seconds=6 + number % 5)
        states = [("CONNECTING", up - timedelta(seconds=2)), ("CONNECTED", up)]
        if number == 7:
            states.append(("DISCONNECTED", now - timedelta(seconds=95)))
            states.append(("RECONNECTING", now - timedelta(seconds=92)))
        if number == 12:
            for minutes in (9, 6, 2):
                states.append(("DISCONNECTED", now - timedelta(minutes=minutes)))
                states.append(("RECONNECTING", now - timedelta(minutes=minutes) + timedelta(seconds=4)))
                states.append(("CONNECTED", now - timedelta(minutes=minutes) + timedelta(seconds=19)))
        if number == 16:
            states = [
                ("CONNECTING", up + timedelta(minutes=12)),
                ("CONNECTED", up + timedelta(minutes=12, seconds=9)),
            ]
        if number == 18:
            states = []
        at = now - timedelta(seconds=20 + 7 * number)
        began = {16: up + timedelta(minutes=12), 18: now}.get(number)
        lives.append(
            livestream(
                number,
                name=name,
                states=states,
                planned=planned,
                until=until,
                began=began,
                state="running" if number == 18 else "deferred",
                scripts=script(1 + number % 5, titles[number % 5], at) if states and number != 7 else None,
                label=name,
            )
        )
    return {"dags": [{"dag_id": "evening_campaign"}, *_later(now)], "livestreams": [*lives, *ended(now)]}


def _later(now: datetime) -> list[Json]:
    hour = now.replace(minute=0, second=0, microsecond=0)
    return [
        {"dag_id": "afternoon_shows"},
        {"dag_id": "night_owls", "next": iso(hour + timedelta(hours=3))},
        {"dag_id": "morning_coffee", "next": iso(hour + timedelta(hours=11))},
    ]


def ended(now: datetime) -> list[Json]:
    """Livestreams of this afternoon: two that went well, one that was cut short, one that failed."""
    lives = []
    for number, (name, outcome, minutes, state) in enumerate(
        (
            ("Lunch show", "the job succeeded", 60, "success"),
            ("Skincare flagship", "stopped as planned", 118, "success"),
            ("Tea house", "the job failed", 17, "failed"),
            ("Garden", "the job succeeded; END was not seen", 90, "success"),
        )
    ):
        planned = (now - timedelta(hours=3 + number)).replace(minute=0, second=0, microsecond=0)
        up, over = planned + timedelta(seconds=8), planned + timedelta(minutes=minutes)
        states = [("CONNECTING", planned + timedelta(seconds=5)), ("CONNECTED", up)]
        states += [("END", over)] if number != 3 else []
        summary = {
            "job_id": f"{100 + number:032x}",
            "room_id": room_id(100 + number),
            "room_name": name,
            "outcome": outcome,
            "woken_by": "reconciliation" if number == 3 else "callback",
            "state": "SUCCEED",
            "start_time": iso(planned),
            "end_time": iso(over),
            "stream_duration": minutes * 60 - 8,
            "streams": [],
        }
        lives.append(
            livestream(
                100 + number,
                name=name,
                states=states,
                planned=planned,
                until=planned + timedelta(hours=2),
                dag_id="afternoon_shows",
                state=state,
                summary=summary if state == "success" else None,
                end=over + timedelta(seconds=12),
            )
        )
    return lives


def many(now: datetime, count: int) -> Json:
    """As many rooms that are on the air, one in a hundred of them interrupted."""
    planned = (now - timedelta(minutes=20)).replace(second=0, microsecond=0)
    lives = []
    for number in range(count):
        up = planned + timedelta(seconds=5 + number % 50)
        states = [("CONNECTING", up - timedelta(seconds=2)), ("CONNECTED", up)]
        if number % 100 == 57:
            states.append(("DISCONNECTED", now - timedelta(seconds=30 + number)))
        lives.append(
            livestream(
                number,
                name=f"Room {number:04d}",
                states=states,
                planned=planned,
                until=planned + timedelta(hours=2),
                dag_id=f"campaign_{number // 100:02d}",
                label=f"Room {number:04d}",
            )
        )
    return {
        "dags": [{"dag_id": f"campaign_{index:02d}"} for index in range((count + 99) // 100)],
        "livestreams": lives,
    }


#: Texts of people who want to harm, or who just paste.
HOSTILE = (
    '<img src=x onerror="globalThis.harmed=1"><script>globalThis.harmed=1</script>',
    "\u202egnp.live\u202c \u2066mirrored\u2069",
    "W" * 10_000,
    "javascript:globalThis.harmed=1",
)


def hostile(now: datetime) -> Json:
    """Livestreams with texts from outside that are HTML, turn the direction of writing, or are endless."""
    planned = now - timedelta(minutes=10)
    lives = []
    for number, text in enumerate(HOSTILE):
        up = planned + timedelta(seconds=5)
        lives.append(
            livestream(
                number,
                name=text,
                states=[(text[:200], up), ("CONNECTED", up)],
                planned=planned,
                until=planned + timedelta(hours=1),
                dag_id="hostile",
                scripts={"scene": text, "sequence_no": text, "title": text, "at": iso(up), "switches": 1},
                label=text[:240],
            )
        )
    return {"dags": [{"dag_id": "hostile", "display_name": HOSTILE[0]}], "livestreams": lives}
