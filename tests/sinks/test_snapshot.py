"""When an event starts, the frame in hand is kept or sent, with what was found drawn into it."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.domain.frame import Frame, Stamp
from edged.domain.message import Draft
from edged.domain.result import Classes, ClassScore, Detection, Detections, Event, Latency, Output, Result, Status
from edged.domain.tensor import Array
from edged.fleet.topics import MAX_DOCUMENT_BYTES, Stamper
from edged.sinks.album import Album
from edged.sinks.drawing import drawn, jpeg_within
from edged.sinks.report import EVENT_PRIORITY
from edged.sinks.snapshot import SnapshotSink, Where
from edged.sources.mask import masked
from fakes.clock import FakeClock
from fakes.results import MODEL
from fakes.source import FakeSource

BOX = Detections((Detection("person", 0.9, (0.25, 0.25, 0.75, 0.75)),))
STAMP = Stamp(7, 1_000_000_000, 1_800_000_000_120_000_000, 3.5)


@dataclass
class Kept:
    """An outbox that keeps drafts."""

    drafts: list[Draft] = field(default_factory=list)

    def put(self, draft: Draft, *, wait_s: float = 0.0) -> bool:
        assert wait_s == 0.0
        self.drafts.append(draft)
        return True


def frame(data: Array | None = None) -> Frame:
    return Frame(np.full((120, 160, 3), 90, np.uint8) if data is None else data, STAMP)


def told(output: Output | None = BOX, stamp: Stamp = STAMP) -> Result:
    status: Status = "unknown" if output is None else "ok"
    return Result("gate", stamp, MODEL, status, Latency(0, 0, 0, 0), output, "" if output else "source-lost")


def event(phase: str = "start", rule: str = "seen") -> Event:
    return Event("gate", rule, phase, STAMP, STAMP, told())  # type: ignore[arg-type] # a phase's word


def sink(where: Where, folder: Path, of: Frame | None) -> tuple[SnapshotSink, Kept]:
    outbox = Kept()
    album = Album(folder)
    return SnapshotSink(lambda: of, {"seen": where}, album, outbox, Stamper("boot", FakeClock())), outbox


def test_a_local_snapshot_is_a_jpeg_named_by_time_rule_and_frame(tmp_path: Path) -> None:
    one, outbox = sink("local", tmp_path / "gate", frame())
    one.result(told())
    one.event(event())

    (file,) = (tmp_path / "gate").iterdir()
    assert file.name == "20270115T080000.120Z-seen-7.jpg"
    picture = cv2.imread(str(file))
    assert picture is not None
    assert picture.shape == (120, 160, 3)
    assert outbox.drafts == []


def test_a_sent_snapshot_is_a_document_beside_its_event(tmp_path: Path) -> None:
    one, outbox = sink("mqtt", tmp_path, frame())
    one.result(told())
    one.event(event())

    (draft,) = outbox.drafts
    # One priority a stream: with another one than its events' their numbers would arrive out of order.
    assert (draft.stream, draft.priority) == ("event/gate", EVENT_PRIORITY)
    assert draft.body["schema"] == "edged.snapshot/1"
    assert (draft.body["rule"], draft.body["frame"]) == ("seen", 7)
    assert (draft.body["since"], draft.body["captured_at"]) == ("2027-01-15T08:00:00.120Z",) * 2
    picture = cv2.imdecode(np.frombuffer(b64decode(draft.body["jpeg"]), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (draft.body["height"], draft.body["width"], 3)
    assert list(tmp_path.iterdir()) == []


def test_the_largest_and_noisiest_picture_still_fits_into_a_document(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (1080, 1920, 3)).astype(np.uint8)
    one, outbox = sink("mqtt", tmp_path, frame(noise))
    one.result(told())
    one.event(event())

    assert len(json.dumps(dict(outbox.drafts[0].body))) < MAX_DOCUMENT_BYTES - 1000


def test_what_cannot_be_made_small_enough_is_not_sent() -> None:
    assert jpeg_within(np.zeros((100, 100, 3), np.uint8), 10) is None


@pytest.mark.parametrize("which", [event("ongoing"), event("end"), event(rule="other")])
def test_only_the_start_of_an_event_whose_rule_asks_takes_a_picture(tmp_path: Path, which: Event) -> None:
    one, _ = sink("local", tmp_path / "gate", frame())
    one.result(told())
    one.event(which)

    assert not (tmp_path / "gate").exists()


@pytest.mark.parametrize("of", [None, Frame(np.zeros((10, 3), np.float32), STAMP)])
def test_without_a_picture_there_is_none(tmp_path: Path, of: Frame | None) -> None:
    one, _ = sink("local", tmp_path / "gate", of)
    one.result(told())
    one.event(event())

    assert not (tmp_path / "gate").exists()


def test_a_result_of_another_frame_is_not_drawn_into_this_one(tmp_path: Path) -> None:
    one, _ = sink("local", tmp_path / "gate", frame())
    one.event(event())
    one.result(told(stamp=Stamp(8, 0, 0, 0.0)))
    one.event(event())

    assert not (tmp_path / "gate").exists()


@pytest.mark.parametrize("output", [BOX, Classes((ClassScore("washer", 0.8),))])
def test_what_was_found_is_drawn_into_a_copy(output: Output) -> None:
    one = frame()
    one.data.flags.writeable = False

    shown = drawn(one.data, output)

    assert (one.data == 90).all()
    assert (shown != 90).any()


@pytest.mark.parametrize("output", [None, Classes(()), Detections(())])
def test_where_nothing_was_found_nothing_is_drawn(output: Output | None) -> None:
    assert (drawn(frame().data, output) == 90).all()


@pytest.mark.parametrize("where", ["local", "mqtt"])
def test_masked_pixels_are_in_no_snapshot(tmp_path: Path, where: Where) -> None:
    white = Frame(np.full((120, 160, 3), 255, np.uint8), STAMP)
    left, lower = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)], [(0.0, 0.4), (1.0, 0.4), (1.0, 1.0), (0.0, 1.0)]
    seen = masked(FakeSource([white]), [left, lower]).read()
    assert isinstance(seen, Frame)
    one, outbox = sink(where, tmp_path, seen)
    one.result(told(Detections(())))
    one.event(event())

    data = b64decode(outbox.drafts[0].body["jpeg"]) if outbox.drafts else next(tmp_path.iterdir()).read_bytes()
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    blurred = 12  # JPEG's blocks reach over the mask's rim
    assert picture[:, : 80 - blurred].max() < 12
    assert picture[48 + blurred :].max() < 12
    assert picture[: 48 - blurred, 80 + blurred :].min() > 243


def test_an_album_keeps_its_bounds_and_lets_the_oldest_go(tmp_path: Path) -> None:
    album = Album(tmp_path, max_files=3, max_bytes=250)
    for number in range(6):
        album.add(f"{number}", bytes(100))

    assert sorted(file.name for file in tmp_path.iterdir()) == ["4.jpg", "5.jpg"]


def test_an_album_counts_what_an_earlier_run_left(tmp_path: Path) -> None:
    for number in range(3):
        Album(tmp_path).add(f"{number}", bytes(10))
    (tmp_path / "cut.part").write_bytes(b"half")

    Album(tmp_path, max_files=2).add("3", bytes(10))

    assert sorted(file.name for file in tmp_path.iterdir()) == ["2.jpg", "3.jpg"]


def test_a_disk_that_refuses_is_counted_and_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    album = Album(tmp_path / "file")

    assert album.add("1", b"x") is None
    assert repr(album).endswith("not opened, 1 failures>")
