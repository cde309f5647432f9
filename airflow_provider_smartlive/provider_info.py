"""What Airflow asks a provider for: connection type, links, configuration section."""

from __future__ import annotations

from typing import Any

#: The connection of hooks, operators and commands that name none.
DEFAULT_CONN_ID = "smartlive_default"


def _option(
    description: str, type_: str, default: str | None, example: str | None = None, **more: Any
) -> dict[str, Any]:
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": type_,
        "example": example,
        "default": default,
        **more,
    }


def _field(label: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], **schema}}


#: The service, as Airflow's list of integrations names it.
_INTEGRATION = "Huawei Cloud MetaStudio"


def _modules(*names: str) -> dict[str, Any]:
    modules = [f"airflow_provider_smartlive.{name}" for name in names]
    return {"integration-name": _INTEGRATION, "python-modules": modules}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, in the form of Airflow's provider schema."""
    return {
        "package-name": "airflow-provider-smartlive",
        "name": "MetaStudio smart live",
        "description": "Scheduled virtual-human livestreams on Huawei Cloud MetaStudio.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://support.huaweicloud.com/intl/en-us/api-metastudio/",
                "tags": ["service"],
            }
        ],
        "operators": [_modules("operators")],
        "sensors": [_modules("sensors")],
        "hooks": [_modules("hooks")],
        "triggers": [_modules("triggers.event", "triggers.job", "triggers.stream")],
        "connection-types": [CONNECTION_TYPE],
        "cli": ["airflow_provider_smartlive.cli.definition.get_commands"],
        "extra-links": ["airflow_provider_smartlive.links.SmartLiveRoomLink"],
        "config": {"smartlive": {"description": "Livestreams on MetaStudio.", "options": OPTIONS}},
    }


#: The form of a ``smartlive`` connection. :mod:`airflow_provider_smartlive.client.connection` reads what it saves.
CONNECTION_TYPE: dict[str, Any] = {
    "connection-type": "smartlive",
    "hook-name": "MetaStudio smart live",
    "hook-class-name": "airflow_provider_smartlive.hooks.SmartLiveHook",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "extra"],
        "relabeling": {
            "host": "Endpoint",
            "login": "Access key (AK) or IAM user",
            "password": "Secret key (SK) or password",
        },
        "placeholders": {
            "host": "empty: the endpoint of the region",
            "port": "443; the Test button of a stored connection needs one",
            "login": "AK; for auth=password the name of the IAM user",
            "password": "SK; for auth=password the password of the IAM user",
        },
    },
    "conn-fields": {
        "region": _field(
            "Region",
            "Decides the endpoint unless one is given, for example cn-north-4. Rooms do not cross regions.",
            pattern="^$|^[a-z0-9]+(-[a-z0-9]+)+$",
        ),
        "project_id": _field(
            "Project ID",
            "The project of that region (console: My Credentials, API Credentials). Needed.",
            maxLength=64,
        ),
        "auth": _field(
            "Authentication",
            "aksk: access key and secret key, permanent or temporary. token: the token below. password: the "
            "password of an IAM user is exchanged for tokens, which are renewed. Huawei recommends aksk.",
            default="aksk",
            enum=["aksk", "token", "password"],
        ),
        "security_token": _field(
            "Security token",
            "Belongs to a temporary access key and expires with it (X-Security-Token).",
            format="password",
        ),
        "auth_token": _field(
            "Token",
            "For authentication by token: a user token of IAM (X-Auth-Token). It expires after 24 hours.",
            format="password",
        ),
        "iam_domain": _field(
            "IAM account",
            "For authentication by password: the name of the account that the IAM user belongs to.",
        ),
        "iam_endpoint": _field(
            "IAM endpoint",
            "For authentication by password. Empty: https://iam.REGION.myhuaweicloud.com.",
        ),
        "app_user_id": _field(
            "Third-party user ID",
            "Sent as X-App-UserId with every request; no Chinese characters.",
            maxLength=256,
        ),
        "proxy": _field(
            "Proxy",
            "URL of the HTTP proxy on the way to MetaStudio. Empty: what the environment says.",
            format="password",
        ),
        "ca_bundle": _field(
            "CA bundle",
            "File with the CA certificates to trust, on the workers, the triggerer and the API server. "
            "Empty: the usual ones. Certificates are always checked.",
        ),
        "callback_base_url": _field(
            "Callback base URL",
            "How MetaStudio reaches this deployment's API server. Empty: [smartlive] callback_base_url.",
        ),
        "callback_auth_type": _field(
            "Callback authentication",
            "How MetaStudio signs its callbacks. Empty: [smartlive] callback_auth_type.",
            enum=["", "MSS_A_HEAD", "MSS_A", "NONE"],
        ),
        "console_url": _field(
            "Console URL",
            "Where the extra link of a task leads. May hold {room_id}, {job_id}, {region} and {project_id}. "
            "Empty: the console's overview page, as Huawei documents no link to a room.",
        ),
    },
}

#: The ``[smartlive]`` section. :mod:`airflow_provider_smartlive.settings` reads it. Its defaults stand here, and
#: what it accepts (``minimum``, ``maximum``, ``choices``, ``is_list``): the documentation and the code cannot differ.
OPTIONS: dict[str, dict[str, Any]] = {
    "callback_secrets": _option(
        "Secrets of the callback receiver, separated by commas: the first one issues callback URLs and keys, all "
        "of them are accepted. `airflow smartlive generate-secret` makes one. The workers and the API server need "
        "the same value. Without one every callback is refused, and a task that asks for callbacks does not start.",
        "string",
        "",
        sensitive=True,
    ),
    "callback_base_url": _option(
        "The URL under which MetaStudio reaches this deployment's API server, with its path prefix. Empty: `[api] "
        "base_url`. The connection's own setting comes first.",
        "string",
        "",
        "https://airflow.example.com",
    ),
    "deployment": _option(
        "The mark of this deployment in its callback URLs. Without it, two deployments that share callback secrets "
        "and a MetaStudio project (production and staging) take each other's livestreams for their own. Empty: the "
        "callback base URL. After a change, livestreams that were started before are no longer swept.",
        "string",
        "",
        "production",
    ),
    "callback_auth_type": _option(
        "How MetaStudio signs its callbacks: MSS_A_HEAD (headers), MSS_A (query) or NONE. With MSS_A_HEAD a URL "
        "from a log is not enough to send an event.",
        "string",
        "MSS_A_HEAD",
        choices=("MSS_A_HEAD", "MSS_A", "NONE"),
    ),
    "callback_auth_window": _option(
        "Seconds by which the time of a signed callback may differ from ours, both ways.",
        "integer",
        "300",
        minimum=1,
        maximum=86_400,
    ),
    "callback_auth_forms": _option(
        "Forms of the signed URI that are accepted, separated by commas, in order: `host-path-query` is the "
        "published one (query sorted by name); `full-url` and `path-query` are plausible others.",
        "string",
        "host-path-query",
        choices=("host-path-query", "full-url", "path-query"),
        is_list=True,
    ),
    "callback_max_body": _option(
        "The largest callback body that is read, in bytes. MetaStudio's own are below 2 KiB.",
        "integer",
        "65536",
        minimum=1024,
        maximum=1_048_576,
    ),
    "callback_rate_limit": _option(
        "Verified events per minute, task instance and API server process; more are answered with 429. A stream "
        "that flaps every second stays below it.",
        "integer",
        "600",
        minimum=1,
        maximum=100_000,
    ),
    "reconcile_interval": _option(
        "Seconds between two questions to MetaStudio about waiting streams, when callbacks are on: how late an END "
        "is seen at most whose callbacks were all lost.",
        "integer",
        "300",
        minimum=1,
        maximum=86_400,
    ),
    "reconcile_interval_without_rtmp": _option(
        "Seconds between two questions about jobs without an RTMP output or without callbacks.",
        "integer",
        "60",
        minimum=1,
        maximum=86_400,
    ),
    "resume_delay": _option(
        "Seconds after its deferral for which a task is not resumed, except for a deadline: Airflow fails a task "
        "that is resumed before the exit of its worker was reported, which may take a heartbeat (`[workers] "
        "min_heartbeat_interval`, 5 seconds).",
        "integer",
        "8",
        minimum=0,
        maximum=300,
    ),
    "silence_threshold": _option(
        "Seconds after the start of a stream without a single callback, after which MetaStudio is asked as often "
        "as without callbacks; the task's log says so.",
        "integer",
        "300",
        minimum=1,
        maximum=86_400,
    ),
    "end_grace": _option(
        "Seconds that MetaStudio gets to finish a job after END, before we stop it.",
        "integer",
        "120",
        minimum=0,
        maximum=86_400,
    ),
    "stop_grace": _option(
        "Seconds that a job gets to end after an accepted stop, before the stop counts as failed.",
        "integer",
        "120",
        minimum=0,
        maximum=3600,
    ),
    "failure_budget": _option(
        "Seconds for which MetaStudio may be unreachable before a waiting task fails. Any good answer starts them "
        "anew.",
        "integer",
        "3600",
        minimum=1,
        maximum=604_800,
    ),
    "look_again_window": _option(
        "Seconds for which a start with an unknown outcome is looked for in MetaStudio's listing, which may lag, "
        "before it is sent again.",
        "integer",
        "30",
        minimum=0,
        maximum=3600,
    ),
    "max_live_duration": _option(
        "Hours after which MetaStudio itself ends a job without `stop_at` and `max_duration`: the backstop for a "
        "job that nobody waits for any more.",
        "integer",
        "24",
        minimum=1,
        maximum=168,
    ),
    "request_timeout": _option(
        "Seconds for one request, from connecting (at most 10 of them) to the last byte of its answer.",
        "integer",
        "30",
        minimum=1,
        maximum=600,
    ),
    "request_attempts": _option(
        "How often a request that may be repeated is sent before its error counts.",
        "integer",
        "4",
        minimum=1,
        maximum=20,
    ),
    "as_run_path": _option(
        "The folder of the as-run log, as ObjectStoragePath takes it, for tasks and `airflow smartlive as-run`.",
        "string",
        "",
        "s3://aws_default@bucket/as-run",
    ),
    "board": _option(
        "Whether Airflow's UI has the page of livestreams and the tab of a task instance. The API server reads it.",
        "boolean",
        "True",
    ),
}
