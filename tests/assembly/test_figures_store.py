from __future__ import annotations

import json
import logging
import multiprocessing
from pathlib import Path

import pytest

from edged.assembly import figures_store
from edged.assembly.figures_store import FiguresStore, Known, brought
from edged.control.benchmark import Refused
from edged.control.figures import to_document
from edged.update.manifest import files_of, read_bundle
from fakes.bundle import make_bundle
from fakes.figures import AT, SUBJECT, keep_many, measured


@pytest.fixture
def store(tmp_path: Path) -> FiguresStore:
    return FiguresStore(tmp_path / "state")


def test_what_was_kept_is_there_after_a_restart(store: FiguresStore, tmp_path: Path) -> None:
    store.keep(measured())
    store.refuse(Refused(SUBJECT, 2, "crashed with SIGSEGV", AT))
    assert FiguresStore(tmp_path / "state").known() == Known(
        (measured(),), (Refused(SUBJECT, 2, "crashed with SIGSEGV", AT),)
    )


def test_another_programs_figures_are_seen_at_the_next_look(store: FiguresStore, tmp_path: Path) -> None:
    store.keep(measured(1))
    revision = store.revision
    FiguresStore(tmp_path / "state").keep(measured(2))
    (one,) = store.known().measured
    assert [row.threads for row in one.figures] == [1, 2]
    assert store.revision > revision


def test_a_look_without_a_change_reads_nothing(store: FiguresStore) -> None:
    store.keep(measured())
    store.known()
    revision = store.revision
    assert store.known() is store.known()
    assert store.revision == revision


def test_figures_take_back_a_refusal_of_the_same_candidate(store: FiguresStore) -> None:
    store.refuse(Refused(SUBJECT, 1, "did not end", AT))
    store.refuse(Refused(SUBJECT, 2, "did not end", AT))
    store.keep(measured(1))
    assert [one.threads for one in store.known().refused] == [2]


def test_a_second_refusal_stands_in_place_of_the_first(store: FiguresStore) -> None:
    store.refuse(Refused(SUBJECT, None, "crashed", AT))
    store.refuse(Refused(SUBJECT, None, "crashed again", AT))
    assert [one.reason for one in store.known().refused] == ["crashed again"]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"schema": "edged.benchmarks/2"}',
        b"\xff\xfe",
        b'{"schema": "edged.benchmarks/1", "measured": [{}]}',
    ],
)
def test_a_damaged_file_is_set_aside_and_told_and_measuring_begins_anew(
    store: FiguresStore, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "benchmarks.json").write_bytes(content)
    with caplog.at_level(logging.WARNING, "edged.figures"):
        assert store.known() == Known()
    assert "figures.damaged" in caplog.text
    assert (tmp_path / "state" / "benchmarks.json.damaged").read_bytes() == content
    store.keep(measured())
    assert FiguresStore(tmp_path / "state").known().measured == (measured(),)


def test_a_file_larger_than_can_be_right_is_not_read(
    store: FiguresStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures_store, "MAX_BYTES", 100)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "benchmarks.json").write_text(json.dumps(to_document([measured()])), "utf-8")
    assert store.known() == Known()


def test_the_oldest_go_when_there_are_too_many(store: FiguresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures_store, "MAX_ENTRIES", 2)
    for day, digit in ((3, "c"), (1, "a"), (2, "b")):
        store.keep(measured(sha256=digit, at=f"2026-11-0{day}T12:00:00.000Z"))
    assert [one.subject.sha256[0] for one in store.known().measured] == ["b", "c"]


def test_on_a_disk_that_takes_nothing_figures_hold_until_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder", "utf-8")
    store = FiguresStore(tmp_path / "file" / "state")
    with caplog.at_level(logging.WARNING, "edged.figures"):
        store.keep(measured(1))
        store.keep(measured(2))
    assert [row.threads for row in store.known().measured[0].figures] == [1, 2]
    assert "figures.unkept" in caplog.text


def test_it_tells_how_much_it_knows(store: FiguresStore) -> None:
    store.keep(measured())
    assert repr(store).endswith("benchmarks.json: 1 measured, 0 refused>")


def test_a_bundles_figures_are_said_to_be_the_bundles(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "parts")
    assert brought(read_bundle(folder)) == ()
    (folder / "benchmarks.json").write_text(json.dumps(to_document([measured()])), "utf-8")
    assert brought(read_bundle(folder)) == (measured(origin="bundle"),)


def test_a_bundles_damaged_figures_cost_nothing_but_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_bundle(tmp_path / "parts")
    (folder / "benchmarks.json").write_text("{", "utf-8")
    with caplog.at_level(logging.WARNING, "edged.figures"):
        assert brought(read_bundle(folder)) == ()
    assert "figures.unusable" in caplog.text


def test_a_bundles_figures_go_with_it_into_the_store(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "parts")
    assert "benchmarks.json" not in files_of(read_bundle(folder))
    (folder / "benchmarks.json").write_text(json.dumps(to_document([measured()])), "utf-8")
    assert "benchmarks.json" in files_of(read_bundle(folder))


@pytest.mark.slow
def test_two_programs_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=keep_many, args=(tmp_path, digits)) for digits in ("01234567", "89abcdef")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert {one.subject.sha256[0] for one in FiguresStore(tmp_path).known().measured} == set("0123456789abcdef")
