"""Who hears of a pipeline's results, by what the pipeline and the box are configured for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edged.assembly.audience import OUTBOX_WAIT_S, Audience, Hall
from edged.assembly.intake import Intake
from edged.config.schema import Pipeline
from edged.fleet.topics import Stamper
from edged.pipeline.inlet import Inlet
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.need import Needs
from edged.pipeline.reader import Reader
from edged.telemetry.trace import Tracer
from fakes.clock import FakeClock
from fakes.outbox import FakeOutbox

ALWAYS = ["PipelineMetrics", "ReportSink", "SnapshotOnCommand", "Glance"]
SNAPSHOT = {"name": "seen", "when": {"label": "person"}, "snapshot": "local"}
ACTION = {"name": "seen", "when": {"label": "person"}}


def audience(
    *,
    lossless: bool = False,
    is_pictures: bool = True,
    rule: dict[str, Any] | None = None,
    actions: tuple[str, ...] = (),
    **hall: Any,
) -> Audience:
    mailbox, clock = Mailbox("gate", lossless=lossless), FakeClock()
    intake = Intake(mailbox, Reader(mailbox), Inlet(mailbox, clock), Needs(["gate"]), is_pictures)
    told = {"name": "gate", "source": "dock", "model": "person", "rule": [rule] if rule else []}
    settings = Pipeline.model_validate(told)
    rules = tuple(one.model_copy(update={"action": actions}) for one in settings.rule)
    made = Hall(FakeOutbox(), Stamper("boot-1", clock), clock, **hall)
    return Audience(settings.model_copy(update={"rule": rules}), intake, made)


def kinds(one: Audience) -> list[str]:
    return [type(sink).__name__ for sink in one.sinks()]


@pytest.mark.parametrize(
    ("rule", "hall", "expected"),
    [
        (None, {}, ALWAYS),
        (None, {"tracer": Tracer(0.0, None)}, ["PipelineMetrics", "TracedReport", "SnapshotOnCommand", "Glance"]),
        (ACTION, {"actions": ("lamp",), "handler": lambda _name: lambda _document: None}, [*ALWAYS, "Actions"]),
        (SNAPSHOT, {}, ALWAYS),
        (SNAPSHOT, {"snapshots": Path("/nowhere")}, [*ALWAYS, "SnapshotSink"]),
    ],
    ids=["usual", "traced", "acts", "snapshots without a folder", "snapshots"],
)
def test_those_hear_who_are_asked_for(rule: dict[str, Any] | None, hall: dict[str, Any], expected: list[str]) -> None:
    assert kinds(audience(rule=rule, **hall)) == expected


def test_pictures_are_taken_of_pictures_alone() -> None:
    assert audience().snapshot is not None
    assert audience(is_pictures=False).snapshot is None


@pytest.mark.parametrize(("lossless", "wait_s"), [(True, OUTBOX_WAIT_S), (False, 0.0)])
def test_a_recording_waits_for_the_outbox_and_nothing_live_does(lossless: bool, wait_s: float) -> None:
    assert audience(lossless=lossless).report._wait_s == wait_s


def test_those_who_count_and_report_outlive_a_loop() -> None:
    one = audience()
    assert one.sinks()[0] is one.sinks()[0] is one.metrics
