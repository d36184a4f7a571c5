from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.bundle import Calibration, WindowInput
from edged.pipeline import calibration
from edged.pipeline.calibration import Gathered, Learned, Normalisation, is_complete, learn, normalisation, objection

INPUT = WindowInput(kind="window", length=100, stride=50, channels=2)
HOP_S = 0.5
WANTED = Calibration(seconds=30, quantile=0.99, margin=1.25, unlike=2.5)
"""At 100 samples a second windows of a second, one every half."""


def gathered(count: int, *, hop_s: float = HOP_S, still: int = 0, start_s: float = 0.0, seed: int = 1) -> Gathered:
    """Gather so many windows, of which the first ``still`` have a second channel that does not vary."""
    chance = np.random.default_rng(seed)
    found = Gathered()
    for number in range(count):
        window = chance.normal(size=(100, 2))
        if number < still:
            window[:, 1] = 0.5
        found = found.with_window(window.std(axis=0)[None], window, start_s + number * hop_s, INPUT)
    return found


def distance(by: Normalisation, rows: np.ndarray) -> np.ndarray:
    return np.square((rows - by.mean) / by.std).mean(axis=(1, 2))


def normal(count: int, columns: int = 20, seed: int = 2) -> np.ndarray:
    """Features of normal running: every column with a mean and a spread of its own."""
    chance = np.random.default_rng(seed)
    return chance.normal(chance.normal(0, 9, columns), chance.uniform(0.1, 3, columns), (count, 1, columns))


@pytest.mark.parametrize(("count", "expected"), [(1, False), (58, False), (59, True), (80, True)])
def test_it_is_complete_when_its_samples_span_what_was_asked_for(count: int, expected: bool) -> None:
    # 59 windows every half second, the last of them a second long: 30 s.
    assert is_complete(gathered(count), WANTED, INPUT) is expected


def test_steady_windows_raise_no_objection() -> None:
    assert objection(gathered(59), INPUT) is None


def test_what_has_gaps_is_refused_with_how_long_they_are() -> None:
    found = gathered(40)
    window = np.random.default_rng(0).normal(size=(100, 2))
    # Ten seconds without a sample; the next window is complete a second after they end.
    found = found.with_window(np.ones((1, 2)), window, found.last_s + 11.0, INPUT)
    assert objection(found, INPUT) == "9.5 of 31.5 s have no samples, expected at most 10% without"


def test_a_channel_that_stands_still_is_refused_by_its_number() -> None:
    why = objection(gathered(59, still=59), INPUT)
    assert why == "channel 1 stood still in 59 of 59 windows, expected a sensor that varies in 90% of them"


def test_a_few_windows_that_stand_still_are_borne() -> None:
    assert objection(gathered(59, still=5), INPUT) is None
    assert objection(gathered(59, still=6), INPUT) is not None


def test_values_that_are_no_numbers_are_refused_beyond_a_few() -> None:
    found = Gathered().with_unreadable()
    for _ in range(8):
        found = found.with_unreadable()
    window = np.random.default_rng(0).normal(size=(100, 2))
    for number in range(59):
        found = found.with_window(np.ones((1, 2)), window, number * HOP_S, INPUT)
    assert objection(found, INPUT) == "9 windows hold values that are no numbers, expected at most 10% of them"
    assert objection(replace(found, unreadable=6), INPUT) is None


def test_too_few_windows_are_refused() -> None:
    assert (
        objection(gathered(31), INPUT)
        == "16.0 s hold 31 windows, expected at least 32: calibrate_s of 17 or more gives them"
    )


def test_time_that_goes_backwards_begins_it_anew() -> None:
    found = gathered(20, start_s=100.0)
    again = found.with_window(np.ones((1, 2)), np.ones((100, 2)), 3.0, INPUT)
    assert (again.windows, again.first_s, again.still) == (1, 3.0, (1, 1))


def test_a_long_while_is_thinned_and_its_windows_still_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "MOST_NUMBERS", 127)
    found = gathered(200)
    assert found.windows == 200
    assert 32 <= len(found.features) <= 63
    assert objection(found, INPUT) is None


@given(count=st.integers(32, 80), hop_s=st.floats(0.01, 100), start_s=st.floats(-1e6, 1e6))
def test_steady_windows_lose_nothing_at_any_rate(count: int, hop_s: float, start_s: float) -> None:
    found = gathered(count, hop_s=hop_s, start_s=start_s)
    assert found.lost_s == pytest.approx(0.0, abs=1e-6)
    assert found.seconds(INPUT) == pytest.approx((count + 1) * hop_s, rel=1e-3)


@given(shift=st.floats(-100, 100), scale=st.floats(0.01, 100))
def test_a_normalisation_takes_away_unit_and_zero_of_every_column(shift: float, scale: float) -> None:
    rows = normal(40)
    by, moved = normalisation(rows), normalisation(rows * scale + shift)
    assert moved.mean == pytest.approx(by.mean * scale + shift, abs=1e-3 * scale)
    assert moved.std == pytest.approx(by.std * scale, rel=1e-3)


def test_a_column_that_does_not_vary_keeps_its_unit() -> None:
    rows = np.full((20, 1, 2), 0.1, np.float32)
    rows[:, 0, 1] = np.arange(20)
    assert normalisation(rows).std.tolist() == [1.0, pytest.approx(np.arange(20).std())]


@given(seed=st.integers(0, 1000))
def test_of_normal_running_about_a_hundredth_lies_above_the_threshold_and_what_is_unlike_it_does(seed: int) -> None:
    rows = normal(1000, seed=seed)
    learned = learn(rows[:200], WANTED, distance)
    assert isinstance(learned, Learned)
    assert np.mean(distance(learned.normalisation, rows[200:]) > learned.threshold) <= 0.02
    shifted = rows[200:] + 3 * learned.normalisation.std
    assert np.mean(distance(learned.normalisation, shifted) > learned.threshold) == 1.0


@pytest.mark.parametrize("count", [32, 64, 200])
def test_normal_running_of_any_length_is_hardly_ever_taken_for_several_kinds(count: int) -> None:
    shipped = WANTED.model_copy(update={"unlike": 3.0})
    learned = [learn(normal(count, columns=75, seed=seed), shipped, distance) for seed in range(100)]

    assert sum(not isinstance(one, Learned) for one in learned) <= 1  # chance: one in a few hundred of the shortest


@given(seed=st.integers(0, 1000), starts=st.integers(0, 60), lasts=st.integers(20, 60), up=st.booleans())
def test_a_while_in_which_something_changed_is_refused(seed: int, starts: int, lasts: int, up: bool) -> None:
    rows = normal(120, seed=seed)
    rows[starts : starts + lasts] += (4 if up else -4) * normalisation(rows).std
    why = learn(rows, WANTED, distance)
    assert isinstance(why, str)
    assert why.startswith("it was not of one kind: one quarter scores ")
    assert why.endswith("expected at most 2.5 of a machine that runs normally all the time")


def test_without_a_limit_what_changed_makes_a_high_threshold() -> None:
    rows = normal(120)
    rows[:30] += 30
    learned = learn(rows, WANTED.model_copy(update={"unlike": None}), distance)
    assert isinstance(learned, Learned)
    assert learned.threshold > 10


def test_scores_that_are_no_numbers_are_refused() -> None:
    def lost(by: Normalisation, rows: np.ndarray) -> np.ndarray:
        del by
        return np.full(len(rows), np.nan)

    why = learn(normal(40), WANTED.model_copy(update={"unlike": None}), lost)
    assert why == "the normal scores lead to a threshold of nan, expected a number"
