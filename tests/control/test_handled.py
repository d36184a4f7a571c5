from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.control.handled import REMEMBERED, Handled


def test_what_was_handled_is_known_also_after_writing_and_reading() -> None:
    handled = Handled().with_one("a", 900, 100, synced=True)
    again = Handled.from_json(handled.to_json())
    assert "a" in again
    assert "b" not in again
    assert again == handled


def test_an_id_is_forgotten_once_its_command_has_expired_by_a_clock_that_is_right() -> None:
    handled = Handled().with_one("a", 900, 100, synced=True).with_one("b", 2000, 901, synced=True)
    assert list(handled.expiries) == ["b"]


def test_a_clock_that_is_not_synchronised_makes_nothing_forgotten_and_teaches_nothing() -> None:
    handled = Handled().with_one("a", 900, 100, synced=True).with_one("b", 2000, 1_000_000, synced=False)
    assert list(handled.expiries) == ["a", "b"]
    assert handled.latest_ms == 100


def test_a_step_back_of_the_clock_does_not_make_time_earlier() -> None:
    handled = Handled().with_one("a", 900, 500, synced=True)
    assert handled.now_ms(100) == 500
    assert handled.now_ms(600) == 600


def test_the_oldest_goes_when_there_are_too_many() -> None:
    handled = Handled()
    for number in range(REMEMBERED + 3):
        handled = handled.with_one(f"c-{number}", 10**15, 0, synced=True)
    assert len(handled.expiries) == REMEMBERED
    assert "c-2" not in handled
    assert "c-3" in handled
    assert len(handled.to_json()) < 64 * 1024


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"null", b'{"handled":[]}', b'{"handled":{"a":null},"latest_ms":1}', b"\xff"]
)
def test_a_damaged_file_is_told_apart(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (in whose words does not matter)
        Handled.from_json(content)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 50), st.integers(0, 60), st.booleans())))
def test_no_command_is_permitted_twice_whatever_the_clock_does(script: list[tuple[str, int, int, bool]]) -> None:
    handled = Handled()
    done: set[str] = set()
    for id_, expires_ms, wall_ms, synced in script:
        command = f"{id_}-{expires_ms}"  # an id belongs to one command
        if command in handled or handled.now_ms(wall_ms) >= expires_ms:
            continue
        assert command not in done
        done.add(command)
        handled = handled.with_one(command, expires_ms, wall_ms, synced=synced)
