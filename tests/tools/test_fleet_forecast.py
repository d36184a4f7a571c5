"""What a bundle would run as on boxes that were never asked: the same as they would say themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.cli import main
from edgectl.fleet.forecast import Forecast, forecast
from edgectl.fleet.view import Device
from edged.assembly import levels
from edged.config.schema import Objective
from edged.config.share import shipped
from edged.control.choose import choose
from edged.control.figures import HERE, figures_of
from edged.control.possible import Facts
from edged.control.profile import load_profiles
from edged.domain.bundle import Bundle
from edged.domain.figures import Figures, Measured, Subject
from edged.hardware.inventory import to_document
from edged.hardware.runtimes import InstalledRuntime
from edged.update.manifest import read_bundle
from fakes import box, brokers
from fakes.fleetbox import FleetBox
from fakes.ladderbundle import digest, ladder_bundle

PROFILES = load_profiles([shipped("device-profiles")])
PI = "raspberry-pi-5"
RUNTIMES = (InstalledRuntime("tflite", "ai-edge-litert", "2.1.0"), InstalledRuntime("onnx", "onnxruntime", "1.23.0"))
OBJECTIVE = Objective(latency_ms=80.0)
SLOW, FAST = Figures(4, 30, 90.0, 100.0, 300.0, 500.0, 60.0), Figures(4, 30, 20.0, 40.0, 80.0, 300.0, 50.0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(ladder_bundle(tmp_path_factory.mktemp("bundles") / "crates"))


def measured(variant: str, figures: Figures) -> Measured:
    return Measured(Subject(digest(variant), "tflite", "2.1.0", "cpu", PI), (figures,), HERE, "2026-11-21T12:00:00Z")


def told(bundle: Bundle, *found: Measured, version: str = "0.9.0", runtimes: Any = RUNTIMES) -> dict[str, Any]:
    """Give what a box retains that runs an older version, and measured some of its files."""
    profile = next(one for one in PROFILES if one.name == PI)
    figures = figures_of(found, bundle, PI)
    ladder = choose(bundle, profile, Facts(box.inventory(), figures=figures), None, OBJECTIVE)
    return {
        "profile": PI,
        "groups": ["line-a"],
        "memory_free_mb": 1000,
        "hardware": to_document(box.inventory(), PI, runtimes),
        "models": [{**levels.ladder(ladder, OBJECTIVE), "version": version, "pipelines": ["gate"]}],
    }


def device(name: str, inventory: dict[str, Any]) -> Device:
    return Device(name, {"status": {"state": "online"}, "inventory": json.loads(json.dumps(inventory))})


def one(found: Sequence[Forecast], name: str = "a") -> Forecast:
    return next(row for row in found if row.device == name)


def test_a_box_runs_what_meets_its_objective_by_its_own_figures(bundle: Bundle) -> None:
    boxes = [device("a", told(bundle, measured("large-tflite-fp32", SLOW), measured("large-tflite-int8", FAST)))]
    found = one(forecast(bundle, boxes, PROFILES))
    assert (found.variant, found.accelerator, found.threads) == ("large-tflite-int8", "cpu", 4)
    assert (found.p50_ms, found.p95_ms, found.memory_mb, found.unmet) == (20.0, 40.0, 50.0, "")
    # What runs now gives its own memory back.
    assert found.headroom_mb == 1000 + 50 - 50


def test_it_is_what_the_box_itself_says(bundle: Bundle) -> None:
    inventory = told(bundle, measured("large-tflite-fp32", SLOW), measured("large-tflite-int8", FAST))
    chosen = next(rung for rung in inventory["models"][0]["variants"] if rung["verdict"] == "chosen")
    found = one(forecast(bundle, [device("a", inventory)], PROFILES))
    assert (found.variant, found.accelerator, found.threads) == (chosen["id"], chosen["accelerator"], chosen["threads"])


def test_what_another_box_of_the_profile_measured_counts_here_too(bundle: Bundle) -> None:
    knows = told(bundle, measured("large-tflite-fp32", SLOW), measured("large-tflite-int8", FAST))
    found = forecast(bundle, [device("a", told(bundle)), device("b", knows)], PROFILES)
    assert (one(found).variant, one(found).p95_ms) == ("large-tflite-int8", 40.0)


def test_what_a_box_of_another_profile_measured_does_not(bundle: Bundle) -> None:
    other = {**told(bundle, measured("large-tflite-int8", FAST)), "profile": "generic"}
    found = forecast(bundle, [device("a", told(bundle)), device("b", other)], PROFILES)
    assert (one(found).p95_ms, one(found).headroom_mb) == (None, None)


def test_a_box_without_the_runtimes_refuses_it(bundle: Bundle) -> None:
    found = one(forecast(bundle, [device("a", told(bundle, runtimes=()))], PROFILES))
    assert found.variant is None
    assert "needs the runtime 'tflite', which is not installed" in found.reason


def test_a_box_whose_profile_nobody_knows_refuses_it(bundle: Bundle) -> None:
    found = one(forecast(bundle, [device("a", {**told(bundle), "profile": "home-made"})], PROFILES))
    assert (found.variant, found.reason) == (None, "its profile 'home-made' is not known here")


def test_a_box_that_told_nothing_of_itself_refuses_it(bundle: Bundle) -> None:
    found = one(forecast(bundle, [device("a", {"profile": PI})], PROFILES))
    assert (found.variant, found.reason) == (None, "it has told no hardware")


def test_where_the_memory_does_not_suffice_it_is_told(bundle: Bundle) -> None:
    boxes = [device("a", {**told(bundle, measured("large-tflite-int8", FAST)), "memory_free_mb": -20})]
    found = one(forecast(bundle, boxes, PROFILES))
    assert (found.memory_mb, found.headroom_mb) == (50.0, -20.0)
    assert "with memory 50 of 30 MiB" in found.unmet


def test_afterwards_the_prediction_stands_beside_what_happened(bundle: Bundle) -> None:
    """What a box measured of the version itself is no prediction: that comes from the others of its profile."""
    slower = Figures(4, 30, 25.0, 50.0, 80.0, 300.0, 50.0)
    boxes = [
        device("a", told(bundle, measured("large-tflite-int8", slower), version=bundle.manifest.version)),
        device("b", told(bundle, measured("large-tflite-int8", FAST))),
    ]
    found = one(forecast(bundle, boxes, PROFILES))
    assert (found.p95_ms, found.ran_as, found.ran_p95_ms) == (40.0, "large-tflite-int8", 50.0)
    assert found.error == pytest.approx(-0.2)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["profile", "hardware", "models", "model", "variants", "figures", "cpu", "allowed", "accelerators"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def test_a_box_that_claims_a_billion_processors_keeps_nobody_busy(bundle: Bundle) -> None:
    inventory = told(bundle)
    inventory["hardware"]["cpu"]["allowed"] = 1e9
    assert one(forecast(bundle, [device("a", inventory)], PROFILES)).variant is not None


@given(st.dictionaries(st.sampled_from(["hardware", "models", "memory_free_mb", "groups"]), JSON))
def test_no_box_breaks_it(bundle: Bundle, inventory: dict[str, Any]) -> None:
    made = Device("a", {"inventory": {"profile": PI, **inventory}})
    assert {row.device for row in forecast(bundle, [made], PROFILES)} == {"a"}


@pytest.mark.slow
def test_the_verb_tells_it_of_every_box_and_ends_with_1_when_one_refuses(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = brokers.mosquitto(tmp_path)
    (tmp_path / "fleet.toml").write_text(f"[mqtt]\nport = {broker.port}\n")
    words = ["fleet", "plan", str(bundle.folder), "--config", str(tmp_path / "fleet.toml")]
    boxes = [FleetBox(broker.port, "a"), FleetBox(broker.port, "b")]
    try:
        boxes[0].tell("inventory", **told(bundle, measured("large-tflite-int8", FAST)))
        boxes[1].tell("inventory", **{**told(bundle, runtimes=()), "groups": []})
        assert main([*words, "--group", "line-a"]) == 0
        said = capsys.readouterr().out
        assert "large-tflite-int8 on cpu" in said
        assert "crates 1.0.0: 1 would run it, 0 refuse it" in said
        assert main([*words, "--json"]) == 1
        document = json.loads(capsys.readouterr().out)
    finally:
        for made in boxes:
            made.close()
        broker.close()
    assert [row["variant"] for row in document["boxes"]] == ["large-tflite-int8", None]
