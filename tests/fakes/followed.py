"""An order for one file, and what becomes of it on a box."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edged.domain.errors import EdgedError
from edged.update.desired import Audience
from fakes.couriers import Box
from fakes.repository_simulator import desired, ordered

NAME = "parts-1.3.0.edgemodel"
CONTENT = bytes(range(256)) * 64


def offered(state: Path) -> Box:
    """Give a box, and a repository that offers the file as parts 1.3.0."""
    box = Box(state)
    box.simulator.add(NAME, CONTENT, name="parts", version="1.3.0")
    box.simulator.publish()
    return box


def order(**changes: object) -> dict[str, object]:
    return desired(**{"models": {"parts": ordered(NAME, CONTENT)}, **changes})


def follow(box: Box, **changes: object) -> None:
    """Judge an order and fetch what it names."""
    courier = box.courier()
    accepted = courier.judge(box.simulator.desire(order(**changes)), Audience("device", "press-07"))
    wanted = accepted.models["parts"]
    assert wanted is not None
    assert courier.fetch(wanted).path.read_bytes() == CONTENT


def refusal(attempt: Callable[[], object]) -> str:
    with pytest.raises(EdgedError) as refused:
        attempt()
    return refused.value.code


def code_of(box: Box, **changes: object) -> str:
    return refusal(lambda: follow(box, **changes))


def incoming(box: Box) -> list[str]:
    return sorted(file.name for file in (box.state / "incoming").glob("*"))
