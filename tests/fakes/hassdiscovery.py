"""What Home Assistant demands of a device's discovery message, key by key, and what its templates make of a document.

From home-assistant/core: homeassistant/components/mqtt/schemas.py (DEVICE_DISCOVERY_SCHEMA, MQTT_ENTITY_DEVICE_INFO_SCHEMA,
MQTT_ORIGIN_INFO_SCHEMA, MQTT_ENTITY_COMMON_SCHEMA), its sensor.py and binary_sensor.py (PLATFORM_SCHEMA_MODERN), and
homeassistant/components/sensor/const.py (units by device class). The library itself of that age needs a Python that is newer than this
project's oldest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

Check = Callable[[Any], bool]
TOPIC = re.compile(r"[^+#\0]{1,65535}")
OBJECT_ID = re.compile(r"[A-Za-z0-9_-]+")
PLATFORMS = {"sensor", "binary_sensor"}
UNITS = {
    "frequency": {"Hz", "kHz", "MHz", "GHz"},
    "duration": {"d", "h", "min", "s", "ms", "μs"},
    "temperature": {"°C", "°F", "K"},
    "data_size": {"B", "kB", "MB", "GB", "KiB", "MiB", "GiB"},
}


def is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def is_topic(value: Any) -> bool:
    return is_text(value) and TOPIC.fullmatch(value) is not None


def is_template(value: Any) -> bool:
    environment().from_string(value)
    return "{{" in value


def one_of(*values: Any) -> Check:
    return lambda value: value in values


DEVICE: dict[str, Check] = dict.fromkeys(
    ("manufacturer", "model", "name", "hw_version", "serial_number", "sw_version", "via_device", "suggested_area"),
    is_text,
) | {"identifiers": lambda value: bool(value) and all(map(is_text, value)), "configuration_url": is_text}
ORIGIN: dict[str, Check] = {
    "name": is_text,
    "sw_version": is_text,
    "support_url": lambda value: value.startswith("https://"),
}
TOP: dict[str, Check] = {
    "device": lambda value: bool(value.get("identifiers")) and keys_fit(value, DEVICE),
    "origin": lambda value: is_text(value.get("name")) and keys_fit(value, ORIGIN),
    "components": lambda value: bool(value) and all(map(OBJECT_ID.fullmatch, value)),
    "availability_topic": is_topic,
    "availability_template": is_template,
    "payload_available": is_text,
    "payload_not_available": is_text,
    "state_topic": is_topic,
    "qos": one_of(0, 1, 2),
}
COMMON: dict[str, Check] = {
    "platform": PLATFORMS.__contains__,
    "unique_id": is_text,
    "name": is_text,
    "state_topic": is_topic,
    "value_template": is_template,
    "entity_category": one_of("diagnostic"),  # "config" is for what can be set
}
SENSOR: dict[str, Check] = COMMON | {
    "device_class": one_of("enum", *UNITS),
    "state_class": one_of("measurement", "total", "total_increasing"),
    "unit_of_measurement": is_text,
    "options": lambda value: isinstance(value, list) and all(map(is_text, value)),
    "suggested_display_precision": lambda value: isinstance(value, int) and value >= 0,
}
BINARY: dict[str, Check] = COMMON | {
    "device_class": one_of("problem", "motion", "occupancy"),
    "payload_on": is_text,
    "payload_off": is_text,
}


def keys_fit(given: Mapping[str, Any], table: Mapping[str, Check]) -> bool:
    assert given.keys() <= table.keys(), f"nobody knows {given.keys() - table.keys()}"
    for key, value in given.items():
        assert table[key](value), f"{key} = {value!r}"
    return True


def accept(topic: str, document: Mapping[str, Any], prefix: str = "homeassistant") -> None:
    """Hold a message against all of it."""
    found = re.fullmatch(rf"{re.escape(prefix)}/device/([A-Za-z0-9_-]+)/config", topic)
    assert found, topic
    assert {"device", "origin", "components"} <= document.keys()
    keys_fit(document, TOP)
    ids = []
    for component in document["components"].values():
        if component.keys() == {"platform"}:
            continue  # its removal
        assert {"platform", "unique_id", "state_topic"} <= component.keys()
        keys_fit(component, SENSOR if component["platform"] == "sensor" else BINARY)
        _fits_its_class(component)
        ids.append(component["unique_id"])
    assert len(set(ids)) == len(ids)


def _fits_its_class(component: Mapping[str, Any]) -> None:
    """Hold device class, unit, options and state class together, as the sensor integration does at set-up."""
    kind = component.get("device_class")
    assert (kind == "enum") == ("options" in component)
    if kind == "enum":
        assert not {"state_class", "unit_of_measurement"} & component.keys()
    if kind in UNITS:
        assert component["unit_of_measurement"] in UNITS[kind]


def environment() -> Any:
    """Give templates' environment: Jinja's own filters and tests, in a sandbox as there."""
    sandbox = pytest.importorskip("jinja2.sandbox", reason="needs jinja2 (extra `dev`)")
    return sandbox.ImmutableSandboxedEnvironment()


def state_of(component: Mapping[str, Any], documents: Mapping[str, Any]) -> str:
    """Give what Home Assistant would show, from the last document of each topic; ``None`` is shown as unknown, "" changes nothing."""
    value = documents[component["state_topic"]]
    return str(environment().from_string(component["value_template"]).render(value_json=value)).strip()
