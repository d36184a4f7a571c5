"""What the tests of hardware share."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.devicetree import Machine, build, plant


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Give a function from a machine's name in tests/devices, or its lines, to the root that it builds."""

    def make(name_or_lines: str) -> Path:
        is_text = " = " in name_or_lines or "\n" in name_or_lines
        return build(name_or_lines, tmp_path) if is_text else plant(name_or_lines, tmp_path)

    return make
