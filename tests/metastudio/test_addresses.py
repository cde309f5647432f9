from __future__ import annotations

import pytest

from airflow_provider_smartlive.metastudio.addresses import is_confidential, is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_the_own_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["example.com", "10.0.0.1", "localhost.example.com", "0.0.0.0", ""])
def test_other_machines(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "confidential"),
    [
        ("https://example.com/a", True),
        ("http://127.0.0.1:8080/a", True),
        ("http://[::1]/a", True),
        ("http://example.com/a", False),
        ("http://127.0.0.1.example.com/a", False),
    ],
)
def test_what_nobody_on_the_way_can_read(url, confidential):
    assert is_confidential(url) is confidential
