"""What Prometheus is told of a box, as its own parser reads it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edged.assembly.scraping import ROWS, Scene, scrape
from edged.domain.device import Accelerator
from edged.domain.message import Draft
from edged.domain.result import Anomaly, Latency, Result
from edged.fleet.outbox import Outbox
from edged.hardware.process import Usage
from edged.hardware.readings import read
from edged.hardware.thermal import Temperature
from edged.pipeline.feed import Feed
from edged.pipeline.line import Line, Pipeline
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.worker import Worker
from edged.telemetry.metrics import PipelineMetrics
from fakes.clock import FakeClock
from fakes.results import MODEL, stamp

BOUNDED = {
    "pipeline",
    "status",
    "reason",
    "stage",
    "le",
    "grade",
    "version",
    "kind",
    "resource",
    "accelerator",
    "number",
    "sensor",
}
"""No frame's number, address, or text that the network sends is among them."""
TPU = Accelerator("edgetpu", "usb", usable=False, state="busy", reason="", name="Coral", evidence=())


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    clock, metrics, mailbox = FakeClock(), PipelineMetrics(), Mailbox("gate")
    for number in range(10):
        metrics.result(Result("gate", stamp(0.0, number), MODEL, "ok", Latency(1.0, 2.0, 30.0, 0.5), Anomaly(1.0, 2.0)))
    metrics.result(Result("gate", stamp(0.0, 11), MODEL, "unknown", Latency(1.0, 0.0, 0.0, 0.0), None, "deadline"))
    worker = Worker("gate", lambda: pytest.fail("is not built"), clock)
    feed = Feed("dock", lambda: pytest.fail("is not opened"), clock)
    outbox = Outbox.open(tmp_path / "outbox.sqlite3", device="a", clock=clock, max_bytes=1 << 20, boot_id="b")
    body = {"schema": "edged.alert/1", "boot_id": "b", "mono_ms": clock.monotonic_ns() // 1_000_000 - 7000}
    outbox.put(Draft("alert", body))
    assert outbox.flush(10)
    stats = outbox.stats()
    outbox.close()
    return Scene(
        version="1.0.0",
        lines=(Line(feed, [Pipeline("gate", worker, mailbox, metrics, lambda: None)]),),
        outbox=stats,
        is_online=True,
        grade="degraded",
        readings=read(Path("/")),
        usage=Usage(cpu_percent=12.5, memory_mb=100.0, open_files=20, disk_free_mb=1000),
        accelerators=(TPU,),
        generation=2,
        up_s=60.0,
        now_ns=3_500_000_000,
    )


def values(scene: Scene) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(scrape(scene)):
        for one in family.samples:
            found.setdefault(one.name, {})[tuple(one.labels.values())] = one.value
    return found


def test_a_box_tells_what_its_pipelines_did(scene: Scene) -> None:
    told = values(scene)
    assert told["edged_results_total"] == {("gate", "ok"): 10, ("gate", "suspect"): 0, ("gate", "unknown"): 1}
    assert told["edged_results_unknown_total"] == {("gate", "deadline"): 1}
    assert told["edged_inference_duration_seconds_count"]["gate", "inference"] == 10
    assert told["edged_inference_duration_seconds_sum"]["gate", "inference"] == pytest.approx(0.3)
    assert told["edged_frame_duration_seconds_bucket"]["gate", "0.025"] == 0
    assert told["edged_frame_duration_seconds_bucket"]["gate", "0.05"] == 10


def test_a_box_tells_how_old_its_answers_are_and_what_waits(scene: Scene) -> None:
    told = values(scene)
    assert told["edged_frame_age_seconds"] == {("gate",): 3.5}
    assert told["edged_spool_oldest_age_seconds"] == {(): 7}
    assert values(replace(scene, outbox=replace(scene.outbox, pending=0)))["edged_spool_oldest_age_seconds"] == {(): 0}


def test_the_names_that_were_promised_are_there() -> None:
    promised = (
        "edged_inference_duration_seconds edged_frame_age_seconds edged_frames_dropped_total edged_spool_depth edged_spool_bytes "
        "edged_spool_oldest_age_seconds edged_spool_evicted_total edged_mqtt_connected edged_accelerator_up "
        "edged_accelerator_temperature_celsius edged_accelerator_throttled edged_temperature_celsius edged_throttled edged_model_info "
        "edged_worker_restarts_total edged_process_fds edged_config_generation"
    )
    assert set(promised.split()) <= {row.name for row in ROWS}


def test_a_box_tells_how_it_is(scene: Scene) -> None:
    told = values(scene)
    assert told["edged_health"] == {("ok",): 0, ("degraded",): 1, ("failed",): 0}
    assert told["edged_mqtt_connected"] == {(): 1}
    assert told["edged_accelerator_up"] == {("edgetpu", "0"): 0}
    assert told["edged_process_resident_bytes"] == {(): 100 * 2**20}
    assert told["edged_process_cpu_ratio"] == {(): 0.125}


def test_an_accelerator_tells_its_own_warmth_and_whether_it_is_slowed(scene: Scene) -> None:
    cards = (TPU, replace(TPU, bus="pcie"))
    warm = tuple(
        Temperature(f"apex_{number}", temp_c, 85.0, None, is_compute=True, path="")
        for number, temp_c in enumerate((84.9, 85.0))
    )
    rack = Temperature("nvme", 99.0, 70.0, None, is_compute=False, path="")
    told = values(replace(scene, accelerators=cards, readings=replace(scene.readings, temperatures=(rack, *warm))))

    assert told["edged_accelerator_temperature_celsius"] == {("edgetpu", "0"): 84.9, ("edgetpu", "1"): 85}
    assert told["edged_accelerator_throttled"] == {("edgetpu", "0"): 0, ("edgetpu", "1"): 1}


def test_every_stage_has_its_histogram_and_labels_are_names_of_the_configuration(scene: Scene) -> None:
    told = values(scene)
    stages = {stage for _, stage in told["edged_inference_duration_seconds_count"]}
    families = list(text_string_to_metric_families(scrape(scene)))

    assert stages == {"age", "preprocess", "inference", "postprocess"}
    labels = {label for family in families for one in family.samples for label in one.labels}
    assert labels <= BOUNDED
    assert sum(len(family.samples) for family in families) < 250


def test_what_the_box_cannot_tell_is_absent(scene: Scene) -> None:
    told = values(replace(scene, usage=Usage(), accelerators=()))
    assert "edged_process_fds" not in told
    assert "edged_accelerator_up" not in told


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_names_follow_prometheus_rules(row: object) -> None:
    name, kind = row.name, row.kind  # type: ignore[attr-defined]  # a row of the table
    assert re.fullmatch(r"edged_[a-z0-9_]+", name)
    assert name.endswith("_total") == (kind == "counter")
    assert not re.search(r"_(ms|mb|mib|percent|seconds_total)$", name)
    # As `promtool check metrics` asks: no type in a name, no end that a histogram's own series have, and words of help.
    assert not re.search(r"_(gauge|counter|histogram|summary)(_|$)|_(bucket|count|sum)$", name)
    assert row.about.endswith(".")  # type: ignore[attr-defined]


def test_every_name_comes_once() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
