"""The outbox's decisions, without its thread: a fake clock, a real file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edged.domain.message import Draft
from fakes.writerbench import Bench, numbers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


def test_a_document_carries_schema_device_and_seq(path: Path) -> None:
    bench = Bench(path)

    bench.put()

    (row,) = bench.send()
    assert json.loads(row.payload) == {"schema": "edged.result/1", "device": "press-07", "pad": "x" * 10, "seq": 1}


@pytest.mark.parametrize(
    ("told", "numbered"),
    [(3, {"first_seq": 3, "last_seq": 5}), (9, {"first_seq": 1, "last_seq": 5}), (0, {})],
    ids=["some", "all", "none"],
)
def test_an_alert_that_declares_results_suspect_is_given_their_numbers(
    path: Path, told: int, numbered: dict[str, int]
) -> None:
    bench = Bench(path)
    for _ in range(5):
        bench.put()
    suspect = {"stream": "result/a", "told": told}
    bench.writer.take(Draft("alert", {"schema": "edged.alert/1", "suspect": suspect}, priority=0))

    (alert,) = [json.loads(row.payload) for row in bench.send_all() if row.stream == "alert"]
    assert alert["suspect"] == suspect | numbered


def test_numbers_go_on_without_a_gap_after_the_queue_drained_and_a_restart(path: Path) -> None:
    first = Bench(path)
    for _ in range(3):
        first.put()
    sent = first.send_all()
    first.writer.close()
    second = Bench(path)

    second.put()
    second.put("result/b")

    rows = sent + second.send_all()
    assert numbers(rows, "result/a") == [1, 2, 3, 4]
    assert numbers(rows, "result/b") == [1]


def test_keys_are_never_used_twice_though_the_queue_drained(path: Path) -> None:
    first = Bench(path)
    first.put()
    keys = [row.key for row in first.send_all()]
    first.writer.close()
    second = Bench(path)

    second.put()

    assert keys + [row.key for row in second.send_all()] == [(1, 1), (1, 2)]


def test_what_was_not_acknowledged_is_sent_again_by_the_next_run_in_order(path: Path) -> None:
    first = Bench(path)
    for _ in range(5):
        first.put()
    first.ready.take(2)
    first.writer.close()

    second = Bench(path)

    assert second.writer.pending == 5
    assert numbers(second.send_all(), "result/a") == [1, 2, 3, 4, 5]
    assert second.writer.pending == 0


def test_more_than_memory_holds_is_read_back_from_the_disk_in_order(path: Path) -> None:
    bench = Bench(path)
    for _ in range(1500):
        bench.put()

    rows = bench.send_all()

    assert numbers(rows, "result/a") == list(range(1, 1501))


def test_the_urgent_goes_first(path: Path) -> None:
    bench = Bench(path)
    bench.put("telemetry", 2)
    bench.put("result/a", 1)
    bench.put("event/a", 0)

    assert [row.stream for row in bench.send_all()] == ["event/a", "result/a", "telemetry"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), "x" * 140_000])
def test_what_is_no_document_of_the_contract_is_rejected_and_takes_no_number(path: Path, value: object) -> None:
    bench = Bench(path)

    bench.writer.take(Draft("result/a", {"schema": "edged.result/1", "value": value}))
    bench.put()

    assert bench.writer.counts.rejected == 1
    assert numbers(bench.send_all(), "result/a") == [1]


def test_a_name_that_is_no_text_costs_a_character_and_not_the_document(path: Path) -> None:
    bench = Bench(path)

    bench.writer.take(Draft("health", {"schema": "edged.health/1", "message": os.fsdecode(b"cannot read bad\xff.csv")}))

    (row,) = bench.send_all()
    assert json.loads(row.payload)["message"] == "cannot read bad?.csv"
    assert bench.writer.counts.rejected == 0


def test_a_body_without_schema_is_rejected(path: Path) -> None:
    bench = Bench(path)

    bench.writer.take(Draft("result/a", {"frame": 1}))

    assert bench.writer.counts.rejected == 1


def test_qos_0_is_numbered_but_not_kept(path: Path) -> None:
    first = Bench(path)
    first.put(qos=0)
    first.put(qos=0)
    sent = first.send_all()
    first.put(qos=0)
    first.writer.close()

    second = Bench(path)
    second.put(qos=0)

    assert numbers(sent, "result/a") == [1, 2]
    assert first.commits == []
    (row,) = second.send_all()
    assert row.seq > 3


def test_a_stream_that_changes_from_qos_0_to_1_keeps_rising(path: Path) -> None:
    bench = Bench(path)
    bench.put(qos=0)
    bench.put()
    bench.put(qos=0)

    assert sorted(numbers(bench.send_all(), "result/a")) == [1, 2, 3]
    bench.writer.close()
    again = Bench(path)
    again.put()
    assert numbers(again.send_all(), "result/a") > [3]


def test_what_was_set_aside_is_read_back_behind_more_than_memory_holds(path: Path) -> None:
    bench = Bench(path)
    bench.ready.park("result/a")
    for _ in range(600):
        bench.put("result/a")
    for _ in range(400):
        bench.put("result/b")
    assert numbers(bench.send_all(), "result/b") == list(range(1, 401))

    bench.ready.unpark()
    bench.writer.refill()

    assert numbers(bench.send_all(), "result/a") == list(range(1, 601))
    assert bench.writer.pending == 0
