"""The page on the connection says what the form and the parser do."""

from __future__ import annotations

import json
import re
from pathlib import Path

from airflow.sdk import Connection

from airflow_provider_smartlive.client.connection import ConnectionProfile
from airflow_provider_smartlive.hooks import SmartLiveAsyncHook, SmartLiveHook
from airflow_provider_smartlive.provider_info import CONNECTION_TYPE

PAGE = (Path(__file__).parents[2] / "docs" / "connection.md").read_text()


def test_every_field_of_the_form_is_on_the_page():
    rows = re.findall(r"^\| ([^|]+) \| `(\w+)`", PAGE, re.MULTILINE)
    shown = {name: label for label, name in rows}
    expected = {name: field["label"] for name, field in CONNECTION_TYPE["conn-fields"].items()}
    expected |= CONNECTION_TYPE["ui-field-behaviour"]["relabeling"]
    assert shown == expected


def test_the_examples_are_good_connections():
    (variable,) = re.findall(r"AIRFLOW_CONN_SMARTLIVE_DEFAULT='(.*?)'", PAGE, re.DOTALL)
    (extra,) = re.findall(r"--conn-extra '(.*?)'", PAGE)
    assert json.loads(variable)["extra"] == json.loads(extra)
    filled = re.sub(r"<(\w+) (\w+)>", r"fake-\1-\2", variable)
    profile = ConnectionProfile.from_connection(Connection.from_json(filled, conn_id="smartlive_default"))
    assert profile.endpoint == "https://metastudio.cn-north-4.myhuaweicloud.com"


def test_both_hooks_have_the_operations_of_the_page():
    (listed,) = re.findall(r"Both have (.*?)\.\n", PAGE, re.DOTALL)
    operations = set(re.findall(r"`(\w+)`", listed))
    assert operations
    own = {name for name in vars(SmartLiveAsyncHook) if not name.startswith("_")}
    not_operations = {"conn_name_attr", "default_conn_name", "conn_type", "hook_name", "profile", "reload"}
    assert own - not_operations - {"perform"} == operations
    assert "`perform`" in PAGE
    assert operations <= set(dir(SmartLiveHook))
