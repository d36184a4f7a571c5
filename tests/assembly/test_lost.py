from __future__ import annotations

from edged.assembly.lost import Lost
from edged.control.choose import choose
from edged.control.possible import Facts
from edged.domain.errors import DeadlineError
from edged.domain.variant import Ladder
from fakes.box import bundle, inventory, profile, variant
from fakes.clock import FakeClock


def ladder() -> Ladder:
    both = bundle(variant("large", sha256="a" * 64), variant("small", sha256="b" * 64))
    return choose(both, profile({"accelerator": "cpu"}), Facts(inventory()))


def test_a_rung_that_was_lost_is_left_alone_until_its_wait_is_over_and_told_once() -> None:
    clock, whole = FakeClock(), ladder()
    lost = Lost(clock)
    assert lost.failed(whole.rungs[0], DeadlineError("cannot run large: it hung")) == 1
    assert [rung.variant.id for rung in lost.without(whole).runnable] == ["small"]
    assert not lost.is_due()
    clock.advance(2.0)
    assert [rung.variant.id for rung in lost.without(whole).runnable] == ["large", "small"]
    assert [lost.is_due(), lost.is_due()] == [True, False]
    lost.opened(whole.rungs[0])
    clock.advance(1.0)
    assert lost.failed(whole.rungs[0], DeadlineError("cannot run large: it hung")) == 2
