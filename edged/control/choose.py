"""Which variant of a model runs on this box, and why: pure, values in, a ladder out.

Every variant is asked the same questions in the order of ``QUESTIONS``; the first that objects refuses it. Those that
remain are ordered by the profile's ``prefer``, and the first of them is chosen. ``edged explain`` prints the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from edged.control.profile import Preference, Profile
from edged.domain.bundle import Bundle, Variant
from edged.domain.device import Accelerator, Inventory
from edged.domain.variant import Ladder, Rung, Verdict

ACCELERATOR_HARDWARE: dict[str, str | None] = {
    "cpu": None,
    "edgetpu": "edgetpu",
    "cuda": "nvidia-gpu",
    "tensorrt": "nvidia-gpu",
    "openvino": "intel-gpu",
    "openvino-npu": "intel-npu",
    "hailo": "hailo",
    "rknpu": "rockchip-npu",
}
"""What a variant's accelerator asks the inventory for; the CPU is always there."""

OWN_RUNTIMES = frozenset({"tflite", "onnx"})
"""Runtimes that edged has engines for; any other is a package's, which knows itself what it drives."""

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
    """

    inventory: Inventory
    runtimes: Collection[str] | None = None
    engines: Collection[str] | None = None
    faults: Mapping[str, str] = field(default_factory=dict)
    operators: Mapping[str, Collection[str]] = field(default_factory=dict)


def choose(bundle: Bundle, profile: Profile, facts: Facts, pin: str | None = None) -> Ladder:
    """Give the ladder of ``bundle`` on the box that ``facts`` describe; ``pin`` forces a variant to its top."""
    candidates = [(variant, accelerator) for variant in bundle.manifest.variant for accelerator in variant.accelerators]
    refused, possible = [], []
    for order, (variant, accelerator) in enumerate(candidates):
        objection = _objection(variant, accelerator, facts, pin)
        if objection:
            refused.append(Rung(variant, accelerator, 1, "refused", objection))
            continue
        rank, wish = _rank(profile, variant, accelerator)
        possible.append((rank, order, variant, accelerator, wish))
    possible.sort(key=lambda row: row[:2])
    ladder = [
        _rung(place, variant, accelerator, wish, profile, pin, facts.inventory)
        for place, (_, _, variant, accelerator, wish) in enumerate(possible)
    ]
    return Ladder(bundle.manifest.name, bundle.manifest.version, profile.name, (*ladder, *refused))


def _objection(variant: Variant, accelerator: str, facts: Facts, pin: str | None) -> str:
    for question in QUESTIONS:
        objection = question(variant, accelerator, facts)
        if objection:
            return objection
    if pin is not None and variant.id != pin:
        return f"the pipeline pins variant {pin!r}"
    return ""


def _file_is_sound(variant: Variant, _accelerator: str, facts: Facts) -> str:
    return facts.faults.get(variant.id, "")


def _runtime_is_installed(variant: Variant, _accelerator: str, facts: Facts) -> str:
    if facts.runtimes is None or variant.runtime in facts.runtimes:
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
    if facts.engines is None or accelerator in facts.engines or variant.runtime not in OWN_RUNTIMES:
        return ""
    return f"this version of edged drives no {accelerator}, expected one of {', '.join(sorted(facts.engines))}"


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


Question = Callable[[Variant, str, Facts], str]
QUESTIONS: tuple[Question, ...] = (
    _file_is_sound,
    _operators_fit,
    _accelerator_is_there,
    _accelerator_is_driven,
    _runtime_is_installed,
)
"""Asked in this order: the reason that is given is the first, and the file's own faults come before the box's."""


def _why_not(kind: str, accelerators: Collection[Accelerator]) -> str:
    seen = [accelerator for accelerator in accelerators if accelerator.kind == kind]
    if not seen:
        return f"no {kind} found"
    return f"{kind} is {seen[0].state}: {seen[0].reason}"


def _rank(profile: Profile, variant: Variant, accelerator: str) -> tuple[int, Preference | None]:
    """Give the place of the first wish that fits; variants that no wish names come last."""
    for place, wish in enumerate(profile.prefer):
        if wish.accelerator != accelerator:
            continue
        if wish.runtime in {None, variant.runtime} and wish.precision in {None, variant.precision}:
            return place, wish
    return len(profile.prefer), None


def _threads(wish: Preference | None, inventory: Inventory) -> int:
    """Give what the profile wishes, within what the box allows; without a wish half of the processors.

    The other half decodes cameras and talks to the fleet; more threads than processors only wait for each other.
    """
    allowed = inventory.cpu.allowed or 1.0
    wanted = allowed // 2 if wish is None or wish.threads is None else min(wish.threads, allowed)
    return max(1, int(wanted))


def _rung(
    place: int,
    variant: Variant,
    accelerator: str,
    wish: Preference | None,
    profile: Profile,
    pin: str | None,
    inventory: Inventory,
) -> Rung:
    if pin is not None:
        reason = "pinned by the pipeline"
    elif wish is None:
        reason = f"profile {profile.name} has no wish for it"
    else:
        reason = f"profile {profile.name}, wish {profile.prefer.index(wish) + 1}: {_words(wish)}"
    verdict: Verdict = "possible" if place else "chosen"
    return Rung(variant, accelerator, _threads(wish, inventory), verdict, reason)


def _words(wish: Preference) -> str:
    return ", ".join(word for word in (wish.accelerator, wish.runtime, wish.precision) if word)
