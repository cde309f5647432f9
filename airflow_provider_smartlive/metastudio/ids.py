"""Identifiers of rooms and jobs: REST answers write them with dashes, callbacks without."""

from __future__ import annotations


def normalise_id(value: str) -> str:
    """
    Return the one spelling under which an identifier is stored and compared: lower case, no dashes.

    :param value: a room or job id as MetaStudio or a user wrote it.
    """
    return value.replace("-", "").lower()


def same_id(a: str, b: str) -> bool:
    """
    Tell whether two identifiers mean the same thing.

    The StartSmartLive page shows dashed UUIDs in REST answers and the same kind of id as 32 hex digits in
    callbacks; that they are equal after the dashes are removed is inferred.
    """
    return normalise_id(a) == normalise_id(b)
