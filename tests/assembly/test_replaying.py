"""A recording through the pipeline again gives what the box said, and twice the same."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edged.assembly.box import Box, survey
from edged.assembly.calibrations import Records
from edged.assembly.clip import Clip, read_clip
from edged.assembly.learning import Learning
from edged.assembly.models import Opened, open_best
from edged.assembly.replaying import Played, play
from edged.config.schema import Pipeline
from edged.config.share import shipped
from edged.domain.errors import CalibratingError, ConfigError, EngineLostError
from edged.domain.frame import Frame
from edged.fleet.documents import output_body
from edged.hardware.clock import SystemClock
from edged.update.manifest import read_bundle
from fakes.clock import FakeClock
from fakes.sensor import sensor_bundle
from fakes.tape import BOLTS, conveyor, record, stamped

LEVEL: Mapping[str, Any] = {
    "name": "a",
    "source": "s",
    "model": "level",
    "rule": [{"name": "high", "when": {"min_value": 9.0}, "for_s": 0.5, "gap_s": 0.0}],
}


@pytest.fixture(scope="module")
def box() -> Box:
    return survey(Path("/"), "auto", ())


def parts(box: Box, variant: str = "small-tflite-int8") -> Opened:
    return open_best(read_bundle(shipped("models") / "parts"), box, variant)


def level(box: Box, folder: Path, length: int = 64) -> Opened:
    return open_best(read_bundle(sensor_bundle(folder, length=length)), box)


def no_further(name: str) -> Opened:
    raise AssertionError(name)


def played(clip: Clip, opened: Opened, settings: Mapping[str, Any], state: Path, hop: int | None = None) -> Played:
    state.mkdir(exist_ok=True)
    pipeline = Pipeline.model_validate(dict(settings))
    return play(clip, pipeline, opened, no_further, state, SystemClock(), hop=hop)


def windows(levels: list[float], length: int = 64) -> list[Frame]:
    return [
        stamped(np.full((length, 1), -level, np.float32), index, 1000 / length) for index, level in enumerate(levels)
    ]


def said(done: Played) -> list[tuple[int, Any]]:
    return [(one.stamp.index, one.output) for one in done.results]


def test_a_lossless_recording_gives_what_the_box_said_and_twice_the_same(box: Box, tmp_path: Path) -> None:
    clip = read_clip(record(tmp_path / "r", conveyor(30), parts(box)))

    first, second = (played(clip, parts(box), BOLTS, tmp_path / "state") for _ in range(2))

    published = [{key: row[key] for key in ("index", "detections")} for row in clip.results]
    assert [{"index": one.stamp.index, **output_body(one.output)} for one in first.results if one.output] == published
    assert sum(len(row["detections"]) for row in clip.results) > 60
    assert [(event.rule, event.phase, event.result.stamp.index) for event in first.events] == [
        (row["rule"], row["phase"], row["index"]) for row in clip.events
    ]
    assert said(first) == said(second)
    assert [event.result.stamp for event in first.events] == [event.result.stamp for event in second.events]
    assert clip.events


def test_a_jpeg_recording_gives_nearly_that_and_twice_the_same(box: Box, tmp_path: Path) -> None:
    clip = read_clip(record(tmp_path / "r", conveyor(10), parts(box), lossless=False))
    first, second = (played(clip, parts(box), BOLTS, tmp_path / "state") for _ in range(2))
    assert not clip.is_exact
    assert clip.manifest["quality"] == "jpeg"
    assert said(first) == said(second)
    counts = [len(one.output.items) for one in first.results if one.output is not None and hasattr(one.output, "items")]
    assert counts == pytest.approx([len(row["detections"]) for row in clip.results], abs=1)


def test_a_sensors_recording_is_always_exact(box: Box, tmp_path: Path) -> None:
    levels = [1.0, 2.0, 4.0, 4.0] * 20
    clip = read_clip(record(tmp_path / "r", windows(levels), level(box, tmp_path / "level"), LEVEL, lossless=False))

    done = played(clip, level(box, tmp_path / "again"), LEVEL, tmp_path / "state")

    assert (clip.is_exact, clip.shows_pictures, clip.manifest["quality"]) == (True, False, "lossless")
    assert [output_body(one.output) for one in done.results if one.output] == [
        {"anomaly": row["anomaly"]} for row in clip.results
    ]
    assert [one.output for one in done.results][2] is not None


def test_rules_run_on_the_recordings_own_time(box: Box, tmp_path: Path) -> None:
    clip = read_clip(
        record(tmp_path / "r", windows([1.0] * 20 + [4.0] * 20 + [1.0] * 20), level(box, tmp_path / "l"), LEVEL)
    )
    done = played(clip, level(box, tmp_path / "again"), LEVEL, tmp_path / "state")
    assert [(event.phase, event.since.index, event.until.index) for event in done.events] == [
        ("start", 20, 28),
        ("end", 20, 39),
    ]
    assert [(row["phase"], row["frame"]) for row in clip.events] == [("start", 20), ("end", 39)]


def test_an_event_that_goes_on_at_the_end_is_not_closed_there(box: Box, tmp_path: Path) -> None:
    clip = read_clip(record(tmp_path / "r", windows([1.0] * 5 + [4.0] * 30), level(box, tmp_path / "l"), LEVEL))
    done = played(clip, level(box, tmp_path / "again"), LEVEL, tmp_path / "state")
    assert [event.phase for event in done.events] == ["start"]


def test_what_was_still_is_still_again(box: Box, tmp_path: Path) -> None:
    clip = read_clip(record(tmp_path / "r", windows([4.0] * 40), level(box, tmp_path / "l"), LEVEL))
    judged = tuple(row for row in clip.results if row["index"] in {0, 5, 39})
    gated = Clip(clip.place, clip.manifest, clip.inputs, judged, clip.events, clip.readings, clip.read)

    done = played(gated, level(box, tmp_path / "again"), LEVEL, tmp_path / "state")

    assert [index for index, _ in said(done)] == [0, 5, 39]
    assert [(event.phase, event.since.index, event.until.index) for event in done.events] == [("start", 0, 8)]


def test_other_windows_are_cut_from_the_recorded_ones(box: Box, tmp_path: Path) -> None:
    clip = read_clip(record(tmp_path / "r", windows([1.0, 2.0, 3.0, 4.0]), level(box, tmp_path / "l"), LEVEL))
    done = played(clip, level(box, tmp_path / "other", 128), LEVEL, tmp_path / "state", hop=64)
    scores = [one.output.score for one in done.results if one.output is not None and hasattr(one.output, "score")]
    assert scores == pytest.approx([(1 + 4) / 2, (9 + 16) / 2])


def test_windows_of_another_shape_are_refused_where_nobody_knows_how_they_follow(box: Box, tmp_path: Path) -> None:
    clip = read_clip(record(tmp_path / "r", windows([1.0, 2.0]), level(box, tmp_path / "l"), LEVEL))
    with pytest.raises(ConfigError, match=r"cannot replay windows of \(64, 1\) with a model of \(128, 1\)"):
        played(clip, level(box, tmp_path / "other", 128), LEVEL, tmp_path / "state")


def test_a_model_of_another_kind_of_input_is_refused(box: Box, tmp_path: Path) -> None:
    clip = read_clip(record(tmp_path / "r", windows([1.0, 2.0]), level(box, tmp_path / "l"), LEVEL))
    with pytest.raises(ConfigError, match="parts: it takes pictures, and the recording holds windows"):
        played(clip, parts(box), LEVEL, tmp_path / "state")


def test_a_recording_without_a_result_is_refused(box: Box, tmp_path: Path) -> None:
    clip = read_clip(record(tmp_path / "r", windows([1.0]), level(box, tmp_path / "l"), LEVEL))
    empty = Clip(clip.place, clip.manifest, clip.inputs, (), (), (), clip.read)
    with pytest.raises(ConfigError, match="holds no input with a result"):
        played(empty, level(box, tmp_path / "again"), LEVEL, tmp_path / "state")


def test_what_the_pipeline_had_learned_of_its_machine_is_what_is_learned_from(box: Box, tmp_path: Path) -> None:
    bundle = sensor_bundle(tmp_path / "level")
    with (bundle / "model.toml").open("a") as manifest:
        manifest.write("\n[calibration]\nseconds = 3\nunlike = 2.5\n")
    noise = np.random.default_rng(3).normal(5.0, 1.0, (200, 64, 1)).astype(np.float32)
    frames = [stamped(window, index, 1000 / 64) for index, window in enumerate(noise)]
    settings = Pipeline.model_validate(dict(LEVEL))
    looks = {"name": "s", "columns": None, "rate_hz": None}
    learning = Learning("a", looks, None, Records(tmp_path), FakeClock())
    fitted = learning.fitted(open_best(read_bundle(bundle), box))
    for frame in frames[:60]:
        with suppress(CalibratingError):
            fitted.model.preprocess(frame)
    file = record(tmp_path / "r", frames[60:], fitted, {**LEVEL}, state=tmp_path)

    clip = read_clip(file)
    done = played(clip, open_best(read_bundle(bundle), box), LEVEL, tmp_path / "state")

    assert {row["status"] for row in clip.results} == {"ok"}
    assert [output_body(one.output) for one in done.results if one.output] == [
        {"anomaly": row["anomaly"]} for row in clip.results
    ]
    assert settings.name == clip.manifest["pipeline"]


def test_a_further_model_that_is_not_here_frees_the_first(box: Box, tmp_path: Path) -> None:
    clip = read_clip(record(tmp_path / "r", windows([1.0, 2.0]), level(box, tmp_path / "l"), LEVEL))
    opened = level(box, tmp_path / "again")
    with pytest.raises(AssertionError, match="helmet"):
        played(clip, opened, {**LEVEL, "then": [{"model": "helmet"}]}, tmp_path / "state")
    with pytest.raises(EngineLostError):
        opened.model.engine.infer([np.zeros((1, 64), np.float32)])
