"""What this box is, and what a model could run as on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edged.config.plugins import brought
from edged.config.schema import Config
from edged.config.share import shipped
from edged.control.choose import OWN_RUNTIMES, Facts, choose
from edged.control.profile import Profile, load_profiles, match_profile
from edged.domain.bundle import Bundle, Variant
from edged.domain.device import Inventory
from edged.domain.errors import EdgedError
from edged.domain.variant import Ladder
from edged.engines.flatbuffer import custom_operators
from edged.hardware.inventory import take_inventory
from edged.hardware.runtimes import InstalledRuntime, installed_runtimes
from edged.update.manifest import variant_faults

ENGINES = frozenset({"cpu", "cuda", "tensorrt", "openvino"})
"""The accelerators that this version drives."""


@dataclass(frozen=True, slots=True)
class Box:
    """The hardware, the profile that fits it, and the installed runtimes (for another machine's tree: none are known)."""

    inventory: Inventory
    profile: Profile
    runtimes: tuple[InstalledRuntime, ...]
    is_this_machine: bool


def survey(root: Path, wanted_profile: str, folders: Sequence[Path]) -> Box:
    """Look at the machine whose files hang from ``root``. ``folders`` of profiles stand before the shipped one."""
    inventory = take_inventory(root)
    profiles = load_profiles([*folders, shipped("device-profiles")])
    here = root == Path("/")
    runtimes = installed_runtimes() if here else ()
    return Box(inventory, match_profile(profiles, inventory, wanted_profile), runtimes, here)


def survey_for(config: Config, root: Path = Path("/")) -> Box:
    """Look at the machine with the profile that the configuration asks for."""
    return survey(root, config.device.profile, config.profiles.directories)


def model_folders(config: Config) -> tuple[Path, ...]:
    """List where bundles are looked for: the operator's folders stand before the shipped one."""
    return (*config.models.directories, shipped("models"))


def ladder(bundle: Bundle, box: Box, pin: str | None = None) -> Ladder:
    """Choose among the bundle's variants on this box."""
    faults = variant_faults(bundle)
    facts = Facts(
        box.inventory,
        runtimes=_runtimes(bundle, box) if box.is_this_machine else None,
        engines=ENGINES if box.is_this_machine else None,
        faults=faults,
        operators={v.id: _operators(bundle, v) for v in bundle.manifest.variant if v.id not in faults},
    )
    return choose(bundle, box.profile, facts, pin)


def _runtimes(bundle: Bundle, box: Box) -> set[str]:
    """Name the runtimes that are there; those of packages only when the bundle asks for one that edged does not have."""
    own = {runtime.runtime for runtime in box.runtimes}
    asked = {variant.runtime for variant in bundle.manifest.variant} - OWN_RUNTIMES
    return {*own, *(asked & brought("edged.engines").keys() if asked else ())}


def _operators(bundle: Bundle, variant: Variant) -> tuple[str, ...]:
    if variant.runtime != "tflite":
        return ()
    try:
        return custom_operators(bundle.path_of(variant))
    except EdgedError:
        # A file that cannot be read so far is refused by the runtime, in the runtime's words.
        return ()
