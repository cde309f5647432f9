"""
Our limits against the OpenAPI description that Huawei publishes inside of ``huaweicloud-mcp-server``.

Every difference is a decision and stands in this file.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from pydantic import BaseModel

from airflow_provider_smartlive.metastudio import commands, reports, rooms, scripts, start
from airflow_provider_smartlive.metastudio.base import RequestModel
from airflow_provider_smartlive.metastudio.review import ReviewConfig

PUBLISHED: dict[str, Any] = json.loads(
    files("huaweicloud_services_server")
    .joinpath("mcp_server_metastudio/src/mcp_server_metastudio/config/metastudio.json")
    .read_text(encoding="utf-8")
)["components"]["schemas"]

MODELS: dict[str, type[RequestModel]] = {
    "StartSmartLiveReq": start.StartJobRequest,
    "VideoConfig": start.VideoConfig,
    "SubtitleConfig": start.SubtitleConfig,
    "PlayPolicy": start.PlayPolicy,
    "LiveExitConfig": start.LiveExitConfig,
    "LiveEventCallBackConfig": start.LiveEventCallbackConfig,
    "RTCLiveEventCallBackConfig": start.RtcCallbackConfig,
    "CoStreamerConfig": start.CoStreamerConfig,
    "VoiceConfig": start.VoiceConfig,
    "LiveJobRunConfig": start.JobRunConfig,
    "CreateSmartLiveRoomReqBaseInfo": rooms.CreateRoomRequest,
    "LiveVideoScriptInfo": scripts.Scene,
    "LiveShootScriptItem": scripts.Paragraph,
    "TextConfig": scripts.ScriptText,
    "LiveAudioConfig": scripts.ScriptAudio,
    "LiveRoomInteractionConfig": scripts.InteractionConfig,
    "HitCondition": scripts.Condition,
    "HitConditionTag": scripts.ConditionTag,
    "TriggerProcess": scripts.Trigger,
    "ControlSmartLiveReq": commands.CommandRequest,
    "ReportLiveEventReq": reports.EventReport,
    "LiveEvent": reports.LiveEvent,
    "ReviewConfig": ReviewConfig,
}

#: Newer than the description (of July 2025), from the SDK.
NEWER = {
    ("VideoConfig", "is_vocabulary_config_enable"),
    ("CreateSmartLiveRoomReqBaseInfo", "relation_live_platform_info"),
}

#: Limits that differ on purpose: (object, field, limit) -> (published, ours).
DIFFERENT = {
    # More than one output is warned about, as only the text says that one is supported; no list is unlimited.
    ("StartSmartLiveReq", "output_urls", "maxItems"): (1, None),
    ("StartSmartLiveReq", "stream_keys", "maxItems"): (1, None),
    ("CreateSmartLiveRoomReqBaseInfo", "output_urls", "maxItems"): (1, None),
    ("CreateSmartLiveRoomReqBaseInfo", "stream_keys", "maxItems"): (1, None),
    # The text says 256: warned about.
    ("VoiceConfig", "voice_asset_id", "maxLength"): (64, 256),
    # The pattern says it.
    ("SubtitleConfig", "font_color", "maxLength"): (16, None),
    # Counted by us.
    ("ReportLiveEventReq", "total", "minimum"): (1, None),
    ("ReportLiveEventReq", "total", "maximum"): (1000, None),
}

LIMITS = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "enum")


def plain(schema: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Our JSON schema of a field without the alternative null and with enumerations in place."""
    if "$ref" in schema:
        return plain(known[schema["$ref"].rpartition("/")[2]], known)
    for option in schema.get("anyOf", []):
        if option.get("type") != "null":
            return plain(option, known)
    return schema


def limits(schema: dict[str, Any]) -> dict[str, Any]:
    found = {name: schema[name] for name in LIMITS if name in schema and schema.get("type") != "boolean"}
    if "enum" in found:
        # An enumeration says more than a length.
        return {"enum": sorted(found["enum"])}
    return {name: value for name, value in found.items() if (name, value) not in ZEROS}


#: As good as no limit.
ZEROS = {("minLength", 0), ("minItems", 0)}

FIELDS = [(name, field) for name in MODELS for field in PUBLISHED[name]["properties"]]


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_limits_are_the_published_ones(name: str, field: str) -> None:
    ours = MODELS[name].model_json_schema()
    known = ours.get("$defs", {})
    mine = limits(plain(ours["properties"][field], known))
    theirs = limits(PUBLISHED[name]["properties"][field])
    if name == "ControlSmartLiveReq" and field == "command":
        mine["enum"].remove("SHOW_LAYER")  # only in the SDK's text
    different = {
        limit: (theirs.get(limit), mine.get(limit))
        for limit in LIMITS
        if theirs.get(limit) != mine.get(limit)
    }
    expected = {
        limit: values for (owner, what, limit), values in DIFFERENT.items() if (owner, what) == (name, field)
    }
    assert different == expected


@pytest.mark.parametrize("name", MODELS)
def test_mandatory_fields_and_names_are_the_published_ones(name: str) -> None:
    model: type[BaseModel] = MODELS[name]
    ours = {field for field, info in model.model_fields.items() if info.is_required()}
    counted = {"total"} if name == "ReportLiveEventReq" else set()
    events = {"events"} if name == "ReportLiveEventReq" else set()
    assert ours | counted == set(PUBLISHED[name].get("required", [])) | events
    newer = {field for owner, field in NEWER if owner == name}
    published = PUBLISHED[name]["properties"].keys() | newer
    assert model.model_fields.keys() == published, (
        "what Huawei wrote later than this schema stands in NEWER, above"
    )
