"""The configuration section: defaults in one place, errors that name the option, secrets that are kept a while."""

from __future__ import annotations

import pytest

from airflow_provider_smartlive import settings
from airflow_provider_smartlive.metastudio.callback_auth import AuthType, SignedForm
from airflow_provider_smartlive.provider_info import OPTIONS

pytestmark = pytest.mark.usefixtures("plain_settings")

PREFIX = "AIRFLOW__SMARTLIVE__"


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of the settings, in seconds."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_every_whole_number_has_a_default_that_is_one() -> None:
    integers = [name for name, option in OPTIONS.items() if option["type"] == "integer"]
    assert integers
    assert all(settings.number(name) > 0 for name in integers)
    assert all(OPTIONS[name]["minimum"] < OPTIONS[name]["maximum"] for name in integers)
    settings.check()


def test_airflow_knows_the_defaults_too() -> None:
    from airflow.sdk.configuration import conf

    assert conf.get("smartlive", "end_grace") == OPTIONS["end_grace"]["default"]


def test_a_value_of_the_deployment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}END_GRACE", "7")
    assert settings.number("end_grace") == 7


BROKEN = [
    "",
    "soon",
    "1.5",
    "1e3",
    "1_000",
    "\N{ARABIC-INDIC DIGIT THREE}",
    "nan",
    "-1",
    "9" * 14,
    "9" * 5000,
]


@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.parametrize("option", [name for name, option in OPTIONS.items() if option["type"] == "integer"])
def test_what_is_no_whole_number_within_bounds_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, option: str, value: str
) -> None:
    monkeypatch.setenv(f"{PREFIX}{option.upper()}", value)
    low, high = OPTIONS[option]["minimum"], OPTIONS[option]["maximum"]
    with pytest.raises(
        settings.InvalidSettingError,
        match=rf"\[smartlive\] {option} must be a whole number from {low} to {high}",
    ) as caught:
        settings.number(option)
    assert len(str(caught.value)) < 200
    with pytest.raises(ValueError, match=option):
        settings.check()


@pytest.mark.parametrize("value", ["", "MSS_B", "MSS_A_HEAD, MSS_A", "mss_a"])
def test_a_choice_is_one_of_few(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(f"{PREFIX}CALLBACK_AUTH_TYPE", value)
    with pytest.raises(
        settings.InvalidSettingError, match="callback_auth_type must be one of MSS_A_HEAD, MSS_A, NONE"
    ):
        settings.choice("callback_auth_type")


def test_the_choices_are_those_of_the_contract() -> None:
    assert set(OPTIONS["callback_auth_type"]["choices"]) == set(AuthType) - {AuthType.MEITUAN_DEFAULT}
    assert set(OPTIONS["callback_auth_forms"]["choices"]) == set(SignedForm)


def test_what_airflow_cannot_read_is_named_without_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"{PREFIX}CALLBACK_SECRETS", raising=False)
    monkeypatch.setenv(f"{PREFIX}CALLBACK_SECRETS_CMD", "ls /fake-secret")
    with pytest.raises(settings.InvalidSettingError, match="callback_secrets cannot be read") as caught:
        settings.read_callback_secrets()
    assert "fake-secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_what_serves_many_goes_on_with_the_default(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(f"{PREFIX}RESUME_DELAY", "8s")
    assert settings.usable_number("resume_delay") == 8
    assert "[smartlive] resume_delay must be a whole number from 0 to 300, not '8s'." in caplog.text


def test_airflow_treats_the_secrets_as_it_treats_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.configuration import conf

    assert ("smartlive", "callback_secrets") in conf.sensitive_config_values
    monkeypatch.delenv(f"{PREFIX}CALLBACK_SECRETS", raising=False)
    monkeypatch.setenv(f"{PREFIX}CALLBACK_SECRETS_CMD", "echo fake-from-a-command")
    settings.forget_secrets()
    assert settings.callback_secrets() == ("fake-from-a-command",)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ()),
        (" , ", ()),
        ("fake-new", ("fake-new",)),
        (" fake-new , fake-old,", ("fake-new", "fake-old")),
    ],
)
def test_callback_secrets_are_a_list_newest_first(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.setenv(f"{PREFIX}CALLBACK_SECRETS", value)
    assert settings.callback_secrets() == expected


def test_secrets_are_read_again_after_a_while(monkeypatch: pytest.MonkeyPatch, moments: list[float]) -> None:
    monkeypatch.setenv(f"{PREFIX}CALLBACK_SECRETS", "fake-one")
    assert settings.callback_secrets() == ("fake-one",)
    monkeypatch.setenv(f"{PREFIX}CALLBACK_SECRETS", "fake-two")
    moments[0] = settings.SECRETS_TTL - 1
    assert settings.callback_secrets() == ("fake-one",)
    moments[0] = settings.SECRETS_TTL + 1
    assert settings.callback_secrets() == ("fake-two",)


def test_they_can_be_forgotten_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}CALLBACK_SECRETS", "fake-one")
    settings.callback_secrets()
    monkeypatch.setenv(f"{PREFIX}CALLBACK_SECRETS", "fake-two")
    settings.forget_secrets()
    assert settings.callback_secrets() == ("fake-two",)


@pytest.mark.parametrize(
    ("ours", "airflows", "expected"),
    [
        ("https://a.example.com/x/", "https://b.example.com", "https://a.example.com/x"),
        ("", "https://b.example.com/", "https://b.example.com"),
        ("", "", ""),
    ],
)
def test_the_base_url_is_airflows_own_unless_it_is_set(
    monkeypatch: pytest.MonkeyPatch, ours: str, airflows: str, expected: str
) -> None:
    monkeypatch.setenv(f"{PREFIX}CALLBACK_BASE_URL", ours)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", airflows)
    assert settings.callback_base_url() == expected
