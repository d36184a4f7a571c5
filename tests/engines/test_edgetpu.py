"""Edge TPUs: what is remembered of library and runtime, who holds a device, and a box's pool of them."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edged.domain.errors import DeviceError, EngineLostError
from edged.engines.edgetpu import Device, Pool, find_library, holders
from edged.engines.edgetpu_canary import CRASHES, Canary
from edged.engines.sandbox import CrashedError, Home
from edged.engines.sandbox_deadline import Patience
from fakes.faketpu import COMPILED, FakeTpus
from fakes.note import Note
from fakes.unkillable import unkillable
from fakes.waiting import until

HOME = Home(patience=Patience(floor_s=20.0))
QUICK = Home(patience=Patience(floor_s=0.5, opening_s=20.0))
"""For what shall hang."""
PICTURE = np.full((1, 128, 128, 3), 7, np.uint8)


@pytest.fixture
def note() -> Note:
    return Note()


@pytest.fixture
def library(tmp_path: Path) -> Path:
    file = tmp_path / "libedgetpu.so.1"
    file.write_bytes(b"the library")
    return file


def canary(note: Note) -> Canary:
    return Canary(note.read, note.write)


@pytest.mark.parametrize("name", ["usb", "", "usb:", ":0", "pcie:0", "usb:one"])
def test_a_device_has_a_bus_and_an_index(name: str) -> None:
    with pytest.raises(ValueError, match="expected usb:N or pci:N"):
        Device(name)


def test_a_library_that_is_not_installed_is_told_with_the_folders(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=f"libedgetpu.so.1 is in none of {tmp_path}") as caught:
        find_library([str(tmp_path)])
    assert caught.value.code == "library-missing"
    (tmp_path / "libedgetpu.so.1").touch()
    assert find_library([str(tmp_path)]) == tmp_path / "libedgetpu.so.1"


def test_who_holds_a_device_is_named(tmp_path: Path) -> None:
    node = tmp_path / "apex_0"
    node.touch()
    assert holders(str(node)) == []
    with node.open():
        (who,) = holders(str(node))
    assert who.startswith(f"process {os.getpid()} (")


def test_a_box_without_one_says_so(note: Note, library: Path) -> None:
    with pytest.raises(DeviceError, match="cannot use an Edge TPU: none was found") as caught:
        Pool([], canary(note), library).open(Path("m.tflite"), HOME)
    assert caught.value.code == "device-absent"


@pytest.fixture
def model(assets: Path) -> Path:
    return assets / "models" / COMPILED


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTpus:
    tpus = FakeTpus(tmp_path / "tpus")
    monkeypatch.setenv("FAKE_EDGETPU", tpus.env["FAKE_EDGETPU"])
    return tpus


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTpus:
    tpus = FakeTpus(tmp_path / "tpus", ("usb:0", "usb:1"))
    monkeypatch.setenv("FAKE_EDGETPU", tpus.env["FAKE_EDGETPU"])
    return tpus


def pool(tpus: FakeTpus, note: Note) -> Pool:
    return Pool(
        [Device(name, str(tpus.devices / name.replace(":", "-"))) for name in tpus.names], canary(note), tpus.library
    )


@pytest.mark.slow
@pytest.mark.assets
def test_pipelines_are_spread_and_who_comes_late_shares_the_same_file(two: FakeTpus, note: Note, model: Path) -> None:
    shared = pool(two, note)
    leases = [shared.open(model, HOME) for _ in range(3)]
    assert {lease.device for lease in leases[:2]} == {"usb:0", "usb:1"}
    assert leases[2].device in {"usb:0", "usb:1"}
    answers = [lease.infer([PICTURE])[0].argmax() for lease in leases]
    assert len(set(answers)) == 1
    for lease in leases:
        lease.close()
        lease.close()
    assert repr(shared) == "<Pool of 2 Edge TPUs: usb:0: free, usb:1: free>"
    with pytest.raises(EngineLostError, match="was closed"):
        leases[0].infer([PICTURE])


@pytest.mark.slow
@pytest.mark.assets
def test_two_files_share_a_device_and_the_child_that_holds_it(
    one: FakeTpus, tmp_path: Path, note: Note, model: Path
) -> None:
    shared, other = pool(one, note), tmp_path / "other.tflite"
    other.write_bytes(model.read_bytes())
    first, second = shared.open(model, HOME), shared.open(other, HOME)
    assert first.engine.pid == second.engine.pid
    expected = first.infer([PICTURE])[0]
    assert np.array_equal(second.infer([PICTURE])[0], expected)
    first.close()
    assert np.array_equal(second.infer([PICTURE])[0], expected)
    third = shared.open(model, HOME)
    assert np.array_equal(third.infer([PICTURE])[0], expected)
    one.say("crash")
    for lease in (second, third):
        with pytest.raises(EngineLostError, match="SIGSEGV"):
            lease.infer([PICTURE])
        lease.close()
    assert repr(shared) == "<Pool of 1 Edge TPUs: usb:0: free>"


@pytest.mark.slow
@pytest.mark.assets
def test_of_those_that_wait_for_a_device_the_most_important_comes_first(one: FakeTpus, note: Note, model: Path) -> None:
    shared = pool(one, note)
    leases = [shared.open(model, HOME) for _ in range(3)]
    leases[2].priority = 10
    places = leases[0].engine._sandbox.places
    one.say("slow 3000")
    came: list[int] = []

    def run(place: int) -> None:
        leases[place].infer([PICTURE])
        came.append(place)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(3)]
    for number, thread in enumerate(threads):
        thread.start()
        until(lambda number=number: f"1 of 1 places taken, {number} wait" in repr(places), "it waits")  # type: ignore[misc] # bound at once
    one.say("ok")
    for thread in threads:
        thread.join(20)
    for lease in leases:
        lease.close()

    assert came == [0, 2, 1]


@pytest.mark.slow
@pytest.mark.assets
def test_a_device_that_was_lost_comes_last_and_its_shared_engine_is_not_given_again(
    two: FakeTpus, note: Note, model: Path
) -> None:
    shared = pool(two, note)
    first = shared.open(model, QUICK)
    two.say("hang", first.device)
    with pytest.raises(EngineLostError, match="gave no answer"):
        first.infer([PICTURE])
    second = shared.open(model, HOME)
    assert second.device != first.device
    two.say("ok", first.device)
    third = shared.open(model, HOME)
    assert third.infer([PICTURE])[0].max() == 255
    for lease in (first, second, third):
        lease.close()


@pytest.mark.slow
@pytest.mark.assets
def test_each_trouble_of_a_device_has_its_own_words(two: FakeTpus, note: Note, model: Path) -> None:
    shared = pool(two, note)
    two.say("vanish", "usb:0")
    two.say("vanish", "usb:1")
    with pytest.raises(
        DeviceError, match=r"cannot open Edge TPU usb:0: .*no such device.*; cannot open Edge TPU usb:1"
    ) as caught:
        shared.open(model, HOME)
    assert caught.value.code == "device-failed"
    two.say("ok", "usb:0")
    held = pool(two, note).open(model, HOME)
    with pytest.raises(DeviceError, match=r"cannot open Edge TPU usb:0: process \d+ \(.*\) holds .*usb-0"):
        shared.open(model, HOME)
    held.close()


@pytest.mark.slow
@pytest.mark.assets
def test_a_library_that_crashes_with_the_runtime_is_remembered_and_not_tried_a_third_time(
    two: FakeTpus, note: Note, model: Path
) -> None:
    two.say("crash-open", "usb:0")
    for _ in range(CRASHES):
        with pytest.raises(CrashedError, match="SIGSEGV"):
            pool(two, note).open(model, HOME)
    two.say("ok", "usb:0")
    with pytest.raises(DeviceError, match="loading both crashed 2 times"):
        pool(two, note).open(model, HOME)


@pytest.mark.slow
@pytest.mark.assets
def test_who_gives_back_waits_for_nobody_who_opens_there(one: FakeTpus, note: Note, model: Path) -> None:
    shared = pool(one, note)
    lease = shared.open(model, HOME)
    seat = shared._seats["usb:0"]
    with seat.opening:
        began_s = time.monotonic()
        lease.close()
        assert time.monotonic() - began_s < 20  # the seat is never free
        assert repr(shared) != "<Pool of 1 Edge TPUs: usb:0: free>"
    until(lambda: repr(shared) == "<Pool of 1 Edge TPUs: usb:0: free>", "it is given back")


@pytest.mark.slow
@pytest.mark.assets
def test_a_device_whose_child_does_not_end_is_not_given_another_until_it_has(
    one: FakeTpus, monkeypatch: pytest.MonkeyPatch, note: Note, model: Path
) -> None:
    shared = pool(one, note)
    lease = shared.open(model, QUICK)
    one.say("hang")
    with unkillable(monkeypatch) as let_go:
        with pytest.raises(EngineLostError, match="gave no answer"):
            lease.infer([PICTURE])
        lease.close()
        child = lease.engine.pid
        with pytest.raises(
            DeviceError, match=rf"process {child}, which was ended there, hangs in its driver"
        ) as caught:
            shared.open(model, HOME)
        assert caught.value.code == "device-failed"
        let_go()
    one.say("ok")
    until(lambda: not lease.engine._sandbox.lingers, "its end")
    shared.open(model, HOME).close()


@pytest.mark.slow
@pytest.mark.assets
def test_a_further_model_has_less_time_to_open_since_another_waits(
    one: FakeTpus, tmp_path: Path, note: Note, model: Path
) -> None:
    shared, other = pool(one, note), tmp_path / "other.tflite"
    other.write_bytes(model.read_bytes())
    lease = shared.open(model, HOME)
    one.say("hang")
    home, began_s = Home(patience=Patience(opening_s=60.0, joining_s=0.3)), time.monotonic()

    with pytest.raises(DeviceError, match=r"gave no answer within 0.30 s"):
        shared.open(other, home)

    assert time.monotonic() - began_s < 10
    lease.close()
