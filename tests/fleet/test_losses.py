"""Gaps: counted, declared together, and told again when the telling itself was lost."""

from __future__ import annotations

import json
import sqlite3

import pytest

from edged.fleet.losses import DECLARE_NS, Gap, Losses

STAMPS = {"boot_id": "boot-1"}


def telling(gap: Gap) -> bytes:
    return json.dumps(gap.body(STAMPS)).encode()


def test_a_gap_whose_telling_was_lost_is_due_again() -> None:
    losses = Losses()

    losses.tell_again(telling(Gap("event/a", "outbox-full", 3, 9, 7)), now_ns=5)

    assert (losses.gaps, losses.due_ns) == ([Gap("event/a", "outbox-full", 3, 9, 7)], 5 + DECLARE_NS)


def test_it_joins_what_was_lost_meanwhile() -> None:
    losses = Losses()
    losses.add([("event/a", 12)], "outbox-full", now_ns=0)

    losses.tell_again(telling(Gap("event/a", "outbox-full", 3, 9, 7)), now_ns=0)

    assert losses.take_all() == [Gap("event/a", "outbox-full", 3, 12, 8)]


def test_documents_of_another_kind_tell_of_no_gap() -> None:
    losses = Losses()

    losses.tell_again(b'{"schema": "edged.alert/1", "code": "drift"}', now_ns=0)

    assert (losses.gaps, losses.due_ns) == ([], None)


def test_what_the_disk_did_not_take_is_not_counted() -> None:
    losses = Losses()
    losses.add([("event/a", 1)], "outbox-full", now_ns=0)

    def fails() -> None:
        with losses.unless_it_fails():
            losses.add([("event/a", 2), ("event/b", 1)], "outbox-full", now_ns=9)
            raise sqlite3.OperationalError

    with pytest.raises(sqlite3.OperationalError):
        fails()

    assert losses.by_stream == {"event/a": 1}
    assert (losses.gaps, losses.due_ns) == ([Gap("event/a", "outbox-full", 1, 1, 1)], DECLARE_NS)
