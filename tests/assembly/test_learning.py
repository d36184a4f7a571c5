from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from edged.assembly.calibrations import Records
from edged.assembly.learning import Learning, Learnings
from edged.assembly.models import Opened, answering, open_rung
from edged.config import schema
from edged.domain.errors import CalibratingError, DeviceError, EngineLostError, FrameError
from edged.domain.frame import Frame
from edged.domain.result import Anomaly
from edged.domain.tensor import Array, TensorSpec
from edged.domain.variant import Rung
from edged.fleet.schemas import CalibrationDocument
from edged.update.manifest import read_bundle
from fakes.clock import FakeClock
from fakes.results import stamp
from fakes.sensor import sensor_bundle

HOP_S = 0.064
NORMAL = 47
"""Windows in the three seconds that the bundle asks for."""
CALIBRATION = "\n[calibration]\nseconds = {seconds}\nunlike = 2.5\n"
SOURCE = {"name": "spindle", "columns": ["x"], "rate_hz": 1000.0}


def bundle(folder: Path, *, seconds: float = 3.0, **settings: str) -> Path:
    made = sensor_bundle(folder, **settings)
    with (made / "model.toml").open("a") as manifest:
        manifest.write(CALIBRATION.format(seconds=seconds))
    return made


def opened(folder: Path) -> Opened:
    read = read_bundle(folder)
    rung = Rung(read.manifest.variant[0], "cpu", 1, "chosen", "under test")
    return Opened(open_rung(read, rung), read, read.manifest.input, "", rung)


@dataclass
class Box:
    """A state directory, and the sensor's time, which goes on when the daemon starts anew."""

    state: Path
    clock: FakeClock = field(default_factory=FakeClock)
    at: int = 0

    def learning(self, seconds: float | None = None, source: dict[str, object] | None = None) -> Learning:
        return Learning("bearing", source or SOURCE, seconds, Records(self.state), self.clock)

    def feed(self, model: Opened, count: int, strength: float = 1.0) -> list[Anomaly | None]:
        """Give the answers to so many windows of noise; None where the box still learns."""
        ask, answers = answering(model.model), []
        for _ in range(count):
            self.at += 1
            noise = np.random.default_rng(self.at).normal(5.0, strength, (64, 1)).astype(np.float32)
            answers.append(answer(ask, noise, self.at))
        return answers


def answer(ask: object, window: np.ndarray, at: int) -> Anomaly | None:
    assert callable(ask)
    try:
        given = ask(Frame(window, stamp(at * HOP_S, at)))
    except CalibratingError:
        return None
    assert isinstance(given, Anomaly)
    return given


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path / "state")


@pytest.fixture
def level(tmp_path: Path) -> Path:
    """Give a bundle that learns for three seconds."""
    return bundle(tmp_path / "level")


def test_after_normal_running_normal_is_normal_and_louder_is_not(box: Box, level: Path) -> None:
    learning = box.learning()
    model = learning.fitted(opened(level))
    assert box.feed(model, NORMAL) == [None] * NORMAL
    quiet, loud = box.feed(model, 200), box.feed(model, 20, strength=3.0)
    assert sum(one is not None and one.is_anomaly for one in quiet) <= 4
    assert all(one is not None and one.is_anomaly for one in loud)
    assert learning.reasons() == []


def test_what_it_says_of_itself_fits_the_document(box: Box, level: Path) -> None:
    learning = box.learning()
    assert learning.told() is None
    assert not learning.is_wanted
    model = learning.fitted(opened(level))
    (reason,) = learning.reasons()
    assert (reason.code, reason.component, reason.informs, reason.fatal) == ("calibrating", "bearing", True, False)
    assert repr(learning) == "<Learning bearing: calibrating>"
    assert CalibrationDocument.model_validate(learning.told()).state == "calibrating"
    box.feed(model, NORMAL)
    told = CalibrationDocument.model_validate(learning.told())
    assert (told.pipeline, told.model, told.state, told.windows) == ("bearing", "level", "calibrated", NORMAL)
    assert told.since == "2027-01-15T08:00:00.000Z"
    assert repr(learning) == "<Learning bearing: calibrated>"


def test_a_bundle_that_learns_nothing_is_left_as_it_is(box: Box, tmp_path: Path) -> None:
    learning = box.learning()
    plain = opened(sensor_bundle(tmp_path / "plain"))
    assert learning.fitted(plain) is plain
    assert (learning.told(), learning.reasons()) == (None, [])
    learning.recalibrate()


def test_it_is_remembered_and_a_newer_model_that_looks_alike_learns_from_what_was_kept(
    box: Box, level: Path, tmp_path: Path
) -> None:
    first = box.learning()
    box.feed(first.fitted(opened(level)), NORMAL)

    newer = bundle(tmp_path / "newer", version="2.0.0", runtime="onnx")
    second = box.learning()
    assert box.feed(second.fitted(opened(newer)), 1) != [None]
    told, before = second.told(), first.told()
    assert told is not None
    assert before is not None
    assert (told["version"], told["since"], told["windows"]) == ("2.0.0", before["since"], NORMAL)


@pytest.mark.parametrize("change", ["seconds", "source", "length"])
def test_what_was_kept_is_not_used_where_it_does_not_fit(box: Box, level: Path, tmp_path: Path, change: str) -> None:
    box.feed(box.learning().fitted(opened(level)), NORMAL)
    later = box.learning(
        seconds=6.0 if change == "seconds" else None,
        source={**SOURCE, "columns": ["y"]} if change == "source" else None,
    )
    folder = level
    if change == "length":
        folder = tmp_path / "shorter"
        made = bundle(folder)
        text = (made / "model.toml").read_text()
        (made / "model.toml").write_text(text.replace("stride = 64", "stride = 32"))
    assert box.feed(later.fitted(opened(folder)), 1) == [None]


def test_a_shorter_wish_uses_what_was_kept_for_longer(box: Box, level: Path) -> None:
    box.feed(box.learning(seconds=6.0).fitted(opened(level)), 2 * NORMAL)
    assert box.feed(box.learning().fitted(opened(level)), 1) != [None]


def test_recalibrating_forgets_also_after_a_restart(box: Box, level: Path) -> None:
    learning = box.learning()
    model = learning.fitted(opened(level))
    box.feed(model, NORMAL)
    learning.recalibrate()
    assert box.feed(model, 1) == [None]
    assert box.feed(box.learning().fitted(opened(level)), NORMAL) == [None] * NORMAL


def test_a_command_between_two_steps_of_a_window_makes_it_unknown(box: Box, level: Path) -> None:
    learning = box.learning()
    model = learning.fitted(opened(level)).model
    box.feed(Opened(model, read_bundle(level), read_bundle(level).manifest.input, "", rung=opened(level).rung), NORMAL)
    frame = Frame(np.ones((64, 1), np.float32), stamp(99.0))
    tensors = model.preprocess(frame)
    outputs = model.engine.infer(tensors)
    learning.recalibrate()
    with pytest.raises(CalibratingError):
        model.decoder.decode(outputs, tensors, frame)


def test_what_was_refused_is_told_and_tried_again(box: Box, level: Path) -> None:
    learning = box.learning()
    model = learning.fitted(opened(level))
    assert box.feed(model, 24) + box.feed(model, NORMAL - 24, strength=9.0) == [None] * NORMAL
    codes = {reason.code: reason for reason in learning.reasons()}
    assert set(codes) == {"calibrating", "calibration-refused"}
    assert "it was not of one kind" in codes["calibration-refused"].message
    assert not codes["calibration-refused"].informs
    assert not (box.state / "calibration").exists()
    told = learning.told()
    assert told is not None
    assert "it was not of one kind" in told["reason"]

    box.feed(model, NORMAL)
    assert learning.reasons() == []


def test_windows_without_numbers_are_the_frames_fault_and_many_of_them_teach_nothing(box: Box, level: Path) -> None:
    learning = box.learning()
    model = learning.fitted(opened(level))
    ask = answering(model.model)
    for _ in range(10):
        with pytest.raises(FrameError):
            ask(Frame(np.full((64, 1), np.nan, np.float32), stamp(0.0)))
    box.feed(model, NORMAL)
    (refused, _) = sorted(learning.reasons(), key=lambda reason: reason.code, reverse=True)
    assert "10 windows hold values that are no numbers" in refused.message


def test_on_a_disk_that_takes_nothing_it_works_until_the_next_start_and_says_so(box: Box, level: Path) -> None:
    box.state.parent.mkdir(exist_ok=True)
    box.state.touch()
    learning = box.learning()
    model = learning.fitted(opened(level))
    box.feed(model, NORMAL)
    assert box.feed(model, 1) != [None]
    (reason,) = learning.reasons()
    assert reason.code == "calibration-unkept"
    assert reason.message.startswith("has calibrated, and will not remember it: cannot ")


def test_another_rung_goes_on_with_what_the_one_before_it_has_gathered(box: Box, level: Path, tmp_path: Path) -> None:
    learning = box.learning()
    box.feed(learning.fitted(opened(level)), 30)
    box.clock.advance(9.0)
    other = learning.fitted(opened(bundle(tmp_path / "other", runtime="onnx")))
    (reason,) = learning.reasons()
    assert reason.since_mono_ns == box.clock.monotonic_ns() - 9_000_000_000
    assert box.feed(other, NORMAL - 30) == [None] * (NORMAL - 30)
    assert box.feed(other, 1) != [None]


def test_windows_of_the_rung_before_count_until_the_other_has_taken_its_place(
    box: Box, level: Path, tmp_path: Path
) -> None:
    learning = box.learning()
    before = learning.fitted(opened(level))
    box.feed(before, 30)
    other = learning.fitted(opened(bundle(tmp_path / "other", runtime="onnx")))
    box.feed(before, NORMAL - 30)
    assert box.feed(other, 1) != [None]
    told = learning.told()
    assert told is not None
    assert told["state"] == "calibrated"


def test_a_rung_that_looks_at_its_windows_otherwise_begins_anew(box: Box, level: Path, tmp_path: Path) -> None:
    learning = box.learning()
    box.feed(learning.fitted(opened(level)), 30)
    other = bundle(tmp_path / "other")
    text = (other / "model.toml").read_text()
    (other / "model.toml").write_text(text.replace("stride = 64", "stride = 32"))
    box.clock.advance(9.0)
    learning.fitted(opened(other))
    (reason,) = learning.reasons()
    assert reason.since_mono_ns == box.clock.monotonic_ns()


def test_recalibrating_forgets_what_is_gathered_so_far(box: Box, level: Path) -> None:
    learning = box.learning()
    model = learning.fitted(opened(level))
    box.feed(model, 30)
    learning.recalibrate()
    assert box.feed(model, NORMAL) == [None] * NORMAL


def test_another_rung_learns_from_what_a_disk_did_not_take(box: Box, level: Path, tmp_path: Path) -> None:
    box.state.parent.mkdir(exist_ok=True)
    box.state.touch()
    learning = box.learning()
    box.feed(learning.fitted(opened(level)), NORMAL)
    other = learning.fitted(opened(bundle(tmp_path / "other", runtime="onnx")))
    assert box.feed(other, 1) != [None]


class LostEngine:
    """Fails as an accelerator does that was pulled out."""

    runtime = "lost"
    inputs = (TensorSpec("x", (1, 64), "float32"),)
    outputs = inputs
    closed = 0

    def infer(self, tensors: Sequence[Array]) -> list[Array]:
        del tensors
        raise EngineLostError("gone")

    def close(self) -> None:
        self.closed += 1


def test_an_engine_that_fails_while_it_learns_from_what_was_kept_is_freed(box: Box, level: Path) -> None:
    box.feed(box.learning().fitted(opened(level)), NORMAL)
    whole, engine = opened(level), LostEngine()
    lost = Opened(
        type(whole.model)(whole.model.ref, whole.model.preprocess, engine, whole.model.decoder),
        whole.bundle,
        whole.model_input,
        "",
        whole.rung,
    )
    with pytest.raises(EngineLostError):
        box.learning().fitted(lost)
    assert engine.closed == 1
    whole.model.engine.close()


def test_whatever_lies_in_the_files_place_is_forgotten(box: Box, level: Path) -> None:
    learning = box.learning()
    box.feed(learning.fitted(opened(level)), NORMAL)
    kept = box.state / "calibration" / "bearing.npz"
    kept.unlink()
    (kept / "inside").mkdir(parents=True)
    learning.recalibrate()
    assert not kept.exists()


def test_all_are_told_by_the_names_that_are_asked_for(box: Box, level: Path) -> None:
    learnings = Learnings(box.state, box.clock)
    settings = schema.Pipeline(name="bearing", source="spindle", model="level", calibrate_s=3)
    source = schema.CsvSource(kind="csv", name="spindle", path=Path("a.csv"), columns=("x",), rate_hz=1000)
    learning = learnings.of(settings, source)
    assert learnings.told(["bearing"]) == []
    learning.fitted(opened(level)).model.engine.close()
    assert [one["pipeline"] for one in learnings.told(["bearing", "gone"])] == ["bearing"]
    assert learnings.told(["another"]) == []
    assert issubclass(CalibratingError, DeviceError)


@pytest.mark.parametrize(("step_s", "state"), [(60.0, "calibrated"), (600.0, "calibrating")])
def test_what_a_recording_taught_holds_for_the_live_sensor_of_its_name_and_grid(
    box: Box, level: Path, step_s: float, state: str
) -> None:
    settings = schema.Pipeline(name="bearing", source="room", model="level")
    grid = {"step_s": 60.0, "late_s": 0.0, "bridge_s": 0.0}
    recording = {"kind": "csv", "name": "room", "path": "/a.csv", "columns": ["x"], "time": "t", "grid": grid}
    live = {"kind": "topic", "name": "room", "topic": "room", "columns": ["x"], "grid": grid | {"step_s": step_s}}
    first = Learnings(box.state, box.clock).of(settings, schema.CsvSource.model_validate(recording))
    box.feed(first.fitted(opened(level)), NORMAL)
    second = Learnings(box.state, box.clock).of(settings, schema.TopicSource.model_validate(live))
    second.fitted(opened(level)).model.engine.close()
    told = second.told()
    assert told is not None
    assert told["state"] == state
