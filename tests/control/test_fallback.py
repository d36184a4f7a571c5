from __future__ import annotations

import pytest

from edged.control.choose import choose
from edged.control.fallback import FIRST_S, LONGEST_S, STABLE_S, Fallback, Life, wait_s, way_of, without_held
from edged.control.possible import Facts
from edged.domain.variant import Ladder
from fakes.box import accelerator, bundle, inventory, profile, variant

S = 1_000_000_000
TPU, CPU = ("a" * 64, "edgetpu"), ("b" * 64, "cpu")


def ladder() -> Ladder:
    both = bundle(
        variant("tpu", sha256=TPU[0], accelerators=["edgetpu"]), variant("plain", sha256=CPU[0], accelerators=["cpu"])
    )
    wishes = profile({"accelerator": "edgetpu"}, {"accelerator": "cpu"})
    return choose(both, wishes, Facts(inventory(accelerator("edgetpu"))))


def test_what_never_failed_is_not_held() -> None:
    assert Fallback().held(0) == {}


def test_what_failed_is_held_for_the_first_wait_and_no_longer() -> None:
    fallback = Fallback()
    fallback.failed(TPU, "it hung", 10 * S)
    until_ns = 10 * S + int(FIRST_S * S)
    assert fallback.held(until_ns - 1) == {TPU: "it hung; tried again in 1 s"}
    assert fallback.held(until_ns) == {}


def test_each_failure_in_a_row_doubles_the_wait_up_to_the_longest() -> None:
    assert [wait_s(failures) for failures in (1, 2, 3)] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]
    assert wait_s(1000) == LONGEST_S


def test_a_failure_soon_after_it_was_opened_again_is_one_more_in_a_row() -> None:
    fallback = Fallback()
    fallback.failed(TPU, "it hung", 0)
    fallback.opened(TPU, 3 * S)
    assert fallback.held(4 * S) == {}
    assert fallback.failed(TPU, "it hung", 5 * S) == 2


def test_a_failure_after_it_ran_well_is_a_first_one() -> None:
    fallback = Fallback()
    fallback.failed(TPU, "it hung", 0)
    fallback.opened(TPU, 3 * S)
    assert fallback.failed(TPU, "it hung", int((3 + STABLE_S) * S)) == 1


@pytest.mark.parametrize(
    ("opening_s", "ran_s", "expected"),
    [(0.3, 0.9, False), (0.3, 1.0, True), (20.0, 19.0, False), (20.0, 20.0, True)],
    ids=["not a second", "a second", "shorter than it took to open", "as long"],
)
def test_an_engine_that_ran_longer_than_it_took_to_open_is_worth_opening_at_once(
    opening_s: float, ran_s: float, expected: bool
) -> None:
    opened_s = 100.0 + opening_s
    life = Life(100 * S, int(opened_s * S))
    assert life.is_enough(int((opened_s + ran_s) * S)) == expected


def test_the_same_file_on_another_accelerator_is_another_matter() -> None:
    fallback = Fallback()
    fallback.failed(TPU, "it hung", 0)
    assert (TPU[0], "cpu") not in fallback.held(1)


def test_opening_what_never_failed_keeps_nothing_of_it() -> None:
    fallback = Fallback()
    fallback.opened(CPU, 0)
    assert repr(fallback) == "<Fallback >"
    fallback.failed(TPU, "it hung", 0)
    assert repr(fallback) == "<Fallback aaaaaaaa on edgetpu: it hung>"


def test_it_is_due_once_for_each_wait() -> None:
    fallback = Fallback()
    fallback.failed(TPU, "it hung", 0)
    after_ns = int(FIRST_S * S)
    assert [fallback.is_due(at) for at in (0, after_ns, after_ns + S)] == [False, True, False]
    fallback.failed(TPU, "it hung", after_ns)
    assert fallback.is_due(after_ns + int(2 * FIRST_S * S))


def test_what_nobody_could_try_is_due_again_later_and_later() -> None:
    fallback = Fallback()
    fallback.failed(TPU, "it hung", 0)
    asked = [second for second in range(400) if fallback.is_due(second * S)]
    assert asked == [2, 6, 14, 30, 62, 126, 254]


def test_the_time_between_two_times_that_it_is_due_has_a_bound() -> None:
    fallback = Fallback()
    fallback.failed(TPU, "it hung", 0)
    asked = [second for second in range(0, 7200, 2) if fallback.is_due(second * S)]
    assert asked[-1] - asked[-2] == LONGEST_S


def test_what_runs_again_is_not_due() -> None:
    fallback = Fallback()
    fallback.failed(TPU, "it hung", 0)
    fallback.opened(TPU, S)
    assert not fallback.is_due(100 * S)


def test_what_is_held_is_refused_with_the_reason_and_the_next_rung_is_chosen() -> None:
    left = without_held(ladder(), {TPU: "it hung; tried again in 2 s"})
    assert [(rung.variant.id, rung.verdict) for rung in left.rungs] == [("plain", "chosen"), ("tpu", "refused")]
    assert left.rungs[1].reason == "held back: it hung; tried again in 2 s"
    assert left.held == "tpu on edgetpu: it hung; tried again in 2 s"


def test_a_lesser_rung_that_is_held_is_no_reason_to_complain() -> None:
    left = without_held(ladder(), {CPU: "it crashed"})
    assert [(rung.variant.id, rung.verdict) for rung in left.rungs] == [("tpu", "chosen"), ("plain", "refused")]
    assert left.held == ""


@pytest.mark.parametrize("held", [{}, {TPU: "hung", CPU: "crashed"}], ids=["none", "all"])
def test_a_ladder_of_which_none_or_all_is_held_stays_as_it_is(held: dict[tuple[str, str], str]) -> None:
    whole = ladder()
    assert without_held(whole, held) is whole


def test_a_rung_is_known_by_its_file_and_accelerator() -> None:
    assert [way_of(rung) for rung in ladder().runnable] == [TPU, CPU]
