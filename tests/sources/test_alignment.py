from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.sources.alignment import Aligner, Method, Missing


def aligner(method: Method = "linear", missing: Missing = "gap", widths: tuple[int, ...] = (1, 1)) -> Aligner:
    return Aligner(widths, 8.0, method=method, max_wait_s=1.0, missing=missing)


def ramp(made: Aligner, sensor: int, start_s: float, end_s: float, step_s: float, delay_s: float = 0.0) -> None:
    """Push samples whose value is their time."""
    times = np.arange(start_s, end_s, step_s)
    made.push(sensor, times, (times - delay_s)[:, None].astype(np.float32))


def test_values_between_samples_lie_on_the_line_between_them() -> None:
    made = aligner()
    ramp(made, 0, 100.0, 102.0, 0.03)
    ramp(made, 1, 100.05, 102.0, 0.3)

    taken = made.take(102.0)

    assert taken is not None
    times, values = taken
    assert times[0] == 100.125
    assert set(np.diff(times)) == {0.125}
    assert values == pytest.approx(np.stack([times, times], 1), abs=1e-4)


def test_values_are_those_of_the_nearest_sample() -> None:
    made = aligner("nearest")
    made.push(0, np.array([100.0, 100.14, 100.3]), np.array([[1], [2], [3]], np.float32))
    ramp(made, 1, 100.0, 101.0, 0.125)

    taken = made.take(100.5)

    assert taken is not None
    assert taken[1][:, 0].tolist() == [1, 2, 3]


def test_an_instant_waits_for_the_sensor_that_is_late() -> None:
    made = aligner()
    ramp(made, 0, 100.0, 101.0, 0.125)
    ramp(made, 1, 100.0, 100.55, 0.125)

    first = made.take(101.0)
    ramp(made, 1, 100.625, 101.0, 0.125)
    second = made.take(101.0)

    assert first is not None
    assert second is not None
    assert first[0] == pytest.approx([100.0, 100.125, 100.25, 100.375, 100.5])
    assert second[0] == pytest.approx([100.625, 100.75, 100.875])


@pytest.mark.parametrize(("missing", "count"), [("gap", 5), ("nan", 8)])
def test_a_sensor_that_stays_away_is_a_gap_or_nan_when_the_wait_is_over(missing: Missing, count: int) -> None:
    made = aligner(missing=missing)
    ramp(made, 0, 100.0, 101.0, 0.125)
    ramp(made, 1, 100.0, 100.55, 0.125)

    rows = [taken[1] for now_s in (101.0, 103.0) if (taken := made.take(now_s))]

    values = np.concatenate(rows)
    assert len(values) == count
    assert int(np.isnan(values).sum()) == count - 5
    assert made.left_out == 8 - count


@pytest.mark.parametrize("method", ["linear", "nearest"])
def test_a_pause_of_a_sensor_is_not_bridged(method: Method) -> None:
    made = aligner(method)
    ramp(made, 0, 100.0, 110.0, 0.125)
    ramp(made, 1, 100.0, 101.0, 0.125)
    ramp(made, 1, 108.0, 110.0, 0.125)

    taken = made.take(110.0)

    assert taken is not None
    assert float(np.diff(taken[0]).max()) >= 5.0


def test_an_instant_at_which_nobody_is_there_is_left_out_even_with_nan() -> None:
    made = aligner(missing="nan")
    ramp(made, 0, 100.0, 100.25, 0.125)
    ramp(made, 0, 108.0, 108.25, 0.125)

    taken = made.take(120.0)

    assert taken is not None
    assert (taken[0] * 8).tolist() == [800, 801, 864, 865]


def test_after_a_long_pause_the_time_goes_on_from_the_newest() -> None:
    made = Aligner((1,), 1000.0, method="nearest", max_wait_s=1.0, missing="gap")
    made.push(0, np.array([0.0, 3600.0]), np.zeros((2, 1), np.float32))

    taken = made.take(3600.0)

    assert taken is not None
    assert float(taken[0][0]) >= 3599.0


def test_nothing_is_nothing() -> None:
    made = aligner()
    assert made.take(100.0) is None
    made.push(0, np.empty(0), np.empty((0, 1), np.float32))
    assert made.take(100.0) is None
    ramp(made, 0, 100.01, 100.05, 0.125)
    assert made.take(100.5) is None
    assert repr(made) == "<Aligner 8 Hz of 2 sensors: 1 samples wait>"


def test_an_instant_without_all_sensors_gives_nothing_yet() -> None:
    made = aligner()
    ramp(made, 0, 100.0, 101.0, 0.125)

    assert made.take(105.0) is None
    assert made.left_out == 8


def test_samples_that_come_again_are_left_out() -> None:
    made = aligner(widths=(1,))
    ramp(made, 0, 100.0, 101.0, 0.125)
    ramp(made, 0, 100.0, 101.0, 0.125)

    assert repr(made).endswith("8 samples wait>")


def test_what_is_settled_is_forgotten() -> None:
    made = aligner()
    for second in range(100):
        ramp(made, 0, second, second + 1, 0.125)
        ramp(made, 1, second, second + 1, 0.25)
        made.take(second + 1.0)

    assert int(repr(made).split(": ")[1].split()[0]) < 50


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.lists(st.floats(0.001, 3), min_size=1, max_size=5), st.floats(0, 2)),
        max_size=12,
    ),
    st.sampled_from(["linear", "nearest"]),
    st.sampled_from(["gap", "nan"]),
)
def test_whatever_comes_the_instants_grow_and_no_value_is_made_up(
    blocks: list[tuple[int, list[float], float]], method: Method, missing: Missing
) -> None:
    made = aligner(method, missing)
    newest = [100.0, 100.0]
    now_s = 100.0
    seen: list[float] = []
    for sensor, steps, waited_s in blocks:
        times = newest[sensor] + np.cumsum(steps)
        newest[sensor] = float(times[-1])
        made.push(sensor, times, times[:, None].astype(np.float32))
        now_s = max(now_s + waited_s, float(times[-1]))
        if (taken := made.take(now_s)) is not None:
            instants, values = taken
            seen += list(instants)
            off = np.abs(values - instants[:, None].astype(np.float32))
            assert np.nanmax(off) <= (1.01 if method == "nearest" else 0.01)
            assert missing == "nan" or np.isfinite(values).all()

    assert all(a < b for a, b in pairwise(seen))
