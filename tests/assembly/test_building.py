"""Models are compiled for an accelerator behind the pipelines: by real children, on a double of the GPU's ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edged.assembly.box import Box, ladder
from edged.assembly.building import FIRST_WAIT_S, Building
from edged.assembly.compiling import Compiling
from edged.assembly.engines import Engines
from edged.config.schema import EngineConfig
from edged.control.possible import Facts
from edged.domain.errors import DeviceError
from edged.domain.figures import Figures
from edged.domain.variant import Ladder, Rung
from edged.engines.engine_cache import EngineCache
from edged.engines.sandbox import SandboxEngine
from edged.fleet.topics import ALERT, Stamper
from edged.hardware.runtimes import installed_runtimes
from edged.update.manifest import read_bundle
from fakes.box import profile
from fakes.clock import FakeClock
from fakes.fakegpu import FakeGpu, gpu_bundle, inventory
from fakes.outbox import FakeOutbox
from fakes.waiting import LONGEST_S, until

pytestmark = pytest.mark.slow


DEVICE = "NVIDIA integrated GPU (Tegra234, compute capability 8.7), NVRM version: 540.4.0"


@dataclass
class Bench:
    gpu: FakeGpu
    box: Box
    compiling: Compiling
    building: Building
    outbox: FakeOutbox
    clock: FakeClock
    measured: list[tuple[Rung, Figures]]
    folder: Path

    @property
    def ladder(self) -> Ladder:
        return ladder(read_bundle(self.folder), self.box)

    def rung(self, name: str = "half") -> Rung:
        return next(rung for rung in self.ladder.rungs if rung.variant.id == name)

    def codes(self) -> list[object]:
        return [body["code"] for body in self.outbox.bodies(ALERT)]

    def open(self, name: str = "half") -> SandboxEngine:
        engine = self.box.engines.open(self.folder / "model.onnx", self.rung(name))
        assert isinstance(engine, SandboxEngine)
        return engine

    def engine_file(self) -> Path:
        (file,) = (self.folder.parent / "state" / "engines").glob("*/*.engine")
        return file


@pytest.fixture(scope="module")
def gpu(tmp_path_factory: pytest.TempPathFactory) -> FakeGpu:
    return FakeGpu(tmp_path_factory.mktemp("gpu"))


@pytest.fixture
def bench(gpu: FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for name, value in gpu.env.items():
        monkeypatch.setenv(name, value)
    gpu.say("ok")
    folder, state, clock = gpu_bundle(tmp_path / "level"), tmp_path / "state", FakeClock()
    python = {"python": str(gpu.python)}
    settings = {name: EngineConfig.model_validate(python) for name in ("tensorrt", "cuda")}
    found, measured = inventory(), list[tuple[Rung, Figures]]()
    compiling = Compiling(found, settings, state)
    engines = Engines(
        settings,
        state=state,
        learned=lambda rung, figures: measured.append((rung, figures)),
        compiling=compiling,
        free_mb=lambda: 512.0,
    )
    wishes = profile({"accelerator": "tensorrt"}, {"accelerator": "cuda"}, {"accelerator": "cpu"})
    box = Box(found, wishes, installed_runtimes(), is_this_machine=True, engines=engines)
    outbox = FakeOutbox()
    bundle = read_bundle(folder)
    building = Building(box, compiling, lambda: [bundle], lambda: 0, list, outbox, Stamper("boot", clock), settle_s=0.0)
    yield Bench(gpu, box, compiling, building, outbox, clock, measured, folder)
    building.stop()


def test_what_is_not_compiled_is_refused_with_the_reason_and_the_next_rung_chosen(bench: Bench) -> None:
    found = {rung.variant.id: (rung.verdict, rung.reason) for rung in bench.ladder.rungs}
    assert found["whole"][0] == "chosen"
    assert found["half"] == (
        "refused",
        f"is not compiled for {DEVICE} yet; the daemon does that behind its pipelines",
    )


def test_it_is_compiled_told_measured_and_chosen(bench: Bench) -> None:
    assert bench.building.step()
    assert bench.codes() == ["engine-building", "engine-built"]
    assert bench.rung().verdict == "chosen"
    ((rung, figures),) = bench.measured
    assert (rung.variant.id, rung.accelerator, figures.runs) == ("half", "tensorrt", 30)
    engine = bench.open()
    assert engine.infer([np.full((1, 64), -1, np.float32)])[0].max() == 0
    engine.close()
    assert not bench.building.step()


def test_a_compiled_model_is_loaded_and_not_compiled_again(bench: Bench) -> None:
    bench.building.step()
    bench.gpu.say("crash")
    bench.open().close()


def test_while_it_is_compiled_the_ladder_says_since_when_and_the_end_of_the_daemon_ends_it(bench: Bench) -> None:
    bench.gpu.say("hang")
    bench.building.start()
    until(lambda: "is being compiled" in bench.rung().reason, "the reason")
    assert "since 20" in bench.rung().reason
    bench.building.stop()
    assert bench.building.join(LONGEST_S)
    assert bench.codes() == ["engine-building"]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("crash", "was ended by SIGABRT"),
        ("nothing", "it wrote no file"),
        (
            "library",
            "took CPUExecutionProvider instead of TensorrtExecutionProvider, CUDAExecutionProvider: libcublasLt.so.12",
        ),
    ],
)
def test_a_failure_is_told_and_tried_again_after_a_while_and_twice_that(bench: Bench, word: str, told: str) -> None:
    bench.gpu.say(word)
    assert bench.building.step()
    assert bench.codes() == ["engine-building", "engine-unbuilt"]
    assert "could not be compiled" in bench.rung().reason
    assert told in bench.rung().reason
    bench.clock.advance(FIRST_WAIT_S - 1)
    assert not bench.building.step()
    bench.clock.advance(61)
    assert bench.building.step()
    bench.clock.advance(FIRST_WAIT_S + 1)
    assert not bench.building.step()
    bench.gpu.say("ok")
    bench.clock.advance(FIRST_WAIT_S + 60)
    assert bench.building.step()
    assert bench.rung().verdict == "chosen"


def test_a_damaged_engine_is_not_loaded_but_compiled_anew(bench: Bench) -> None:
    bench.building.step()
    bench.engine_file().write_text("damaged")
    with pytest.raises(DeviceError, match="not compiled for the device, or was damaged") as caught:
        bench.open()
    assert caught.value.code == "engine-uncompiled"
    assert "is not compiled" in bench.rung().reason
    assert bench.building.step()
    bench.open().close()


def test_an_engine_that_the_libraries_refuse_is_dropped_blames_no_bundle_and_is_compiled_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.building.step()
    monkeypatch.setenv("FAKE_GPU_TENSORRT", "10.4.0")
    with pytest.raises(DeviceError, match=r"compiles it anew: .*could not deserialize engine from cache") as caught:
        bench.open()
    assert caught.value.code == "engine-stale"
    assert bench.rung().verdict == "refused"
    assert bench.building.step()
    bench.open().close()


def test_another_driver_or_model_has_its_own_engine(bench: Bench) -> None:
    bench.building.step()
    other = inventory(name="NVIDIA GPU 10de:2531 at 0000:01:00.0", bus="pci")
    again = Compiling(other, bench.compiling._settings, bench.folder.parent / "state")
    assert again.device("tensorrt") == "NVIDIA GPU 10de:2531, NVRM version: 540.4.0"
    assert ("half", "tensorrt") in again.unready(read_bundle(bench.folder))


def test_a_full_cache_lets_the_longest_unused_go_and_the_new_one_stay(bench: Bench) -> None:
    bench.compiling.cache = EngineCache(bench.folder.parent / "state" / "engines", max_bytes=20)
    assert bench.building.step()
    assert bench.rung().verdict == "chosen"
    bench.compiling.cache = EngineCache(bench.folder.parent / "state" / "engines", max_bytes=5)
    bench.compiling.cache.drop(bench.compiling.key(bench.rung().variant, "tensorrt"))
    bench.compiling.revision += 1
    assert bench.building.step()
    assert "takes 15 bytes, expected at most 5" in bench.rung().reason


def test_cuda_is_measured_when_it_is_opened_and_bound_by_the_memory_that_it_shares(bench: Bench) -> None:
    order = bench.box.engines.order(bench.folder / "model.onnx", bench.rung("whole"), None, 3)
    assert order.providers[0].options["gpu_mem_limit"] == str(512 * 2**20)
    bench.open("whole").close()
    ((rung, _),) = bench.measured
    assert (rung.variant.id, rung.accelerator) == ("whole", "cuda")


def test_what_a_shared_memory_lost_is_what_the_model_takes(bench: Bench) -> None:
    free = iter([900.0, 900.0, 200.0])
    bench.box.engines.free_mb = lambda: next(free)
    bench.open("whole").close()
    assert bench.measured[0][1].peak_memory_mb == 700.0


def test_a_package_without_the_provider_is_the_reason(bench: Bench) -> None:
    without = Compiling(inventory(), {}, bench.folder.parent / "state")
    reason = without.unready(read_bundle(bench.folder))["half", "tensorrt"]
    assert reason.startswith("needs onnxruntime-gpu: edged's own interpreter has onnxruntime 1.")
    assert reason.endswith("install edged[onnx-gpu] there, instead of any other onnxruntime")
    assert without.accelerators == ()
    assert Facts(inventory()).unready == {}
