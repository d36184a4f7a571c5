"""What a box tells of a model's slot."""

from __future__ import annotations

from pathlib import Path

from edged.assembly.installed import described
from edged.domain.strict import unix_ms
from edged.update.probation import COMMIT
from fakes.site import Air, box


def told(air: Air) -> dict[str, object]:
    (one,) = air.updater().installed().models
    return described(one)


def test_it_says_since_when_it_is_in_its_state(tmp_path: Path) -> None:
    air = box(tmp_path)
    air.carry(air.order())
    air.knobs.verdict = COMMIT
    air.clock.advance(60.0)
    air.carry(air.order())

    now = told(air)

    assert (now["state"], unix_ms(now["since"])) == ("committed", air.clock.wall_ns() // 1_000_000)


def test_a_restart_in_probation_does_not_begin_it_anew(tmp_path: Path) -> None:
    air = box(tmp_path)
    order = air.order()
    air.carry(order)
    began = told(air)
    air.clock.advance(60.0)

    air.carry(order)

    again = told(air)
    assert (began["state"], again["state"]) == ("probation", "probation")
    assert again["since"] == began["since"]


def test_it_names_the_order_that_it_follows(tmp_path: Path) -> None:
    air = box(tmp_path)
    assert told(air)["desired"] is None

    air.carry(air.order(campaign="autumn"))

    desired = told(air)["desired"]
    assert isinstance(desired, dict)
    assert (desired["seq"], desired["campaign"], desired["met"], desired["finished"]) == (1, "autumn", True, False)
