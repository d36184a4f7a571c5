"""Every document that a daemon publishes is what the reference promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.domain.strict import unix_ms
from edged.fleet import schemas
from fakes.brokers import BrokerProcess
from fakes.daemon import DEVICE, Run, write_config
from fakes.sensor import csv_source, picture_bundle, pipeline, sensor_bundle, write_windows
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow

RULE = '[[pipeline.rule]]\nname = "loud"\nwhen = { anomaly = true }\n'


def test_every_document_keeps_to_its_schema_and_says_where_and_when_it_was_made(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    sensor_bundle(tmp_path / "models" / "level", threshold=100.0)
    picture_bundle(tmp_path / "models" / "still")
    recording = write_windows(tmp_path / "spindle.csv", [*range(20), *[0] * 80])
    body = csv_source(recording, more='pace = "recorded"\nloop = true') + pipeline("a", more=RULE)
    body += pipeline("wrong", model="still") + pipeline("stranger", model="unheard-of")
    daemon = run(write_config(tmp_path, broker.port, body))
    until(lambda: "end" in {event["phase"] for event in fleet.of("event/a")}, "the end of an event")
    until(lambda: fleet.of("telemetry") and fleet.of("models") and fleet.of("inventory"), "what the box says of itself")
    daemon.stop()
    until(lambda: fleet.last("status").get("state") == "offline", "offline")

    by_name = {model.model_fields["schema_"].annotation.__args__[0]: model for model in schemas.DOCUMENTS}  # type: ignore[union-attr] # a Literal
    heard = {topic.split("/out/")[1].split("/")[0] for topic, _, _ in fleet.heard}
    # A busy machine may have the governor take a step, which is an alert.
    assert heard - {"alert"} == {"status", "health", "inventory", "models", "telemetry", "result", "event"}
    for topic, document, _ in fleet.heard:
        model = by_name[document["schema"]]
        model.model_validate(document)
        assert document.keys() <= {field.alias or name for name, field in model.model_fields.items()}
        assert topic.startswith(f"edged/v1/d/{DEVICE}/out/")
        assert document["device"] == DEVICE
        assert document["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_what_a_newcomer_hears_at_once_is_how_the_box_is_now(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    recording = write_windows(tmp_path / "spindle.csv", range(3))
    daemon = run(
        write_config(
            tmp_path, broker.port, csv_source(recording, more='pace = "recorded"\nloop = true') + pipeline("a")
        )
    )
    until(lambda: fleet.of("telemetry") and fleet.last("health").get("state") == "ok", "it is up and well")
    until(lambda: fleet.last("inventory").get("models"), "what it may run")

    newcomer = Subscriber(broker.port)
    until(lambda: len({topic for topic, _, retained in newcomer.heard if retained}) == 4, "what is retained")
    newcomer.close()
    daemon.stop()

    assert newcomer.last("status")["state"] == "online"
    assert newcomer.last("health")["state"] == "ok"
    (ladder,) = newcomer.last("inventory")["models"]
    assert (ladder["model"], [rung["verdict"] for rung in ladder["variants"]]) == ("level", ["chosen"])
    assert newcomer.last("inventory")["versions"].keys() >= {"edged", "python"}
    told = {model["name"]: model for model in newcomer.last("models")["models"]}
    assert (told["level"]["state"], told["level"]["conduct"]) == ("committed", None)
    assert unix_ms(told["level"]["since"]) is not None
    assert newcomer.last("inventory")["groups"] == []
    assert newcomer.last("inventory")["memory_free_mb"] > 0
