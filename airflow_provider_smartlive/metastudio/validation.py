"""What is wrong with a request, in words: each field by its place and its limits, never its value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Self, TypeAlias, get_args

from pydantic import BaseModel, ValidationError

from airflow_provider_smartlive.metastudio.text import printable

#: Where a field stands: names, and the positions of entries in lists.
Place: TypeAlias = tuple[int | str, ...]

#: Models by the names of fields.
Parts: TypeAlias = Mapping[str, type[BaseModel] | None]

#: Characters of a name that MetaStudio does not know and that an error repeats.
_LONGEST_NAME = 64

_SUBJECT = re.compile(r"^(Input|String|List|Dictionary|Value|Tuple) should ")


class RequestError(ValueError):
    """
    A request that breaks a limit of MetaStudio's.

    :ivar problems: the place of each field that is wrong, and what is wrong with it.
    """

    def __init__(self, problems: Iterable[tuple[Place, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{_dotted(place)}{text}" for place, text in self.problems) + ".")

    @classmethod
    def of(cls, model: type[BaseModel], error: ValidationError, *, parts: Parts | None = None) -> Self:
        """
        Translate what pydantic says.

        :param model: what was to be read.
        :param error: why it could not be read.
        :param parts: models of fields whose type does not tell them.
        """
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return cls(
            (
                _shown(one["loc"]),
                _problem(_at(model, one["loc"], parts or {}), one["loc"], one["type"], one["msg"]),
            )
            for one in found
        )

    def renamed(self, names: Mapping[str, str]) -> Self:
        """Return it with other names of the fields at the top, such as those of an operator's arguments."""
        return type(self)(
            ((names.get(str(place[0]), place[0]), *place[1:]) if place else place, text)
            for place, text in self.problems
        )


def _problem(models: list[type[BaseModel]], place: Place, kind: str, message: str) -> str:
    """
    Say what is wrong with a field.

    :param models: those that may stand around it.
    """
    name = str(place[-1]) if place else ""
    if kind == "extra_forbidden":
        return _unknown(name, sorted({known for model in models for known in model.model_fields}))
    field = next((model.model_fields[name] for model in models if name in model.model_fields), None)
    about = f" ({field.description.removesuffix('.')})" if field is not None and field.description else ""
    if kind == "missing":
        return f"is missing{about}"
    if kind in ("model_type", "dict_type"):
        return f"{'' if place else 'the request '}has to be a dict{about}"
    return f"{_SUBJECT.sub('has to ', message.removeprefix('Value error, '))}{about}"


def _unknown(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    fix = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"is no field of MetaStudio's API ({fix})"


def _at(model: type[BaseModel], place: Place, parts: Parts) -> list[type[BaseModel]]:
    """Return the models that may stand around a field."""
    models = [model]
    for depth, name in enumerate(place[:-1]):
        if isinstance(name, str):
            part = parts.get(name) if depth == 0 else None
            fields = [known.model_fields[name] for known in models if name in known.model_fields]
            models = [part] if part else [inner for field in fields for inner in _models_in(field.annotation)]
    return models


def _models_in(kind: Any) -> Iterator[type[BaseModel]]:
    """Yield the models of a type: itself, of its entries, or of its alternatives."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inner in get_args(kind):
        yield from _models_in(inner)


def _dotted(place: Place) -> str:
    return f"{'.'.join(map(str, place))}: " if place else ""


def _shown(place: Place) -> Place:
    return tuple(printable(part, limit=_LONGEST_NAME) if isinstance(part, str) else part for part in place)
