"""Power cuts of a real ext4 on a loop device, anywhere in an update: afterwards a good model is live, and the order ends well."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from itertools import product
from pathlib import Path
from random import Random

import pytest

from edged.update.disk import LocalDisk
from edged.update.probation import COMMIT
from edged.update.records import Ordered
from fakes.disk import PowerCutError
from fakes.ext4 import LOGFLUSH, NOLOGFLUSH, CuttingDisk, Volume
from fakes.site import Air, Mounted

pytestmark = pytest.mark.slow

SOAK = bool(os.environ.get("EDGED_SOAK_FRAMES"))
SHORT = 12
"""Of more than a hundred places; ``make soak`` goes through all of them, twice."""


def renewed(volume: Volume, template: Path) -> None:
    """Put the volume back to how it was."""
    volume.close()
    shutil.copyfile(template, volume.image)
    volume.mount()


def prepared(tmp_path: Path, volume: Volume) -> tuple[Mounted, Ordered, Path]:
    """Give a box with 1.0.0 live, an order for 2.0.0, and a copy of its volume as it is then."""
    air = Mounted(tmp_path / "air", volume=volume.path)
    air.knobs.verdict = COMMIT
    air.state.mkdir(parents=True)
    air.models.mkdir(parents=True)
    air.offer("1.0.0")
    air.live(LocalDisk())
    shutil.move(air.models, air.models.with_name("away"))  # no folder is left to come to the rescue
    air.models.mkdir()
    volume.close()
    template = shutil.copyfile(volume.image, volume.image.with_name("template.img"))
    volume.mount()
    return air, air.order(shadow_one_in=1), template


def operations(air: Air, volume: Volume, order: Ordered) -> int:
    disk = CuttingDisk(volume, None)
    assert air.carry(order, disk) == "committed"
    return disk.operations


def test_a_power_cut_anywhere_in_an_update_leaves_a_good_model_and_an_order_that_ends_well(
    tmp_path: Path, volume: Volume
) -> None:
    air, order, template = prepared(tmp_path, volume)
    last = operations(air, volume, order)
    every = list(product(range(1, last + 1), (NOLOGFLUSH, LOGFLUSH)))
    chosen = every if SOAK else Random(20261121).sample(every, SHORT)  # noqa: S311 - a seeded choice
    assert last > 60

    for cut, flags in chosen:
        renewed(volume, template)
        cutting = CuttingDisk(volume, cut, flags)
        with suppress(PowerCutError):
            ended = air.carry(order, cutting)
            pytest.fail(f"{ended} after {cutting.operations} of {last} operations, expected a cut before {cut}")
        volume.restart()

        assert air.live(LocalDisk()) in {"1.0.0", "2.0.0"}, f"cut before {cut} of {last}"
        assert air.carry(order, LocalDisk()) == "committed", f"cut before {cut} of {last}"
        assert air.live(LocalDisk()) == "2.0.0"
