from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_smartlive.callbacks.gate import Rules
from airflow_provider_smartlive.metastudio.callback_auth import SignedForm


def test_the_defaults():
    rules = Rules.read()

    assert rules.window == timedelta(minutes=5)
    assert rules.forms == (SignedForm.HOST_PATH_QUERY,)
    assert rules.max_body == 65_536
    assert rules.rate_limit == 600


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("callback_auth_forms", ""),
        ("callback_auth_forms", "host-path-query, anything"),
        ("callback_auth_window", "0"),
        ("callback_auth_window", "soon"),
        ("callback_max_body", "-1"),
        ("callback_rate_limit", "0"),
    ],
)
def test_an_option_without_a_usable_value_is_named(monkeypatch, option, value):
    monkeypatch.setenv(f"AIRFLOW__SMARTLIVE__{option.upper()}", value)

    with pytest.raises(ValueError, match=rf"\[smartlive\] {option}"):
        Rules.read()
