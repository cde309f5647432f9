"""What is said of the fields that pydantic refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from airflow_provider_smartlive.campaigns.parts import FileModel, Notifier, Outlets, PlannedCommand, Standby
from airflow_provider_smartlive.campaigns.problems import Place, Problem, SourceFile, did_you_mean
from airflow_provider_smartlive.campaigns.show import Defaults, Show

_SUBJECT = re.compile(r"^(Input|String|List|Dictionary|Value|Tuple) should ")


def translated(campaign: type[FileModel], error: ValidationError, file: SourceFile) -> Iterator[Problem]:
    """
    Yield what is wrong with a file, in the words of its fields.

    :param campaign: the model of the whole file.
    :param error: what pydantic says.
    :param file: the file.
    """
    for found in error.errors(include_url=False, include_input=False, include_context=False):
        # What is in brackets is no field, but the alternative that was tried.
        place: Place = tuple(part for part in found["loc"] if not str(part).startswith("["))
        model = _model_around(campaign, place)
        # Only inside of a show can an argument of the operator be meant.
        names = _OPERATORS_NAMES if model is not campaign else {}
        yield file.problem(place, _text(model, place, found["type"], found["msg"], names))


def _text(
    model: type[FileModel], place: Place, kind: str, message: str, other_names: Mapping[str, str]
) -> str:
    if kind == "extra_forbidden":
        name = str(place[-1])
        fix = other_names.get(name) or did_you_mean(name, model.model_fields)
        return f"is no field of {model.CALLED}. {fix}"
    field = model.model_fields.get(str(place[-1])) if place else None
    about = field.description if field is not None and field.description else ""
    if kind == "missing":
        return f"is missing. {about}".rstrip()
    if kind == "model_type":
        return f"has to be {_model_around(model, (*place, '')).CALLED}, with fields of its own."
    if kind == "string_pattern_mismatch":
        return f"has characters that are not taken there. {about}".rstrip()
    if kind in ("too_short", "string_too_short"):
        return f"is empty. {about}".rstrip()
    if kind == "list_type":
        return f"has to be a list: a line for each entry, which begins with '- '. {about}".rstrip()
    text = message.removeprefix("Value error, ")
    if text != message:
        return text if text.endswith((".", "?")) else f"{text}."
    return f"{_SUBJECT.sub('has to ', text)}. {about}".rstrip()


#: What to write for arguments of the operators that have another name in a file.
_OPERATORS_NAMES: Mapping[str, str] = {
    "start_at": "Write schedule and start.",
    "stop_at": "Write stop.",
    "room_id": "Write room.",
    "output_conn_ids": "Write outputs.",
    "interaction_conn_id": "Write interaction.",
    "smartlive_conn_id": "Write connection.",
    "standby_room_id": "Write standby, with a room.",
    "standby_output_conn_ids": "Write standby, with outputs.",
    "request": "Write its fields, such as play_policy.",
}

#: The models of the fields that hold some.
_INNER: dict[str, type[FileModel]] = {
    "shows": Show,
    "defaults": Defaults,
    "commands": PlannedCommand,
    "notify": Notifier,
    "outlets": Outlets,
    "standby": Standby,
}


def _model_around(model: type[FileModel], place: Place) -> type[FileModel]:
    for part in place[:-1]:
        model = _INNER.get(str(part), model)
    return model
