"""Recordings that find no place, no room, or a disk that refuses: they are told, and cost no frame."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edged.assembly import clip_ring
from edged.assembly import recorder as recorder_module
from edged.assembly.clip_file import ClipWriter
from edged.assembly.recorder import Recorder
from edged.assembly.roll import Around
from edged.assembly.tap import WAITING_BYTES
from edged.domain.errors import FrameError
from edged.domain.result import Event
from edged.pipeline.preroll import Item
from fakes.clock import FakeClock
from fakes.recordstand import RATE_HZ, SETTINGS, Stand, indices, judged
from fakes.smalldisk import small_disk
from fakes.tape import drain, recorder_on, stamped, subject


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path / "r")


def test_what_memory_did_not_hold_is_told(tmp_path: Path) -> None:
    stand = Stand(tmp_path, Around(5.0, 1.0, 20_000))
    stand.see(60, size=512)
    stand.say()
    stand.see(20)
    (clip,) = stand.clips()
    assert clip.manifest["short"]
    assert 2 <= len(clip.inputs) - 8 <= 8


def test_what_finds_no_place_is_counted_and_nobody_waits(stand: Stand) -> None:
    stand.tap.ask(1000.0)
    large = stamped(np.zeros((WAITING_BYTES // 8, 1), np.float32), 0, RATE_HZ)
    for index in range(5):
        stand.tap.frame(stamped(large.data, index, RATE_HZ))
    drain(stand.recorder)
    stand.index = 5
    stand.see(1)
    stand.recorder.finish()

    (clip,) = stand.clips()
    assert indices(clip.inputs) == [0, 1, 5]
    assert clip.inputs[-1]["missed"] == clip.manifest["counts"]["missed"] == 3
    (reason,) = stand.recorder.reasons()
    assert (reason.code, reason.informs, "the last 3 were not recorded" in reason.message) == (
        "recording-behind",
        True,
        True,
    )
    stand.clock.advance(62)
    stand.recorder.step(0.0)
    assert stand.recorder.reasons() == []


def test_what_cannot_be_encoded_is_counted(stand: Stand) -> None:
    stand.tap.ask(1000.0)
    stand.see(1)
    stand.tap.frame(stamped(np.zeros((4, 4, 7), np.uint8), 1, RATE_HZ))
    stand.index = 2
    stand.see(1)
    stand.recorder.finish()
    (clip,) = stand.clips()
    assert clip.manifest["counts"]["missed"] == 1
    assert [bool(row.get("file")) for row in clip.inputs] == [True, False, True]


def test_a_disk_that_refuses_costs_the_recording_and_is_told(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.see(20)

    def full(_self: ClipWriter, _item: Item) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken:
        broken.setattr(ClipWriter, "add", full)
        stand.say()
        stand.see(30)
    assert list(stand.folder.iterdir()) == []
    (reason,) = stand.recorder.reasons()
    assert (reason.code, reason.component) == ("recording-failed", "record")
    assert "No space left on device" in reason.message

    stand.say()
    stand.see(30)
    assert len(stand.clips()) == 1
    assert stand.recorder.reasons() == []


def test_a_disk_with_too_little_room_is_left_alone_and_told(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_ring, "LEAST_FREE_BYTES", 1 << 60)
    stand.see(20)
    stand.say()
    stand.see(30)
    assert list(stand.folder.iterdir()) == []
    assert "MB are free" in stand.recorder.reasons()[0].message


@pytest.fixture
def full_soon(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, 1) as made:
        yield made


def test_a_disk_that_fills_up_leaves_no_rubbish(full_soon: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_ring, "LEAST_FREE_BYTES", 0)
    stand = Stand(full_soon / "r", Around(1.0, 1000.0, 1 << 20), max_bytes=1 << 28)
    stand.see(20, size=8192)
    stand.say()
    stand.see(100, size=8192)
    assert list(stand.folder.iterdir()) == []
    assert "No space left on device" in stand.recorder.reasons()[0].message


def test_a_pipeline_that_does_not_run_is_told(tmp_path: Path) -> None:
    clock = FakeClock()
    recorder = Recorder(recorder_on(tmp_path, clock)._tools, clock, ("gate", "gaet"))
    recorder.tap(subject(SETTINGS, recorder), Around(1.0, 1.0, 1 << 20))
    (reason,) = recorder.reasons()
    assert (reason.code, reason.informs) == ("record-unknown", True)
    assert "cannot record gaet: no such pipeline runs, expected one of gate" in reason.message


def test_an_error_of_its_own_ends_nothing(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stand.see(1)

    def broken(*_: Any) -> None:
        raise FrameError("a fault of its own")

    with monkeypatch.context() as once:
        once.setattr(recorder_module, "event_item", broken)
        result = judged(stand.frame().stamp)
        stand.tap.event(Event("gate", "worn", "start", result.stamp, result.stamp, result))
        assert stand.recorder._breaks()
    assert "recording.broken" in caplog.text
    stand.see(20)
    stand.say()
    stand.see(20)
    assert len(stand.clips()) == 1


def test_a_disk_that_refuses_at_the_end_costs_the_recording_and_is_told(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.see(20)
    stand.say()

    def refuses(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", refuses)
        stand.see(20)
    assert list(stand.folder.glob("*.*")) == []
    assert "Input/output error" in stand.recorder.reasons()[0].message


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    stand = Stand(tmp_path / "file" / "r")
    stand.see(20)
    assert "cannot remove old recordings: Not a directory" in stand.recorder.reasons()[0].message
    stand.say()
    assert "cannot record to " in stand.recorder.reasons()[0].message
