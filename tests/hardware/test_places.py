"""Where accelerators are looked for: "nothing there" is told from "could not look"."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edged.hardware.inventory import take_inventory, to_document
from edged.hardware.places import looked
from edged.hardware.tree import Tree
from fakes.devicetree import Machine

USB, PCI, PROC = "sys/bus/usb/devices", "sys/bus/pci/devices", "proc/bus/pci/devices"
CHIP = "proc/device-tree/compatible"


@pytest.mark.parametrize(
    ("lines", "read", "absence"),
    [
        ("etc/x = y", [], f"no {USB}, no {PCI}, no {CHIP}"),
        (f"{USB}/\n{PCI}/\n{CHIP} = a,b", [USB, PCI, CHIP], f"none found in {USB}, {PCI} and {CHIP}"),
        (f"{USB}/\n{PCI}/", [USB, PCI], f"none found in {USB} and {PCI}; no {CHIP}"),
        (f"{PROC} = x", [PROC], f"none found in {PROC}; no {USB}, no {CHIP}"),
        (f"{PCI}/\n{PROC} = x", [PCI], f"none found in {PCI}; no {USB}, no {CHIP}"),
        (
            "sys/firmware/devicetree/base/compatible = a,b",
            ["sys/firmware/devicetree/base/compatible"],
            f"none found in sys/firmware/devicetree/base/compatible; no {USB}, no {PCI}",
        ),
        (f"{USB} = x\n{PCI}/", [PCI], f"none found in {PCI}; no {USB}, no {CHIP}"),
        (
            f"{USB} -> devices\n{PROC}/",
            [],
            f"cannot read {USB} (its links turn in a circle), cannot read {PROC} (it is no file), no {CHIP}",
        ),
    ],
)
def test_the_reason_names_every_place(lines: str, read: list[str], absence: str, machine: Machine) -> None:
    fact = looked(Tree(machine(lines)))

    assert ([item.path for item in fact.evidence], fact.absence) == (read, absence)


def test_the_evidence_has_what_stood_there(machine: Machine) -> None:
    fact = looked(Tree(machine(f"{USB}/\n{CHIP} = raspberrypi,5-model-b\\0brcm,bcm2712\\0")))

    assert [item.value for item in fact.evidence] == ["present", "raspberrypi,5-model-b brcm,bcm2712"]


def test_an_accelerator_that_is_there_is_not_absent(machine: Machine) -> None:
    found = take_inventory(machine("raspberry-pi-4-coral-usb3"))

    assert "accelerators" not in to_document(found, None, ())["absent"]


def test_a_place_that_cannot_be_read_is_a_warning_beside_an_accelerator_that_is_there(machine: Machine) -> None:
    stick = f"{USB}/1-2"
    found = take_inventory(machine(f"{stick}/idVendor = 18d1\n{stick}/idProduct = 9302\n{PROC}/\n"))

    assert [x.kind for x in found.accelerators] == ["edgetpu"]
    assert [(x.code, x.evidence[0].path, x.evidence[0].value) for x in found.warnings] == [
        ("cannot-look", PROC, "it is no file")
    ]


def test_a_view_that_cannot_be_read_is_no_warning_where_another_one_shows_the_same(machine: Machine) -> None:
    found = take_inventory(machine(f"{USB}/\n{PCI}/\n{PROC}/\n"))

    assert found.warnings == ()


def test_this_machine_refuses_nothing() -> None:
    assert "cannot-look" not in {x.code for x in take_inventory(Path("/")).warnings}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_is_forbidden_is_no_empty_one(machine: Machine) -> None:
    root = machine(f"{USB}/\n{PCI}/")
    (root / USB).chmod(0)

    document = to_document(take_inventory(root), None, ())
    (root / USB).chmod(0o700)

    refused = f"cannot read {USB} (Permission denied)"
    assert document["absent"]["accelerators"] == f"none found in {PCI}; {refused}, no {CHIP}"
    assert [one["code"] for one in document["warnings"]] == ["cannot-look"]
