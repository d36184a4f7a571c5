"""The flight recorder on figures that a test gives, a second at a time."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edged.assembly.flight import FIRST_ROWS, ROWS, FlightRecorder
from edged.assembly.history_store import HistoryStore
from edged.telemetry.history import MAX_COLUMNS, Block
from fakes.clock import FakeClock
from fakes.waiting import LONGEST_S, until

BOOT = "6c1c9e0e-0000-4000-8000-000000000001"


class Cockpit:
    """A recorder, its clock, and the figures that it looks at."""

    def __init__(self, state: Path) -> None:
        self.clock, self.store = FakeClock(), HistoryStore(state)
        self.figures: dict[str, float] = {"edged_load": 1.0}
        self.recorder = FlightRecorder(self.sample, self.store, BOOT, self.clock)

    def sample(self) -> Mapping[str, float]:
        return dict(self.figures)

    def go(self, seconds: int, **figures: float) -> None:
        self.figures |= figures
        for _ in range(seconds):
            self.recorder.tick()
            self.clock.advance(1)

    def blocks(self) -> list[Block]:
        return list(self.store.blocks(lambda _head: True, lambda _name: True))


@pytest.fixture
def cockpit(tmp_path: Path) -> Cockpit:
    return Cockpit(tmp_path)


def test_the_first_block_comes_soon_and_then_one_a_minute(cockpit: Cockpit) -> None:
    cockpit.go(FIRST_ROWS - 1)
    assert cockpit.blocks() == []
    cockpit.go(1 + ROWS + ROWS - 1)
    assert [len(one.walls_ms) for one in cockpit.blocks()] == [FIRST_ROWS, ROWS]
    assert repr(cockpit.recorder) == "<FlightRecorder: 1 columns, 59 s in hand>"


def test_every_second_has_both_clocks_and_its_figures(cockpit: Cockpit) -> None:
    cockpit.go(5)
    cockpit.go(5, edged_load=2.5)
    (found,) = cockpit.blocks()
    assert np.diff(found.monos_ms).tolist() == [1000] * 9
    assert found.walls_ms[0] == 1_800_000_000_000
    assert found.values[:, 0].tolist() == [1.0] * 5 + [2.5] * 5


def test_columns_come_and_go(cockpit: Cockpit) -> None:
    cockpit.go(3)
    cockpit.go(4, edged_age=7.0)
    del cockpit.figures["edged_load"]
    cockpit.go(3)
    cockpit.go(ROWS)
    first, second = cockpit.blocks()
    assert first.columns == ("edged_load", "edged_age")
    assert np.isnan(first.values[:, 0]).tolist() == [False] * 7 + [True] * 3
    assert np.isnan(first.values[:, 1]).tolist() == [True] * 3 + [False] * 7
    # What is gone by now is still a column of the block that was begun with it, and goes with that.
    cockpit.go(ROWS)
    assert cockpit.blocks()[-1].columns == ("edged_age",)
    assert second.values.shape == (ROWS, 2)


def test_a_block_is_of_one_mind_about_the_clock(cockpit: Cockpit) -> None:
    cockpit.clock.is_synced = False
    cockpit.go(4)
    cockpit.clock.is_synced = True
    cockpit.go(ROWS)
    assert [(one.is_synced, len(one.walls_ms)) for one in cockpit.blocks()] == [(False, 4), (True, ROWS)]


def test_what_is_in_hand_can_be_looked_at(cockpit: Cockpit) -> None:
    assert cockpit.recorder.pending() is None
    cockpit.go(3)
    pending = cockpit.recorder.pending()
    assert pending is not None
    assert len(pending.walls_ms) == 3


def test_more_columns_than_a_box_has_are_left_out(cockpit: Cockpit) -> None:
    cockpit.go(FIRST_ROWS, **{f"edged_{number}": 1.0 for number in range(MAX_COLUMNS + 5)})
    (found,) = cockpit.blocks()
    assert len(found.columns) == MAX_COLUMNS


def test_a_block_that_breaks_goes_and_the_next_is_kept(cockpit: Cockpit) -> None:
    cockpit.go(FIRST_ROWS - 1)
    with pytest.raises(UnicodeEncodeError):
        cockpit.go(1, **{"edged_\udcff": 1.0})
    del cockpit.figures["edged_\udcff"]
    cockpit.go(ROWS)
    assert [len(one.walls_ms) for one in cockpit.blocks()] == [ROWS]


def test_an_orderly_end_keeps_what_was_in_hand(tmp_path: Path) -> None:
    cockpit = Cockpit(tmp_path)
    recorder = FlightRecorder(cockpit.sample, cockpit.store, BOOT, FakeClock(), tick_s=0.0)
    assert recorder.join(0.0)
    assert recorder.ended
    recorder.start()
    until(lambda: recorder.pending() is not None, "a row")
    recorder.stop()
    assert recorder.join(LONGEST_S)
    assert cockpit.blocks()
    assert recorder.reasons() == ()


def test_figures_that_cannot_be_taken_end_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked = threading.Event()

    def broken() -> Mapping[str, float]:
        if caplog.records:
            asked.set()
        message = "no figures"
        raise RuntimeError(message)

    recorder = FlightRecorder(broken, HistoryStore(tmp_path), BOOT, FakeClock(), tick_s=0.0)
    recorder.start()
    assert asked.wait(LONGEST_S), "it goes on after a fault"
    recorder.stop()
    assert recorder.join(LONGEST_S)
    assert caplog.records[0].getMessage() == "history.broken"
