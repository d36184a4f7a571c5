from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgectl.bundle.samples import MAX_SAMPLES, for_calibration, read_samples
from edged.domain.bundle import ImageInput, WindowInput
from edged.domain.errors import ConfigError
from edged.domain.result import Anomaly, Classes

WINDOW = WindowInput(kind="window", length=4, stride=2, channels=2)
IMAGE = ImageInput(kind="image", width=8, height=8)


def test_a_recording_is_cut_into_windows_as_pipelines_cut_it(tmp_path: Path) -> None:
    np.save(tmp_path / "run.npy", np.arange(20, dtype=np.float32).reshape(10, 2))
    samples = read_samples(tmp_path, WINDOW, ())
    assert [sample.name for sample in samples] == ["run.npy+0", "run.npy+2", "run.npy+4", "run.npy+6"]
    assert samples[1].frame.data.tolist() == [[4, 5], [6, 7], [8, 9], [10, 11]]


def test_a_first_column_more_is_the_time_and_a_head_line_is_none(tmp_path: Path) -> None:
    rows = "".join(f"{index / 10},{index},{-index}\n" for index in range(4))
    (tmp_path / "run.csv").write_text("t,x,y\n" + rows)
    (sample,) = read_samples(tmp_path, WINDOW, ())
    assert sample.frame.data.tolist() == [[0, 0], [1, -1], [2, -2], [3, -3]]
    assert sample.frame.data.dtype == np.float32


@pytest.mark.parametrize("torn", ["1,", "1"])
def test_a_torn_last_line_is_left_out(tmp_path: Path, torn: str) -> None:
    (tmp_path / "run.csv").write_text("1,2\n" * 5 + torn)
    assert len(read_samples(tmp_path, WINDOW, ())) == 1


def test_the_folder_names_the_class_and_an_answer_beside_names_more(tmp_path: Path) -> None:
    for name in ("fan", "other"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "a.npy", np.zeros((4, 2), np.float32))
    (tmp_path / "other" / "a.json").write_text('{"anomaly": {"score": 2.0, "threshold": 1.0}}')
    fan, other = read_samples(tmp_path, WINDOW, ("fan",))
    assert isinstance(fan.truth, Classes)
    assert fan.truth.items[0].label == "fan"
    assert isinstance(other.truth, Anomaly)


def test_of_many_samples_some_are_taken_from_the_first_to_the_last(tmp_path: Path) -> None:
    np.save(tmp_path / "run.npy", np.zeros((2002, 2), np.float32))
    samples = read_samples(tmp_path, WINDOW, ())
    assert (len(samples), samples[0].name, samples[-1].name) == (MAX_SAMPLES, "run.npy+0", "run.npy+1998")


def test_half_of_many_samples_stay_new_to_the_file_that_they_judge(tmp_path: Path) -> None:
    np.save(tmp_path / "run.npy", np.zeros((82, 2), np.float32))
    samples = read_samples(tmp_path, WINDOW, ())
    assert (len(samples), len(for_calibration(samples)), len(for_calibration(samples[:39]))) == (40, 20, 39)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (np.zeros((5, 7)), r"its shape is \(5, 7\), expected \(samples, 2\)"),
        (np.zeros((2, 4, 2)), r"its shape is \(2, 4, 2\)"),
    ],
)
def test_a_recording_of_another_shape_is_refused(tmp_path: Path, content: np.ndarray, told: str) -> None:
    np.save(tmp_path / "run.npy", content)
    with pytest.raises(ConfigError, match=told):
        read_samples(tmp_path, WINDOW, ())


def test_a_file_that_is_no_array_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.npy").write_text("hello")
    with pytest.raises(ConfigError, match=r"cannot read recording .*run.npy"):
        read_samples(tmp_path, WINDOW, ())


def test_a_damaged_answer_is_the_operators_to_mend(tmp_path: Path) -> None:
    np.save(tmp_path / "run.npy", np.zeros((4, 2), np.float32))
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"cannot read golden answer run.json"):
        read_samples(tmp_path, WINDOW, ())


@pytest.mark.parametrize("wanted", [WINDOW, IMAGE], ids=["window", "image"])
def test_an_empty_folder_and_none_at_all_are_told_apart(tmp_path: Path, wanted: ImageInput | WindowInput) -> None:
    with pytest.raises(ConfigError, match="it holds none, expected"):
        read_samples(tmp_path, wanted, ())
    with pytest.raises(ConfigError, match="it is no folder, expected one"):
        read_samples(tmp_path / "absent", wanted, ())
