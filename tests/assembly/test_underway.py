"""How far updates are, for whoever looks at the box."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edged.assembly.update_reports import UpdateReports
from edged.fleet.topics import Stamper
from edged.update.change import Change
from edged.update.records import Ordered, Pointer
from edged.update.rollout import Event, State
from fakes.clock import FakeClock
from fakes.outbox import FakeOutbox
from fakes.probed import NEW, Site

ORDER: dict[str, Any] = {
    "document": "d" * 64,
    "audience": "device:press-07",
    "seq": 1,
    "by": "someone",
    "version": "2.0.0",
    "target": "parts-2.0.0.edgemodel",
    "sha256": "a" * 64,
    "length": 100,
}


@pytest.fixture
def reports() -> UpdateReports:
    return UpdateReports(FakeOutbox(), Stamper("a-boot", FakeClock()))


def comes(reports: UpdateReports, state: State, reason: str = "", event: Event = Event.BEGUN) -> None:
    order = Ordered.model_validate(ORDER)
    after = Pointer(state=state, order=order, reason=reason)
    reports.tell(Change("parts", event, Pointer(order=order), after, None))


def test_an_update_is_told_with_its_state_and_how_far_its_download_is(reports: UpdateReports) -> None:
    comes(reports, State.DOWNLOADING)
    reports.progress("parts", 10, 100)
    reports.progress("parts", 11, 100)  # too soon to be worth a document

    assert reports.underway() == [
        {"model": "parts", "version": "2.0.0", "state": "downloading", "reason": "", "done": 11, "of": 100}
    ]


def test_the_next_state_begins_without_the_bytes_of_the_one_before(reports: UpdateReports) -> None:
    comes(reports, State.DOWNLOADING)
    reports.progress("parts", 100, 100)
    comes(reports, State.READY, "waits for 01:00-05:00")

    (told,) = reports.underway()
    assert (told["state"], told["reason"], "done" in told) == ("ready", "waits for 01:00-05:00", False)


@pytest.mark.parametrize("state", [State.COMMITTED, State.FAILED, State.ROLLED_BACK, State.POSTPONED])
def test_an_update_that_has_come_to_its_end_is_on_its_way_no_more(reports: UpdateReports, state: State) -> None:
    comes(reports, State.VERIFYING)
    comes(reports, state)
    reports.progress("parts", 1, 2)  # what still came of a download that was called back

    assert reports.underway() == []


def test_a_probation_is_told_by_its_time_and_its_results_until_its_end(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert site.probing.underway() == []
    site.sees(500)
    site.begins(NEW)
    site.sees(30)

    assert site.verdict()[0] == "watch"
    (told,) = site.probing.underway()
    assert (told["model"], told["state"], told["version"]) == ("parts", "probation", "1.1.0")
    assert (told["results"], told["of_results"]) == (30, 100)
    assert told["done_s"] <= told["of_s"]
    site.sees(200)
    assert site.verdict()[0] == "commit"
    assert site.probing.underway() == []
