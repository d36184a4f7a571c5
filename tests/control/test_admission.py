"""What does not fit is refused before it is loaded, alone, and with its sum."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.control.admission import FLOOR_MB, PER_FILE_MB, Admission, Ask, admit, need_mb

YARD = Ask("yard", 0, 60.0)
GATE = Ask("gate", 10, 100.0, is_measured=True)


def test_what_fits_is_admitted() -> None:
    assert admit([YARD, GATE], 160.0) == Admission({"gate": 100.0, "yard": 60.0}, ())


def test_without_a_budget_everything_is_admitted() -> None:
    assert not admit([YARD, GATE], None).refused


def test_the_least_important_is_refused_with_the_sum() -> None:
    (refused,) = admit([YARD, GATE], 150.0).refused

    assert refused.pipeline == "yard"
    assert refused.message == (
        "cannot run in the memory that is left: 60 MiB (judged by its file) + 100 MiB of gate = 160 MiB, expected at most 150 MiB"
    )


def test_an_important_one_that_never_fits_takes_nobody_with_it() -> None:
    (refused,) = admit([YARD, GATE], 70.0).refused

    assert refused.pipeline == "gate"
    assert "100 MiB (measured) = 100 MiB" in refused.message


def test_of_equals_the_first_is_admitted() -> None:
    assert [one.pipeline for one in admit([Ask("a", 0, 10.0), Ask("b", 0, 10.0)], 15.0).refused] == ["b"]


def test_those_that_share_an_engine_bring_their_frames_only_once_it_is_there_often_enough() -> None:
    cameras = [Ask(name, 0, 100.0, engine="people", copies=2) for name in "abcd"]

    admission = admit([*cameras, Ask("other", 0, 100.0, engine="faces", copies=2)], 335.0)

    assert admission.held_mb == {"a": 100.0, "b": 100.0, "c": FLOOR_MB, "d": FLOOR_MB, "other": 100.0}
    assert not admission.refused


def test_what_nobody_measured_is_judged_by_its_file() -> None:
    assert need_mb(10 * 2**20) == FLOOR_MB + 10 * PER_FILE_MB


asks = st.lists(
    st.builds(Ask, st.sampled_from("abcdefgh"), st.integers(-3, 3), st.floats(0, 500)),
    max_size=6,
    unique_by=lambda ask: ask.pipeline,
)


@given(asks, st.floats(0, 1000))
def test_the_admitted_fit_and_no_refused_one_would_beside_those_before_it(them: list[Ask], budget_mb: float) -> None:
    refused = {one.pipeline for one in admit(them, budget_mb).refused}
    admitted = [ask for ask in them if ask.pipeline not in refused]

    assert sum(ask.need_mb for ask in admitted) <= budget_mb + 1e-6
    for ask in them:
        if ask.pipeline in refused:
            before = [one.need_mb for one in admitted if one.priority >= ask.priority]
            assert sum(before) + ask.need_mb > budget_mb - 1e-6
