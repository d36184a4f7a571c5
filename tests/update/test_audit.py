from __future__ import annotations

import shutil

import pytest

from edged.update.audit import Served, happened, live_at
from edged.update.journal import Entry, read_journal
from edged.update.probation import COMMIT, Verdict
from fakes.disk import FragileDisk, PowerCutError
from fakes.site import MODEL, Air


def lines(air: Air) -> list[Entry]:
    return happened(read_journal(air.state), {MODEL: air.records().pointer(MODEL).seq})


def served(air: Air, at_ms: int) -> list[Served]:
    return live_at(lines(air), at_ms)


def now_ms(air: Air) -> int:
    return air.clock.wall_ns() // 1_000_000


def test_before_anything_was_live_nothing_is_told(air: Air) -> None:
    assert served(air, now_ms(air) - 1) == []


def test_what_a_folder_brought_was_nobody_s_order(air: Air) -> None:
    (one,) = served(air, now_ms(air))

    assert (one.model, one.version, one.order, list(one.variants)) == (MODEL, "1.0.0", None, ["int8"])


def test_it_tells_which_digest_was_live_when_and_by_whose_order(air: Air) -> None:
    before = now_ms(air)
    air.clock.advance(60)
    air.knobs.verdict = COMMIT
    air.carry(air.order("2.0.0", campaign="spring"))
    air.clock.advance(60)

    (then,), (now,) = served(air, before), served(air, now_ms(air))

    assert (then.version, now.version) == ("1.0.0", "2.0.0")
    assert now.order is not None
    assert (now.order["by"], now.order["campaign"], now.since_ms - before) == ("someone", "spring", 60_000)
    told = now.told()
    assert (told["file"], told["clock"], told["order"]["seq"]) == (f"sha256:{now.target}", "synced", 1)
    assert told["variants"]["int8"].startswith("sha256:")


def test_after_a_rollback_it_is_the_earlier_release_for_the_reason_of_the_rollback(air: Air) -> None:
    air.clock.advance(60)
    air.knobs.verdict = Verdict("roll-back", "slow")
    air.carry(air.order())

    (one,) = served(air, now_ms(air))

    assert (one.version, one.event, one.reason, one.order, one.told()["file"]) == (
        "1.0.0",
        "restored",
        "slow",
        None,
        None,
    )


def test_what_was_emptied_was_live_no_more(air: Air) -> None:
    for file in (air.state / "store").rglob("*"):
        if file.is_file():
            file.write_bytes(b"x")
    air.models.rename(air.path / "away")
    with pytest.raises(Exception, match="cannot find model"):
        air.live()

    assert served(air, now_ms(air)) == []


def test_a_line_whose_change_a_power_cut_prevented_is_none(air: Air) -> None:
    """At every cut from the trial on: what the journal says was live is what the pointer says."""
    order, air.knobs.waits = air.order(), "later"
    air.carry(order)
    air.knobs.waits, cut = None, 0
    while True:
        cut += 1
        copy = Air(air.path.with_name(f"cut-{cut}"), air.knobs, air.clock)
        shutil.copytree(air.path, copy.path)
        try:
            copy.carry(order, FragileDisk(cut_before=cut))
        except PowerCutError:
            active = copy.records().pointer(MODEL).active
            assert active is not None
            assert [one.digest for one in served(copy, now_ms(air))] == [active.digest]
            copy.carry(order)
            assert [one.version for one in served(copy, now_ms(air))] == ["2.0.0"]
        else:
            break
    assert cut > 20
