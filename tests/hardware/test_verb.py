"""``edged hardware``: what is there, as programs and people are told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edged.cli import main
from edged.config.share import shipped
from edged.control.profile import load_profiles, match_profile
from edged.hardware.inventory import take_inventory, to_document
from fakes.devicetree import NAMES, Machine

ARM, X86 = "aarch64", "x86_64"


@dataclass(frozen=True)
class Told:
    """What a machine of tests/devices comes out as."""

    board: str | None
    soc: str | None
    arch: str | None
    profile: str
    int8: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


BARE, DOT = ("no-vector-int8",), ("asimddp",)
GPU = ("nvidia-gpu soc ready",)
MACHINES = {
    "container-cgroup1": Told(None, None, None, "generic", warnings=("low-memory", "oom-kill")),
    "container-cgroup2": Told(None, None, None, "generic", warnings=("oom-kill",)),
    "core-ultra-no-npu-firmware": Told(
        "ASUSTeK COMPUTER INC. NUC14RVH",
        "Intel Core Ultra 5 125H",
        X86,
        "intel-core-ultra",
        ("avx2", "avx_vnni"),
        ("intel-npu pci node-missing", "intel-gpu pci ready"),
    ),
    "intel-n100": Told("AZW EQ", "Intel N100", X86, "intel-n-series", ("avx2", "avx_vnni"), ("intel-gpu pci ready",)),
    "jetson-agx-orin": Told("NVIDIA Jetson AGX Orin Developer Kit", "Tegra234", ARM, "jetson-agx-orin", DOT, GPU),
    "jetson-agx-xavier": Told("NVIDIA Jetson AGX Xavier", "Tegra194", ARM, "jetson-agx-xavier", (), GPU, BARE),
    "jetson-nano": Told("NVIDIA Jetson Nano Developer Kit", "Tegra210", ARM, "jetson-nano", (), GPU, BARE),
    "jetson-orin-nano": Told("NVIDIA Jetson Orin Nano Developer Kit", "Tegra234", ARM, "jetson-orin-nano", DOT, GPU),
    "jetson-xavier-nx": Told("NVIDIA Jetson Xavier NX", "Tegra194", ARM, "jetson-xavier-nx", (), GPU, BARE),
    "pc-dual-coral": Told(
        "ASRock H110M-ITX",
        "Intel Core i5-7500T",
        X86,
        "x86-64-avx2",
        ("avx2",),
        ("edgetpu pcie ready", "edgetpu pcie node-missing"),
    ),
    "raspberry-pi-3": Told(
        "Raspberry Pi 3 Model B Plus Rev 1.3", "BCM2837", ARM, "raspberry-pi-3", warnings=("no-vector-int8",)
    ),
    "raspberry-pi-5-coral-usb2": Told(
        "Raspberry Pi 5 Model B Rev 1.0",
        "BCM2712",
        ARM,
        "raspberry-pi-5",
        DOT,
        ("edgetpu usb waiting-for-firmware",),
        ("usb2-link",),
    ),
}


def told(capsys: pytest.CaptureFixture[str], root: Path) -> dict[str, Any]:
    """Give the document, and hold the text for people to having an answer for everything."""
    assert main(["hardware", "--sysroot", str(root)]) == 0
    text = capsys.readouterr().out
    assert "None" not in text
    assert main(["hardware", "--sysroot", str(root), "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert all(warning["remedy"] in text for warning in document["warnings"])
    assert all(found["reason"] in text for found in document["accelerators"])
    # One line has both of the processors' reasons: what is allowed is unknown only where what is online is.
    told_reasons = {name: reason for name, reason in document["absent"].items() if name != "cpu.allowed"}
    assert [name for name, reason in told_reasons.items() if reason not in text] == []
    assert ("no instructions for it" in text) == (not document["cpu"]["int8"] and "cpu.int8" in document["evidence"])
    assert ("none found" in text) == (not document["accelerators"] and "accelerators" in document["evidence"])
    return document


def unknown(document: dict[str, Any]) -> set[str]:
    """Name the values that nothing showed; a processor that shows its instructions, none of them for int8, is known."""
    values = {
        "board": document["board"],
        "soc": document["soc"],
        "arch": document["arch"],
        "cpu.online": document["cpu"]["online"],
        "cpu.allowed": document["cpu"]["allowed"],
        "cpu.int8": document["cpu"]["int8"] or document["evidence"].get("cpu.int8"),
        "memory": document["memory_mb"]["total"],
        "accelerators": document["accelerators"],
    }
    return {name for name, value in values.items() if not value}


@pytest.mark.parametrize("name", sorted(MACHINES))
def test_a_machine_is_told_as_what_it_is(name: str, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, machine(name))

    kinds = tuple(f"{one['kind']} {one['bus']} {one['state']}" for one in found["accelerators"])
    assert MACHINES[name] == Told(
        found["board"],
        found["soc"],
        found["arch"],
        found["profile"],
        tuple(found["cpu"]["int8"]),
        kinds,
        tuple(one["code"] for one in found["warnings"]),
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_absence_says_why(name: str, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, machine(name))

    assert all(found["absent"].values())
    assert unknown(found) == found["absent"].keys()


@pytest.mark.assets
def test_the_verb_tells_every_captured_tree_as_it_is_found(assets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profiles = load_profiles([shipped("device-profiles")])
    roots = [assets / "devices" / name for name in json.loads((assets / "devices" / "expected.json").read_text())]
    assert len(roots) == 37
    for root in roots:
        inventory = take_inventory(root)
        document = told(capsys, root)
        assert document == to_document(inventory, match_profile(profiles, inventory).name, ()), root.name
        assert unknown(document) == document["absent"].keys(), root.name


def test_of_an_empty_tree_everything_is_unknown_and_nothing_is_said_to_be_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(capsys, tmp_path)

    assert unknown(found) == found["absent"].keys()
    assert (len(found["absent"]), found["evidence"]) == (8, {})


def test_a_limit_does_not_hide_that_the_memory_is_unknown(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, machine("sys/fs/cgroup/memory.max = 1073741824"))

    assert found["memory_mb"] == {"total": None, "limit": 1024}
    assert found["absent"]["memory"] == "no proc/meminfo"
    assert [one["path"] for one in found["evidence"]["memory"]] == ["sys/fs/cgroup/memory.max"]


@pytest.mark.parametrize("other", ["onnxruntime-gpu", "onnxruntime-openvino"])
def test_two_packages_of_one_import_name_are_told_with_what_to_do(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("onnxruntime", other):
        info = tmp_path / f"{name.replace('-', '_')}-9.9.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert main(["hardware"]) == 0

    text = capsys.readouterr().out
    assert f"onnxruntime and {other} share the import name onnxruntime: pip uninstall all of them" in text
