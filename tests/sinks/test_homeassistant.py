from __future__ import annotations

import json
from typing import Any

import pytest

from edged.fleet.topics import HEALTH, STATES, TELEMETRY, out
from edged.sinks.homeassistant import Facts, discovery, platforms, topic_of, without
from edged.sinks.states import States
from fakes.hassdiscovery import accept, state_of
from fakes.toldboxes import event, figures, inventory, models, telemetry

FACTS = Facts("press-07", "0.1.0", "Raspberry Pi 5", {"people": {"at-the-gate": False}, "bearing": {"worn": True}})
TOPIC = topic_of("homeassistant", "press-07")


def states(*events: dict[str, Any], governed: dict[str, Any] | None = None) -> dict[str, Any]:
    heard = States()
    heard.expect({"people": ("at-the-gate",), "bearing": ("worn",)})
    heard.hear("inventory", inventory({"people": "person", "bearing": "vibration"}, governed=governed))
    heard.hear("models", models("person"))
    for one in events:
        heard.hear(f"event/{one['pipeline']}", one)
    return heard.told()


def shown(documents: dict[str, Any]) -> dict[str, str]:
    """Give what each entity shows of these documents, by stream."""
    by_topic = {out("press-07", stream): document for stream, document in documents.items()}
    components = discovery(FACTS)["components"]
    return {name: state_of(one, by_topic) for name, one in components.items() if one["state_topic"] in by_topic}


def test_the_message_is_one_that_home_assistant_accepts() -> None:
    accept(TOPIC, discovery(FACTS))


def test_the_message_stays_far_below_what_brokers_take() -> None:
    many = Facts("d" * 64, "0.1.0", None, {f"p{n}": {f"r{m}": False for m in range(4)} for n in range(16)})
    assert len(json.dumps(discovery(many))) < 64 * 1024


def test_each_entity_shows_its_figure() -> None:
    told = telemetry({"people": figures(9.8), "bearing": figures(None)}, temp_c=61.4, level="pressed")
    assert shown({TELEMETRY: told}) == {
        "pressure": "pressed",
        "temperature": "61.4",
        "memory": "118.0",
        "people_rate": "9.8",
        "people_age": "3.1",
        "bearing_rate": "None",
        "bearing_age": "3.1",
    }
    assert shown({HEALTH: {"state": "degraded"}}) == {"health": "degraded"}


def test_what_is_absent_shows_nothing_and_breaks_nothing() -> None:
    bare = {"schema": "edged.telemetry/1", "pipelines": {}, "readings": {"temperatures": []}, "process": {}}
    assert set(shown({TELEMETRY: bare}).values()) <= {"", "None"}
    assert shown({STATES: {"pipelines": {}}})["people_rule_at-the-gate"] == "OFF"


def test_rules_rung_and_version_are_those_that_stand_now() -> None:
    start = event("people", "at-the-gate", "start")
    documents = {STATES: {"pipelines": states(start, governed={"people": {"rung": "small"}})}}
    assert shown(documents) == {
        "people_rung": "small",
        "people_model": "person 1.2.0",
        "people_rule_at-the-gate": "ON",
        "bearing_rung": "int8",
        "bearing_model": "vibration",
        "bearing_rule_worn": "OFF",
    }


@pytest.mark.parametrize(("phase", "held"), [("start", True), ("ongoing", True), ("end", False)])
def test_a_rule_holds_from_its_start_to_its_end(phase: str, held: bool) -> None:
    told = states(event("people", "at-the-gate", "start"), event("people", "at-the-gate", phase))
    assert told["people"]["rules"] == {"at-the-gate": held}


def test_a_pipeline_that_comes_back_with_other_rules_keeps_what_still_holds() -> None:
    heard = States()
    heard.expect({"people": ("old", "kept")})
    heard.hear("event/people", event("people", "kept", "start"))
    heard.expect({"people": ("kept", "new")})
    heard.hear("event/people", event("people", "old", "start"))
    assert heard.told()["people"]["rules"] == {"kept": True, "new": False}


def test_a_rule_that_waits_for_an_anomaly_is_a_problem() -> None:
    components = discovery(FACTS)["components"]
    assert components["bearing_rule_worn"]["device_class"] == "problem"
    assert "device_class" not in components["people_rule_at-the-gate"]


def test_what_is_gone_is_removed_by_its_platform_alone() -> None:
    less = discovery(Facts("press-07", "0.1.0", None, {"people": {}}))
    before = platforms(discovery(FACTS))
    gone = {name: platform for name, platform in before.items() if name not in less["components"]}
    message = without(less, gone)
    accept(TOPIC, message)
    assert message["components"]["people_rule_at-the-gate"] == {"platform": "binary_sensor"}
    assert message["components"]["bearing_rate"] == {"platform": "sensor"}
    assert message["components"]["people_rate"] == less["components"]["people_rate"]


def test_no_two_pipelines_and_rules_share_an_entity() -> None:
    facts = Facts(
        "d", "1", None, {"a": {"b-c": False}, "a-b": {"c": False, "rate": False}, "health": {"health": False}}
    )
    accept(topic_of("homeassistant", "d"), discovery(facts))
