"""The records of a finished job, as an object storage serves what a pre-signed URL leads to."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.sandbox.testing import LocalSandbox
from dev.process import wait_until

KEY = "fake-stream-key-0123456789"


@pytest.fixture
def urls(smartlive_sandbox: LocalSandbox, smartlive_connection: str) -> dict[str, str]:
    """Where the records of a job are that has failed."""
    hook = SmartLiveTaskHook()
    request = {"output_urls": ["rtmp://push.example.com/live"], "stream_keys": [KEY]}
    job = JobRef("room-1", hook.start_job("room-1", request).job_id)
    assert hook.show_job(job).live_job_log is None
    requests.post(f"{smartlive_sandbox.url}/sandbox/jobs/{job.job_id}/fail", timeout=10).raise_for_status()
    # The sandbox takes the order, and the job ends by itself right after it.
    wait_until(lambda: "FAILED" in smartlive_sandbox.states(job.job_id), "end of the job", timeout=10)
    log = hook.show_job(job).live_job_log
    assert log is not None
    found = log.model_dump()
    assert all(found.values())
    assert hook.show_job(job).live_job_log == log
    return {name: str(url) for name, url in found.items()}


def test_a_record_is_a_file(urls: dict[str, str]) -> None:
    for url in urls.values():
        whole = requests.get(url, timeout=10)
        assert (whole.status_code, whole.headers["content-type"]) == (200, "application/json")
        assert whole.json()["entries"]
        assert KEY not in whole.text


def test_the_rest_of_it_is_sent_if_it_is_still_the_same(urls: dict[str, str]) -> None:
    url = urls["scripts_records_url"]
    whole = requests.get(url, timeout=10)
    size, version = len(whole.content), whole.headers["etag"]
    rest = requests.get(url, headers={"Range": "bytes=10-", "If-Range": version}, timeout=10)
    assert (rest.status_code, rest.content) == (206, whole.content[10:])
    assert rest.headers["content-range"] == f"bytes 10-{size - 1}/{size}"
    changed = requests.get(url, headers={"Range": "bytes=10-", "If-Range": '"other"'}, timeout=10)
    assert (changed.status_code, changed.content) == (200, whole.content)
    beyond = requests.get(url, headers={"Range": f"bytes={size}-"}, timeout=10)
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")


def test_nobody_reads_it_without_the_signature(urls: dict[str, str]) -> None:
    url = urlsplit(urls["scripts_records_url"])
    expires = parse_qs(url.query)["Expires"][0]
    plain = url._replace(query="").geturl()
    forged = (
        plain,
        url._replace(query=url.query[:-1]).geturl(),
        url._replace(query=url.query.replace(expires, "1")).geturl(),
        url._replace(query=url.query.replace(expires, "9" * 12)).geturl(),
        url._replace(query=url.query.replace(expires, "x")).geturl(),
        url._replace(path=url.path.replace("scripts", "interaction")).geturl(),
        url._replace(path=url.path.replace("scripts_records", "none")).geturl(),
        url._replace(path="/sandbox/records/none/scripts_records.json").geturl(),
    )
    assert [requests.get(one, timeout=10).status_code for one in forged] == [403] * len(forged)


def test_it_expires(urls: dict[str, str], smartlive_sandbox: LocalSandbox) -> None:
    for days, status in ((7, 200), (9, 403)):
        skew = {"skew": days * 86400}
        requests.put(f"{smartlive_sandbox.url}/sandbox/clock", json=skew, timeout=10).raise_for_status()
        assert requests.get(urls["scripts_records_url"], timeout=10).status_code == status
