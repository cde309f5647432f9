"""
What all models of the contract have in common: requests are strict, answers are lenient.

A field of an answer that need not be there and has a wrong type is absent, and an entry of a list that cannot be
read is left out: what one team's job looks like must not hide the others' from everybody who asks.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from airflow_provider_smartlive.metastudio.validation import Parts, RequestError

log = logging.getLogger(__name__)

_E = TypeVar("_E", bound=StrEnum)
_T = TypeVar("_T")

#: Models are built when they are first used: a task that shows one job pays for that model, not for all of them
#: with every import.
COMMON = ConfigDict(hide_input_in_errors=True, defer_build=True)

#: An enumeration of a response or event: a value that this version does not know stays a plain text.
OpenEnum = Annotated[_E | str, Field(union_mode="left_to_right")]


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _readable_entries(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """
    Read the entries that can be read.

    :raises ValidationError: if the value is no list: that is not the same as an empty one.
    """
    if value is None:
        return []
    try:
        return handler(value)
    except ValidationError as error:
        if not isinstance(value, list):
            raise
        odd = {place[0]: kind for place, kind in _problems(error)}
        for kind in set(odd.values()):
            _note_once("an entry of a list", kind)
        return handler([entry for number, entry in enumerate(value) if number not in odd])


#: A list of a response: null is the same as an empty one, and entries that cannot be read are left out.
Listed = Annotated[list[_T], WrapValidator(_readable_entries)]

#: An id of a response. Nothing can be asked about a job whose id MetaStudio's own schema refuses.
Id = Annotated[str, Field(min_length=1, max_length=64)]


@dataclass(frozen=True)
class Source:
    """Where a field that the StartSmartLive page does not list comes from; shown in ``docs/contract.md``."""

    text: str


class RequestModel(BaseModel):
    """
    A part of a request: unknown fields are errors, and errors never repeat the input.

    :cvar SOURCE: where a model that the StartSmartLive page does not describe comes from.
    """

    SOURCE: ClassVar[str | None] = None

    # A DAG that renders natively makes numbers of texts that are made of digits.
    model_config = ConfigDict(**COMMON, extra="forbid", validate_assignment=True, coerce_numbers_to_str=True)

    @classmethod
    def read(cls, fields: Any) -> Self:
        """
        Read a request, or a part of one.

        :param fields: a mapping with the API's names, or what was read already.
        :raises RequestError: naming each field that is wrong and its limits, never its value.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise RequestError.of(cls, error, parts=cls._parts(fields)) from None

    @classmethod
    def _parts(cls, fields: Any) -> Parts:
        """Return the models of fields whose type does not tell them; there are none here."""
        return {}

    def secrets(self) -> Iterator[str]:
        """Return the texts of all fields that ``repr`` hides, those of the parts as well."""
        for name, known in type(self).model_fields.items():
            for value in _items(getattr(self, name)):
                if isinstance(value, RequestModel):
                    yield from value.secrets()
                elif isinstance(value, str) and not known.repr:
                    yield value


class Request(RequestModel):
    """The whole body of a request."""

    def to_body(self) -> bytes:
        """Return the exact JSON bytes that are signed and sent; fields without a value are left out."""
        return self.model_dump_json(exclude_none=True).encode()


class LenientModel(BaseModel):
    """
    What is read mildly: a field that has a default and a value of a wrong type is absent.

    It is logged once per process, without the value.
    """

    @model_validator(mode="wrap")
    @classmethod
    def _without_odd_fields(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            odd = {place[0]: kind for place, kind in _problems(error) if place}
            if not isinstance(value, dict) or not odd or any(cls._needs(name) for name in odd):
                raise
            for name, kind in odd.items():
                _note_once(f"{cls.__name__}.{name}", kind)
            return handler({name: field for name, field in value.items() if name not in odd})

    @classmethod
    def _needs(cls, name: str | int) -> bool:
        known = cls.model_fields.get(str(name))
        return known is None or known.is_required()


class ResponseModel(LenientModel):
    """
    A part of a response: unknown fields are kept, and null means the same as absent (see :data:`Listed`).

    So does a wrong type in a field that has a default: only what is needed can make an answer unreadable.

    :cvar SOURCE: where a model that the StartSmartLive page does not describe comes from.
    :ivar model_extra: the unknown fields; they stay out of ``repr``, as they may be secrets.
    """

    SOURCE: ClassVar[str | None] = None

    # A number that is none would be refused by the database later, as a part of a task's result.
    model_config = ConfigDict(**COMMON, extra="allow", frozen=True, allow_inf_nan=False)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        known = type(self).model_fields
        return ((name, value) for name, value in super().__repr_args__() if name in known)


class Response(ResponseModel):
    """The whole answer to a call."""

    request_id: Annotated[str | None, Source("response header X-Request-Id")] = Field(
        None, exclude=True, description="What Huawei's support asks for."
    )

    @classmethod
    def from_body(cls, body: bytes, *, request_id: str | None = None) -> Self:
        """
        Read the body of a successful answer.

        :param body: the bytes of the body.
        :param request_id: the response header X-Request-Id.
        :raises ValueError: if the body is not JSON or a field that is needed cannot be read; the values are
            not repeated.
        """
        try:
            value = decode_json(body.decode("utf-8-sig", errors="replace"))
        except (ValueError, RecursionError):
            raise ValueError(f"{cls.__name__}: the body is not JSON.") from None
        return cls.model_validate(value).model_copy(update={"request_id": request_id})


class Page(Response):
    """
    One page of a listing.

    :ivar count: how many entries there are in all pages; None if MetaStudio does not say.
    :ivar found: how many entries this page has, those among them that cannot be read: the next page starts
        behind all of them.
    :cvar ENTRIES: the field that has the entries.
    """

    SOURCE = "SDK ListSmartLiveResponse and the other listings"
    ENTRIES: ClassVar[str]

    count: int | None = None
    found: Annotated[int, Source("counted here")] = Field(0, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _counted(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        entries = value.get(cls.ENTRIES)
        if entries is None and not isinstance(value.get("count"), int):
            raise ValueError(f"it has neither count nor {cls.ENTRIES}")  # some other answer, no empty listing
        if entries is not None and not isinstance(entries, list):
            raise ValueError(f"{cls.ENTRIES} is no list")
        return {**value, "found": len(entries or ())}


#: An RFC 3339 time of a response.
Time = AwareDatetime | None


def decode_json(text: str) -> Any:
    """
    Decode JSON more leniently than pydantic's own parser: what no log and no database takes hides nothing.

    Half of a surrogate pair becomes a question mark, and a NUL, which PostgreSQL refuses, is left out.

    :raises ValueError, RecursionError: if it is not JSON, or nested too deeply.
    """
    value = json.loads(text, strict=False)
    odd = "\0" in text or any(escape in text for escape in ("\\u0000", "\\ud", "\\uD"))
    return storable(value) if odd else value


def storable(value: Any) -> Any:
    """Return decoded JSON without what no database takes: half of a surrogate pair becomes ``?``, NUL is left out."""
    match value:
        case str():
            return value.encode(errors="replace").decode().replace("\0", "")
        case list():
            return [storable(item) for item in value]
        case dict():
            return {storable(name): storable(item) for name, item in value.items()}
    return value


def _problems(error: ValidationError) -> Iterable[tuple[tuple[int | str, ...], str]]:
    """Return where an answer cannot be read, and why; nothing of its content."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [(item["loc"], item["type"]) for item in found]


@lru_cache(maxsize=1000)
def _note_once(what: str, kind: str) -> None:
    log.warning("In what MetaStudio sent, %s cannot be read (%s) and is left out.", what, kind)
