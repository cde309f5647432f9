"""
Write the golden folders of ``tests/metastudio/golden`` anew, with Huawei's own signer as the only author.

Each folder holds a request as it goes on the wire, and what Huawei's SDK makes of it: the canonical request,
the string to sign and the Authorization header. Run from the project's root: ``python -m dev.signing_golden``.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

GOLDEN = Path(__file__).parent.parent / "tests" / "metastudio" / "golden"

# The sample pair of Huawei's public signing guide.
ACCESS_KEY = "QTWAOYTTINDUT2QVKYUC"
SECRET_KEY = "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"

HOST = "metastudio.cn-north-4.myhuaweicloud.com"
PROJECT = "70b76aaaaaa34253880af501cdaaaaaa"
DATE = "20261122T120000Z"
JOBS = f"/v1/{PROJECT}/smart-live-rooms/24bad716-87b1-45e5-8912-6102f7693265/smart-live-jobs"
JOB = f"{JOBS}/26f06524-4f75-4b3a-a853-b649a21aaf66"
JSON = {"Content-Type": "application/json", "X-Project-Id": PROJECT}


@dataclass
class Case:
    """One request in the SDK's own terms: decoded query values, a path that is encoded already."""

    method: str = "GET"
    path: str = JOBS
    query: list[tuple[str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    body: bytes = b""
    host: str = HOST
    date: str = DATE


CASES = {
    # The signing guide's example, and A to D: computed with the SDK and with an independent signer.
    "published-vpcs": Case(
        host="service.region.example.com",
        path="/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs",
        query=[("limit", 2), ("marker", "13551d6b-755d-4757-b956-536f674975c0")],
        headers={"Content-Type": "application/json"},
        date="20191115T033655Z",
    ),
    "known-a-start": Case(
        "POST", body=b'{"output_urls": ["rtmp://push.example.com/live"], "stream_keys": ["key-1"]}'
    ),
    "known-b-list": Case(
        query=[("state", "WAITING,PROCESSING"), ("limit", 10), ("create_since", "2026-11-22T00:00:00Z")]
    ),
    "known-c-stop": Case("POST", f"{JOB}/stop"),
    "known-d-show-with-token": Case(path=JOB, headers={**JSON, "X-Security-Token": "example-token"}),
    # Bodies.
    "body-empty-object": Case("POST", body=b"{}"),
    "body-utf8": Case("POST", body='{"room_name":"夜间直播 ☆"}'.encode()),
    "body-ascii-escapes": Case("POST", body=b'{"room_name": "\\u591c\\u95f4"}'),
    "body-with-blank-lines": Case("PUT", body=b'{\n\n"room_name": "a"\n}\n'),
    "body-not-json": Case("PUT", headers={**JSON, "Content-Type": "text/plain"}, body=b"plain text"),
    "body-not-json-and-empty": Case("POST", headers={**JSON, "Content-Type": "text/plain"}),
    "content-type-with-charset": Case(
        "POST", headers={**JSON, "Content-Type": "application/json;charset=utf8"}, body=b"{}"
    ),
    # Queries.
    "query-comma-and-colon": Case(query=[("a", "x,y"), ("b", "10:30")]),
    "query-space": Case(query=[("room_name", "my evening show")]),
    "query-plus": Case(query=[("room_name", "1+1")]),
    "query-repeated-key": Case(query=[("state", ["WAITING", "PROCESSING", "BLOCKED"])]),
    "query-same-value-twice": Case(query=[("state", ["WAITING", "WAITING"])]),
    "query-unicode": Case(query=[("直播", "夜间"), ("emoji", "🎬")]),
    "query-empty-value": Case(query=[("a", ""), ("b", "1")]),
    "query-empty-name": Case(query=[("", "1")]),
    "query-sorted-by-character": Case(query=[("é", "1"), ("a", "2"), ("Z", "3"), ("a-b", "4"), ("_", "5")]),
    "query-reserved": Case(query=[("q", "a&b=c?d/e#f%g;h@i")]),
    "query-unreserved": Case(query=[("q", "AZaz09-_.~*'()!")]),
    "query-boolean": Case("POST", f"{JOB}/live-event-report", query=[("refresh_url", True)], body=b"{}"),
    "query-newline": Case(query=[("q", "a\r\nb\tc")]),
    # Paths.
    "path-root": Case(path="/"),
    "path-trailing-slash": Case(path=f"{JOBS}/"),
    "path-encoded-slash": Case(path="/v1/p/smart-live-rooms/a%2Fb"),
    "path-space": Case(path="/v1/p/smart-live-rooms/my%20room"),
    "path-plus": Case(path="/v1/p/smart-live-rooms/1+1"),
    "path-unicode": Case(path="/v1/p/smart-live-rooms/%E5%A4%9C%E9%97%B4"),
    "path-percent": Case(path="/v1/p/smart-live-rooms/100%2525"),
    "path-reserved": Case(path="/v1/p/smart-live-rooms/a:b@c!$&'()*,;=d"),
    "path-dots": Case(path="/v1/p/./smart-live-rooms/../x"),
    "path-double-slash": Case(path="/v1//p"),
    # Headers.
    "header-value-with-spaces": Case(headers={**JSON, "X-App-UserId": "  two  words  "}),
    "header-with-underscore": Case(headers={**JSON, "X_Left_Out": "1"}),
    "header-names-in-any-case": Case(headers={"CONTENT-TYPE": "application/json", "x-PROJECT-id": PROJECT}),
    "header-empty-value": Case(headers={**JSON, "X-App-UserId": ""}),
    "header-user-agent": Case(headers={**JSON, "User-Agent": "airflow-provider-smartlive/0.1 (test; x=1)"}),
    "header-token-with-symbols": Case(headers={**JSON, "X-Security-Token": "ZmFrZQ+/ZmFrZQ=="}),
    "header-none": Case(headers={}),
    # Hosts and methods.
    "host-with-port": Case(host="127.0.0.1:8443"),
    "host-ipv6": Case(host="[::1]:8443"),
    "host-upper-case": Case(host="MetaStudio.example.COM"),
    "method-lower-case": Case("post", body=b"{}"),
    "method-delete": Case("DELETE", JOB),
    "method-patch": Case("PATCH", JOB, body=b"{}"),
}


def write(name: str, case: Case) -> None:
    """Sign one case with the SDK and write its folder."""
    headers = {**case.headers, "X-Sdk-Date": case.date}
    request = SdkRequest(
        case.method, "https", case.host, case.path, None, case.query, headers, case.body or None
    )
    signer = Signer(BasicCredentials(ACCESS_KEY, SECRET_KEY))
    signer.sign(request)
    authorization = request.header_params.pop("Authorization")
    canonical = signer._process_canonical_request(request, signer._process_signed_headers(request))
    to_sign = signer._process_string_to_sign(canonical, signer._process_header_time(request))
    head = [f"{case.method} {request.uri} HTTP/1.1", f"Host: {case.host}", f"X-Sdk-Date: {case.date}"]
    head += [f"{name}: {value}" for name, value in case.headers.items()]
    folder = GOLDEN / name
    folder.mkdir(parents=True)
    (folder / "request").write_bytes("\n".join([*head, "", ""]).encode() + case.body)
    (folder / "canonical-request").write_bytes(canonical.encode())
    (folder / "string-to-sign").write_bytes(to_sign.encode())
    (folder / "authorization").write_bytes(authorization.encode())


def main() -> None:
    """Write all folders."""
    shutil.rmtree(GOLDEN, ignore_errors=True)
    for name, case in CASES.items():
        write(name, case)
    print(f"{len(CASES)} golden folders")


if __name__ == "__main__":
    main()
