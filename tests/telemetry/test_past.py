from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from edged.telemetry.history import Block, Head
from edged.telemetry.marks import Marks
from edged.telemetry.panels import PANELS, Drawing, Panel
from edged.telemetry.past import Rows, begins_ms, family, is_counter, labels, offsets_ms, rows

BOOT, LATER = "boot-1", "boot-2"
WALL_MS = 1_800_000_000_000


def block(
    figures: Mapping[str, Sequence[float]],
    mono_s: int = 0,
    boot: str = BOOT,
    *,
    wall_ms: int = WALL_MS,
    synced: bool = True,
) -> Block:
    values = np.array(list(figures.values()), float).T
    monos = 1000 * (mono_s + np.arange(len(values)))
    return Block(boot, synced, tuple(figures), wall_ms + monos, monos, values)


def told(*blocks: Block, offsets: Mapping[str, int] | None = None) -> list[Rows]:
    return list(rows(blocks, offsets or {}))


def test_counters_are_told_as_rates_across_blocks_and_gauges_as_they_are() -> None:
    first, second = told(block({"a_total": [10, 20], "b": [1, 2]}), block({"b": [3, 4], "a_total": [25, 25]}, 2))
    assert first.told[1].tolist() == [10, 2]
    assert np.isnan(first.told[0, 0])
    assert second.told.tolist() == [[3, 5], [4, 0]]
    assert second.follows


@pytest.mark.parametrize(("mono_s", "boot"), [(7, BOOT), (2, LATER)])
def test_no_rate_is_made_of_two_stretches(mono_s: int, boot: str) -> None:
    _, second = told(block({"a_total": [10, 20]}), block({"a_total": [95, 96]}, mono_s, boot))
    assert np.isnan(second.told[0, 0])
    assert second.told[1, 0] == 1
    assert not second.follows


def test_a_row_that_catches_up_with_a_late_one_makes_no_rate() -> None:
    late = block({"a_total": [10, 20, 44, 46, 56], "b": [1, 1, 1, 1, 1]})
    late.monos_ms[2:] += [1400, 401, 401]

    (found,) = told(late)
    assert np.isnan(found.told[:, 0]).tolist() == [True, False, False, True, False]
    assert found.told[[1, 2, 4], 0].tolist() == [10, 10, 10]


def test_a_counter_that_begins_anew_has_no_rate() -> None:
    (found,) = told(block({"a_total": [10, 20, 3, 5]}))
    assert np.isnan(found.told[:, 0]).tolist() == [True, False, True, False]


def test_what_was_recorded_before_the_clock_was_set_is_dated_by_what_it_said_later() -> None:
    heads = [Head(BOOT, 5_000, 5_000, False, 1, 0, 0), Head(BOOT, WALL_MS + 60_000, 60_000, True, 1, 0, 0)]
    offsets = offsets_ms(heads)
    assert [begins_ms(head, offsets) for head in heads] == [WALL_MS + 5_000, WALL_MS + 60_000]
    (found,) = told(block({"b": [1]}, 5, wall_ms=0, synced=False), offsets=offsets)
    assert found.walls_ms.tolist() == [WALL_MS + 5_000]
    assert begins_ms(Head(LATER, 7, 5, False, 1, 0, 0), offsets) == 7


def test_names_are_taken_apart() -> None:
    column = 'edged_x_total{pipeline="gate",reason="a \\"b\\" c"}'
    assert (family(column), labels(column)) == ("edged_x_total", {"pipeline": "gate", "reason": 'a "b" c'})
    assert is_counter(column)
    assert not is_counter("edged_total_x")


PANEL = Panel("drops", "edged_d_total", "/s", "sum")
HEAT = Panel("heat", "edged_t_celsius", "°C")


def drawn(*found: Rows, points: int = 2, seconds: int = 4) -> Drawing:
    drawing = Drawing((HEAT, PANEL), WALL_MS, WALL_MS + 1000 * seconds, points)
    for one in found:
        drawing.take(one)
    return drawing


def test_a_point_is_the_mean_of_its_seconds_with_the_least_and_the_most() -> None:
    (curve,) = drawn(*told(block({"edged_t_celsius": [40, 50, 60, 62]}))).curves()
    assert (curve.title, curve.mean.tolist(), curve.low.tolist(), curve.high.tolist()) == (
        "heat",
        [45, 61],
        [40, 60],
        [50, 62],
    )


def test_columns_of_one_pipeline_are_one_curve_by_sum_or_by_the_highest() -> None:
    figures = {
        'edged_d_total{pipeline="gate",reason="a"}': [0, 1, 2, 3],
        'edged_d_total{pipeline="gate",reason="b"}': [0, 2, 4, 6],
        'edged_d_total{pipeline="dock",reason="b"}': [0, 0, 0, 0],
        'edged_t_celsius{sensor="a"}': [40, 40, 40, 40],
        'edged_t_celsius{sensor="b"}': [50, 30, 30, np.nan],
        "edged_other": [1, 1, 1, 1],
    }
    heat, dock, gate = drawn(*told(block(figures))).curves()
    assert heat.mean.tolist() == [45, 40]
    assert (dock.title, gate.title) == ("drops dock", "drops gate")
    assert gate.mean.tolist() == [3, 3]


def test_what_nothing_is_known_of_is_a_gap_and_what_lies_outside_is_left_out() -> None:
    late = block({"edged_t_celsius": [40, 50]}, 3)
    (curve,) = drawn(*told(late)).curves()
    assert np.isnan(curve.mean[0])
    assert curve.mean[1] == 40
    assert drawn(*told(block({"edged_t_celsius": [40]}, 9))).curves() == []
    assert drawn(*told(block({"edged_t_celsius": [np.nan]}))).curves() == []


def test_every_panel_draws_a_family_and_is_named_once() -> None:
    assert len({panel.name for panel in PANELS}) == len(PANELS)
    assert Drawing(PANELS, 0, 1, 1).wants('edged_temperature_celsius{sensor="cpu"}')
    assert not Drawing(PANELS, 0, 1, 1).wants("edged_info")


STEPS = 'edged_governor_steps{pipeline="gate",kind="rate"}'
MODEL = (
    'edged_model_info{pipeline="gate",model="parts",version="2.0.0",variant="%s",runtime="litert",accelerator="cpu"}'
)


def marked(*blocks: Block) -> list[tuple[int, str, str]]:
    marks = Marks(WALL_MS, WALL_MS + 100_000)
    for one in told(*blocks):
        marks.take(one)
    return [((mark.at_ms - WALL_MS) // 1000, mark.kind, mark.what) for mark in marks.found]


def test_steps_of_the_governor_are_marked_both_ways() -> None:
    assert marked(block({STEPS: [0, 1, 1]}), block({STEPS: [2, 0]}, 3)) == [
        (1, "governor", "gate does less: rate 0 to 1"),
        (3, "governor", "gate does less: rate 1 to 2"),
        (4, "governor", "gate does more: rate 2 to 0"),
    ]


def test_a_model_that_takes_over_is_marked_and_so_is_the_one_that_comes_back() -> None:
    int8, small = MODEL % "int8", MODEL % "small"
    before, after = block({int8: [1, 1]}), block({int8: [1, np.nan], small: [np.nan, 1]}, 2)
    back = block({int8: [1]}, 4)
    assert marked(before, after, back) == [
        (3, "model", "gate runs parts 2.0.0 small on cpu"),
        (4, "model", "gate runs parts 2.0.0 int8 on cpu"),
    ]


def test_what_stood_when_looking_begins_did_not_happen_then() -> None:
    assert marked(block({'edged_health{grade="degraded"}': [1, 1], "edged_mqtt_connected": [1, 1]})) == []


def test_health_the_broker_and_starts_are_marked() -> None:
    health = {'edged_health{grade="ok"}': [1, 0, 0, 0], 'edged_health{grade="failed"}': [0, 1, 1, 1]}
    first = block({**health, "edged_mqtt_connected": [1, 1, 0, 1], "edged_uptime_seconds": [50, 51, 52, 1]})
    second = block({"edged_uptime_seconds": [1]}, 60, LATER)
    assert marked(first, second) == [
        (1, "health", "health failed"),
        (2, "broker", "broker away"),
        (3, "broker", "broker connected"),
        (3, "start", "edged started"),
        (60, "start", "the box started"),
    ]
