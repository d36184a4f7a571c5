"""Where engines run: which need a child, and how the box's Edge TPUs are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edged.assembly.engines import Engines, edge_tpus, figures, with_named
from edged.assembly.sharing import SharedEngine
from edged.config.schema import EngineConfig
from edged.domain.bundle import Variant
from edged.domain.device import Accelerator, Evidence
from edged.domain.errors import DeviceError
from edged.domain.variant import Rung
from edged.engines.sandbox import Cost, SandboxEngine
from edged.engines.tflite import TfliteEngine
from fakes.box import accelerator, inventory, variant
from fakes.modelfile import tflite_relu

NAMED = {"edgetpu": EngineConfig.model_validate({"devices": ["pci:1"]})}


def rung(accelerator: str, runtime: str = "tflite") -> Rung:
    made = Variant.model_validate(variant("a", runtime=runtime, accelerators=[accelerator]))
    return Rung(made, accelerator, 1, "chosen", "")


def coral(bus: str, node: str) -> Accelerator:
    found = replace(accelerator("edgetpu"), bus=bus)
    return replace(found, evidence=(Evidence("sys/x", "1"), Evidence(node, "present")))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "model.tflite"
    file.write_bytes(tflite_relu())
    return file


@pytest.mark.parametrize(
    ("way", "isolate", "expected"),
    [
        (rung("cpu"), False, False),
        (rung("cpu"), True, True),
        (rung("edgetpu"), False, True),
        (rung("cuda", "onnx"), False, True),
        (rung("cpu", "a-package"), True, False),
    ],
    ids=["cpu", "cpu isolated", "delegate", "gpu", "a package's"],
)
def test_accelerators_need_a_child_always_and_the_cpu_when_the_profile_says_so(
    way: Rung, isolate: bool, expected: bool, tmp_path: Path
) -> None:
    assert Engines(isolate=isolate, state=tmp_path).isolates(way) is expected


def test_a_childs_interpreter_is_the_one_that_the_configuration_names_for_its_accelerator(
    model: Path, tmp_path: Path
) -> None:
    settings = {"cpu": EngineConfig.model_validate({"python": "/nowhere/python3"})}
    with pytest.raises(DeviceError, match="expected a Python interpreter at /nowhere/python3"):
        Engines(settings, isolate=True, state=tmp_path).open(model, rung("cpu"))


def test_who_is_a_child_already_runs_everything_itself(model: Path) -> None:
    engines = Engines(isolate=True)
    engine = engines.open(model, rung("cpu"))
    assert not engines.isolates(rung("cuda", "onnx"))
    assert isinstance(engine, SharedEngine)
    assert isinstance(engine.engine, TfliteEngine)
    engine.close()


def test_an_edge_tpu_is_opened_by_the_daemon_alone(model: Path) -> None:
    with pytest.raises(DeviceError, match="by the daemon alone") as caught:
        Engines().open(model, rung("edgetpu"))
    assert caught.value.code == "device-busy"


def test_edge_tpus_are_numbered_on_each_bus_with_their_nodes() -> None:
    found = inventory(
        coral("usb", "dev/bus/usb/002/004"),
        coral("pcie", "dev/apex_0"),
        coral("pcie", "dev/apex_1"),
        accelerator("hailo"),
    )
    assert edge_tpus(found, {}) == (
        ("usb:0", "/dev/bus/usb/002/004"),
        ("pci:0", "/dev/apex_0"),
        ("pci:1", "/dev/apex_1"),
    )


def test_the_configurations_devices_stand_over_those_that_were_found() -> None:
    assert edge_tpus(inventory(coral("usb", "dev/bus/usb/002/004")), NAMED) == (("pci:1", ""),)


def test_devices_that_are_named_and_not_found_are_put_into_the_inventory_with_who_said_so() -> None:
    (added,) = with_named(inventory(), NAMED).accelerators
    assert (added.kind, added.bus, added.usable) == ("edgetpu", "pcie", True)
    assert added.evidence == (Evidence("engine.edgetpu.devices", "pci:1"),)
    there = inventory(coral("usb", "dev/bus/usb/002/004"))
    assert with_named(there, NAMED) is there


def test_a_warm_up_becomes_figures() -> None:
    got = figures(Cost(load_s=0.5, took_s=(0.010, 0.030, 0.020), cpu_s=0.006, memory_kib=51_200))
    assert (got.threads, got.runs, got.p50_ms, got.p99_ms) == (1, 3, 20.0, 30.0)
    assert (got.cpu_ms, got.load_ms, got.peak_memory_mb) == (2.0, 500.0, 50.0)


@pytest.mark.slow
def test_an_isolated_engine_of_the_cpu_answers_from_a_child(model: Path, tmp_path: Path) -> None:
    engine = Engines(isolate=True, state=tmp_path).open(model, rung("cpu"))
    assert isinstance(engine, SandboxEngine)
    assert engine.infer([np.array([[-1, 2, -3, 4]], np.float32)])[0].tolist() == [[0, 2, 0, 4]]
    engine.close()
