"""What is recorded around events: everything that is in time, nothing that costs a frame."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

from edged.assembly.record_requests import ask
from edged.assembly.roll import GONE_NS, IDLE_NS, Around
from fakes.recordstand import Stand, indices, judged
from fakes.tape import drain, names


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path / "r")


def test_what_was_before_and_after_an_event_is_recorded_with_its_results(stand: Stand) -> None:
    stand.see(50)
    stand.say()
    stand.see(30)

    (clip,) = stand.clips()
    assert indices(clip.inputs) == list(range(41, 58))
    assert indices(clip.results) == list(range(41, 58))
    assert [(row["rule"], row["phase"], row["index"]) for row in clip.events] == [("worn", "start", 49)]
    assert clip.manifest["why"] == "worn"
    assert (clip.manifest["seconds"], clip.manifest["short"]) == (2.0, False)
    assert clip.manifest["models"] == [dict(clip.results[0]["model"])]
    assert clip.manifest["counts"] == {"missed": 0, "inputs": 17, "results": 17, "events": 1, "readings": 3}
    assert clip.readings[0]["load_1m"] == 0.5
    assert clip.frame(clip.inputs[0]).data.tolist() == [[41.0]] * 8


def test_one_event_after_the_other_makes_one_recording(stand: Stand) -> None:
    stand.see(20)
    stand.say("start")
    stand.see(8)
    stand.say("end")
    stand.see(30)
    (clip,) = stand.clips()
    assert indices(clip.inputs) == list(range(11, 36))


def test_an_event_that_goes_on_is_no_reason(stand: Stand) -> None:
    stand.see(20)
    stand.say("ongoing")
    stand.see(20)
    assert stand.clips() == []


def test_recordings_that_follow_each_other_share_no_input_and_lose_none(stand: Stand) -> None:
    stand.see(20)
    for _ in range(3):
        stand.say()
        stand.see(12)
    stand.see(30)
    seen = [index for clip in stand.clips() for index in indices(clip.inputs)]
    assert len(stand.clips()) == 3
    assert seen == list(range(11, 52))


def test_results_of_inputs_that_were_taken_ahead_still_come_in(stand: Stand) -> None:
    stand.see(20)
    stand.say()
    frames = [stand.frame() for _ in range(14)]
    for frame in frames:
        stand.tap.frame(frame)
    drain(stand.recorder)
    assert stand.clips() == []
    for frame in frames:
        stand.tap.result(judged(frame.stamp))
    drain(stand.recorder)

    (clip,) = stand.clips()
    assert indices(clip.inputs) == indices(clip.results) == list(range(11, 28))


def test_a_source_that_falls_silent_ends_its_recording(stand: Stand) -> None:
    stand.see(20)
    stand.say()
    stand.clock.advance(IDLE_NS / 1e9 + 1.1)
    stand.recorder.step(0.0)
    assert [clip.manifest["counts"]["inputs"] for clip in stand.clips()] == [9]


def test_a_source_that_is_gone_is_held_no_longer_and_one_that_comes_back_is_recorded(stand: Stand) -> None:
    stand.see(20)
    for _ in range(2):
        stand.clock.advance(GONE_NS / 1e9)
        stand.recorder.step(0.0)
    assert "<PreRoll 0 items, 0 bytes>" in repr(stand.recorder)
    stand.tap.ask(1.0)
    drain(stand.recorder)
    stand.see(20)
    assert [indices(clip.inputs)[0] for clip in stand.clips()] == [20]


def test_a_source_that_begins_anew_ends_its_recording(stand: Stand) -> None:
    stand.see(20)
    stand.say()
    stand.index = 0
    stand.see(3)
    (clip,) = stand.clips()
    assert indices(clip.inputs) == list(range(11, 20))


def test_somebody_on_the_box_may_ask_for_one(stand: Stand) -> None:
    stand.see(20)
    request = ask(stand.folder, "gate", 2.0)
    ask(stand.folder, "another", 2.0)
    (stand.folder / "now" / "bad.json").write_text('{"pipeline": 3}')
    (stand.folder / "now" / "deep.json").write_text("[" * 1024)
    (stand.folder / "now" / "endless.json").write_text('{"pipeline": "", "seconds": NaN}')
    stand.see(60)

    (clip,) = stand.clips()
    assert not list(request.parent.iterdir())
    assert clip.manifest["why"] == "asked"
    assert 3.0 <= clip.manifest["seconds"] <= 3.25


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to ask for somebody else")
def test_what_root_asks_belongs_to_the_daemon(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 1235)
    request = ask(tmp_path, "gate", 2.0)
    assert {(one.stat().st_uid, one.stat().st_gid) for one in (request, request.parent)} == {(1234, 1235)}


def test_asked_before_the_first_input_it_begins_with_that(stand: Stand) -> None:
    stand.tap.ask(1.0)
    drain(stand.recorder)
    stand.see(20)
    (clip,) = stand.clips()
    assert indices(clip.inputs) == list(range(9))


def test_a_long_event_fills_no_more_than_its_share_of_the_ring(tmp_path: Path) -> None:
    stand = Stand(tmp_path, Around(1.0, 1000.0, 1 << 22), max_bytes=1 << 20)
    stand.see(20, size=2048)
    stand.say()
    stand.see(200, size=2048)
    sizes = [file.stat().st_size for file in tmp_path.glob("*.zip")]
    assert len(sizes) == 1
    assert (1 << 18) - 20_000 < sizes[0] < (1 << 18) + 60_000


def test_a_tap_that_is_replaced_ends_its_recording(stand: Stand) -> None:
    stand.see(20)
    stand.say()
    old = stand.tap
    stand.tap = stand.recorder.tap(old.subject, old.around)
    drain(stand.recorder)
    assert len(stand.clips()) == 1
    stand.see(5)
    stand.say()
    stand.see(20)
    assert len(stand.clips()) == 2


def test_its_thread_finishes_what_it_records_when_it_is_joined(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.recorder.start()
    for _ in range(5):
        frame = stand.frame()
        stand.tap.frame(frame)
        stand.tap.result(judged(frame.stamp))
    stand.tap.ask(100.0)
    stand.recorder.stop()
    assert stand.recorder.join(10.0)
    assert names(tmp_path) == ["gate-asked"]

    stand.clock.advance(1)
    stand.recorder.start()
    stand.tap.ask(100.0)
    stand.tap.frame(stand.frame())
    assert stand.recorder.join(10.0)
    assert names(tmp_path) == ["gate-asked"] * 2


def test_who_is_asked_to_end_has_no_time_for_pictures_that_still_wait(stand: Stand) -> None:
    stand.tap.ask(100.0)
    stand.see(2)
    stand.recorder.join(0.0)
    stand.clock.advance(1.1)
    stand.see(2)
    stand.recorder.finish()
    (clip,) = stand.clips()
    assert [bool(row.get("file")) for row in clip.inputs] == [True, True, False, False]
    assert (clip.manifest["counts"]["missed"], len(clip.results)) == (2, 4)


def test_a_recorder_that_never_ran_is_joined_at_once(tmp_path: Path) -> None:
    assert Stand(tmp_path).recorder.join(0.1)


def test_the_parts_words_answer_a_field_engineer(stand: Stand) -> None:
    stand.see(3)
    assert "<Recorder <Ring " in repr(stand.recorder)
    assert "<Roll gate: <PreRoll 7 items" in repr(stand.recorder)
    assert repr(stand.tap) == "<Tap gate: 0 missed>"


def test_the_archive_is_one_that_any_tool_opens(stand: Stand) -> None:
    stand.see(20)
    stand.say()
    stand.see(30)
    (file,) = stand.folder.glob("*.zip")
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("manifest.json"))["schema"] == "edged.recording/1"
        inside = {name for name in archive.namelist() if not name.startswith("inputs/")}
    assert inside == {"manifest.json", "inputs.ndjson", "results.ndjson", "events.ndjson", "readings.ndjson"}


def test_what_was_still_at_the_end_keeps_no_recording_open(stand: Stand) -> None:
    stand.see(20)
    stand.say()
    stand.see(6)
    for _ in range(4):  # the motion gate passes over them: no result will come
        stand.tap.frame(stand.frame())
    drain(stand.recorder)
    assert stand.clips() == []
    stand.see(1)

    (clip,) = stand.clips()
    assert indices(clip.inputs) == list(range(11, 28))
    assert indices(clip.results) == list(range(11, 26))


def test_an_event_while_results_are_waited_for_begins_the_next(stand: Stand) -> None:
    stand.see(20)
    stand.say()
    for _ in range(12):
        stand.tap.frame(stand.frame())
    drain(stand.recorder)
    stand.clock.advance(1)
    stand.say(rule="other")
    stand.see(20)
    assert names(stand.folder) == ["gate-worn", "gate-other"]
    first, second = stand.clips()
    assert indices(first.inputs) + indices(second.inputs) == list(range(11, 40))
    assert [row["rule"] for row in second.events] == ["other"]


def test_old_recordings_go_while_it_runs(stand: Stand) -> None:
    stand.see(20)
    stand.say()
    stand.see(20)
    assert len(stand.clips()) == 1
    stand.clock.advance(8 * 86_400)
    for _ in range(61):
        stand.clock.advance(1.1)
        stand.recorder.step(0.0)
    assert stand.clips() == []
