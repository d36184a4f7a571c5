from __future__ import annotations

import json
import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edged.assembly.box import Box, survey
from edged.assembly.lost import Lost
from edged.assembly.supply import Supply
from edged.assembly.uses import Use
from edged.config.schema import Objective
from edged.domain.errors import BundleError, DeviceError, EngineLostError
from edged.update.manifest import read_bundle
from fakes.clock import FakeClock
from fakes.sensor import LENGTH, sensor_bundle
from fakes.twovariants import FAST, SLOW, two_variants


@pytest.fixture(scope="module")
def box() -> Box:
    """Give this machine with the shipped profiles."""
    return survey(Path("/"), "auto", ())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with one bundle, ``level`` 1.0.0."""
    sensor_bundle(tmp_path / "models" / "level")
    return tmp_path / "models"


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """Give a state directory of which nothing can be written."""
    (tmp_path / "file").touch()
    return tmp_path / "file" / "state"


def test_a_model_is_brought_in_tried_and_opened(folder: Path, tmp_path: Path, box: Box) -> None:
    supply = Supply((folder,), tmp_path / "state", box, FakeClock())

    opened = supply.open("level", None)

    assert opened.model.ref.version == "1.0.0"
    assert opened.bundle.folder.is_relative_to(tmp_path / "state")
    (one,) = supply.installed().models
    assert (one.model, one.pointer.state.value) == ("level", "committed")


def test_each_look_is_counted(folder: Path, tmp_path: Path, box: Box) -> None:
    supply = Supply((folder,), tmp_path / "state", box, FakeClock())
    supply.bundle("level")
    with pytest.raises(BundleError):
        supply.bundle("stranger")
    assert supply.looks == 2


def test_what_fails_its_trial_never_replaces_what_runs(folder: Path, tmp_path: Path, box: Box) -> None:
    supply = Supply((folder,), tmp_path / "state", box, FakeClock())
    supply.bundle("level")
    sensor_bundle(folder / "newer", version="1.1.0", golden=7.0)

    assert supply.bundle("level").manifest.version == "1.0.0"
    (one,) = supply.installed().models
    (held,) = one.quarantined
    assert "golden sample first.npy" in held.reason


def test_on_a_disk_that_takes_nothing_a_model_runs_unstored(
    folder: Path, nowhere: Path, box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    supply = Supply((folder,), nowhere, box, FakeClock())
    with caplog.at_level(logging.WARNING, "edged.supply"):
        opened = supply.open("level", None)
    assert opened.bundle.folder == folder / "level"
    assert "model.unstored" in caplog.text


def test_unstored_the_first_that_passes_its_trial_runs(folder: Path, nowhere: Path, box: Box) -> None:
    sensor_bundle(folder / "newest", version="3.0.0", golden=7.0)
    altered = sensor_bundle(folder / "newer", version="2.0.0")
    (altered / "model.tflite").write_bytes(b"altered")
    supply = Supply((folder,), nowhere, box, FakeClock())
    assert supply.bundle("level").manifest.version == "1.0.0"


def test_unstored_and_untried_nothing_runs(folder: Path, nowhere: Path, box: Box) -> None:
    answer = folder / "level" / "golden" / "first.json"
    answer.write_text(json.dumps({"anomaly": {"score": 7.0}}))
    supply = Supply((folder,), nowhere, box, FakeClock())
    with pytest.raises(DeviceError):
        supply.bundle("level")


def test_a_model_that_is_nowhere_is_told_with_where_it_was_looked_for(tmp_path: Path, box: Box) -> None:
    supply = Supply((tmp_path / "models",), tmp_path / "state", box, FakeClock())
    with pytest.raises(BundleError, match=r"cannot find model 'level': no bundle in .*models, expected one"):
        supply.bundle("level")


def test_what_was_just_tried_is_taken_in_the_same_turn(folder: Path, tmp_path: Path, box: Box) -> None:
    turns: list[bool] = []
    supply = Supply((folder,), tmp_path / "state", box, FakeClock())
    supply.open("level", None, lambda: turns.append(supply._tried is None))
    assert turns == [True]


def wrong_when_slow(folder: Path) -> None:
    """Write a bundle whose slow variant alone gives other answers than its samples say."""
    two_variants(folder)
    wrong = folder / "wrong"
    wrong.mkdir()
    np.save(wrong / "first.npy", np.full((LENGTH, 1), -2.0, np.float32))
    (wrong / "first.json").write_text('{"anomaly": {"score": 7.0}}', "utf-8")
    with (folder / "model.toml").open("a", encoding="utf-8") as manifest:
        manifest.write('golden = { samples = "wrong/" }\n')


@pytest.mark.parametrize(
    ("uses", "passes"),
    [((Use(pin=FAST),), True), ((Use(pin=FAST), Use(pin=SLOW)), False), ((Use(pin=SLOW),), False)],
)
def test_a_folder_s_bundle_is_tried_as_each_pipeline_would_run_it(
    tmp_path: Path, box: Box, uses: tuple[Use, ...], *, passes: bool
) -> None:
    wrong_when_slow(tmp_path / "models" / "level")
    supply = Supply((tmp_path / "models",), tmp_path / "state", box, FakeClock())
    supply.uses = lambda _model: uses
    if passes:
        assert supply.open("level", FAST).model.ref.variant == FAST
    else:
        with pytest.raises(BundleError, match=r"golden sample first\.npy"):
            supply.bundle("level")


def test_a_pipeline_that_pins_what_is_not_there_keeps_no_other_from_the_bundle(
    folder: Path, tmp_path: Path, box: Box
) -> None:
    supply = Supply((folder,), tmp_path / "state", box, FakeClock())
    supply.uses = lambda _model: (Use(pin="absent"), Use(), Use(objective=Objective()))
    assert supply.bundle("level").manifest.version == "1.0.0"
    sensor_bundle(folder / "newer", version="1.1.0")
    supply.uses = lambda _model: (Use(pin="absent"),)
    assert supply.bundle("level").manifest.version == "1.0.0"


def test_the_last_rung_that_was_lost_again_is_waited_for_unless_it_lived(
    folder: Path, tmp_path: Path, box: Box
) -> None:
    apart = replace(box, engines=replace(box.engines, isolate=True, state=tmp_path / "state"), lost=Lost(FakeClock()))
    supply = Supply((folder,), tmp_path / "state", apart, FakeClock())
    (rung, *_) = supply.ladder(read_bundle(folder / "level"), None, None).runnable
    lost, gone = partial(supply.lost, "level", None, None, rung), EngineLostError("cannot run it: gone")

    assert [lost(gone), lost(gone), lost(gone, lived=True)] == [True, False, True]
