from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edged.assembly.ears import Ears
from edged.assembly.sinking import WAITING, SinkPart, Sinks
from edged.config.schema import Config, Sink
from edged.domain.errors import DeviceError
from edged.domain.message import Draft, Late
from fakes.brought import bring
from fakes.clock import FakeClock
from fakes.outbox import FakeOutbox
from fakes.waiting import until

EVENT = Draft("event/a", {"schema": "e"})


class KeptSink:
    """Keeps what it is given; with ``holds`` it waits for ``go`` first."""

    def __init__(self, *, holds: bool = False, fails: bool = False) -> None:
        self.taken: list[tuple[str, Mapping[str, Any]]] = []
        self.closed, self.word = False, ""
        self.go, self._fails = threading.Event(), fails
        if not holds:
            self.go.set()

    def take(self, stream: str, document: Mapping[str, Any]) -> None:
        self.go.wait(10)
        if self._fails:
            message = "no room"
            raise OSError(message)
        self.taken.append((stream, document))

    def trouble(self) -> str:
        return self.word

    def close(self) -> None:
        self.closed = True


def part(sink: KeptSink, ears: Ears, **more: Any) -> SinkPart:
    made = SinkPart("plant", lambda: sink, ears, FakeClock(), **more)
    made.start()
    return made


def test_what_is_told_until_the_end_is_taken_in_order_and_the_sink_closed() -> None:
    sink, ears = KeptSink(), Ears(FakeOutbox())
    made = part(sink, ears)
    ears.put(EVENT)
    made.stop()
    ears.put(Draft("event/a", {"schema": "last"}))
    assert made.join(30)
    assert [body["schema"] for _, body in sink.taken] == ["e", "last"]
    assert sink.closed


def test_a_sink_that_is_slow_holds_up_nobody_and_what_is_left_out_is_counted() -> None:
    sink, ears = KeptSink(holds=True), Ears(FakeOutbox())
    made = part(sink, ears)
    for _ in range(WAITING + 5):
        ears.put(EVENT)
    assert made.left_out in {4, 5}, "one may be in hand"
    assert made.ended, "it keeps no recording from its end"
    assert "takes documents too slowly" in made.reasons()[0].message
    sink.word = "the plant's broker is away"
    (reason,) = made.reasons()
    assert (reason.code, reason.component) == ("sink-failing", "plant")
    assert f"the plant's broker is away; {made.left_out} documents were left out" == reason.message
    sink.go.set()
    assert made.join(30)


def test_a_sink_that_raises_is_told_and_goes_on() -> None:
    sink, ears = KeptSink(fails=True), Ears(FakeOutbox())
    made = part(sink, ears)
    ears.put(EVENT)
    until(made.reasons, "the fault is told")
    assert "met a fault: OSError: no room" in made.reasons()[0].message
    assert made.join(30)


def test_a_document_that_cannot_be_built_is_none_of_the_sinks_faults() -> None:
    def build() -> dict[str, Any]:
        message = "a decoder's own answer has no label"
        raise AttributeError(message)

    sink, ears = KeptSink(), Ears(FakeOutbox())
    made = part(sink, ears)
    made.hear(Draft("result/a", Late(build)))
    reasons = made.reasons()
    made.hear(EVENT)
    until(lambda: sink.taken, "the next one is taken")
    assert (reasons, made.reasons()) == ((), ())
    made.stop()
    assert made.join(30)


def test_a_sink_that_cannot_say_what_is_wrong_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    sink, ears = KeptSink(), Ears(FakeOutbox())
    made = part(sink, ears)
    until(lambda: repr(made) == f"<SinkPart plant: {sink!r}, 0 waiting, 0 left out>", "it is open")
    monkeypatch.setattr(sink, "trouble", lambda: 1 / 0)
    assert [reason.message for reason in made.reasons()] == ["ZeroDivisionError: division by zero"]
    assert made.join(30)


def test_a_sink_that_cannot_be_opened_is_told_and_tried_again() -> None:
    sink, ears, tries = KeptSink(), Ears(FakeOutbox()), list[int]()

    def opens() -> KeptSink:
        tries.append(1)
        if len(tries) == 1:
            message = "no such host"
            raise DeviceError(message)
        return sink

    made = SinkPart("plant", opens, ears, FakeClock(), again_s=0.01)
    ears.put(EVENT)
    made.start()
    until(lambda: len(tries) == 2, "the second try")
    ears.put(EVENT)
    assert made.join(30)
    assert len(sink.taken) == 1
    assert made.reasons() == ()


def test_a_sink_that_never_opens_ends_all_the_same_however_much_waits_for_it() -> None:
    def opens() -> KeptSink:
        raise OSError

    ears = Ears(FakeOutbox())
    made = SinkPart("plant", opens, ears, FakeClock())
    made.start()
    until(made.reasons, "the fault")
    for _ in range(WAITING + 1):
        ears.put(EVENT)
    made.stop()
    assert made.join(30)


def test_one_that_has_too_much_to_do_for_its_end_ends_when_it_has_done_it() -> None:
    sink, ears = KeptSink(holds=True), Ears(FakeOutbox())
    made = part(sink, ears)
    for _ in range(WAITING + 5):
        ears.put(EVENT)
    until(made._inbox.full, "all that may wait does")
    made.stop()
    assert not made.join(0.0)
    sink.go.set()
    assert made.join(30)
    assert sink.closed


def test_one_that_was_still_opening_at_its_end_delivers_and_ends() -> None:
    sink, ears, opens = KeptSink(), Ears(FakeOutbox()), threading.Event()
    made = SinkPart("plant", lambda: opens.wait(10) and sink, ears, FakeClock())  # type: ignore[arg-type, return-value] # set by then
    made.start()
    for _ in range(WAITING + 5):
        ears.put(EVENT)
    made.stop()
    assert not made.join(0.0)
    opens.set()
    assert made.join(30)
    assert (len(sink.taken), sink.closed) == (WAITING, True)


def test_a_part_is_the_same_while_its_settings_and_the_pipelines_are(tmp_path: Path) -> None:
    wanted = Sinks(Ears(FakeOutbox()), (Sink(name="plant", kind="spb"),), FakeClock())
    one, other = (configured(tmp_path, names) for names in (["a"], ["a", "b"]))
    assert wanted.parts(one)[0].settings == wanted.parts(one)[0].settings
    assert wanted.parts(one)[0].settings != wanted.parts(other)[0].settings
    assert wanted.parts(configured(tmp_path, [])) == ()


def test_a_package_is_given_options_clock_and_the_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "calls = []\ndef made(**given):\n    calls.append(given)\n    raise OSError('seen')\n"
    module = bring(tmp_path, "edged.sinks", "brought", code)
    monkeypatch.syspath_prepend(tmp_path)
    settings = Sink.model_validate({"name": "plant", "kind": "brought", "options": {"x": 1}})
    (wanted,) = Sinks(Ears(FakeOutbox()), (settings,), FakeClock()).parts(configured(tmp_path, ["a"]))
    made: Any = wanted.build()
    made.start()
    until(made.reasons, "it was asked")
    (given,) = __import__(module).calls
    assert given["options"] == {"x": 1}
    assert (given["box"].device, dict(given["box"].pipelines)) == ("press-07", {"a": ("r",)})
    assert given["box"].folder == tmp_path / "sinks" / "plant"
    made.stop()
    assert made.join(30)


def test_a_kind_that_nobody_brings_is_told(tmp_path: Path) -> None:
    (wanted,) = Sinks(Ears(FakeOutbox()), (Sink(name="plant", kind="nobody"),), FakeClock()).parts(
        configured(tmp_path, ["a"])
    )
    made: Any = wanted.build()
    made.start()
    until(made.reasons, "the fault")
    assert "cannot find 'nobody' of edged.sinks" in made.reasons()[0].message
    made.stop()
    assert made.join(30)


def configured(folder: Path, names: list[str]) -> Config:
    rule = {"name": "r", "when": {"label": "person"}}
    return Config.model_validate(
        {
            "device": {"id": "press-07"},
            "state": {"directory": folder},
            "source": [{"name": "s", "kind": "camera", "url": "/dev/video0"}],
            "pipeline": [{"name": name, "source": "s", "model": "m", "rule": [rule]} for name in names],
        }
    )
