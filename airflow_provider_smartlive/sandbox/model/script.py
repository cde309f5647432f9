"""What is spoken in a livestream: scenes and paragraphs with their lengths, and the order of each pass."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from airflow_provider_smartlive.sandbox.options import Assumptions

#: Show seconds of a paragraph without text: an audio file, which nobody decodes here.
_AUDIO_SECONDS = 10.0

#: A paragraph takes at least so many show seconds, however little is said.
_SHORTEST = 1.0

_PARAGRAPHS_OF_A_MADE_UP_SCRIPT = 3


class PlayedParagraph(BaseModel):
    """
    One paragraph of the script.

    :param scene: the name of its scene.
    :param number: its number within the scene.
    :param title: its title.
    :param seconds: show seconds that it takes.
    """

    scene: str
    number: int
    title: str
    seconds: float


def made_up_script(seconds: float) -> list[PlayedParagraph]:
    """Return a script for a room that has none: one scene that takes so many show seconds."""
    each = seconds / _PARAGRAPHS_OF_A_MADE_UP_SCRIPT
    numbers = range(1, _PARAGRAPHS_OF_A_MADE_UP_SCRIPT + 1)
    return [PlayedParagraph(scene="Scene 1", number=n, title=f"Paragraph {n}", seconds=each) for n in numbers]


def read_script(
    scenes: Sequence[dict[str, Any]], *, speech_rate: float, seconds: float | None
) -> list[PlayedParagraph]:
    """
    Read the ``scene_scripts`` of a room.

    :param scenes: the scenes as the API takes them.
    :param speech_rate: characters per show second.
    :param seconds: show seconds of the whole; None: as long as it takes to speak.
    """
    script = [
        PlayedParagraph(
            scene=scene["script_name"],
            number=item.get("sequence_no") or number,
            title=item.get("title") or f"Paragraph {number}",
            seconds=_speaking_time(item, speech_rate),
        )
        for scene in scenes
        for number, item in enumerate(scene.get("shoot_scripts") or [], start=1)
    ]
    if seconds is None or not script:
        return script
    factor = seconds / length(script)
    return [part.model_copy(update={"seconds": part.seconds * factor}) for part in script]


def warnings(
    script: Sequence[PlayedParagraph], room: dict[str, Any], policy: dict[str, Any], assumptions: Assumptions
) -> list[str]:
    """
    Return the risks that a platform takes the livestream for a recording; the thresholds are assumptions.

    :param script: what is played.
    :param room: the room as the API takes it.
    :param policy: the play policy.
    """
    rules = room.get("interaction_rules") or []
    found = {
        "TOO_LESSS_SCRIPT_ITEMS": len(script) < assumptions.warn_script_items,
        "TOO_SHORT_SCRIPT_TIME": length(script) < assumptions.warn_script_seconds,
        "TOO_LESS_DANMAKU_RULES": len(rules) < assumptions.warn_rules,
        "RANDOM_PLAY_CLOSED": policy.get("random_play_mode") == "NONE",
    }
    return [warning for warning, is_true in found.items() if is_true]


def length(script: Sequence[PlayedParagraph]) -> float:
    """Return the show seconds of one pass."""
    return sum(part.seconds for part in script)


def _speaking_time(item: dict[str, Any], speech_rate: float) -> float:
    text = (item.get("text_config") or {}).get("text")
    return max(_SHORTEST, len(text) / speech_rate) if text else _AUDIO_SECONDS


def order_of_pass(
    script: Sequence[PlayedParagraph], number: int, mode: str, *, seed: str
) -> list[PlayedParagraph]:
    """
    Return the paragraphs in the order of one pass.

    The first pass is as written; from the second on they are shuffled as ``random_play_mode`` says.

    :param script: the script as written.
    :param number: the number of the pass, from 0.
    :param mode: NONE, SCENE, SCRIPT_ITEM (within each scene) or SCENE_AND_SCRIPT_ITEM.
    :param seed: decides the shuffle, so that a restarted sandbox goes on with the same order.
    """
    if number == 0 or mode == "NONE":
        return list(script)
    dice = random.Random(f"{seed}/{number}")  # noqa: S311 (an order of play, not a secret)
    scenes = list(_scenes(script))
    if mode in ("SCENE", "SCENE_AND_SCRIPT_ITEM"):
        dice.shuffle(scenes)
    if mode in ("SCRIPT_ITEM", "SCENE_AND_SCRIPT_ITEM"):
        for scene in scenes:
            dice.shuffle(scene)
    return [part for scene in scenes for part in scene]


def _scenes(script: Sequence[PlayedParagraph]) -> Iterator[list[PlayedParagraph]]:
    names = dict.fromkeys(part.scene for part in script)
    return ([part for part in script if part.scene == name] for name in names)
