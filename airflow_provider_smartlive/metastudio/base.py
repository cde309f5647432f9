"""What all models of the contract have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

_E = TypeVar("_E", bound=StrEnum)
_T = TypeVar("_T")

#: Models are built when they are first used: a task that shows one job pays for that model, not for all of them
#: with every import.
COMMON = ConfigDict(hide_input_in_errors=True, defer_build=True)

#: An enumeration of a response or event: a value that this version does not know stays a plain text.
OpenEnum = Annotated[_E | str, Field(union_mode="left_to_right")]


def _empty_if_null(value: Any) -> Any:
    return [] if value is None else value


#: A list of a response: null is the same as an empty one. Every other field that need not be there may be None.
Listed = Annotated[list[_T], BeforeValidator(_empty_if_null)]


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

    model_config = ConfigDict(**COMMON, extra="forbid", validate_assignment=True)


class Request(RequestModel):
    """The whole body of a request."""

    def to_body(self) -> bytes:
        """Return the exact JSON bytes that are signed and sent; fields without a value are left out."""
        return self.model_dump_json(exclude_none=True).encode()


class ResponseModel(BaseModel):
    """
    A part of a response: unknown fields are kept, and null means the same as absent (see :data:`Listed`).

    :cvar SOURCE: where a model that the StartSmartLive page does not describe comes from.
    :ivar model_extra: the unknown fields; they stay out of ``repr``, as they may be secrets.
    """

    SOURCE: ClassVar[str | None] = None

    model_config = ConfigDict(**COMMON, extra="allow", frozen=True)

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
        :raises ValueError: if the body is not JSON or a field has the wrong type; the values are not
            repeated.
        """
        return cls.model_validate_json(body).model_copy(update={"request_id": request_id})


_datetime: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


def _lenient_time(value: Any) -> Any:
    try:
        return _datetime.validate_python(value)
    except ValidationError:
        return None


#: An RFC 3339 time of a response, or None if it cannot be read: a job must not get lost for the spelling of
#: a date.
Time = Annotated[datetime | None, BeforeValidator(_lenient_time)]
