"""A connection of type ``smartlive``, parsed and checked. No I/O."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import SplitResult, quote, urlsplit

from airflow_provider_smartlive.metastudio.addresses import is_host, is_loopback
from airflow_provider_smartlive.metastudio.callback_auth import AuthType
from airflow_provider_smartlive.metastudio.iam import TokenRequest
from airflow_provider_smartlive.metastudio.signing import Credentials

if TYPE_CHECKING:
    from airflow_provider_smartlive.metastudio.ids import JobRef

#: Huawei publishes no deep link into MetaStudio's console, only the way through its overview page.
DEFAULT_CONSOLE_URL = "https://console.huaweicloud.com/metastudio/"

_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
_PROJECT_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
#: What may stand in a header without changing its meaning: visible ASCII.
_VISIBLE = re.compile(r"[!-~]+")
#: ``Access=<AK>, SignedHeaders=...``: a comma or a space would end the access key early.
_ACCESS_KEY = re.compile(r"[!-+\--~]+")


class InvalidConnectionError(ValueError):
    """A connection that cannot be used. The message names the field and the fix, and never a secret."""


class MissingConnectionError(InvalidConnectionError):
    """There is no connection of the name that an argument gives."""


class Auth(StrEnum):
    """How requests to MetaStudio are authenticated (extra field ``auth``)."""

    AKSK = "aksk"
    TOKEN = "token"  # noqa: S105 - a choice, not a secret
    PASSWORD = "password"  # noqa: S105 - a choice, not a secret


@dataclass(frozen=True)
class StaticToken:
    """A user token that somebody else obtained from IAM; it expires after 24 hours and is not renewed."""

    value: str = field(repr=False)


@dataclass(frozen=True)
class IamLogin:
    """An IAM user whose password is exchanged for tokens at an endpoint."""

    endpoint: str
    request: TokenRequest


class ConnectionFields(Protocol):
    """The fields that Airflow's two connection classes have in common."""

    # Any: the two classes differ in what may be None.
    conn_id: Any
    conn_type: Any
    host: Any
    schema: Any
    port: Any
    login: Any
    password: Any
    extra: Any


@dataclass(frozen=True)
class ConnectionProfile:
    """
    A checked connection: where MetaStudio is, who asks, and how MetaStudio calls back.

    :param conn_id: id of the Airflow connection, for messages.
    :param endpoint: URL of MetaStudio without a trailing slash.
    :param project_id: id of the project (part of every path).
    :param authentication: AK/SK (temporary ones carry a security token), a static token, or an IAM user.
    :param region: for example ``cn-north-4``; None if only a host is known.
    :param app_user_id: third-party user id, sent as ``X-App-UserId``.
    :param proxy: URL of the HTTP proxy; hidden in ``repr``, as it may hold a password.
    :param ca_bundle: path of a file with the CA certificates to trust instead of the usual ones.
    :param callback_base_url: URL under which MetaStudio reaches the API server; None: the setting counts.
    :param callback_auth_type: how MetaStudio signs its callbacks; None: the setting counts.
    :param console_url: address of the console for links; may hold ``{room_id}``, ``{job_id}``, ``{region}``
        and ``{project_id}``.
    """

    conn_id: str
    endpoint: str
    project_id: str
    authentication: Credentials | StaticToken | IamLogin
    region: str | None = None
    app_user_id: str | None = None
    proxy: str | None = field(default=None, repr=False)
    ca_bundle: str | None = None
    callback_base_url: str | None = None
    callback_auth_type: AuthType | None = None
    console_url: str = DEFAULT_CONSOLE_URL

    @classmethod
    def from_connection(cls, connection: ConnectionFields) -> Self:
        """
        Parse and check a connection.

        :raises InvalidConnectionError: if a field is missing or malformed, with its name and the fix.
        """
        fields = _Fields(connection)
        region = fields.matching("region", _REGION, "the id of a region, for example cn-north-4")
        project_id = fields.matching(
            "project_id", _PROJECT_ID, "letters, digits, dashes (console: My Credentials)"
        )
        if project_id is None:
            raise fields.wrong(
                "project_id", "is missing. The console shows it under My Credentials > API Credentials"
            )
        return cls(
            conn_id=str(connection.conn_id),
            endpoint=_endpoint(fields, region),
            project_id=project_id,
            authentication=_authentication(fields, region, project_id),
            region=region,
            app_user_id=_app_user_id(fields),
            proxy=_proxy(fields),
            ca_bundle=fields.text("ca_bundle"),
            callback_base_url=fields.url("callback_base_url"),
            callback_auth_type=_callback_auth_type(fields),
            console_url=_console_url(fields),
        )

    @property
    def base_url(self) -> str:
        """Where all paths of this project begin."""
        return f"{self.endpoint}/v1/{self.project_id}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the StartSmartLive page that say on whose behalf a request is made."""
        headers = {"X-Project-Id": self.project_id}
        if self.app_user_id:
            headers["X-App-UserId"] = self.app_user_id
        return headers

    def console_link(self, job_ref: JobRef) -> str:
        """Return the address of a room in MetaStudio's console."""
        known = {
            "{room_id}": job_ref.room_id,
            "{job_id}": job_ref.job_id,
            "{region}": self.region or "",
            "{project_id}": self.project_id,
        }
        link = self.console_url
        for placeholder, value in known.items():
            link = link.replace(placeholder, quote(value, safe=""))
        return link

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must be masked in logs, and stand in no error: Airflow masks the password, but not ``extra``."""
        match self.authentication:
            case Credentials() as credentials:
                secrets = (credentials.secret_key, credentials.security_token)
            case StaticToken(value=token):
                secrets = (token, None)
            case IamLogin(request=request):
                secrets = (request.password, None)
        return tuple(secret for secret in (*secrets, self.proxy) if secret)


def read_extra(connection: ConnectionFields) -> dict[str, Any] | None:
    """
    Read a connection's ``extra``; nothing, blanks and ``null`` are the same as an empty object.

    :returns: None if it is no JSON object: no JSON, a list, or JSON inside a JSON text.
    """
    try:
        extra = json.loads((connection.extra or "").strip() or "{}")
    except (ValueError, RecursionError):
        return None
    if extra is None:
        return {}
    return extra if isinstance(extra, dict) else None


class _Fields:
    """Reads single fields of a connection; whatever it refuses, the message says which field it was."""

    def __init__(self, connection: ConnectionFields) -> None:
        self.connection = connection
        extra = read_extra(connection)
        if extra is None:
            raise self.wrong("extra", 'must be a JSON object, for example {"region": "cn-north-4"}')
        self._extra = extra

    def wrong(self, name: str, problem: str) -> InvalidConnectionError:
        return InvalidConnectionError(f"Connection {self.connection.conn_id!r}: {name} {problem}.")

    def standard(self, name: str) -> str | None:
        """Return one of the connection's own fields without surrounding blanks (a pasted line break, say)."""
        return str(getattr(self.connection, name) or "").strip() or None

    def text(self, name: str) -> str | None:
        """Return a field of ``extra``; what the form leaves empty counts as not given."""
        value = self._extra.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.wrong(name, "must be a string")
        return value.strip() or None

    def matching(self, name: str, pattern: re.Pattern[str], expected: str) -> str | None:
        value = self.text(name)
        if value is not None and not pattern.fullmatch(value):
            raise self.wrong(name, f"must be {expected}")
        return value

    def url(self, name: str) -> str | None:
        """Return an address of ``extra`` without its trailing slash."""
        value = self.text(name)
        return None if value is None else _address(self.split(name, value))

    def split(self, name: str, value: str) -> SplitResult:
        """
        Take an address apart and check it.

        Plain http is for this machine only: a signed request can be replayed for 15 minutes by whoever
        reads it, a token or a callback key for longer.
        """
        try:
            parts = urlsplit(value.rstrip("/"))
            port = parts.port
        except ValueError:
            raise self.wrong(name, "is no valid address") from None
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or not _VISIBLE.fullmatch(value)
            or not is_host(parts.hostname)
            or port == 0
        ):
            raise self.wrong(
                name, "must be an address such as https://metastudio.cn-north-4.myhuaweicloud.com"
            )
        if parts.username is not None or parts.query or parts.fragment:
            raise self.wrong(name, "must not hold a user name, a query or a fragment")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise self.wrong(
                name, "must start with https:// (plain http is for 127.0.0.1 and localhost only)"
            )
        return parts


def _address(parts: SplitResult) -> str:
    """Put an address together, in the spelling that HTTP libraries give the Host header: it is signed."""
    default_port = {"http": ":80", "https": ":443"}[parts.scheme]
    return parts._replace(netloc=parts.netloc.lower().removesuffix(default_port)).geturl()


def _endpoint(fields: _Fields, region: str | None) -> str:
    host = fields.standard("host")
    if host is None:
        if region is None:
            raise fields.wrong("host", "and region are both missing. Give the region, for example cn-north-4")
        return f"https://metastudio.{region}.myhuaweicloud.com"
    scheme = fields.standard("schema") or "https"
    parts = fields.split("host", host if "://" in host else f"{scheme}://{host}")
    port = fields.connection.port
    if port and parts.port is None:
        parts = fields.split("port", parts._replace(netloc=f"{parts.netloc}:{port}").geturl())
    elif port and parts.port != port:
        raise fields.wrong("port", f"is {port}, but host says {parts.port}. Give it once")
    return _address(parts)


def _authentication(
    fields: _Fields, region: str | None, project_id: str
) -> Credentials | StaticToken | IamLogin:
    value = fields.text("auth") or Auth.AKSK
    try:
        auth = Auth(value)
    except ValueError:
        raise fields.wrong("auth", f"must be one of {', '.join(Auth)}") from None
    match auth:
        case Auth.AKSK:
            return _access_key(fields)
        case Auth.TOKEN:
            return _static_token(fields)
        case Auth.PASSWORD:
            return _iam_login(fields, region, project_id)


def _access_key(fields: _Fields) -> Credentials:
    access_key, secret_key = fields.standard("login"), fields.standard("password")
    if access_key is None:
        raise fields.wrong("login", "is missing: the access key (AK). To use a token or a password, set auth")
    if secret_key is None:
        raise fields.wrong("password", "is missing: the secret key (SK) of the access key")
    if not _ACCESS_KEY.fullmatch(access_key):
        raise fields.wrong(
            "login", "is no access key (AK): it holds a blank, a comma or a non-ASCII character"
        )
    if not _VISIBLE.fullmatch(secret_key):
        raise fields.wrong("password", "is no secret key (SK): it holds a blank or a non-ASCII character")
    token = fields.matching("security_token", _VISIBLE, "visible ASCII characters only")
    return Credentials(access_key, secret_key, token)


def _static_token(fields: _Fields) -> StaticToken:
    token = fields.matching("auth_token", _VISIBLE, "visible ASCII characters only")
    if token is None:
        raise fields.wrong("auth_token", "is missing, but auth is 'token'. IAM returns it as X-Subject-Token")
    return StaticToken(token)


def _iam_login(fields: _Fields, region: str | None, project_id: str) -> IamLogin:
    user, password = fields.standard("login"), fields.connection.password
    domain = fields.text("iam_domain")
    for name, value, meaning in (
        ("login", user, "the name of the IAM user"),
        ("password", password, "the password of the IAM user"),
        ("iam_domain", domain, "the name of the account that the IAM user belongs to"),
    ):
        if not value:
            raise fields.wrong(name, f"is missing, but auth is 'password': {meaning}")
    regional = f"https://iam.{region}.myhuaweicloud.com" if region else "https://iam.myhuaweicloud.com"
    return IamLogin(
        endpoint=fields.url("iam_endpoint") or regional,
        request=TokenRequest(domain=domain or "", user=user or "", password=password, project_id=project_id),
    )


def _app_user_id(fields: _Fields) -> str | None:
    value = fields.matching("app_user_id", _VISIBLE, "visible ASCII characters only (no Chinese characters)")
    if value is not None and len(value) > 256:
        raise fields.wrong("app_user_id", "must not be longer than 256 characters")
    return value


def _proxy(fields: _Fields) -> str | None:
    value = fields.text("proxy")
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise fields.wrong("proxy", "must be an address such as http://proxy.example.com:3128")
    return value


def _console_url(fields: _Fields) -> str:
    # It becomes a link in Airflow's UI, where other schemes could run a script.
    value = fields.text("console_url") or DEFAULT_CONSOLE_URL
    if not value.startswith(("https://", "http://")):
        raise fields.wrong("console_url", "must start with https://")
    return value


def _callback_auth_type(fields: _Fields) -> AuthType | None:
    value = fields.text("callback_auth_type")
    if value is None:
        return None
    ours = (AuthType.MSS_A_HEAD, AuthType.MSS_A, AuthType.NONE)  # MEITUAN_DEFAULT is Meituan's own
    if value not in ours:
        raise fields.wrong("callback_auth_type", f"must be one of {', '.join(ours)}")
    return AuthType(value)
