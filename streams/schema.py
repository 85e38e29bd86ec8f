"""The records as JSON Schema (2020-12), generated from the same types that decode and encode them.

A schema says what one record looks like. It cannot say what takes the record's key, its timestamp or its bytes: see
`features.decode` for those checks. An integer is written without a fraction (``12``, not ``12.0``).
"""

import inspect
import json
import re
from typing import Any, Final

import msgspec

from features.entity_profile import ProfileRecord
from features.events import Event, LabelIntake
from features.links_record import FlushesRecord
from features.records import Alert, DeadLetter, Outcome, Verdict
from models.telemetry_log import TelemetryRecord

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_RECORDS: Final[dict[str, tuple[Any, str, str]]] = {
    "event": (
        Event,
        "Event",
        "Record of the events topic. Producers write payment, login, profile_change, application; the engine the rest.",
    ),
    "label": (LabelIntake, "Label", "Record of the labels topic: what was learned about an event, and when."),
    "verdict": (Verdict, "Verdict", "Record of the verdicts topic: what the engine says of one event."),
    "outcome": (Outcome, "Outcome", "Record of the outcomes topic: a label with the verdict and features it judges."),
    "links": (
        FlushesRecord,
        "Links",
        "Record of the links topic: what a partition's log says about entities, as tables.",
    ),
    "entity": (ProfileRecord, "Entity", "Record of the entities topic: the profile of an entity."),
    "telemetry": (
        TelemetryRecord,
        "Telemetry",
        "Record of the telemetry topic: summaries, ticks, snoozes, labels, comparisons.",
    ),
    "dead-letter": (DeadLetter, "Dead letter", "A record that was set aside, as one JSON object in a file."),
    "alert": (Alert, "Alert", "Record of the alerts topic, and body of the webhook: what somebody should look at."),
}

_attributes = re.compile(r"^    (\w+): ((?:.|\n {8})*)", re.MULTILINE).findall

NAMES: Final = tuple(_RECORDS)
"""Names of the records that have a schema."""


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of the record `name`, one of `NAMES`.

    >>> schema("label")["required"]
    ['judged_event_id', 'account_id', 'label', 'known_at_ms', 'source']
    """
    kind, title, description = _RECORDS[name]
    (reference,), definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    body = reference
    if set(reference) == {"$ref"}:  # one struct: its own schema is the top
        body = definitions.pop(reference["$ref"].removeprefix("#/$defs/"))
    _describe_properties(body)
    for definition in definitions.values():
        _describe_properties(definition)
    document = {"$schema": _DIALECT, "$id": f"{name}.json", **body, "title": title, "description": description}
    if definitions:
        document["$defs"] = definitions
    return {key: _tidied(value) for key, value in document.items()}


def text(document: dict[str, Any]) -> str:
    """`document` as it stands in files: indented JSON with a line's end."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _describe_properties(definition: dict[str, Any]) -> None:
    """Move the attributes of a struct's docstring to the properties that they describe."""
    text, _, attributes = inspect.cleandoc(definition.get("description", "")).partition("\n\nAttributes:\n")
    if text:
        definition["description"] = " ".join(text.split())
    for name, words in _attributes(attributes):
        definition["properties"][name]["description"] = " ".join(words.split())


def _tidied(node: Any) -> Any:
    """As JSON has it, without what is noise to a reader: a list of words where a pattern says it, defaults of null."""
    match node:
        case {"pattern": _, "enum": _}:
            return {"type": "string"} | {key: value for key, value in node.items() if key != "enum"}
        case dict():
            return {key: _tidied(value) for key, value in node.items() if (key, value) != ("default", None)}
        case list() | tuple():
            return [_tidied(member) for member in node]
        case _:
            return node
