"""Whether an action is done: phases, how often, and that what lasts always ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.sinks.actuate import MINUTE_NS, Guard, Verdict

SECOND_NS = 1_000_000_000


def told(phase: str = "start", rule: str = "r") -> dict[str, str]:
    return {"pipeline": "a", "rule": rule, "phase": phase}


def nothing() -> str:
    return ""


def test_only_its_phases_are_its_business() -> None:
    guard = Guard(["end"], 60)

    assert [guard.judge(told(phase), 0, nothing).answer for phase in ("start", "ongoing", "end")] == [
        "leave",
        "leave",
        "do",
    ]


def test_more_often_than_it_may_it_is_refused_until_the_minute_is_over() -> None:
    guard = Guard(["start"], 2)
    answers = [guard.judge(told(), at_s * SECOND_NS, nothing) for at_s in (0, 1, 2, 59, 60, 60.5, 61)]

    assert [answer.answer for answer in answers] == ["do", "do", "refuse", "refuse", "do", "refuse", "do"]
    assert answers[2] == Verdict("refuse", "rate-limited", "it was begun 2 times within a minute, expected at most 2")


def test_an_interlock_refuses_and_costs_nothing_of_the_limit() -> None:
    guard = Guard(["start"], 1)

    assert guard.judge(told(), 0, lambda: "the gate is open") == Verdict("refuse", "interlocked", "the gate is open")
    assert guard.judge(told(), 1, nothing).answer == "do"


def test_what_lasts_ends_whatever_limit_or_interlock_there_is() -> None:
    guard = Guard(["start"], 1, lasts=True)
    guard.judge(told(), 0, nothing)

    assert guard.judge(told("start", "other"), 1, nothing).answer == "refuse"
    assert guard.judge(told("end", "other"), 2, nothing).answer == "leave"
    assert guard.judge(told("end"), 3, lambda: "the gate is open").answer == "do"
    assert guard.judge(told("end"), 4, nothing).answer == "leave"


def test_what_goes_on_begins_what_lasts_where_its_start_was_refused_or_missed() -> None:
    guard = Guard(["start"], 60, lasts=True)

    assert guard.judge(told(), 0, lambda: "the gate is open").answer == "refuse"
    assert [guard.judge(told(phase), 1, nothing).answer for phase in ("ongoing", "ongoing", "end", "end")] == [
        "do",
        "leave",
        "do",
        "leave",
    ]


steps = st.lists(
    st.tuples(st.integers(0, 20 * SECOND_NS), st.sampled_from(["start", "end"]), st.sampled_from("pq")), max_size=80
)


@given(steps, st.integers(1, 4))
def test_no_minute_sees_more_than_the_limit_and_nothing_is_left_on(them: list[tuple[int, str, str]], most: int) -> None:
    guard, now_ns = Guard(["start"], most, lasts=True), 0
    begun: list[int] = []
    is_on: set[str] = set()
    for step_ns, phase, rule in them:
        now_ns += step_ns
        answer = guard.judge(told(phase, rule), now_ns, nothing).answer
        if phase == "end":
            assert answer == ("do" if rule in is_on else "leave")
            is_on.discard(rule)
        elif answer == "do":
            is_on.add(rule)
            begun.append(now_ns)

    assert all(sum(at <= other < at + MINUTE_NS for other in begun) <= most for at in begun)
