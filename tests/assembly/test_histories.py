"""The flight recorder asked: on a night that a test recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edged.assembly.flight import FlightRecorder
from edged.assembly.histories import MAX_POINTS, Histories, past, span_ms
from edged.assembly.history_store import HistoryStore
from fakes.clock import SECOND_NS, FakeClock
from fakes.recordedday import BOOT, record

END_NS = 1_800_000_000 * SECOND_NS
END_MS = END_NS // 10**6
NIGHT_S = 3000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> HistoryStore:
    return record(tmp_path_factory.mktemp("state"), NIGHT_S, END_NS)


def test_a_night_is_told_in_curves_and_in_what_happened(store: HistoryStore) -> None:
    found = past(store, END_MS - NIGHT_S * 1000, END_MS, 100)
    curves = {curve.title: curve for curve in found.curves}
    assert curves["rate gate"].mean[10] == 10
    assert curves["rate gate"].mean[50] == 5
    assert float(np.nanmax(curves["temperature"].high)) > 74
    assert not np.isnan(curves["temperature"].mean).any(), "no second is missing"
    kinds = [mark.kind for mark in found.marks]
    assert {"start", "governor", "model", "health", "broker"} == set(kinds)
    assert [mark.what for mark in found.marks if mark.kind == "broker"] == ["broker away", "broker connected"]


def test_a_stretch_is_read_by_itself(store: HistoryStore) -> None:
    found = past(store, END_MS - 600_000, END_MS - 300_000, 10)
    (rate,) = [curve for curve in found.curves if curve.title == "rate gate"]
    assert rate.mean.tolist() == [10] * 10
    assert [mark.kind for mark in found.marks] == ["start"]


def test_the_document_says_what_is_not_known_with_null(store: HistoryStore) -> None:
    clock = FakeClock(wall=END_NS + 60 * SECOND_NS)
    told = Histories(store, lambda: None, clock).document(120, 4)
    assert (told["schema"], told["step_s"]) == ("edged.history/1", 30.0)
    (rate,) = [one for one in told["curves"] if (one["name"], one["pipeline"]) == ("rate", "gate")]
    assert rate["mean"] == [10, 10, None, None]
    assert rate["unit"] == "/s"


def test_what_is_in_hand_is_told_too(tmp_path: Path) -> None:
    clock, fresh = FakeClock(), HistoryStore(tmp_path)
    recorder = FlightRecorder(lambda: {"edged_spool_depth": 7.0}, fresh, BOOT, clock)
    histories = Histories(fresh, recorder.pending, clock)
    assert histories.document(60, 2)["curves"] == []
    recorder.tick()
    clock.advance(1)
    assert histories.document(60, 2)["curves"][0]["mean"] == [None, 7]


def test_more_than_can_be_drawn_is_cut(store: HistoryStore) -> None:
    told = Histories(store, lambda: None, FakeClock(wall=END_NS)).document(1e12, 10**9)
    assert len(told["curves"][0]["mean"]) == MAX_POINTS


def test_the_span_of_what_is_kept_is_known(store: HistoryStore, tmp_path: Path) -> None:
    span = span_ms(store)
    assert span is not None
    assert span[0] == END_MS - NIGHT_S * 1000
    assert END_MS - 60_000 <= span[1] < END_MS
    assert span_ms(HistoryStore(tmp_path)) is None
