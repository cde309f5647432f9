from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_smartlive.metastudio.callback_auth import SignedForm
from airflow_provider_smartlive.receiver.verify import ReceiverSettings


def test_the_defaults():
    config = ReceiverSettings.read()

    assert config.window == timedelta(minutes=5)
    assert config.forms == (SignedForm.HOST_PATH_QUERY,)
    assert config.max_body == 65_536
    assert config.rate_limit == 600


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("callback_auth_forms", ""),
        ("callback_auth_forms", "host-path-query, anything"),
        ("callback_auth_window", "0"),
        ("callback_auth_window", "soon"),
        ("callback_auth_window", "9" * 14),
        ("callback_max_body", "-1"),
        ("callback_max_body", "9" * 5000),
        ("callback_rate_limit", "0"),
        ("callback_rate_limit", "%(x)s"),
    ],
)
def test_an_option_without_a_usable_value_is_named_and_its_default_counts(monkeypatch, caplog, option, value):
    monkeypatch.setenv(f"AIRFLOW__SMARTLIVE__{option.upper()}", value)

    assert ReceiverSettings.read() == ReceiverSettings(
        timedelta(minutes=5), (SignedForm.HOST_PATH_QUERY,), 65_536, 600
    )
    (line,) = caplog.messages
    assert f"[smartlive] {option} " in line
    assert len(line) < 300
