"""Two rollouts of one model: which of them may order a box."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from edgectl.fleet.plan import Plan, Wanted
from edgectl.fleet.rivals import Announced, announced, read, rival
from edgectl.fleet.rollout import Status
from edgectl.fleet.view import Fleet

WINTER = Plan(name="winter", model=Wanted(name="parts", version="2.0.0"), groups=("line-a",))
AUTUMN = Announced("autumn", "parts", ("line-a", "line-b"), (), 100.0, is_over=False)
DEVICES = {"press-01": ("line-a",), "press-02": ("line-b",), "press-03": ("line-a", "line-b")}


def found(other: Announced, told: dict[str, Status] | None = None, begun_s: float | None = 200.0) -> Any:
    return rival(WINTER, begun_s, [other], told or {}, DEVICES)


def test_the_one_that_was_begun_first_keeps_its_boxes() -> None:
    assert found(AUTUMN) == (AUTUMN, ["press-01", "press-03"])
    assert found(AUTUMN, begun_s=50.0) is None
    assert found(replace(AUTUMN, begun_s=200.0)) is not None
    assert found(replace(AUTUMN, name="zeta", begun_s=200.0)) is None


def test_one_under_way_was_there_before_one_that_is_not_announced_whatever_the_clocks_say() -> None:
    assert found(replace(AUTUMN, begun_s=1e10), begun_s=None) is not None


@pytest.mark.parametrize("begun_s", ["NaN", "Infinity", "1" + "0" * 400, "-1", "null"])
def test_an_announcement_without_a_date_counts_for_nothing(begun_s: str) -> None:
    fleet = Fleet()
    fleet.heard(
        "edged/v1/f/autumn/plan", f'{{"model": "parts", "begun_s": {begun_s}, "is_over": false}}'.encode("ascii")
    )
    assert (fleet.announced, fleet.refused) == ({}, 1)


@pytest.mark.parametrize(
    "other",
    [
        replace(AUTUMN, is_over=True),
        replace(AUTUMN, model="crates"),
        replace(AUTUMN, name="winter"),
        replace(AUTUMN, groups=("line-c",)),
        replace(AUTUMN, exclude=("press-01", "press-03")),
    ],
    ids=["over", "another model", "itself", "other groups", "other boxes"],
)
def test_one_that_orders_nothing_there_is_no_rival(other: Announced) -> None:
    assert found(other) is None


def test_one_that_was_aborted_is_no_rival_and_one_that_pauses_is() -> None:
    assert found(AUTUMN, {"autumn": Status.ABORTED}) is None
    assert found(AUTUMN, {"autumn": Status.PAUSED}) is not None


def test_what_is_announced_is_read_again_and_anything_else_breaks_nothing() -> None:
    fleet = Fleet()
    topic, payload = announced(WINTER, 12.5, is_over=False)
    fleet.heard(topic, payload)
    assert fleet.announced == {"winter": Announced("winter", "parts", ("line-a",), (), 12.5, is_over=False)}
    assert fleet.told == {}
    wrongs = (b"[]", b"{}", b"{", b"[" * 100_000, json.dumps({"begun_s": "soon", "is_over": 1}).encode())
    for number, wrong in enumerate(wrongs, 1):
        fleet.heard(topic, wrong)
        assert (list(fleet.announced), fleet.refused) == (["winter"], number)
    fleet.heard(topic, b"")
    assert fleet.announced == {}
    assert read("a", {"model": "parts", "begun_s": 1, "is_over": True}).is_over
