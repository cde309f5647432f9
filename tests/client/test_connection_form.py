"""The connection form as Airflow's own parts see it: the schema, the providers manager, the API behind the UI."""

from __future__ import annotations

import json
from pathlib import Path

import airflow
import jsonschema
import pytest

from airflow_provider_smartlive.client.connection import ConnectionProfile
from airflow_provider_smartlive.provider_info import CONNECTION_TYPE, get_provider_info

SECRET_FIELDS = {"security_token", "auth_token", "proxy"}


@pytest.fixture(scope="module")
def form() -> dict:
    """What `GET /ui/connections/hook_meta` serves for our type, without a login."""
    from airflow.api_fastapi.core_api.routes.ui.connections import connections_router
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    app = FastAPI()
    app.include_router(connections_router)
    for route in connections_router.routes:
        for needed in route.dependencies:
            app.dependency_overrides[needed.dependency] = lambda: None
    answer = TestClient(app).get("/connections/hook_meta")
    assert answer.status_code == 200
    (ours,) = [kind for kind in answer.json() if kind["connection_type"] == "smartlive"]
    return ours


def test_fits_airflows_schemas():
    package = Path(airflow.__file__).parent
    for name in ("provider_info.schema.json", "provider.yaml.schema.json"):
        schema = json.loads((package / name).read_text())
        jsonschema.validate([CONNECTION_TYPE], schema["properties"]["connection-types"])
    jsonschema.validate(get_provider_info(), json.loads((package / "provider_info.schema.json").read_text()))


def test_is_served_to_the_ui(form):
    assert form["hook_name"] == "MetaStudio smart live"
    assert form["hook_class_name"] == "airflow_provider_smartlive.hooks.SmartLiveHook"
    assert set(form["extra_fields"]) == set(CONNECTION_TYPE["conn-fields"])
    assert form["standard_fields"]["url_schema"]["hidden"]
    assert form["standard_fields"]["login"]["title"] == "Access key (AK) or IAM user"


def test_every_field_has_a_label_and_help(form):
    for name, field in form["extra_fields"].items():
        assert field["schema"]["title"], name
        assert field["description"].endswith("."), name


def test_secret_fields_are_masked(form):
    formats = {name: field["schema"].get("format") for name, field in form["extra_fields"].items()}
    assert {name for name, kind in formats.items() if kind == "password"} == SECRET_FIELDS


def test_airflow_redacts_the_secret_fields_of_a_saved_connection():
    from airflow.api_fastapi.core_api.datamodels.connections import ConnectionResponse
    from airflow.sdk import Connection

    extra = {name: f"fake-{name}" for name in CONNECTION_TYPE["conn-fields"]}
    connection = Connection(
        conn_id="live", conn_type="smartlive", login="FAKEAK", password="fake-sk", extra=json.dumps(extra)
    )
    connection.team_name = None
    shown = ConnectionResponse.model_validate(connection, from_attributes=True)
    assert shown.password == "***"
    assert shown.extra is not None
    redacted = {name for name, value in json.loads(shown.extra).items() if value == "***"}
    assert redacted == SECRET_FIELDS


def test_the_hook_is_found_by_its_type():
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    hook = ProvidersManagerTaskRuntime().hooks["smartlive"]
    assert hook is not None
    assert hook.connection_id_attribute_name == "smartlive_conn_id"
    assert hook.package_name == "airflow-provider-smartlive"
    assert hook.connection_testable


def test_the_form_as_first_opened_is_a_good_connection(form):
    """Defaults and empty fields, plus the four that everybody fills in."""
    from airflow.sdk import Connection

    extra = {name: field["value"] for name, field in form["extra_fields"].items()}
    extra |= {"region": "cn-north-4", "project_id": "fake-project"}
    connection = Connection(
        conn_id="live", conn_type="smartlive", login="FAKEAK", password="fake-sk", extra=json.dumps(extra)
    )
    profile = ConnectionProfile.from_connection(connection)
    assert profile.endpoint == "https://metastudio.cn-north-4.myhuaweicloud.com"


def test_the_form_and_the_parser_know_the_same_fields():
    """Every field of the form changes the profile; the parser reads no field that the form lacks."""
    read: set[str] = set()

    class Spy(dict):
        def get(self, name, default=None):
            read.add(name)
            return super().get(name, default)

    from airflow.sdk import Connection

    from airflow_provider_smartlive.client import connection as module

    class SpyJson:
        loads = staticmethod(lambda text: Spy(json.loads(text)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "json", SpyJson)
        for extra in (
            {"auth": "aksk"},
            {"auth": "token", "auth_token": "x"},
            {"auth": "password", "iam_domain": "x"},
        ):
            text = json.dumps(extra | {"project_id": "p", "region": "cn-north-4"})
            ConnectionProfile.from_connection(
                Connection(conn_id="live", conn_type="smartlive", login="A", password="fake", extra=text)
            )
    assert read == set(CONNECTION_TYPE["conn-fields"])
