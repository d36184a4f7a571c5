from __future__ import annotations

import json
from dataclasses import asdict

from edged.assembly import levels
from edged.config.schema import Objective
from edged.control.choose import choose
from edged.control.possible import Facts
from edged.domain.figures import Figures
from edged.domain.health import Reason
from edged.domain.ports import Source
from edged.fleet.topics import MAX_DOCUMENT_BYTES
from edged.pipeline.feed import Feed
from edged.pipeline.line import Line, Pipeline
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.reader import Reader
from edged.pipeline.worker import Steps, Worker
from edged.telemetry.metrics import PipelineMetrics
from fakes import box
from fakes.clock import FakeClock
from fakes.results import at, detections


def never() -> Source:
    raise AssertionError


def no_steps() -> Steps:
    raise AssertionError


def line(*names: str) -> Line:
    """Give a line that has not begun."""
    clock = FakeClock()
    mailboxes = [Mailbox(name) for name in names]
    feed = Feed("dock", never, clock, readers=[Reader(mailbox) for mailbox in mailboxes])
    return Line(
        feed,
        [
            Pipeline(name, Worker(name, no_steps, clock), mailbox, PipelineMetrics(), lambda: None)
            for name, mailbox in zip(names, mailboxes, strict=True)
        ],
    )


def test_health_dates_a_reason_by_how_long_it_lasts() -> None:
    clock = FakeClock()
    reason = Reason("camera-absent", "dock", "no such device", clock.mono, "plug it in")
    clock.advance(90)

    told = levels.health("degraded", [reason], clock.mono, clock.wall)

    assert told == {
        "schema": "edged.health/1",
        "state": "degraded",
        "reasons": [
            {
                "code": "camera-absent",
                "component": "dock",
                "message": "no such device",
                "since": "2027-01-15T08:00:00.000Z",
                "remedy": "plug it in",
            }
        ],
    }


def test_every_reason_says_what_to_do() -> None:
    (told,) = levels.health("degraded", [Reason("odd", "dock", "it is odd", 0)], 0, 0)["reasons"]
    assert told["remedy"] == "edgectl doctor looks further"


def test_a_count_that_moves_makes_no_other_health() -> None:
    one = Reason("evicted", "outbox", "3 lost", 1)
    more = Reason("evicted", "outbox", "4 lost", 2)
    other = Reason("evicted", "link", "4 lost", 2)
    assert levels.same_health([one]) == levels.same_health([more])
    assert levels.same_health([one]) != levels.same_health([other])
    assert levels.same_health([one, other]) == levels.same_health([other, one])
    assert levels.same_health([one]) != levels.same_health([])


def test_a_pipeline_is_told_with_its_rate_since_the_last_time() -> None:
    made = line("a", "b")
    for result in at([detections("bolt"), detections(), None]):
        made.pipelines[0].metrics.result(result)

    told = levels.pipelines([made], 2.0, {"a": 1})

    assert list(told) == ["a", "b"]
    assert told["a"] | {"latency_ms": None} == {
        "state": "starting",
        "source": "dock",
        "source_state": made.feed.state.condition,
        "frames": 0,
        "results": 3,
        "unknown": 1,
        "events": 0,
        "restarts": 0,
        "rate_hz": 1.0,
        "drops": dict(made.drops()["a"]),
        "latency_ms": None,
    }
    assert told["a"]["latency_ms"]["inference"]["p50"] is not None
    assert told["b"]["latency_ms"]["inference"] == {"p50": None, "p99": None}
    assert told["b"]["rate_hz"] == 0.0


def test_over_no_time_there_is_no_rate() -> None:
    assert levels.pipelines([line("a")], 0.0, {})["a"]["rate_hz"] is None


def test_a_pipeline_that_began_anew_has_no_negative_rate() -> None:
    assert levels.pipelines([line("a")], 1.0, {"a": 500})["a"]["rate_hz"] == 0.0


def test_a_ladder_tells_a_refused_rung_without_threads() -> None:
    accuracy = {"metric": "mAP50", "value": 0.9, "on": "holdout"}
    bundle = box.bundle(box.variant("coral", accelerators=["edgetpu"]), box.variant("int8", accuracy=accuracy))
    whole = choose(bundle, box.profile({"accelerator": "cpu", "threads": 2}), Facts(box.inventory()))

    told = levels.ladder(whole, Objective(prefer="latency"))

    assert (told["model"], told["version"], told["profile"]) == ("parts", "1.0.0", "a-profile")
    chosen, refused = told["variants"]
    assert (chosen["verdict"], chosen["threads"], chosen["accuracy"]) == ("chosen", 2, accuracy)
    assert (refused["verdict"], refused["threads"], refused["accuracy"]) == ("refused", None, None)
    assert refused["reason"]
    assert (told["objective"]["prefer"], told["unmet"]) == ("latency", "")
    assert (chosen["standing"], chosen["figures"]) == ("unmeasured", None)
    json.dumps(told)


def test_a_ladder_tells_what_was_measured_and_why_the_objective_is_not_met() -> None:
    row = Figures(1, 100, 20.0, 30.0, 19.0, 5.0, 40.0)
    objective = Objective(latency_ms=25)
    facts = Facts(box.inventory(), figures={("int8", "cpu"): (row,)})
    whole = choose(box.bundle(box.variant("int8")), box.profile({"accelerator": "cpu"}), facts, objective=objective)

    told = levels.ladder(whole, objective)

    (rung,) = told["variants"]
    assert (rung["verdict"], rung["standing"], rung["figures"]) == ("chosen", "misses", asdict(row))
    assert told["unmet"] == (
        "cannot meet accuracy within 25 ms: int8 on cpu with 1 thread comes nearest, with latency 30 of 25 ms"
    )


def test_of_very_many_long_reasons_health_still_fits_into_a_document() -> None:
    reasons = [Reason("config", f"pipeline-{number}", "\N{SNOWMAN}" * 5000, 0, "x" * 5000) for number in range(300)]
    body = levels.health("failed", reasons, 0, 0)
    assert len(json.dumps(body, ensure_ascii=False).encode()) < MAX_DOCUMENT_BYTES - 1024
    assert len(body["reasons"]) == levels.MAX_REASONS
    assert body["reasons"][-1]["message"] == f"{300 - levels.MAX_REASONS + 1} more reasons are left out here"


def test_a_few_reasons_are_told_as_they_are() -> None:
    (told,) = levels.health("degraded", [Reason("config", "gate", "a fault", 0, "mend it")], 0, 0)["reasons"]
    assert (told["message"], told["remedy"]) == ("a fault", "mend it")
