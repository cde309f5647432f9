"""Download a file from a pre-signed URL (a secret), resumed where the connection broke."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import BinaryIO
from urllib.parse import urlsplit

import requests
from airflow.sdk.log import mask_secret

from airflow_provider_smartlive.client.body import ResponseTooLargeError
from airflow_provider_smartlive.client.connection import ConnectionProfile
from airflow_provider_smartlive.client.errors import TransportFailure
from airflow_provider_smartlive.client.flow import LONGEST_BACKOFF, USER_AGENT
from airflow_provider_smartlive.client.transport import CHUNK, respond
from airflow_provider_smartlive.metastudio.known_secrets import without_secrets
from airflow_provider_smartlive.metastudio.text import safe_text

#: Seconds for one request, its body included. A file that takes longer is gone on with.
REQUEST_SECONDS = 120.0

#: Seconds for one file: a server may send a byte with each request, and another try goes on with what has arrived.
LONGEST_DOWNLOAD = 3600

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

#: A version that can be sent back in a header. One that is longer is not kept.
_VERSION = re.compile(r"[!-~][ -~]{0,1000}")

#: Characters that are kept of what a server says of a file.
_LONGEST_WORD = 100

#: What may pass: the server is busy or broken.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class DownloadError(Exception):
    """
    A file could not be downloaded. The text names neither its URL nor what stands in it.

    :ivar may_pass: whether another try, with another URL, may succeed.
    """

    def __init__(self, text: str, *, may_pass: bool = True) -> None:
        super().__init__(text)
        self.may_pass = may_pass


@dataclass
class PartialFile:
    """
    A file as far as it has arrived.

    :param data: what has arrived; it can be read and written at any place.
    :param version: what the server calls this version of the file: a strong ``ETag``, or ``Last-Modified``. Without
        one a download cannot go on, and begins again.
    :param total: how large the file is, in bytes, as far as the server has said.
    :param content_type: the header ``Content-Type``.
    :param content_encoding: the header ``Content-Encoding``: it is kept as it was sent.
    """

    data: BinaryIO
    version: str | None = None
    total: int | None = None
    content_type: str | None = None
    content_encoding: str | None = None

    @property
    def size(self) -> int:
        """How many bytes have arrived."""
        return self.data.seek(0, 2)

    def begin_again(self) -> None:
        """Forget what has arrived."""
        self.data.seek(0)
        self.data.truncate()
        self.version = self.total = None


class Downloader:
    """
    Downloads files.

    :param profile: the connection, whose proxy and certificate authorities count. Its credentials are not sent.
    :param attempts: how many requests in a row may bring nothing.
    :param limit: bytes that a file may have.
    :param sleep: waits between two requests, in seconds.
    :param monotonic: a clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        profile: ConnectionProfile,
        *,
        attempts: int,
        limit: int,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._profile = profile
        self._attempts = attempts
        self._limit = limit
        self._sleep = sleep
        self._monotonic = monotonic

    def download(self, url: str, file: PartialFile) -> None:
        """
        Download what of a file has not arrived yet.

        :param url: where it is. It proves by itself that it may be read.
        :param file: takes what arrives, also if the rest does not.
        :raises DownloadError: if it does not arrive, or is too large.
        :raises NetworkSetupError: if proxy or certificate authorities of this machine are wrong.
        """
        self._check(url)
        until = self._monotonic() + LONGEST_DOWNLOAD
        most, idle = file.size, 0
        while True:
            problem = self._request(url, file)
            if problem is None:
                return
            # More than ever before: a file that begins again and again comes to no end.
            idle = 0 if file.size > most else idle + 1
            most = max(most, file.size)
            if idle >= self._attempts or self._monotonic() >= until:
                raise DownloadError(problem)
            self._sleep(min(2.0**idle, LONGEST_BACKOFF))

    def _check(self, url: str) -> None:
        schemes = {"https", urlsplit(self._profile.endpoint).scheme}
        try:
            parts = urlsplit(url)
            is_usable = parts.scheme in schemes and bool(parts.hostname)
        except ValueError:
            is_usable = False
        if not is_usable:
            # Not repeated, nor is the error, which shows it.
            raise DownloadError("its address is none of https.", may_pass=False)
        # urllib3 logs paths and queries at debug level, as they go on the wire: with other escapes.
        sent = _prepare(url)
        for secret in (url, parts.query, sent.url, sent.path_url, sent.path_url.partition("?")[2]):
            mask_secret(secret)

    def _request(self, url: str, file: PartialFile) -> str | None:
        """
        Ask for the rest of a file, or all of it.

        :return: why it is not complete; None if it is.
        :raises DownloadError: if asking again is of no use.
        """
        if file.version is None:
            file.begin_again()
        headers = {"Accept-Encoding": "identity", "User-Agent": USER_AGENT}
        if file.size:
            headers |= {"Range": f"bytes={file.size}-", "If-Range": str(file.version)}
        reader = _BodyReader(file, self._limit, secrets=(url,))
        response = respond(self._profile, _prepare(url, headers), REQUEST_SECONDS, read=reader)
        if isinstance(response, TransportFailure):
            return self._failure(response, urlsplit(url).netloc.rpartition("@")[2])
        return _judge(response.status_code, file, is_taken=reader.is_taken)

    def _failure(self, failure: TransportFailure, peer: str) -> str:
        if failure is TransportFailure.TOO_LARGE:
            raise DownloadError(f"is larger than {self._limit} bytes.", may_pass=False)
        if failure is TransportFailure.TIMEOUT:
            return f"{peer} did not send all of it within {REQUEST_SECONDS:.0f} s."
        return f"{failure.text.format(peer=peer)}."


def _prepare(url: str, headers: Mapping[str, str] | None = None) -> requests.PreparedRequest:
    try:
        return requests.Request("GET", url, headers=headers).prepare()
    except (requests.RequestException, ValueError):
        # The error shows the address.
        raise DownloadError("its address cannot be read.", may_pass=False) from None


class _BodyReader:
    """
    Takes the body of an answer into a file, if the answer holds some of the file.

    :param file: the file.
    :param limit: bytes that it may have.
    :param secrets: what is kept of no answer.
    :ivar is_taken: whether the answer held what was asked for.
    """

    def __init__(self, file: PartialFile, limit: int, *, secrets: tuple[str, ...] = ()) -> None:
        self._file = file
        self._limit = limit
        self._secrets = secrets
        self.is_taken = False

    def __call__(self, response: requests.Response) -> bytes:
        """
        Read an answer.

        :raises ResponseTooLargeError: if the file is larger than the limit.
        :raises DownloadError: if it cannot be written.
        """
        try:
            self.is_taken = self._begin(response)
            if self.is_taken:
                for chunk in response.raw.stream(CHUNK, decode_content=False):
                    self._write(chunk)
            if self.is_taken and _says_its_end(response):
                self._file.total = self._file.size
        finally:
            response.close()
        return b""

    def _begin(self, response: requests.Response) -> bool:
        """Find out which part of the file the answer holds; tell whether it is the next one."""
        file, headers = self._file, response.headers
        version = self._version(headers.get("ETag"), headers.get("Last-Modified"))
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
            if found is None or int(found[1]) != file.size or version not in (None, file.version):
                return False
            file.total = int(found[2]) if found[2] != "*" else file.total
            return True
        if response.status_code != HTTPStatus.OK:
            return False
        file.begin_again()
        file.version = version
        file.content_type = self._word(headers.get("Content-Type"))
        file.content_encoding = self._word(headers.get("Content-Encoding"))
        if not response.raw.chunked:
            with suppress(ValueError):
                file.total = int(headers.get("Content-Length", ""))
        if (file.total or 0) > self._limit:
            raise ResponseTooLargeError
        return True

    def _write(self, chunk: bytes) -> None:
        if self._file.size + len(chunk) > self._limit:
            raise ResponseTooLargeError
        try:
            self._file.data.write(chunk)
        except OSError as error:
            raise DownloadError(f"cannot be written on this machine: {error.strerror}.") from None

    def _version(self, etag: str | None, modified: str | None) -> str | None:
        """Return what If-Range takes: a weak tag does not promise that the bytes are the same."""
        version = etag if etag and not etag.startswith("W/") else modified
        if version is None or not _VERSION.fullmatch(version):
            return None
        return version if without_secrets(version, self._secrets) == version else None

    def _word(self, value: str | None) -> str | None:
        """Return what a header says of the file, as it may be shown."""
        return safe_text(value, secrets=self._secrets, limit=_LONGEST_WORD) or None


def _says_its_end(response: requests.Response) -> bool:
    """Whether a complete file comes in chunks, the last of which says that it is."""
    return response.status_code == HTTPStatus.OK and bool(response.raw.chunked)


def _judge(status: int, file: PartialFile, *, is_taken: bool) -> str | None:
    """
    Return why a file is not complete after an answer; None if it is.

    :param status: of the answer.
    :param is_taken: whether the answer held what was asked for.
    """
    if is_taken and file.total is None:
        return "the server does not say how large it is."
    if is_taken:
        return None if file.size == file.total else "its size is not the one that was announced."
    if status == HTTPStatus.PARTIAL_CONTENT:
        file.begin_again()
        return "the server answers with another part of it."
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        file.begin_again()
        return "the server has less of it than had arrived."
    text = f"the server answers {status}."
    if status in _PASSING:
        return text
    if 300 <= status < 400:
        raise DownloadError(f"{text} Redirects are not followed.")
    raise DownloadError(f"{text} The URL may have expired; another try asks for a new one.")
