"""GPIO lines about events."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edged.domain.errors import DeviceError
from edged.sinks.relay import Relay, is_active
from fakes.clock import FakeClock
from fakes.gpiochip import Chip, install

CHIP, LINE = "/dev/gpiochip0", 17


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Chip:
    made = Chip()
    install(monkeypatch, {CHIP: made})
    return made


def relay(clock: FakeClock, *, active_low: bool = False, hold_s: float | None = None) -> Relay:
    return Relay(Path(CHIP), LINE, clock.monotonic_ns, active_low=active_low, hold_s=hold_s)


def told(phase: str, rule: str = "r") -> dict[str, str]:
    return {"pipeline": "a", "rule": rule, "phase": phase}


def test_a_line_is_active_from_the_first_start_to_the_last_end(chip: Chip) -> None:
    lamp = relay(FakeClock())
    seen = []
    for phase, rule in (("start", "p"), ("start", "q"), ("end", "p"), ("ongoing", "q"), ("end", "q")):
        lamp.do(told(phase, rule))
        seen.append(chip.levels[LINE])

    assert seen == [True, True, True, True, False]
    assert chip.held == {LINE: "edged"}


def test_a_line_that_is_active_when_low_is_inverted(chip: Chip) -> None:
    lamp = relay(FakeClock(), active_low=True)
    lamp.do(told("start"))
    was_low = not chip.levels[LINE]
    lamp.do(told("end"))

    assert was_low
    assert chip.levels[LINE]


def test_a_line_with_a_time_goes_off_by_itself_counted_from_the_last_start(chip: Chip) -> None:
    clock = FakeClock()
    lamp = relay(clock, hold_s=5.0)
    lamp.do(told("start"))
    clock.advance(4)
    assert lamp.tick() == pytest.approx(1.0)
    lamp.do(told("start"))
    clock.advance(4)
    assert lamp.tick() == pytest.approx(1.0)
    clock.advance(1)

    assert lamp.tick() is None
    assert not chip.levels[LINE]
    assert lamp.tick() is None


def test_a_line_that_was_left_active_is_held_and_inactive_before_there_is_any_event(chip: Chip) -> None:
    chip.levels[LINE] = True

    assert relay(FakeClock()).tick() is None
    assert (chip.levels[LINE], chip.held) == (False, {LINE: "edged"})


def test_time_that_passes_while_it_is_asked_gives_no_negative_wait(chip: Chip) -> None:
    now_ns = iter((0, 999_999_999, 1_000_000_001))
    lamp = Relay(Path(CHIP), LINE, lambda: next(now_ns), active_low=False, hold_s=1.0)
    lamp.do(told("start"))

    assert lamp.tick() == 0.0
    assert chip.levels[LINE]


def test_two_actions_may_read_the_same_interlock_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, together = threading.Event(), threading.Barrier(8)

    class Slow(Chip):
        """One that takes its time to give a level."""

        def __getattribute__(self, name: str) -> object:
            if name == "levels":
                inside.wait(0.01)
            return super().__getattribute__(name)

    install(monkeypatch, {CHIP: Slow(levels={3: True})})
    with ThreadPoolExecutor(8) as pool:
        read = [
            pool.submit(lambda: together.wait(10) >= 0 and is_active(Path(CHIP), 3, active_low=False)) for _ in range(8)
        ]

    assert [one.result() for one in read] == [True] * 8


def test_without_edged_the_line_is_inactive_and_free(chip: Chip) -> None:
    lamp = relay(FakeClock())
    lamp.do(told("start"))
    lamp.close()
    lamp.close()

    assert (chip.levels[LINE], chip.held) == (False, {})


def test_a_line_that_is_held_or_fails_is_told_and_requested_again(chip: Chip) -> None:
    lamp = relay(FakeClock())
    chip.held[LINE] = "somebody"
    with pytest.raises(DeviceError, match="Device or resource busy, expected an output that is free"):
        lamp.do(told("start"))
    del chip.held[LINE]
    chip.broken = OSError(19, "No such device")
    with pytest.raises(DeviceError, match="No such device"):
        lamp.do(told("ongoing"))
    chip.broken = None
    assert lamp.tick() is None

    assert chip.levels[LINE]


def test_an_input_is_read_and_let_go(chip: Chip) -> None:
    chip.levels[3] = True

    assert is_active(Path(CHIP), 3, active_low=False)
    assert not is_active(Path(CHIP), 3, active_low=True)
    assert chip.held == {}
    with pytest.raises(DeviceError, match="cannot read line 3 of /dev/gpiochip7"):
        is_active(Path("/dev/gpiochip7"), 3, active_low=False)


def test_the_real_binding_refuses_what_is_no_chip() -> None:
    pytest.importorskip("gpiod", reason="needs gpiod")
    lamp = Relay(Path("/dev/null"), LINE, FakeClock().monotonic_ns, active_low=False, hold_s=None)

    with pytest.raises(DeviceError, match=f"cannot set line {LINE} of /dev/null"):
        lamp.do(told("start"))


def test_without_the_binding_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)

    with pytest.raises(DeviceError, match="gpiod is not installed") as caught:
        relay(FakeClock()).do(told("start"))
    assert caught.value.remedy == "install edged[gpio]"
