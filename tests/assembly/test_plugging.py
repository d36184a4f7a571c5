from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edged.assembly.box import Box, Present
from edged.assembly.engines import Engines
from edged.assembly.plugging import LOOK_S, WHOLE_S, Plugging
from edged.domain.device import Accelerator, Evidence
from edged.hardware.inventory import find_accelerators, plugs, take_inventory
from fakes.box import accelerator, inventory, profile
from fakes.clock import FakeClock
from fakes.devicetree import plant

STICK = replace(accelerator("edgetpu"), address="2-1", evidence=(Evidence("dev/bus/usb/002/007", "present"),))


class Bus:
    """A box whose accelerators a test sets; ``looks`` counts how often they were looked for."""

    def __init__(self, *found: Accelerator) -> None:
        self.found, self.looks, self.anew = found, 0, 0
        self.clock = FakeClock()
        start = inventory(*found)
        wishes = profile({"accelerator": "cpu"})
        self.box = Box(start, wishes, (), is_this_machine=True, engines=Engines(), present=Present(start))
        self.plugging = Plugging(self.box, self.clock, self._look, lambda _root: self.found)
        self.tick()
        self.looks = 0

    def tick(self, after_s: float = LOOK_S) -> bool:
        self.clock.advance(after_s)
        return self.plugging.tick(self._choose_anew)

    @property
    def told(self) -> tuple[str, ...]:
        return tuple(one.kind for one in self.box.now.accelerators)

    def _look(self, _root: Path, _compatible: tuple[str, ...]) -> tuple[Accelerator, ...]:
        self.looks += 1
        return self.found

    def _choose_anew(self) -> None:
        self.anew += 1


def test_what_is_plugged_in_is_known_at_the_next_look_with_the_name_that_its_library_has_for_it() -> None:
    bus = Bus()
    bus.found = (STICK,)
    assert bus.tick()
    assert bus.told == ("edgetpu",)
    assert bus.box.engines.edge_tpus == (("usb:0", "/dev/bus/usb/002/007"),)
    assert (bus.anew, bus.box.present and bus.box.present.revision) == (1, 1)
    assert repr(bus.plugging) == "<Plugging: 1 accelerators>"


def test_what_is_gone_counts_as_gone_when_two_looks_say_so() -> None:
    bus = Bus(STICK)
    bus.found = ()
    assert not bus.tick()
    assert bus.told == ("edgetpu",)
    assert bus.tick()
    assert bus.told == ()
    assert bus.anew == 0


def test_a_stick_that_comes_back_as_another_device_was_never_gone() -> None:
    bus = Bus(STICK)
    bus.found = ()
    assert not bus.tick()
    bus.found = (replace(STICK, evidence=(Evidence("dev/bus/usb/002/008", "present"),)),)
    assert not bus.tick()
    assert bus.box.engines.edge_tpus == (("usb:0", "/dev/bus/usb/002/008"),)


def test_being_busy_changes_no_ladder() -> None:
    bus = Bus(STICK)
    bus.found = (replace(STICK, state="busy"),)
    assert not bus.tick()
    assert bus.box.now.accelerators[0].state == "busy"


def test_where_nothing_comes_or_goes_nothing_is_read_for_a_minute() -> None:
    bus = Bus(STICK)
    for _ in range(int(WHOLE_S / LOOK_S) - 1):
        bus.tick()
    assert bus.looks == 0
    bus.tick()
    assert bus.looks == 1


def test_it_looks_not_more_often_than_it_should() -> None:
    bus = Bus()
    bus.found = (STICK,)
    assert not bus.tick(LOOK_S / 2)
    assert bus.tick(LOOK_S / 2)


@pytest.mark.parametrize("name", ["raspberry-pi-4-coral-usb3", "pc-dual-coral", "core-ultra-no-npu-firmware"])
def test_on_real_machines_accelerators_are_found_again_and_what_comes_shows(tmp_path: Path, name: str) -> None:
    root = plant(name, tmp_path)
    whole = take_inventory(root)
    assert find_accelerators(root, whole.compatible) == whole.accelerators
    before = plugs(root)
    assert plugs(root) == before
    (root / "sys/bus/usb/devices/9-9").mkdir(parents=True)
    assert plugs(root) != before
