"""
The records of finished jobs: files behind pre-signed URLs, served in parts as object storages do.

MetaStudio's API only says that there is the URL of a file; what stands in one is not documented. Here it is what the
ledger tells of the job.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_smartlive.sandbox.backend import Backend
from airflow_provider_smartlive.sandbox.model.jobs import RECORDS, StoredJob
from airflow_provider_smartlive.sandbox.model.ledger import Kind

#: How long a URL is valid, from the start of the job: longer than the longest livestream.
_LIFE = timedelta(days=8)

_RANGE = re.compile(r"bytes=(\d{1,18})-")


def record_url(base_url: str, job: StoredJob, field: str) -> str:
    """
    Return the pre-signed URL of a record.

    :param base_url: scheme and host of the sandbox.
    :param field: the field of ``live_job_log`` that names it.
    """
    expires = int((job.create_time + _LIFE).timestamp())
    query = urlencode({"Expires": expires, "Signature": _signature(job, field, expires)})
    return f"{base_url}/sandbox/records/{job.job_id}/{field.removesuffix('_url')}.json?{query}"


def serve(backend: Backend, request: Request) -> Response:
    """Answer a request for a record, or the rest of it: 403 without a signature, or when it has expired."""
    job = backend.engine.get(request.path_params["job_id"])
    field = f"{request.path_params['name']}_url"
    if job is None or field not in RECORDS or not _is_signed(backend, request, job, field):
        return Response(status_code=HTTPStatus.FORBIDDEN)
    entries = list(backend.ledger.read(kind=Kind.JOB, job_id=job.job_id))
    return _part_of(json.dumps({"job_id": job.job_id, "entries": entries}).encode(), request)


def _part_of(content: bytes, request: Request) -> Response:
    version = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
    headers = {"ETag": version, "Accept-Ranges": "bytes"}
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if wanted is None or request.headers.get("if-range", version) != version:
        return Response(content, headers=headers, media_type="application/json")
    start = int(wanted[1])
    if start >= len(content):
        headers["Content-Range"] = f"bytes */{len(content)}"
        return Response(status_code=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)
    headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    return Response(content[start:], HTTPStatus.PARTIAL_CONTENT, headers, "application/json")


def _is_signed(backend: Backend, request: Request, job: StoredJob, field: str) -> bool:
    expires = request.query_params.get("Expires", "")
    if not re.fullmatch(r"\d{1,12}", expires, re.ASCII) or int(expires) < backend.clock.now().timestamp():
        return False
    given = request.query_params.get("Signature", "")
    return hmac.compare_digest(given.encode(), _signature(job, field, int(expires)).encode())


def _signature(job: StoredJob, field: str, expires: int) -> str:
    return hmac.new(job.report_key.encode(), f"{job.job_id}/{field}/{expires}".encode(), "sha256").hexdigest()
