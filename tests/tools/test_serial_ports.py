from __future__ import annotations

from pathlib import Path

import pytest

from edgectl.serial.ports import Port, port_of, ports

ADAPTER = "sys/devices/usb1/1-2"
BOARD = "sys/devices/usb1/1-3"
BY_ID = "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """Give a box with an FTDI adapter, an Arduino, a UART of its own, and a name for one that is not there."""
    usb(tmp_path, ADAPTER, "0403", "6001", "FTDI", "FT232R USB UART")
    usb(tmp_path, BOARD, "2341", "0043", "Arduino", "Uno")
    port(tmp_path, "ttyUSB0", f"{ADAPTER}/1-2:1.0/ttyUSB0", "ftdi_sio")
    port(tmp_path, "ttyACM0", f"{BOARD}/1-3:1.0", "cdc_acm")
    port(tmp_path, "ttyS0", "sys/devices/pnp0/00:01", "serial", kind="4")
    port(tmp_path, "ttyS1", "sys/devices/platform/serial8250", "serial8250", kind="0")
    (tmp_path / "sys/class/tty/tty1").mkdir()
    (tmp_path / "dev/serial/by-id").mkdir(parents=True)
    (tmp_path / "dev/serial/by-id" / BY_ID).symlink_to("../../ttyUSB0")
    return tmp_path


def usb(root: Path, place: str, vendor: str, product: str, maker: str, name: str) -> None:
    (root / place).mkdir(parents=True)
    told = {"idVendor": vendor, "idProduct": product, "manufacturer": maker, "product": name}
    for file, text in told.items():
        (root / place / file).write_text(text + "\n")


def port(root: Path, name: str, place: str, driver: str, kind: str = "") -> None:
    (root / place).mkdir(parents=True, exist_ok=True)
    drivers = root / "sys/bus/drivers" / driver
    drivers.mkdir(parents=True, exist_ok=True)
    (root / place / "driver").symlink_to("/sys/bus/drivers/" + driver)
    tty = root / "sys/class/tty" / name
    tty.mkdir(parents=True)
    (tty / "device").symlink_to("/" + place)
    if kind:
        (tty / "type").write_text(kind + "\n")
    (root / "dev").mkdir(exist_ok=True)
    (root / "dev" / name).touch()


def test_ports_with_hardware_are_listed_with_what_they_hang_on(box: Path) -> None:
    found = {one.node.name: one for one in ports(box)}
    assert sorted(found) == ["ttyACM0", "ttyS0", "ttyUSB0"]
    adapter = found["ttyUSB0"]
    assert (adapter.product, adapter.usb, adapter.driver) == ("FTDI FT232R USB UART", "0403:6001", "ftdi_sio")
    assert adapter.name == box / "dev/serial/by-id" / BY_ID
    assert (found["ttyS0"].usb, found["ttyS0"].driver) == ("", "serial")


def test_a_board_on_usb_itself_has_no_baud(box: Path) -> None:
    assert {one.node.name: one.has_baud for one in ports(box)} == {"ttyACM0": False, "ttyS0": True, "ttyUSB0": True}


def test_a_port_that_is_not_there_says_so(box: Path) -> None:
    told = port_of(box / "dev/ttyUSB7", box)
    assert (told.access, told.driver) == ("no such device", "")


def test_the_given_name_is_kept(box: Path) -> None:
    link = box / "dev/serial/by-id" / BY_ID
    told: Port = port_of(link, box)
    assert (told.node, told.name) == (box / "dev/ttyUSB0", link)
