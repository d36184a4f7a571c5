"""Which thermometer is which accelerator's: values in, pairs out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from edged.domain.device import Accelerator
from edged.hardware.thermal import Temperature

SENSORS: Mapping[str, re.Pattern[str]] = {
    "edgetpu": re.compile(r"apex_\d+"),
    "nvidia-gpu": re.compile(r"(?<!amd)gpu", re.IGNORECASE),
    "amd-gpu": re.compile(r"amdgpu"),
    "rockchip-npu": re.compile(r"npu", re.IGNORECASE),
}
"""By an accelerator's kind what its sensor is called: Coral's card, a Jetson's zone, amdgpu's hwmon, Rockchip's zone. Others tell none."""


def warm(
    accelerators: Sequence[Accelerator], temperatures: Sequence[Temperature]
) -> Iterator[tuple[int, Accelerator, Temperature]]:
    """Give each accelerator that has a thermometer, with its place among all; of several of a kind they go in their order."""
    left = {kind: iter([one for one in temperatures if said.search(one.sensor)]) for kind, said in SENSORS.items()}
    for place, accelerator in enumerate(accelerators):
        found = next(left.get(accelerator.kind, iter(())), None)
        if found is not None:
            yield place, accelerator, found


def is_slowed(temperature: Temperature) -> bool | None:
    """Whether what it measures runs slower than it could: from its first limit on; None where no limit is known."""
    return None if temperature.soft_c is None else temperature.temp_c >= temperature.soft_c
