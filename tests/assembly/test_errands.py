from __future__ import annotations

import threading

import pytest

from edged.assembly.errands import Errands

PATIENCE_S = 30.0


def done(errands: Errands) -> None:
    assert errands.join(PATIENCE_S)


def test_what_takes_long_is_waited_for_and_given_once() -> None:
    woken, may = threading.Event(), threading.Event()
    errands = Errands(woken.set)
    assert errands.ask("fetch", 1, lambda: may.wait(PATIENCE_S) and "file") is None
    assert errands.ask("fetch", 1, lambda: "another") is None
    assert repr(errands) == "<Errands: fetch>"

    may.set()
    done(errands)

    assert woken.is_set()
    assert errands.ask("fetch", 1, lambda: "another") == "file"
    assert repr(errands) == "<Errands: idle>"
    assert errands.ask("fetch", 1, lambda: "another") is None
    done(errands)


def test_what_it_raises_is_raised_where_it_was_asked_for() -> None:
    errands = Errands(lambda: None)
    errands.ask("fetch", 1, lambda: 1 // 0)
    done(errands)
    with pytest.raises(ZeroDivisionError):
        errands.ask("fetch", 1, lambda: 1 // 0)


def test_one_thing_is_done_at_a_time() -> None:
    may, begun = threading.Event(), []
    errands = Errands(lambda: None)
    errands.ask("fetch-a", 1, lambda: may.wait(PATIENCE_S))
    assert errands.ask("fetch-b", 1, lambda: begun.append("b")) is None
    may.set()
    done(errands)
    assert begun == []

    errands.ask("fetch-b", 1, lambda: begun.append("b"))
    done(errands)

    assert begun == ["b"]
    assert errands.ask("fetch-a", 1, lambda: False) is True  # what it gave is kept for who asked


def test_what_nobody_wants_any_more_is_done_anew_for_who_asks() -> None:
    errands = Errands(lambda: None)
    errands.ask("fetch", "old order", lambda: "old")
    done(errands)
    assert errands.ask("fetch", "new order", lambda: "new") is None
    done(errands)
    assert errands.ask("fetch", "new order", lambda: "") == "new"


def test_what_was_found_for_an_equal_that_is_asked_about_later_is_not_taken_for_it() -> None:
    """A release whose trial ended after its order was taken back, and which is ordered again under another configuration."""
    before, again = ["level", "2.0.0"], ["level", "2.0.0"]
    errands = Errands(lambda: None)
    errands.ask("try", before, lambda: "passed")
    done(errands)

    assert errands.ask("try", again, lambda: "failed") is None
    done(errands)

    assert errands.ask("try", again, lambda: "") == "failed"
