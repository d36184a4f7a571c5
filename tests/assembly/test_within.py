from __future__ import annotations

import threading

import pytest

from edged.assembly.within import within


def test_what_is_done_in_time_is_given() -> None:
    assert within(5.0, lambda: 7) == 7


def test_what_it_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        within(5.0, lambda: 1 / 0)


def test_what_takes_longer_is_an_error_of_the_system() -> None:
    never = threading.Event()
    with pytest.raises(OSError, match=r"no answer within 0\.01 s"):
        within(0.01, never.wait)
    never.set()
