from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.domain.message import Draft, Late
from edged.fleet.budget import DAY_S, Budget, Spent
from edged.fleet.metered import OVERHEAD_BYTES, MeteredOutbox
from fakes.clock import SECOND_NS, FakeClock
from fakes.outbox import FakeOutbox

MB = 1_000_000
MIDNIGHT = 20_834 * DAY_S * SECOND_NS
"""2027-01-16T00:00:00Z."""


def clock(hour: float = 0.0, *, synced: bool = True) -> FakeClock:
    return FakeClock(wall=MIDNIGHT + int(hour * 3600) * SECOND_NS, is_synced=synced)


def spend(budget: Budget, at: FakeClock, hours: float, every_s: float, size: int, priority: int = 1) -> list[bool]:
    """Ask at a steady pace."""
    asked = []
    for _ in range(int(hours * 3600 / every_s)):
        asked.append(budget.admit("result/a", size, priority))
        at.advance(every_s)
    return asked


def test_below_the_rate_nothing_is_thinned() -> None:
    at = clock()
    budget = Budget(10 * MB, at)
    assert all(spend(budget, at, 23.9, 10, 1000))
    assert budget.figures()["thinned"] == 0
    assert not budget.is_thinning


def test_above_it_the_day_is_spent_evenly_and_to_the_full() -> None:
    at = clock()
    budget = Budget(10 * MB, at)
    passed = spend(budget, at, 23.99, 5, 5000)  # 86 MB would like to go
    quarters = [sum(passed[n * len(passed) // 4 : (n + 1) * len(passed) // 4]) for n in range(4)]
    assert 0.9 * 10 * MB < budget.figures()["used_bytes"] <= 10 * MB + 5000
    assert max(quarters) - min(quarters) < 0.1 * max(quarters)
    longest = max(len(run) for run in "".join("1" if one else "0" for one in passed[1000:]).split("1"))
    assert longest <= 2 * len(passed) / sum(passed)
    assert budget.is_thinning


def test_what_a_quiet_morning_left_may_go_out_in_the_afternoon() -> None:
    at = clock(hour=18)
    budget = Budget(10 * MB, at)
    assert sum(spend(budget, at, 6, 2, 900)) * 900 == pytest.approx(6 * 1800 * 900, rel=0.01)


def test_events_and_levels_always_pass_and_results_make_room_for_them() -> None:
    at = clock()
    budget = Budget(1 * MB, at)
    for _ in range(12 * 60):
        assert budget.admit("event/a", 2000, 0)
        budget.admit("result/a", 2000, 1)
        budget.admit("telemetry", 100, 2)
        at.advance(60)
    assert budget.figures()["used_bytes"] > 1 * MB
    assert budget.thinned["result/a"] > 500


def test_results_are_thinned_before_telemetry_is_slowed() -> None:
    at = clock()
    budget = Budget(2 * MB, at)
    for second in range(6 * 3600):
        budget.admit("result/a", 1000, 1)
        if second % 60 == 0:
            assert budget.admit("telemetry", 800, 2)
        at.advance(1)
    assert budget.thinned["telemetry"] == 0
    assert budget.thinned["result/a"] > 20_000


def test_telemetry_is_slowed_when_there_is_nothing_left_to_thin() -> None:
    at = clock()
    budget = Budget(1 * MB, at)
    passed = spend(budget, at, 12, 10, 1500, priority=2)
    assert 0 < sum(passed) < len(passed)


def test_a_document_larger_than_the_bucket_passes_in_its_turn() -> None:
    at = clock()
    budget = Budget(1 * MB, at)
    assert sum(spend(budget, at, 6, 60, 100_000)) >= 2


def test_with_nothing_left_only_events_pass_until_midnight() -> None:
    at = clock(hour=20)
    budget = Budget(1 * MB, at, Spent(1 * MB, 20_834, 4 * 3600))
    assert not any(spend(budget, at, 3.9, 30, 10))
    assert budget.admit("event/a", 10, 0)
    at.advance(400)
    assert budget.figures()["used_bytes"] == 0
    at.advance(60)
    assert budget.admit("result/a", 10, 1)


def test_a_restart_within_the_day_goes_on_and_one_on_another_day_begins_anew() -> None:
    at = clock(hour=12)
    budget = Budget(1 * MB, at)
    budget.admit("event/a", 300_000, 0)
    kept = Spent.from_json(budget.spent.to_json())
    assert kept.used_bytes == 300_000
    at.advance(3600)
    assert Budget(1 * MB, at, kept).figures()["used_bytes"] == 300_000
    at.advance(DAY_S)
    assert Budget(1 * MB, at, kept).figures()["used_bytes"] == 0


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"7", b"{}", b'{"used_bytes":null,"day":1,"left_s":1}'])
def test_a_damaged_record_is_told_apart(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (in whose words does not matter)
        Spent.from_json(content)


def test_a_record_out_of_range_is_brought_into_it() -> None:
    assert Spent.from_json(b'{"used_bytes":-5,"day":"x","left_s":1e9}') == Spent(0.0, None, DAY_S)


def test_without_a_right_clock_a_day_is_24_hours() -> None:
    at = clock(synced=False)
    budget = Budget(1 * MB, at)
    budget.admit("event/a", 500, 0)
    at.step_wall(30 * DAY_S)
    assert budget.figures()["used_bytes"] == 500, "a clock that is not right opens no new day"
    at.advance(DAY_S)
    assert budget.figures()["used_bytes"] == 0


def test_the_first_right_time_names_the_day_that_is_being_spent() -> None:
    at = FakeClock(wall=5 * SECOND_NS, is_synced=False)
    budget = Budget(1 * MB, at)
    budget.admit("event/a", 500, 0)
    at.wall, at.is_synced = MIDNIGHT + 6 * 3600 * SECOND_NS, True
    assert budget.figures() == {"limit_bytes": MB, "used_bytes": 500, "left_s": 18 * 3600, "thinned": 0}


def test_a_step_back_over_midnight_opens_no_second_day() -> None:
    at = clock()
    budget = Budget(1 * MB, at)
    budget.admit("event/a", 500, 0)
    at.step_wall(-10)
    assert budget.figures()["used_bytes"] == 500
    at.step_wall(20)
    assert budget.figures()["used_bytes"] == 500


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 60_000), st.integers(1, 2)), max_size=200))
def test_results_and_telemetry_never_overspend_a_day_by_more_than_one_document(
    script: list[tuple[int, int, int]],
) -> None:
    at = clock()
    budget = Budget(1 * MB, at)
    for wait_s, size, priority in script:
        before = budget.figures()["used_bytes"]
        budget.admit("result/a", size, priority)
        assert budget.figures()["used_bytes"] <= max(before, 1 * MB + size)
        at.advance(wait_s)


def test_the_metered_outbox_hands_on_what_the_budget_admits_with_its_whole_size() -> None:
    at, outbox = clock(), FakeOutbox()
    budget = Budget(1 * MB, at)
    metered = MeteredOutbox(outbox, budget)
    draft = Draft("result/a", {"schema": "edged.result/1", "pad": "é" * 100})
    taken = [metered.put(draft, wait_s=2.5) for _ in range(500)]
    assert 0 < len(outbox.drafts) == sum(taken) < 500
    assert set(outbox.waited) == {2.5}
    assert budget.figures()["used_bytes"] == len(outbox.drafts) * (
        len('{"schema":"edged.result/1","pad":""}') + 100 + OVERHEAD_BYTES
    )


def test_a_picture_of_an_event_is_thinned_as_results_are_and_an_event_never() -> None:
    outbox = FakeOutbox()
    metered = MeteredOutbox(outbox, Budget(0.1 * MB, clock()))
    picture = Draft("event/a", {"jpeg": "x" * 90_000}, lane="telemetry", priority=0)
    event = Draft("event/a", {"phase": "start"}, priority=0)
    assert [metered.put(draft) for draft in (picture, picture, event)] == [True, False, True]


def test_a_body_that_cannot_be_built_is_the_outboxs_to_tell_of() -> None:
    outbox = FakeOutbox()
    metered = MeteredOutbox(outbox, Budget(0.1 * MB, clock()))

    def build() -> dict[str, str]:
        message = "a plugin's own answer has no label"
        raise AttributeError(message)

    assert metered.put(Draft("result/a", Late(build))) is True
    assert [draft.stream for draft in outbox.drafts] == ["result/a"]
