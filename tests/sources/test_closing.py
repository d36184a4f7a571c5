"""What another thread reads is given back, once that is asked for: at once, or behind the read, and never not at all."""

from __future__ import annotations

from contextlib import suppress

from edged.sources.closing import Closing


class Given:
    """Counts how often it was given back."""

    def __init__(self) -> None:
        self.times = 0
        self.closing = Closing(self.give)

    def give(self) -> None:
        self.times += 1


def test_what_nobody_reads_is_given_back_at_once() -> None:
    given = Given()

    assert given.closing.ask()

    assert given.times == 1


def test_what_is_being_read_is_given_back_behind_the_read() -> None:
    given = Given()
    with given.closing:
        assert not given.closing.ask()
        assert given.times == 0
    assert given.times == 1


def test_one_that_is_asked_in_the_last_moment_of_a_read_is_no_leak() -> None:
    """The read has looked whether it shall close, and holds the lock a moment longer."""
    given = Given()
    given.closing.__enter__()
    is_to_close = given.closing.is_asked
    assert not given.closing.ask()

    given.closing.__exit__(None, None, None)

    assert not is_to_close
    assert given.times == 1


def test_a_read_that_fails_gives_back_what_it_was_asked_for_too() -> None:
    given = Given()

    with suppress(OSError), given.closing:
        given.closing.ask()
        raise OSError

    assert given.times == 1


def test_it_says_how_it_is_and_wakes_who_waits() -> None:
    given = Given()
    before = repr(given.closing), given.closing.wait(0.0)

    given.closing.ask()

    assert before == ("open", False)
    assert (repr(given.closing), given.closing.wait(60.0)) == ("closed", True)
