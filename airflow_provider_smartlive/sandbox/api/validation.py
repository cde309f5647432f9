"""Requests are checked by the same models that the provider sends them with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from airflow_provider_smartlive.sandbox.api.answers import ApiError, invalid

Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], content: dict[str, Any], *, refuse_unknown: bool) -> Model:
    """
    Read a request.

    :param model: what is expected.
    :param content: the decoded body.
    :param refuse_unknown: whether an unknown field is an error; else it is ignored.
    :raises ApiError: naming the first field that is wrong, never its value.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
    unknown = [problem["loc"] for problem in problems if problem["type"] == "extra_forbidden"]
    if unknown and not refuse_unknown:
        return validate(model, _without(content, unknown), refuse_unknown=True)
    first = problems[0]
    place = ".".join(map(str, first["loc"]))
    if place.startswith("output_urls.") and first["type"] == "string_pattern_mismatch":
        raise ApiError(400, "MSS.45000009", place)
    raise invalid(f"{place} {first['msg']}".strip())


def _without(content: dict[str, Any], places: Iterable[tuple[int | str, ...]]) -> dict[str, Any]:
    def copy(value: Any, place: tuple[int | str, ...]) -> Any:
        if isinstance(value, dict):
            return {
                name: copy(inner, (*place, name))
                for name, inner in value.items()
                if (*place, name) not in left_out
            }
        if isinstance(value, list):
            return [copy(inner, (*place, number)) for number, inner in enumerate(value)]
        return value

    left_out = set(places)
    cleaned: dict[str, Any] = copy(content, ())
    return cleaned
