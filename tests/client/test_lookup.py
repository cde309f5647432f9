"""A connection that is not there is an error that names the argument, for all ways to ask for one."""

from __future__ import annotations

import traceback

import pytest

from airflow_provider_smartlive.client.async_hook import SmartLiveAsyncHook
from airflow_provider_smartlive.client.connection import InvalidConnectionError, MissingConnectionError
from airflow_provider_smartlive.client.lookup import find_connection
from airflow_provider_smartlive.client.task_hook import SmartLiveTaskHook
from airflow_provider_smartlive.retries import is_hopeless
from tests.client.hook_connection import CONN_ID

ABSENT = "smartlive_absent"


def test_a_connection_is_found(connect):
    assert find_connection(CONN_ID, argument="output_conn_ids").conn_id == CONN_ID


def test_the_error_names_the_argument_and_the_ways_to_mend_it():
    with pytest.raises(MissingConnectionError) as caught:
        find_connection(ABSENT, argument="output_conn_ids")
    text = str(caught.value)
    assert text.startswith(f"output_conn_ids: there is no connection '{ABSENT}' that")
    assert "AIRFLOW_CONN_SMARTLIVE_ABSENT" in text
    assert isinstance(caught.value, InvalidConnectionError)
    assert is_hopeless(caught.value)


@pytest.mark.parametrize(
    "value", ['{"conn_type": "generic", "password": "fake-key"', "rtmp://a://b://fake-key"]
)
def test_one_that_airflow_cannot_read_is_not_shown(monkeypatch, value):
    monkeypatch.setenv(f"AIRFLOW_CONN_{ABSENT.upper()}", value)
    with pytest.raises(MissingConnectionError, match="that Airflow can read") as caught:
        find_connection(ABSENT, argument="output_conn_ids")
    assert "fake-key" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("conn_id", [None, "", "None", 7, ["a"], " shop", "shop\n"])
def test_what_can_be_no_id_is_refused_by_the_argument_s_name(conn_id):
    with pytest.raises(MissingConnectionError, match=r"^interaction_conn_id (is|names)"):
        find_connection(conn_id, argument="interaction_conn_id")


async def test_the_hooks_name_their_argument():
    with pytest.raises(MissingConnectionError, match=r"^smartlive_conn_id: "):
        SmartLiveTaskHook(ABSENT).profile()
    with pytest.raises(MissingConnectionError, match=r"^smartlive_conn_id: "):
        await SmartLiveAsyncHook(ABSENT).profile()


def test_in_multi_team_mode_the_error_says_whose_connections_a_trigger_finds(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    with pytest.raises(MissingConnectionError, match=r"triggers and commands find only .* no team\.$"):
        find_connection(ABSENT, argument="smartlive_conn_id")
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "False")
    with pytest.raises(MissingConnectionError) as caught:
        find_connection(ABSENT, argument="smartlive_conn_id")
    assert "team" not in str(caught.value)
