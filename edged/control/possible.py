"""What keeps a variant from running on a box at all: questions that are asked of each, in order. Pure.

The first that objects refuses it; what nobody objects to is put in order by ``choose.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from edged.control.figures import Table
from edged.domain.bundle import Variant
from edged.domain.device import Accelerator, Inventory
from edged.domain.variant import Identity

ACCELERATOR_HARDWARE: dict[str, str | None] = {
    "cpu": None,
    "edgetpu": "edgetpu",
    "cuda": "nvidia-gpu",
    "tensorrt": "nvidia-gpu",
    "openvino": "intel-gpu",
    "openvino-npu": "intel-npu",
    "openvino-cpu": None,
    "hailo": "hailo",
    "rknpu": "rockchip-npu",
}
"""What a variant's accelerator asks the inventory for; the CPU is always there."""

OWN_RUNTIMES = frozenset({"tflite", "onnx"})
"""Runtimes that edged has engines for; any other is a package's, which knows itself what it drives."""

DRIVEN_BY: dict[str, str] = {
    "edgetpu": "tflite",
    **dict.fromkeys(("cuda", "tensorrt", "openvino", "openvino-npu", "openvino-cpu"), "onnx"),
}
"""Which of them drives an accelerator; the other one would run on the CPU and call it by its name."""

OPERATOR_HARDWARE: dict[str, tuple[str, str | None]] = {
    "edgetpu-custom-op": ("a Coral Edge TPU", "edgetpu"),
    "ethos-u": ("an Arm Ethos-U NPU", None),
}
"""Custom operators that name the hardware that a file was compiled for, and that hardware's kind where edged knows it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out about the box and the files before the choice.

    ``runtimes`` are the installed ones and ``engines`` the accelerators that can be driven (None: assume all, as for another
    machine's tree). ``faults`` and ``operators`` are per variant id: what is wrong with its file, and the custom operators that it holds.
    ``sizes`` are the files' bytes. ``figures`` are what was measured on this kind of box, ``unfit`` says by variant id, accelerator and
    number of threads (None: with any) what crashed or hung when it was measured; ``budget_mb`` is the memory that a model may add (None:
    no bound), in MiB; ``overhead_ms`` is what the pipeline's own steps take beside the engine. ``running`` is the rung that runs, and stays
    unless another is enough better.
    """

    inventory: Inventory
    runtimes: Collection[str] | None = None
    engines: Collection[str] | None = None
    faults: Mapping[str, str] = field(default_factory=dict)
    operators: Mapping[str, Collection[str]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    figures: Table = field(default_factory=dict)
    unfit: Mapping[tuple[str, str, int | None], str] = field(default_factory=dict)
    budget_mb: float | None = None
    overhead_ms: float = 0.0
    running: Identity | None = None
    elsewhere: Collection[str] = ()
    """Accelerators that have an interpreter of their own: ``runtimes`` says nothing of those."""
    unready: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By variant id and accelerator: which package it lacks, or that the model is not compiled for the device yet."""

    @property
    def most_threads(self) -> int:
        """As many as the box allows."""
        return max(1, int(self.inventory.cpu.allowed or 1))


def objection(variant: Variant, accelerator: str, facts: Facts, pin: str | None) -> str:
    """Say why a variant cannot run on an accelerator here, or must not; empty when it may."""
    for question in QUESTIONS:
        why = question(variant, accelerator, facts)
        if why:
            return why
    if pin is not None and variant.id != pin:
        return f"the pipeline pins variant {pin!r}"
    return ""


def is_fit(variant: Variant, accelerator: str, threads: int, facts: Facts) -> bool:
    """Whether the box allows so many threads, and nothing crashed or hung with them."""
    unfit = {(variant.id, accelerator, threads), (variant.id, accelerator, None)}
    return threads <= facts.most_threads and facts.unfit.keys().isdisjoint(unfit)


def fit_threads(variant: Variant, accelerator: str, wanted: int, facts: Facts) -> int:
    """Give the number of threads next to ``wanted`` that is fit, rather fewer than more; 0 when none is."""
    fit = (count for count in range(1, facts.most_threads + 1) if is_fit(variant, accelerator, count, facts))
    return min(fit, key=lambda count: (abs(count - wanted), count), default=0)


def _file_is_sound(variant: Variant, _accelerator: str, facts: Facts) -> str:
    return facts.faults.get(variant.id, "")


def _runtime_is_installed(variant: Variant, accelerator: str, facts: Facts) -> str:
    if facts.runtimes is None or variant.runtime in facts.runtimes or accelerator in facts.elsewhere:
        return ""
    if variant.runtime not in OWN_RUNTIMES:
        known = ", ".join(sorted(OWN_RUNTIMES))
        return (
            f"needs the runtime {variant.runtime!r}, which no installed package brings, expected that or one of {known}"
        )
    return f"needs the runtime {variant.runtime!r}, which is not installed; run: pip install 'edged[{variant.runtime}]'"


def _accelerator_is_there(_variant: Variant, accelerator: str, facts: Facts) -> str:
    if accelerator not in ACCELERATOR_HARDWARE:
        return f"needs the accelerator {accelerator!r}, expected one of {', '.join(ACCELERATOR_HARDWARE)}"
    kind = ACCELERATOR_HARDWARE[accelerator]
    if kind is None or facts.inventory.usable(kind):
        return ""
    return f"needs {accelerator}: {_why_not(kind, facts.inventory.accelerators)}"


def _accelerator_is_driven(variant: Variant, accelerator: str, facts: Facts) -> str:
    driver = DRIVEN_BY.get(accelerator, variant.runtime)
    if variant.runtime in OWN_RUNTIMES and driver != variant.runtime:
        return f"{accelerator} runs models of the runtime {driver!r}, and this file is for {variant.runtime!r}"
    if facts.engines is None or accelerator in facts.engines or variant.runtime not in OWN_RUNTIMES:
        return ""
    return f"this version of edged drives no {accelerator}, expected one of {', '.join(sorted(facts.engines))}"


def _engine_is_ready(variant: Variant, accelerator: str, facts: Facts) -> str:
    return facts.unready.get((variant.id, accelerator), "")


def _operators_fit(variant: Variant, accelerator: str, facts: Facts) -> str:
    for operator in facts.operators.get(variant.id, ()):
        if operator not in OPERATOR_HARDWARE:
            return f"its file needs the custom operator {operator!r}, which no installed runtime brings"
        hardware, kind = OPERATOR_HARDWARE[operator]
        if kind is None or ACCELERATOR_HARDWARE.get(accelerator) != kind:
            return (
                f"its file was compiled for {hardware} (custom operator {operator!r}) and cannot run on {accelerator}"
            )
    return ""


def _measuring_went_well(variant: Variant, accelerator: str, facts: Facts) -> str:
    if fit_threads(variant, accelerator, 1, facts):
        return ""
    faults = (fault for (name, where, _), fault in facts.unfit.items() if (name, where) == (variant.id, accelerator))
    return f"cannot run here, as its measurement showed: {next(faults)}"


Question = Callable[[Variant, str, Facts], str]
QUESTIONS: tuple[Question, ...] = (
    _file_is_sound,
    _operators_fit,
    _accelerator_is_there,
    _accelerator_is_driven,
    _runtime_is_installed,
    _engine_is_ready,
    _measuring_went_well,
)
"""Asked in this order: the reason that is given is the first, and the file's own faults come before the box's."""


def _why_not(kind: str, accelerators: Collection[Accelerator]) -> str:
    seen = [accelerator for accelerator in accelerators if accelerator.kind == kind]
    if not seen:
        return f"no {kind} found"
    return f"{kind} is {seen[0].state}: {seen[0].reason}"
