"""Real models on real recordings: sine, keywords, machine sound and fan."""

from __future__ import annotations

import math
import wave
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from edged.domain.result import Anomaly, Classes, Output, Values
from edged.pipeline.condition import When
from edged.pipeline.rules import Rule, Rules, Timing
from fakes.asked import Ask, askable
from fakes.results import at

pytestmark = [pytest.mark.assets, pytest.mark.slow]


@pytest.fixture(scope="module")
def models(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Ask]:
    return askable(assets, lambda: tmp_path_factory.mktemp("bundles"))


def _sine(ask: Ask, x: float) -> float:
    got = ask(np.full((1, 1), x, np.float32))
    assert isinstance(got, Values)
    return got.items[0].value


def test_a_regression_gives_the_sine(models: Callable[[str, str], Ask]) -> None:
    ask = models("sine", "fp32")
    assert [_sine(ask, x) for x in np.linspace(0, 6.28, 50)] == pytest.approx(
        [math.sin(x) for x in np.linspace(0, 6.28, 50)], abs=0.1
    )


@pytest.mark.parametrize(("x", "known"), [(1.57, 1.003), (4.71, -1.086)])
def test_a_quantised_regression_gives_real_values(models: Callable[[str, str], Ask], x: float, known: float) -> None:
    assert _sine(models("sine", "int8"), x) == pytest.approx(known, abs=0.01)


def _sound(assets: Path, name: str) -> np.ndarray:
    with wave.open(str(assets / "sensors" / f"{name}.wav")) as file:
        return np.frombuffer(file.readframes(-1), np.int16).astype(np.float32)[:, np.newaxis] / 32768


def _features(assets: Path, name: str) -> np.ndarray:
    # The file's integers stand for these reals: preprocessing writes them back as they were.
    stored = np.load(assets / "sensors" / "micro_speech_features.npz")[name].reshape(49, 40).astype(np.float32)
    return (stored + 128) * np.float32(0.10171568393707275)


@pytest.mark.parametrize(
    ("name", "label", "score"),
    [("yes_1000ms", "yes", 0.996), ("no_1000ms", "no", 0.961), ("noise_1000ms", "yes", 0.652)],
)
def test_a_keyword_is_known_by_its_features(
    assets: Path, models: Callable[[str, str], Ask], name: str, label: str, score: float
) -> None:
    got = models("keyword", "int8-features")(_features(assets, name))
    assert isinstance(got, Classes)
    assert got.items[0].label == label
    assert got.items[0].score == pytest.approx(score, abs=0.002)


@pytest.mark.parametrize(("name", "label"), [("yes_1000ms", "yes"), ("no_1000ms", "no")])
def test_a_keyword_is_known_by_its_sound(
    assets: Path, models: Callable[[str, str], Ask], name: str, label: str
) -> None:
    got = models("keyword", "int8")(_sound(assets, name))
    assert isinstance(got, Classes)
    assert got.items[0].label == label
    assert got.items[0].score > 0.9


@pytest.mark.parametrize(
    ("name", "triggered"),
    [("yes_1000ms", True), ("no_1000ms", False), ("noise_1000ms", False), ("silence_1000ms", False)],
)
def test_a_spoken_yes_triggers_an_event_and_noise_does_not(
    assets: Path, models: Callable[[str, str], Ask], name: str, triggered: bool
) -> None:
    heard = models("keyword", "int8-features")(_features(assets, name))
    rules = Rules([Rule("keyword", "yes", When(label="yes", min_score=0.8), Timing(for_s=0.5, gap_s=1.0))])
    # Two windows that overlap by half show the same word.
    events = [event for one in at([heard, heard], every_s=0.5) for event in rules.step(one)]
    assert [event.phase for event in events] == (["start"] if triggered else [])


@pytest.mark.parametrize(("variant", "expected"), [("int8", 10.265), ("fp32", 9.707)])
def test_the_machine_sound_model_scores_its_normal_recording_as_known(
    assets: Path, models: Callable[[str, str], Ask], variant: str, expected: float
) -> None:
    content = np.fromfile(assets / "sensors" / "normal_id_01_00000000_hist_librosa.bin", np.float32).reshape(200, 128)
    ask = models("machine-sound", variant)
    scores = [_score(ask(content[start : start + 5])) for start in range(196)]
    assert np.mean(scores) == pytest.approx(expected, rel=0.01)


@pytest.fixture(scope="module")
def fan_scores(assets: Path, models: Callable[[str, str], Ask]) -> dict[str, list[float]]:
    ask = models("ceiling-fan", "fp32")
    folders = sorted((assets / "sensors" / "ceiling-fan").iterdir())
    return {folder.name: [_score(ask(_recording(file))) for file in sorted(folder.iterdir())] for folder in folders}


def _recording(file: Path) -> np.ndarray:
    return np.loadtxt(file, delimiter=",", dtype=np.float32)[:128]


def _score(output: Output) -> float:
    assert isinstance(output, Anomaly)
    return output.score


@pytest.mark.parametrize("fault", ["fan_0_low_1_weight", "fan_0_high_0_weight", "fan_0_off_0_weight"])
def test_the_fan_model_separates_normal_from_faulty_recordings(fan_scores: dict[str, list[float]], fault: str) -> None:
    normal = fan_scores["fan_0_low_0_weight"]
    assert _auc(normal, fan_scores[fault]) >= 0.99


def test_the_fan_bundles_threshold_parts_most_of_them(fan_scores: dict[str, list[float]]) -> None:
    normal = np.array(fan_scores["fan_0_low_0_weight"])
    faulty = np.concatenate([scores for name, scores in fan_scores.items() if name != "fan_0_low_0_weight"])
    assert np.mean(normal > 2e-6) <= 0.05
    assert np.mean(faulty > 2e-6) >= 0.95


def _auc(normal: Sequence[float], faulty: Sequence[float]) -> float:
    """Give the share of pairs in which the faulty one scores higher (Mann-Whitney), ties counting half."""
    above = np.subtract.outer(np.array(faulty), np.array(normal))
    return float(np.mean((above > 0) + 0.5 * (above == 0)))
