from __future__ import annotations

import os
from pathlib import Path

from edged.assembly.stick import MAX_BYTES, Stick
from edged.update.desired import Audience

DEVICE, LINE = Audience("device", "press-07"), Audience("group", "line-a")


class Taken:
    def __init__(self, folder: Path) -> None:
        self.orders: list[tuple[Audience, bytes]] = []
        self.folder = folder / "orders"
        self.stick = Stick(folder, (DEVICE, LINE), lambda audience, order: self.orders.append((audience, order)))

    def write(self, name: str, content: bytes) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / name).write_bytes(content)


def test_what_lies_there_for_the_box_and_its_groups_is_taken_once(tmp_path: Path) -> None:
    taken = Taken(tmp_path)
    taken.write("device-press-07.json", b"one")
    taken.write("group-line-a.json", b"two")
    taken.write("device-press-08.json", b"of another box")

    for _ in range(2):
        taken.stick.look()

    assert taken.orders == [(DEVICE, b"one"), (LINE, b"two")]
    assert repr(taken.stick) == "<Stick device:press-07, group:line-a>"


def test_a_later_order_is_taken_and_a_stick_that_is_pulled_out_takes_none_back(tmp_path: Path) -> None:
    taken = Taken(tmp_path)
    taken.stick.look()
    taken.write("device-press-07.json", b"one")
    taken.stick.look()
    (taken.folder / "device-press-07.json").unlink()
    taken.stick.look()
    taken.write("device-press-07.json", b"one")
    taken.stick.look()
    taken.write("device-press-07.json", b"later")

    taken.stick.look()

    assert [order for _, order in taken.orders] == [b"one", b"later"]


def test_no_more_is_read_than_an_order_can_have(tmp_path: Path) -> None:
    taken = Taken(tmp_path)
    taken.write("device-press-07.json", bytes(MAX_BYTES + 1))
    taken.write("group-line-a.json", b"")

    taken.stick.look()

    assert [len(order) for _, order in taken.orders] == [MAX_BYTES]


def test_a_pipe_or_a_device_on_it_holds_nothing_up(tmp_path: Path) -> None:
    taken = Taken(tmp_path)
    taken.folder.mkdir()
    os.mkfifo(taken.folder / "device-press-07.json")
    (taken.folder / "group-line-a.json").symlink_to("/dev/zero")

    taken.stick.look()

    assert taken.orders == []
