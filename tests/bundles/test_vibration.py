"""The shipped vibration bundle on a real ceiling fan, after the calibration that a user would do: edged's own code, every variant."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edged.assembly.calibrations import Records
from edged.assembly.learning import Learning
from edged.assembly.models import Opened, answering, open_rung
from edged.config.share import shipped
from edged.domain.bundle import WindowInput
from edged.domain.errors import CalibratingError
from edged.domain.frame import Frame, Samples
from edged.domain.result import Anomaly
from edged.domain.variant import Rung
from edged.pipeline.window import Windower
from edged.sources import csv
from edged.update.manifest import read_bundle
from fakes.clock import FakeClock

pytestmark = pytest.mark.slow

BUNDLE = read_bundle(shipped("models") / "vibration")
VARIANTS = [variant.id for variant in BUNDLE.manifest.variant]
CALIBRATION_S = 20.0
"""Two thirds of the normal running that there is; a user would give the minute that the bundle asks for."""
NORMAL = "fan_0_low_0_weight"
FAULTS = ("fan_0_low_1_weight", "fan_0_high_0_weight", "fan_0_off_0_weight")


def windows(folder: Path) -> Iterator[Frame]:
    window = BUNDLE.manifest.input
    assert isinstance(window, WindowInput)
    windower = Windower(window.length, window.stride, window.channels)
    source = csv.open_source(path=folder, clock=FakeClock(), columns=("x", "y", "z"), rate_hz=200)
    while isinstance(samples := source.read(), Samples):
        yield from windower.push(samples)
    source.close()


def auc(normal: np.ndarray, faulty: np.ndarray) -> float:
    """Give the share of pairs in which the faulty one scores higher (Mann-Whitney), ties counting half."""
    above = np.subtract.outer(faulty, normal)
    return float(np.mean((above > 0) + 0.5 * (above == 0)))


def opened(name: str) -> Opened:
    variant = next(variant for variant in BUNDLE.manifest.variant if variant.id == name)
    rung = Rung(variant, "cpu", 1, "chosen", "under test")
    return Opened(open_rung(BUNDLE, rung), BUNDLE, BUNDLE.manifest.input, "", rung)


def _simulated(name: str) -> ModuleType:
    """Load what the bundle was trained with, from the bundle."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(shipped("models").parent))
        return import_module(f"models.vibration.{name}")


def test_the_bundle_has_the_variants_that_every_shipped_network_has() -> None:
    kinds = {f"{variant.runtime}-{variant.precision}" for variant in BUNDLE.manifest.variant}
    assert kinds == {"tflite-fp32", "tflite-int8", "tflite-dynamic", "onnx-fp32", "onnx-int8", "onnx-fp16"}
    assert sum(file.stat().st_size for file in BUNDLE.folder.iterdir() if file.is_file()) < 1_000_000


@pytest.mark.parametrize(
    ("kind", "published"),
    [("TYPE_6205", (0.39828, 3.5848, 5.4152, 4.7135)), ("TYPE_6203", (0.3817, 3.0530, 4.9469, 3.9874))],
)
def test_the_simulated_bearings_strike_at_the_published_frequencies(kind: str, published: tuple[float, ...]) -> None:
    bearing = getattr(_simulated("bearing"), kind)
    # Cage, outer race, inner race and ball, which strikes twice a turn, as Case Western Reserve University's data centre has them.
    found = bearing.ftf, bearing.bpfo, bearing.bpfi, 2 * bearing.bsf
    assert found == pytest.approx(published, rel=1e-3)


@pytest.mark.assets
@pytest.mark.parametrize("name", VARIANTS)
def test_every_fault_of_a_real_fan_is_told_from_its_normal_running(assets: Path, tmp_path: Path, name: str) -> None:
    recordings = assets / "sensors" / "ceiling-fan"
    learning = Learning("fan", {}, CALIBRATION_S, Records(tmp_path), FakeClock())
    model = learning.fitted(opened(name)).model
    ask = answering(model)
    scores: dict[str, list[Anomaly]] = {folder: [] for folder in (NORMAL, *FAULTS)}
    taught = 0
    for folder, found in scores.items():
        for frame in windows(recordings / folder):
            try:
                answer = ask(frame)
            except CalibratingError:
                taught += 1
                continue
            assert isinstance(answer, Anomaly)
            found.append(answer)
    model.engine.close()

    told = learning.told()
    assert told is not None
    assert (told["state"], told["windows"]) == ("calibrated", taught)
    assert taught == pytest.approx(39, abs=1)
    normal = np.array([one.score for one in scores[NORMAL]])
    assert len(normal) == 60 - taught
    for fault in FAULTS:
        assert auc(normal, np.array([one.score for one in scores[fault]])) >= 0.98
    # A rule waits for several windows in a row: single ones may lie on the wrong side of the threshold.
    assert np.mean([one.is_anomaly for one in scores[NORMAL]]) <= 0.05
    assert all(np.mean([one.is_anomaly for one in scores[fault]]) >= 0.8 for fault in FAULTS)


@pytest.mark.assets
def test_another_variant_learns_from_the_minute_that_was_kept(assets: Path, tmp_path: Path) -> None:
    learnings = [Learning("fan", {}, CALIBRATION_S, Records(tmp_path), FakeClock()) for _ in range(2)]
    first = learnings[0].fitted(opened("tflite-fp32")).model
    for frame in windows(assets / "sensors" / "ceiling-fan" / NORMAL):
        try:
            answering(first)(frame)
        except CalibratingError:
            continue
    learnings[1].fitted(opened("onnx-int8")).model.engine.close()
    first.engine.close()

    before, after = (learning.told() for learning in learnings)
    assert before is not None
    assert after is not None
    assert after["state"] == "calibrated"
    assert after["since"] == before["since"]
    assert after["threshold"] == pytest.approx(before["threshold"], rel=0.03)
    assert after["threshold"] != before["threshold"]


@pytest.mark.assets
def test_a_minute_in_which_the_fan_stood_still_for_a_while_teaches_nothing(assets: Path, tmp_path: Path) -> None:
    recordings = assets / "sensors" / "ceiling-fan"
    learning = Learning("fan", {}, CALIBRATION_S, Records(tmp_path), FakeClock())
    model = learning.fitted(opened("tflite-int8")).model
    mixed = [*list(windows(recordings / NORMAL))[:22], *list(windows(recordings / FAULTS[2]))[:22]]
    for number, frame in enumerate(mixed):
        stamp = type(frame.stamp)(number, 0, 0, number * 0.5)
        with pytest.raises(CalibratingError):
            answering(model)(Frame(frame.data, stamp))
    model.engine.close()
    told = learning.told()
    assert told is not None
    assert told["state"] == "calibrating"
    assert "it was not of one kind" in told["reason"]
