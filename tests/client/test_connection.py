"""A connection, parsed: every field, and for every mistake the name of the field and the fix."""

from __future__ import annotations

import json

import pytest
from airflow.sdk import Connection

from airflow_provider_smartlive.client.connection import (
    DEFAULT_CONSOLE_URL,
    ConnectionProfile,
    IamLogin,
    InvalidConnectionError,
    StaticToken,
)
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.ids import JobRef
from airflow_provider_smartlive.metastudio.signing import Credentials

SECRETS = {
    "password": "fake-secret-key",
    "security_token": "fake-security-token",
    "auth_token": "fake-auth-token",
    "proxy": "http://fake-user:fake-proxy-password@proxy.example.com:3128",
}


def _profile(extras: dict[str, object] | None = None, **fields: object) -> ConnectionProfile:
    extra = json.dumps({"project_id": "fake-project", "region": "cn-north-4"} | (extras or {}))
    values = {"login": "FAKEACCESSKEY", "password": SECRETS["password"], "extra": extra} | fields
    return ConnectionProfile.from_connection(Connection(conn_id="live", conn_type="smartlive", **values))


def test_all_fields():
    profile = _profile(
        {
            "security_token": SECRETS["security_token"],
            "app_user_id": "user-7",
            "proxy": SECRETS["proxy"],
            "ca_bundle": "/etc/ssl/fake.pem",
            "callback_base_url": "https://airflow.example.com/prefix/",
            "callback_auth_type": "MSS_A",
            "console_url": "https://console.example.com/#/rooms/{room_id}?region={region}&p={project_id}",
        }
    )
    assert profile == ConnectionProfile(
        conn_id="live",
        endpoint="https://metastudio.cn-north-4.myhuaweicloud.com",
        project_id="fake-project",
        authentication=Credentials("FAKEACCESSKEY", "fake-secret-key", "fake-security-token"),
        region="cn-north-4",
        app_user_id="user-7",
        proxy=SECRETS["proxy"],
        ca_bundle="/etc/ssl/fake.pem",
        callback_base_url="https://airflow.example.com/prefix",
        callback_auth_type=AuthType.MSS_A,
        console_url="https://console.example.com/#/rooms/{room_id}?region={region}&p={project_id}",
    )
    link = "https://console.example.com/#/rooms/a%2Fb?region=cn-north-4&p=fake-project"
    assert profile.console_link(JobRef("a/b", "job-1")) == link


def test_what_the_form_leaves_empty_counts_as_not_given():
    profile = _profile(
        dict.fromkeys(("security_token", "proxy", "callback_auth_type", "console_url", "auth"), "")
    )
    assert profile == _profile({"app_user_id": None})
    assert profile.console_url == DEFAULT_CONSOLE_URL


@pytest.mark.parametrize(
    ("fields", "endpoint"),
    [
        ({}, "https://metastudio.cn-north-4.myhuaweicloud.com"),
        ({"host": "metastudio.example.com"}, "https://metastudio.example.com"),
        (
            {"host": "Metastudio.Example.com", "schema": "https", "port": 443},
            "https://metastudio.example.com",
        ),
        ({"host": "https://metastudio.example.com:8443/"}, "https://metastudio.example.com:8443"),
        ({"host": "metastudio.example.com", "port": 8443}, "https://metastudio.example.com:8443"),
        ({"host": "https://gateway.example.com/metastudio/"}, "https://gateway.example.com/metastudio"),
        ({"host": "https://gateway.example.com/path", "port": 8443}, "https://gateway.example.com:8443/path"),
        ({"host": "127.0.0.1", "schema": "http", "port": 8080}, "http://127.0.0.1:8080"),
        ({"host": "http://localhost:8080", "port": 8080}, "http://localhost:8080"),
        # What the form posts for fields that are empty, and what it takes to make its Test button work.
        ({"host": "", "schema": "", "port": 0}, "https://metastudio.cn-north-4.myhuaweicloud.com"),
        ({"host": "http://localhost:8080", "schema": "", "port": 0}, "http://localhost:8080"),
        ({"host": "", "schema": "", "port": 443}, "https://metastudio.cn-north-4.myhuaweicloud.com"),
        ({"host": "https://metastudio.example.com", "port": 443}, "https://metastudio.example.com"),
        ({"host": "http://[::1]:8080"}, "http://[::1]:8080"),
    ],
)
def test_endpoint(fields, endpoint):
    assert _profile(**fields).endpoint == endpoint


def test_a_connection_given_as_a_uri():
    uri = "smartlive://FAKEACCESSKEY:fake%2Fsecret@127.0.0.1:8080/http?project_id=fake-project"
    profile = ConnectionProfile.from_connection(Connection(conn_id="live", uri=uri))
    assert profile.endpoint == "http://127.0.0.1:8080"
    assert profile.authentication == Credentials("FAKEACCESSKEY", "fake/secret")


def test_token():
    profile = _profile({"auth": "token", "auth_token": "fake-auth-token"}, login=None, password=None)
    assert profile.authentication == StaticToken("fake-auth-token")


@pytest.mark.parametrize(
    ("extra", "endpoint"),
    [
        ({}, "https://iam.cn-north-4.myhuaweicloud.com"),
        ({"region": None, "iam_endpoint": None}, "https://iam.myhuaweicloud.com"),
        ({"iam_endpoint": "https://iam.example.com/"}, "https://iam.example.com"),
    ],
)
def test_password(extra, endpoint):
    profile = _profile(
        {"auth": "password", "iam_domain": "fake-account", **extra},
        host="https://metastudio.example.com",
        login="fake-user",
        password="fake password ",  # a password may hold blanks
    )
    login = profile.authentication
    assert isinstance(login, IamLogin)
    assert login.endpoint == endpoint
    assert (login.request.user, login.request.domain) == ("fake-user", "fake-account")
    assert (login.request.password, login.request.project_id) == ("fake password ", "fake-project")


def test_pasted_line_breaks_do_no_harm():
    profile = _profile(login=" FAKEACCESSKEY\n", password="fake-secret-key\n")
    assert profile.authentication == Credentials("FAKEACCESSKEY", "fake-secret-key")


MISTAKES = [
    ({"extra": "{"}, "extra must be a JSON object"),
    ({"extra": "[]"}, "extra must be a JSON object"),
    ({"extra": '{"region": "cn-north-4"}'}, "project_id is missing"),
    ({"extra": '{"project_id": "p"}'}, "host and region are both missing"),
    ({"login": None}, "login is missing: the access key"),
    ({"password": None}, "password is missing: the secret key"),
    ({"login": "FAKE, KEY"}, "login is no access key"),
    ({"password": "fake secret"}, "password is no secret key"),
    ({"host": "ftp://metastudio.example.com"}, "host must be an address"),
    ({"host": "https://"}, "host must be an address"),
    ({"host": "meta studio"}, "host must be an address"),
    ({"host": "https://metastudio.example.com:port"}, "host is no valid address"),
    ({"host": "https://metastudio.example.com/?a=b"}, "host must not hold"),
    ({"host": "https://u:fake-secret@metastudio.example.com"}, "host must not hold"),
    ({"host": "http://metastudio.example.com"}, "host must start with https"),
    ({"host": "metastudio.example.com", "schema": "http"}, "host must start with https"),
    ({"host": "http://127.0.0.1.example.com"}, "host must start with https"),
    ({"host": "https://metastudio.example.com:1", "port": 2}, "port is 2, but host says 1"),
]
WRONG_EXTRAS = [
    ({"project_id": "a/b"}, "project_id must be"),
    ({"project_id": 7}, "project_id must be a string"),
    ({"project_id": ".."}, "project_id must be"),
    ({"region": "evil.example.com/"}, "region must be"),
    ({"auth": "basic"}, "auth must be one of aksk, token, password"),
    ({"auth": "token"}, "auth_token is missing"),
    ({"auth": "password"}, "iam_domain is missing"),
    (
        {"auth": "password", "iam_domain": "a", "iam_endpoint": "http://iam.example.com"},
        "iam_endpoint must start",
    ),
    ({"security_token": "fake\ntoken"}, "security_token must be"),
    ({"app_user_id": "用户"}, "app_user_id must be"),
    ({"app_user_id": "x" * 257}, "app_user_id must not be longer"),
    ({"proxy": "proxy.example.com:3128"}, "proxy must be an address"),
    ({"proxy": "socks5://proxy.example.com"}, "proxy must be an address"),
    ({"callback_base_url": "http://airflow.example.com"}, "callback_base_url must start with https"),
    ({"callback_base_url": "airflow.example.com"}, "callback_base_url must be an address"),
    ({"callback_auth_type": "MEITUAN_DEFAULT"}, "callback_auth_type must be one of MSS_A_HEAD, MSS_A, NONE"),
    ({"console_url": "javascript:alert(1)"}, "console_url must start"),
]


@pytest.mark.parametrize(("fields", "message"), MISTAKES)
def test_mistakes_in_fields(fields, message):
    with pytest.raises(InvalidConnectionError) as caught:
        _profile(**fields)
    assert str(caught.value).startswith(f"Connection 'live': {message}")
    assert "fake" not in str(caught.value)


@pytest.mark.parametrize(("extra", "message"), WRONG_EXTRAS)
def test_mistakes_in_extras(extra, message):
    with pytest.raises(InvalidConnectionError) as caught:
        _profile(extra)
    assert str(caught.value).startswith(f"Connection 'live': {message}")
    assert "fake" not in str(caught.value)


@pytest.mark.parametrize(
    "extra",
    [
        {"security_token": SECRETS["security_token"], "proxy": SECRETS["proxy"]},
        {"auth": "token", "auth_token": SECRETS["auth_token"]},
        {"auth": "password", "iam_domain": "fake-account"},
    ],
)
def test_no_secret_in_repr_and_every_secret_to_be_masked(extra):
    profile = _profile(extra)
    given = {value for name, value in SECRETS.items() if name in extra}
    if extra.get("auth") != "token":
        given.add(SECRETS["password"])
    assert set(profile.secrets) == given
    assert not any(secret in repr(profile) for secret in given)
