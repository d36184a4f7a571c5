"""What edged ships passes its own gate: each variant says what its float file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgectl.bundle.check import check
from edged.config.share import shipped
from edged.update.manifest import read_bundle

pytestmark = pytest.mark.slow

FOLDERS = sorted(place.parent for place in shipped("models").glob("*/model.toml"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_shipped_bundle_has_no_fault_on_this_machine(folder: Path) -> None:
    report = check(read_bundle(folder), None, lambda _variant: None)
    assert report.faults == ()
    assert all(line.state == "ok" and line.parity != "not judged" for line in report.lines)
