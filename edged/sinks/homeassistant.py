"""What Home Assistant is told of a box: one message (home-assistant.io/integrations/mqtt, "Device discovery payload").

Values stay where they are: each entity reads one of the box's own documents through a template.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from edged.fleet.topics import HEALTH, STATES, STATUS, TELEMETRY, out

Component = dict[str, Any]
DIAGNOSTIC = {"entity_category": "diagnostic"}
MEASURED = {"state_class": "measurement"}
LEVELS = ["calm", "near", "pressed", "hard", "critical"]
"""Of pressure, as the governor tells them (docs/reference/governor.md)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The box. ``pipelines`` has each one's rules; of a rule it is said whether what it waits for is a problem."""

    device: str
    version: str
    board: str | None
    pipelines: Mapping[str, Mapping[str, bool]]


@dataclass(frozen=True, slots=True)
class Entity:
    """One row: an entity of the box, or of each pipeline. ``template`` is Jinja's; ``{pipeline}`` in it is the pipeline's name."""

    id: str
    name: str
    stream: str
    template: str
    more: Mapping[str, Any] = field(default_factory=dict)


_OF_PIPELINE = "value_json.pipelines.get('{pipeline}', {})"
OF_A_PIPELINE = (
    Entity(
        "rate",
        "rate",
        TELEMETRY,
        f"{_OF_PIPELINE}.rate_hz",
        {**MEASURED, "device_class": "frequency", "unit_of_measurement": "Hz", "suggested_display_precision": 1},
    ),
    Entity(
        "age",
        "age of frames",
        TELEMETRY,
        f"{_OF_PIPELINE}.get('latency_ms', {{}}).get('age', {{}}).p50",
        {**MEASURED, **DIAGNOSTIC, "device_class": "duration", "unit_of_measurement": "ms"},
    ),
    Entity("rung", "rung", STATES, f"{_OF_PIPELINE}.rung", DIAGNOSTIC),
    Entity(
        "model", "model", STATES, f"[{_OF_PIPELINE}.model, {_OF_PIPELINE}.version] | select | join(' ')", DIAGNOSTIC
    ),
)
OF_THE_BOX = (
    Entity(
        "health",
        "health",
        HEALTH,
        "value_json.state",
        {**DIAGNOSTIC, "device_class": "enum", "options": ["ok", "degraded", "failed"]},
    ),
    Entity(
        "pressure",
        "pressure",
        TELEMETRY,
        "value_json.get('governor', {}).level",
        {**DIAGNOSTIC, "device_class": "enum", "options": LEVELS},
    ),
    Entity(
        "temperature",
        "temperature",
        TELEMETRY,
        "value_json.readings.temperatures | selectattr('is_compute') | map(attribute='temp_c') | max | default(none, true)",
        {**MEASURED, **DIAGNOSTIC, "device_class": "temperature", "unit_of_measurement": "°C"},
    ),
    Entity(
        "memory",
        "memory of edged",
        TELEMETRY,
        "value_json.process.memory_mb",
        {**MEASURED, **DIAGNOSTIC, "device_class": "data_size", "unit_of_measurement": "MiB"},
    ),
)


def topic_of(prefix: str, device: str) -> str:
    """Give the topic on which a box is announced."""
    return f"{prefix}/device/{device}/config"


def birth_topic(prefix: str) -> str:
    """Give the topic on which Home Assistant says that it came up: ``online``. It can be set there, and is usually this one."""
    return f"{prefix}/status"


def discovery(facts: Facts) -> dict[str, Any]:
    """Build the message. Its components' keys and unique ids last: a pipeline or rule of the same name is the same entity."""
    return {
        "device": {
            "identifiers": [f"edged-{facts.device}"],
            "name": facts.device,
            "manufacturer": "edged",
            "model": facts.board or "edged",
            "sw_version": facts.version,
        },
        "origin": {"name": "edged", "sw_version": facts.version, "support_url": "https://github.com/edged/edged"},
        "availability_topic": out(facts.device, STATUS),
        "availability_template": "{{ value_json.state }}",
        "payload_available": "online",
        "payload_not_available": "offline",
        "qos": 1,
        "components": dict(_components(facts)),
    }


def without(document: Mapping[str, Any], gone: Mapping[str, str]) -> dict[str, Any]:
    """Build the message that goes before, so that entities that are gone are removed there: of each only its platform is told."""
    removed = {name: {"platform": platform} for name, platform in gone.items()}
    return {**document, "components": {**document["components"], **removed}}


def platforms(document: Mapping[str, Any]) -> dict[str, str]:
    """Give each component's platform: what a later message needs to remove it."""
    return {name: str(component["platform"]) for name, component in document["components"].items()}


def _components(facts: Facts) -> Iterator[tuple[str, Component]]:
    # Names of pipelines and rules have no underscore: no two keys are the same, and none of a pipeline's is one of the box's.
    for entity in OF_THE_BOX:
        yield entity.id, _sensor(facts.device, entity.id, entity)
    for pipeline, rules in facts.pipelines.items():
        for entity in OF_A_PIPELINE:
            key = f"{pipeline}_{entity.id}"
            yield key, _sensor(facts.device, key, entity, pipeline)
        for rule, is_problem in rules.items():
            key = f"{pipeline}_rule_{rule}"
            yield key, _rule(facts.device, key, pipeline, rule, is_problem=is_problem)


def _sensor(device: str, key: str, entity: Entity, pipeline: str = "") -> Component:
    template = entity.template.replace("{pipeline}", pipeline)
    return {
        "platform": "sensor",
        "unique_id": f"edged_{device}_{key}",
        "name": f"{pipeline} {entity.name}".strip(),
        "state_topic": out(device, entity.stream),
        "value_template": f"{{{{ {template} }}}}",
        **entity.more,
    }


def _rule(device: str, key: str, pipeline: str, rule: str, *, is_problem: bool) -> Component:
    held = f"value_json.pipelines.get('{pipeline}', {{}}).get('rules', {{}}).get('{rule}')"
    return {
        "platform": "binary_sensor",
        "unique_id": f"edged_{device}_{key}",
        "name": f"{pipeline} {rule}",
        "state_topic": out(device, STATES),
        "value_template": f"{{{{ 'ON' if {held} else 'OFF' }}}}",
        "payload_on": "ON",
        "payload_off": "OFF",
        **({"device_class": "problem"} if is_problem else {}),
    }
