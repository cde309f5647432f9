from __future__ import annotations

from airflow_provider_smartlive.metastudio.ids import JobRef, normalise_id, same_id

DASHED = "26f06524-4f75-4b3a-a853-b649a21aaf66"
PLAIN = "26f065244f754b3aa853b649a21aaf66"


def test_a_job_is_named_with_its_room() -> None:
    assert str(JobRef("room-1", "job-1")) == "job job-1 in room room-1"


def test_dashes_and_case_do_not_matter() -> None:
    assert normalise_id(DASHED.upper()) == PLAIN
    assert same_id(DASHED, PLAIN)
    assert not same_id(DASHED, PLAIN[:-1] + "7")
