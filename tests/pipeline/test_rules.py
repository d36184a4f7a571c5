from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.config.count import Count
from edged.domain.result import Event, Output
from edged.pipeline.condition import When
from edged.pipeline.rules import Rule, Rules, Timing
from fakes.results import at, detections, result

SEEN, NOTHING = detections("person"), detections()


def rules(**timing: float) -> Rules:
    return Rules([Rule("gate", "someone", When(label="person"), Timing(**timing))])


def run(outputs: list[Output | None], every_s: float = 1.0, **timing: float) -> list[tuple[str, float, float]]:
    watched = rules(**timing)
    events: list[Event] = []
    for taken in at(outputs, every_s):
        events += watched.step(taken)
    events += watched.finish()
    return [(event.phase, event.since.source_s, event.until.source_s) for event in events]


def test_a_visit_starts_with_the_first_frame_that_shows_it_and_ends_with_the_last() -> None:
    assert run([NOTHING, SEEN, SEEN, NOTHING]) == [("start", 1, 1), ("end", 1, 2)]


def test_a_visit_is_reported_once_it_has_lasted_for_s_and_begins_where_it_was_first_seen() -> None:
    assert run([SEEN, SEEN, SEEN, NOTHING], for_s=2.0) == [("start", 0, 2), ("end", 0, 2)]


def test_something_shorter_than_for_s_is_never_reported() -> None:
    assert run([SEEN, SEEN, NOTHING, NOTHING], for_s=2.0) == []


def test_an_absence_shorter_than_gap_s_is_the_same_visit() -> None:
    assert run([SEEN, NOTHING, SEEN, NOTHING, NOTHING, NOTHING], gap_s=1.5) == [("start", 0, 0), ("end", 0, 2)]


def test_an_absence_of_gap_s_ends_the_visit() -> None:
    assert run([SEEN, NOTHING, NOTHING, SEEN, NOTHING, NOTHING], gap_s=2.0) == [
        ("start", 0, 0),
        ("end", 0, 0),
        ("start", 3, 3),
        ("end", 3, 3),
    ]


def test_no_visit_starts_within_cooldown_s_of_the_last_ones_end() -> None:
    assert run([SEEN, NOTHING, SEEN, NOTHING, NOTHING, SEEN, NOTHING], cooldown_s=4.0) == [
        ("start", 0, 0),
        ("end", 0, 0),
        ("start", 5, 5),
        ("end", 5, 5),
    ]


def test_a_cooldown_outlasts_a_visit_too_short_to_be_reported() -> None:
    assert run([SEEN, NOTHING, SEEN, NOTHING, SEEN, SEEN], cooldown_s=10.0) == [("start", 0, 0), ("end", 0, 0)]


def test_a_visit_that_outlasts_the_cooldown_starts_then_and_says_since_when() -> None:
    assert run([SEEN, NOTHING, SEEN, SEEN, SEEN], cooldown_s=3.0) == [
        ("start", 0, 0),
        ("end", 0, 0),
        ("start", 2, 3),
        ("end", 2, 4),
    ]


def test_a_lasting_visit_is_confirmed_at_its_interval() -> None:
    assert run([SEEN] * 6, ongoing_every_s=2.0) == [
        ("start", 0, 0),
        ("ongoing", 0, 2),
        ("ongoing", 0, 4),
        ("end", 0, 5),
    ]


def test_an_unknown_result_is_no_evidence_of_absence() -> None:
    assert run([SEEN, None, None, None, SEEN, NOTHING]) == [("start", 0, 0), ("end", 0, 4)]


def test_time_that_runs_backwards_ends_the_visit_and_begins_anew() -> None:
    watched = rules(cooldown_s=100.0)
    started = watched.step(result(SEEN, 50.0))
    again = watched.step(result(SEEN, 0.0))
    assert [event.phase for event in started + again] == ["start", "end", "start"]


def test_a_rule_that_counts_to_zero_reports_an_absence() -> None:
    watched = Rules([Rule("gate", "nobody", When(label="person", count=Count("==", 0)), Timing())])
    assert [len(watched.step(result(output, time_s))) for time_s, output in enumerate([SEEN, NOTHING])] == [0, 1]


def test_the_repr_names_each_rule_and_its_state() -> None:
    watched = rules()
    watched.step(result(SEEN))
    assert repr(watched) == "<Rules someone: active>"


@given(
    seen=st.lists(st.sampled_from([SEEN, NOTHING, None]), max_size=60),
    for_s=st.floats(0, 5),
    gap_s=st.floats(0, 5),
    cooldown_s=st.floats(0, 10),
)
def test_starts_and_ends_alternate_and_visits_neither_overlap_nor_come_closer_than_the_cooldown(
    seen: list[Output | None], for_s: float, gap_s: float, cooldown_s: float
) -> None:
    events = run(seen, for_s=for_s, gap_s=gap_s, cooldown_s=cooldown_s, ongoing_every_s=3.0)
    phases = [phase for phase, _, _ in events if phase != "ongoing"]
    assert phases == ["start", "end"] * (len(phases) // 2)
    ends = [until for phase, _, until in events if phase == "end"]
    starts = [(since, until) for phase, since, until in events if phase == "start"]
    for end, (since, said) in zip(ends, starts[1:], strict=False):
        assert since > end
        assert said >= end + cooldown_s
    assert all(said - since >= for_s for since, said in starts)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_source_that_always_or_never_shows_it_has_at_most_one_visit(share: float) -> None:
    events = run([SEEN if share else NOTHING] * 30, gap_s=1.0)
    assert [phase for phase, _, _ in events if phase == "start"] == ["start"] * int(share)
