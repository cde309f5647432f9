"""What an error means for whoever filled in the connection form."""

from __future__ import annotations

from airflow_provider_smartlive.metastudio.errors import (
    AuthenticationError,
    InvalidRequest,
    MetaStudioError,
    NotFound,
    PermissionDenied,
    UnexpectedResponse,
)

_ADVICE: dict[type[MetaStudioError], str] = {
    AuthenticationError: "The credentials were refused: check them, and that they belong to project_id.",
    PermissionDenied: "These credentials may not use MetaStudio here: check project_id and permissions.",
    NotFound: "There is no MetaStudio or no such project here: check region or host, and project_id.",
    InvalidRequest: "MetaStudio did not accept the request: check region or host, and project_id.",
    UnexpectedResponse: "Something else than MetaStudio answered: check host and proxy.",
}


def explain(error: ValueError | MetaStudioError) -> str:
    """Return what is wrong and where to look, without secrets."""
    if not isinstance(error, MetaStudioError):
        return str(error)
    # The form is the connection, and a listing names no room: what its author needs is the advice for the form.
    advice = next((text for kind, text in _ADVICE.items() if isinstance(error, kind)), "")
    return " ".join(filter(None, (advice, error.answer, *getattr(error, "__notes__", ()))))
