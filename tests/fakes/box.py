"""Boxes and profiles to order, for the choice."""

from __future__ import annotations

from pathlib import Path

from edged.control.profile import Preference, Profile
from edged.domain.bundle import Bundle, Manifest
from edged.domain.device import Accelerator, AcceleratorKind, Cpu, Evidence, Inventory, Memory

IMAGE = {"kind": "image", "width": 8, "height": 8}


def inventory(*accelerators: Accelerator, allowed: float | None = 4.0) -> Inventory:
    return Inventory(
        board="a board",
        soc=None,
        arch="aarch64",
        compatible=(),
        cpu=Cpu(4, allowed, ()),
        memory=Memory(4000, None),
        accelerators=accelerators,
        warnings=(),
    )


def accelerator(kind: AcceleratorKind, *, usable: bool = True, reason: str = "") -> Accelerator:
    state = "ready" if usable else "driver-missing"
    return Accelerator(kind, "usb", usable, state, reason, kind, (Evidence("sys/x", "1"),))


def profile(*wishes: dict[str, object]) -> Profile:
    return Profile(name="a-profile", prefer=tuple(Preference.model_validate(wish) for wish in wishes))


def variant(name: str, **more: object) -> dict[str, object]:
    return {"id": name, "file": f"{name}.tflite", "sha256": "0" * 64, "runtime": "tflite", "precision": "int8", **more}


def bundle(*variants: dict[str, object]) -> Bundle:
    document = {
        "name": "parts",
        "version": "1.0.0",
        "task": "detection",
        "license": "Apache-2.0",
        "input": IMAGE,
        "output": {"decoder": "yolox"},
        "variant": list(variants),
    }
    return Bundle(Manifest.model_validate(document), Path("parts"))
