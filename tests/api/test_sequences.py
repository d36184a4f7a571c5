"""Requests that belong together: what a sequence is, and what is remembered of it for how long."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edged.api.infer import InferRequest
from edged.api.refusal import RefusedError
from edged.api.sequences import Sequences, Step, step_of
from edged.api.tensors import named
from fakes.serving import FakeBrought, box

S = 1_000_000_000


@pytest.mark.parametrize(
    ("parameters", "step"),
    [
        ({}, None),
        ({"sequence_id": 0, "sequence_start": True}, None),
        ({"sequence_id": ""}, None),
        ({"sequence_id": 42, "sequence_start": True}, Step(42, is_first=True)),
        ({"sequence_id": "press", "sequence_end": True}, Step("press", is_last=True)),
    ],
)
def test_a_step_is_read_as_tritons_clients_write_it(parameters: dict[str, Any], step: Step | None) -> None:
    assert step_of(parameters) == step


@pytest.mark.parametrize(
    "parameters",
    [
        {"sequence_id": -1},
        {"sequence_id": 1 << 64},
        {"sequence_id": "x" * 129},
        {"sequence_id": True},
        {"sequence_id": 1.0},
        {"sequence_id": None},
        {"sequence_id": 1, "sequence_start": 1},
        {"sequence_id": 1, "sequence_end": "yes"},
    ],
)
def test_what_is_no_step_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="cannot read sequence_id") as caught:
        step_of(parameters)
    assert caught.value.kind == "invalid"


def test_each_sequence_has_a_memory_of_its_own_until_its_end() -> None:
    kept = Sequences()
    for name in ("a", "b"):
        assert kept.recall(Step(name, is_first=True), 0) is None
        kept.keep(Step(name, is_first=True), f"of {name}", 0)

    assert [kept.recall(Step(name), S) for name in ("a", "b")] == ["of a", "of b"]
    kept.keep(Step("a", is_last=True), "of a", S)
    with pytest.raises(RefusedError, match="cannot go on with sequence 'a'"):
        kept.recall(Step("a"), S)
    assert repr(kept) == "<Sequences: 1 of 256>"


def test_one_that_begins_again_has_forgotten() -> None:
    kept = Sequences(most=1)
    kept.keep(Step(1, is_first=True), "old", 0)
    assert kept.recall(Step(1, is_first=True), 0) is None


def test_one_whose_beginning_fails_does_not_go_on_with_what_was_before() -> None:
    kept = Sequences()
    kept.keep(Step(1, is_first=True), "old", 0)
    kept.recall(Step(1, is_first=True), S)  # and its run fails: nothing is kept of it

    with pytest.raises(RefusedError, match="cannot go on with sequence 1: it has not begun"):
        kept.recall(Step(1), S)


def test_one_where_nothing_comes_is_over() -> None:
    kept = Sequences(idle_s=60)
    kept.keep(Step(1, is_first=True), "it", 0)

    assert kept.recall(Step(1), 60 * S) == "it"
    with pytest.raises(RefusedError, match="nothing came for 60 s, expected sequence_start"):
        kept.recall(Step(1), 60 * S + 1)


def test_no_more_begin_than_may_and_those_under_way_go_on() -> None:
    kept = Sequences(most=2, idle_s=60)
    for number in (1, 2):
        kept.keep(Step(number, is_first=True), number, number * S)

    with pytest.raises(RefusedError, match="2 are under way") as caught:
        kept.recall(Step(3, is_first=True), 2 * S)
    assert (caught.value.kind, caught.value.retry_after_s) == ("overloaded", 1.0)
    assert kept.recall(Step(2), 2 * S) == 2
    assert kept.recall(Step(3, is_first=True), 62 * S) is None


def test_a_model_that_remembers_is_asked_by_sequence_alone_and_any_other_heeds_none() -> None:
    made = box(FakeBrought("m", remembers=True), FakeBrought("plain")).loaded("m", "plain")
    tensors = (named("x", np.zeros((1, 4), np.float32)),)
    try:
        with pytest.raises(RefusedError, match="expected sequence_id"):
            made.handlers.infer(InferRequest("m", tensors))
        for model in ("m", "plain"):
            made.handlers.infer(InferRequest(model, tensors, step=Step(7))).result()
        configured = [made.handlers.config(model).get("sequence_batching") for model in ("m", "plain")]
    finally:
        made.handlers.shelf.close()

    assert list(made.supplier.brought[0].steps) == [Step(7)]
    assert configured == [{"max_sequence_idle_microseconds": 60_000_000}, None]
