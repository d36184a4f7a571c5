from __future__ import annotations

from edged.assembly.suspecting import fault, tell_lie
from edged.fleet.schemas import AlertDocument
from edged.fleet.topics import Stamper
from edged.pipeline.selftest import Lie
from fakes.clock import FakeClock
from fakes.outbox import FakeOutbox
from fakes.results import MODEL, stamp

LIE = Lie(MODEL, "golden sample first.npy: 0 and not 4", 42, stamp(1.0, 15), stamp(3.8, 57), told=7)
STAMPER = Stamper("boot-1", FakeClock())


def test_the_alert_tells_the_range_of_results_by_frame_date_and_uptime() -> None:
    outbox = FakeOutbox()
    tell_lie("gate", outbox, STAMPER, LIE)
    (body,) = outbox.bodies("alert")
    AlertDocument.model_validate({**body, "device": "press-07", "seq": 1})
    assert (body["code"], body["component"]) == ("suspect", "gate")
    assert body["message"] == (
        "parts 1.0.0 int8 on cpu answers wrong: golden sample first.npy: 0 and not 4; "
        "42 results since it answered right are suspect"
    )
    assert body["suspect"] == {
        "stream": "result/gate",
        "variant": "int8",
        "accelerator": "cpu",
        "digest": MODEL.digest,
        "results": 42,
        "told": 7,
        "first_frame": 15,
        "last_frame": 57,
        "first_at": "2027-01-15T08:00:01.000Z",
        "last_at": "2027-01-15T08:00:03.800Z",
        "first_mono_ms": 1000,
        "last_mono_ms": 3800,
    }


def test_without_results_nothing_has_to_be_taken_back() -> None:
    outbox = FakeOutbox()
    tell_lie("gate", outbox, STAMPER, Lie(MODEL, "wrong", 0, None, None))
    assert outbox.drafts == []


def test_the_rung_is_left_alone_for_what_it_answered() -> None:
    assert (fault(LIE).code, "golden sample first.npy" in fault(LIE).args[0]) == ("suspect", True)
