from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest

from edged.pipeline.bootstrap import Limits
from edged.pipeline.drift import Monitor, evidence
from edged.pipeline.drift_learning import Row, learn
from edged.pipeline.reference import Feature, Reference
from fakes.streams import DAY_S, camera, shifted, watched

PERIOD_S, RHO, LEARNED_DAYS, MONTH_DAYS = 120.0, 0.8, 6.0, 30.0
SEEDS = range(6)

LEVEL = Feature(
    "input.luma", np.array([0.0, 0.5, 0.5, 0.0]), 100.0, 10.0, 10.0, 4, Limits(1.5, 1.0, 1.0),
    np.array([80.0, 100.0, 120.0]), quantiles=np.array([85.0, 93, 100, 107, 115]),
)  # fmt: skip
MIX = Feature(
    "output.class", np.array([0.75, 0.25, 0.0]), 0.0, 1.0, 10.0, 4, Limits(1.5, 0.1, 1.0), labels=("car", "person")
)
NORMAL, HIGH = [95.0, 105.0, 98.0, 102.0], [130.0] * 4


@cache
def month(seed: int) -> tuple[Reference, list[Row]]:
    """Give a camera's reference, and the month after it."""
    rows = camera(LEARNED_DAYS + MONTH_DAYS, PERIOD_S, RHO, np.random.default_rng(seed))
    count = int(LEARNED_DAYS * DAY_S / PERIOD_S)
    learned = learn(rows[:count])
    assert learned.reference is not None
    assert learned.left_out == ()
    return learned.reference, rows[count:]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_camera_that_stays_as_it_is_has_at_most_one_false_alarm_in_30_days(seed: int) -> None:
    reference, rows = month(seed)
    assert len([finding for _, finding in watched(Monitor(reference), rows) if finding.kind == "drift"]) <= 1


@pytest.mark.parametrize("name", ["input.luma", "input.contrast", "input.noise", "output.count"])
def test_a_shift_by_one_standard_deviation_is_found_within_two_windows(name: str) -> None:
    found = []
    for seed in SEEDS:
        reference, rows = month(seed)
        feature = next(one for one in reference.features if one.name == name)
        two_windows_s = 2 * feature.window * feature.interval_s
        moved = shifted(rows[: int(two_windows_s / PERIOD_S)], name, feature.scale)
        found.append(name in {finding.name for _, finding in watched(Monitor(reference), moved)})
    assert all(found)


def test_a_class_that_takes_over_is_found_within_two_windows() -> None:
    reference, rows = month(0)
    mix = next(one for one in reference.features if one.labels)
    horses = [Row(row.wall_s, row.source_s, {**row.traits, "output.class": "horse"}) for row in rows]
    found = watched(Monitor(reference), horses[: int(2 * mix.window * mix.interval_s / PERIOD_S)])
    assert "output.class" in {finding.name for _, finding in found}


def stream(monitor: Monitor, *windows: list[float], begin_s: float = 0.0) -> list[tuple[float, str]]:
    values = [value for window in windows for value in window]
    rows = [Row(begin_s + 10.0 * k, begin_s + 10.0 * k, {"input.luma": value}) for k, value in enumerate(values)]
    return [(at_s, finding.kind) for at_s, finding in watched(monitor, rows)]


def test_two_votes_in_three_windows_raise_the_alarm_and_three_without_end_it() -> None:
    monitor = Monitor(Reference((LEVEL,)))
    assert stream(monitor, HIGH, NORMAL, HIGH, NORMAL, NORMAL, NORMAL) == [(110.0, "drift"), (230.0, "drift-over")]


def test_one_odd_window_is_no_alarm() -> None:
    assert stream(Monitor(Reference((LEVEL,))), HIGH, NORMAL, NORMAL, HIGH, NORMAL, NORMAL) == []


def test_samples_closer_than_their_interval_and_features_without_a_reference_cost_nothing() -> None:
    monitor = Monitor(Reference((LEVEL,)))
    for tenth in range(400):
        assert monitor.step(tenth / 10, 0.0, {"input.luma": 100.0, "input.other": 1.0}) == []
    assert len(monitor.state()["input.luma"]["values"]) == 0
    assert monitor.state()["input.luma"]["votes"] == [False]


def test_where_the_source_begins_anew_sampling_does_too() -> None:
    monitor = Monitor(Reference((LEVEL,)))
    monitor.step(1000.0, 0.0, {"input.luma": 100.0})
    monitor.step(0.0, 0.0, {"input.luma": 100.0})
    assert len(monitor.state()["input.luma"]["values"]) == 2


def test_a_figure_of_another_kind_is_passed_over() -> None:
    monitor = Monitor(Reference((LEVEL, MIX)))
    monitor.step(0.0, 0.0, {"input.luma": "dark", "output.class": 3.0})
    assert all(not told["values"] for told in monitor.state().values())


def test_without_a_right_clock_features_that_know_hours_wait() -> None:
    hourly = Feature(
        "input.luma", LEVEL.shares, 0.0, 10.0, 10.0, 4, LEVEL.limits, LEVEL.cuts, profile=np.full(24, 100.0)
    )  # fmt: skip
    monitor = Monitor(Reference((hourly, MIX)))
    monitor.step(0.0, 0.0, {"input.luma": 100.0, "output.class": "car"}, is_dated=False)
    assert [len(told["values"]) for told in monitor.state().values()] == [0, 1]
    monitor.step(10.0, 0.0, {"input.luma": 103.0})
    assert monitor.state()["input.luma"]["values"] == [3.0]


def test_it_goes_on_after_a_restart_wherever_that_falls() -> None:
    windows = [HIGH, NORMAL, HIGH, NORMAL]
    values = [value for window in windows for value in window]
    for cut in range(len(values)):
        monitor, kinds = Monitor(Reference((LEVEL,))), []
        for k, value in enumerate(values):
            if k == cut:
                monitor = Monitor(Reference((LEVEL,)), json.loads(json.dumps(monitor.state())))
            kinds += [(k, finding.kind) for finding in monitor.step(10.0 * k, 0.0, {"input.luma": value})]
        assert kinds == [(11, "drift")]
        assert monitor.drifting == ("input.luma",)


@pytest.mark.parametrize(
    "state",
    [
        {"input.luma": None},
        {"input.luma": {}},
        {"input.luma": {"values": [1] * 9, "first_s": 0, "up": 0, "down": 0, "votes": [], "drifts": False}},
        {"input.luma": {"values": [], "first_s": 0, "up": float("nan"), "down": 0, "votes": [], "drifts": True}},
        {"input.luma": {"values": ["x"], "first_s": 0, "up": 0, "down": 0, "votes": [], "drifts": True}},
    ],
)
def test_a_state_that_does_not_fit_is_left(state: dict[str, object]) -> None:
    monitor = Monitor(Reference((LEVEL,)), state)
    assert monitor.drifting == ()
    assert monitor.state()["input.luma"]["values"] == []
    assert "nothing drifts" in repr(monitor)


def test_an_alarm_carries_what_it_rests_on() -> None:
    monitor = Monitor(Reference((LEVEL,)))
    rows = [Row(10.0 * k, 10.0 * k, {"input.luma": 130.0}) for k in range(8)]
    ((_, finding),) = watched(monitor, rows)
    told = evidence(finding)
    assert {name: told[name] for name in ("feature", "stability_limit", "rise_limit", "samples", "sample_every_s")} == {
        "feature": "input.luma", "stability_limit": 1.5, "rise_limit": 1.0, "samples": 4, "sample_every_s": 10.0,
    }  # fmt: skip
    assert told["stability"] > 1.5
    assert [window["votes"] for window in told["windows"]] == [True, True]
    assert told["reference"] == {"q05": 85, "q25": 93, "q50": 100, "q75": 107, "q95": 115}
    assert set(told["present"].values()) == {130}
    assert json.loads(json.dumps(told)) == told


def test_an_alarm_of_labels_carries_both_mixes() -> None:
    monitor = Monitor(Reference((MIX,)))
    rows = [Row(10.0 * k, 10.0 * k, {"output.class": "horse"}) for k in range(8)]
    ((_, finding),) = watched(monitor, rows)
    told = evidence(finding)
    assert told["reference"] == {"car": 0.75, "person": 0.25, "other": 0}
    assert told["present"] == {"car": 0, "person": 0, "other": 1}
