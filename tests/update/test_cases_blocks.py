"""How files come in blocks over MQTT: the same faults, and those of a broker."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from edged.fleet.blocks import BLOCK_BYTES, GIVE_UP_S, LEAST_BYTES, WINDOW, BlockTransport, unpack
from edged.fleet.fetch import AbsentError, read_whole
from edged.fleet.serving import answer
from fakes.clock import FakeClock
from fakes.onefile import CONTENT, DIGEST, failure, fetch, made_in

TICK_S = 1e-6
"""What waiting takes at least: a clock that counts whole nanoseconds would stand still before the last fraction of one."""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return made_in(tmp_path)


@dataclass
class Broker:
    """Answers requests out of a folder, through whatever ``way`` makes of the answers; its clock runs when nothing comes."""

    folder: Path
    clock: FakeClock
    way: Callable[[bytes], list[bytes]] = lambda block: [block]
    waiting: list[bytes] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def transport(self) -> BlockTransport:
        return BlockTransport(self._ask, self._receive, lambda: self.clock.monotonic_ns() / 1e9)

    def _ask(self, document: dict[str, object]) -> None:
        self.asked.append(int(str(document["offset"])))
        block = answer(self.folder, json.dumps(document).encode())
        assert block is not None
        self.waiting += self.way(block.packed())

    def _receive(self, timeout_s: float) -> bytes | None:
        if not self.waiting:
            self.clock.advance(timeout_s + TICK_S)
            return None
        return self.waiting.pop(0)


@pytest.fixture
def broker(repository: Path) -> Broker:
    return Broker(repository, FakeClock())


def test_a_file_comes_in_blocks_and_each_is_asked_for_once(broker: Broker, tmp_path: Path) -> None:
    assert fetch(broker.transport(), tmp_path / "incoming").read_bytes() == CONTENT
    assert len(broker.asked) == len(set(broker.asked)) <= len(CONTENT) / BLOCK_BYTES + 8


def test_a_file_that_is_absent_there_is_absent_here(broker: Broker) -> None:
    """The search for a newer root ends on it."""
    with pytest.raises(AbsentError):
        read_whole(broker.transport(), "metadata/2.root.json", 16_384)


def test_blocks_that_come_twice_in_disorder_or_unasked_do_no_harm(broker: Broker, tmp_path: Path) -> None:
    """Case 5."""
    held: list[bytes] = []

    def way(block: bytes) -> list[bytes]:
        held.append(block)
        foreign = block.replace(b'"id":"', b'"id":"x', 1)
        return [foreign, *reversed(held[-3:]), b"", b"\xff" * 100]

    broker.way = way
    transport = broker.transport()
    assert fetch(transport, tmp_path / "incoming").read_bytes() == CONTENT
    assert transport.refused > 0


@pytest.mark.parametrize("spoil", [lambda block: block[:-1], lambda block: block + b"x"], ids=["short", "long"])
def test_a_block_of_the_wrong_length_is_refused_and_asked_for_again(
    broker: Broker, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    """Case 6."""
    spoilt: list[bytes] = []

    def way(block: bytes) -> list[bytes]:
        if len(block) > LEAST_BYTES and len(spoilt) < 3:
            spoilt.append(block)
            return [spoil(block)]
        return [block]

    broker.way = way
    assert fetch(broker.transport(), tmp_path / "incoming").read_bytes() == CONTENT
    assert len(spoilt) == 3


def test_a_file_that_changes_between_two_blocks_is_not_mixed(broker: Broker, tmp_path: Path) -> None:
    """Case 4."""
    counted: list[bytes] = []

    def way(block: bytes) -> list[bytes]:
        counted.append(block)
        found = unpack(block)
        assert found is not None
        return [block if len(counted) < 5 else replace(found, tag="another").packed()]

    broker.way = way
    assert failure(lambda: fetch(broker.transport(), tmp_path / "incoming")) == "changed"
    broker.way = lambda block: [block]
    assert fetch(broker.transport(), tmp_path / "incoming").read_bytes() == CONTENT


def test_a_file_that_changed_between_two_tries_is_read_from_the_start(broker: Broker, tmp_path: Path) -> None:
    """Case 4."""
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (incoming / f"{DIGEST}.part").write_bytes(CONTENT[:500_000])
    (incoming / f"{DIGEST}.part.json").write_text('{"tag": "another"}')
    assert fetch(broker.transport(), incoming).read_bytes() == CONTENT
    assert broker.asked[:2] == [500_000, 0]


def test_an_empty_file_comes_empty(broker: Broker) -> None:
    (broker.folder / "empty").touch()
    assert read_whole(broker.transport(), "empty", 100) == b""


def test_half_of_all_answers_lost_only_take_longer(broker: Broker, tmp_path: Path) -> None:
    """Case 10: a black hole in a shared subscription."""
    counted: list[bytes] = []

    def way(block: bytes) -> list[bytes]:
        counted.append(block)
        return [block] if len(counted) % 2 else []

    broker.way = way
    assert fetch(broker.transport(), tmp_path / "incoming").read_bytes() == CONTENT


@pytest.mark.parametrize("bytes_per_s", [2_000, 12_000, 10**6])
def test_a_slow_line_carries_hardly_more_than_the_file(broker: Broker, tmp_path: Path, bytes_per_s: int) -> None:
    """Answers that wait in a modem's queue are late, not lost: asking for all of them again would fill the line with copies."""
    clock, queue = broker.clock, list[tuple[float, bytes]]()
    free_s, sent = 0.0, list[int]()

    def way(block: bytes) -> list[bytes]:
        nonlocal free_s
        sent.append(len(block))
        free_s = max(free_s, clock.monotonic_ns() / 1e9) + len(block) / bytes_per_s
        queue.append((free_s, block))
        return []

    def receive(timeout_s: float) -> bytes | None:
        left_s = queue[0][0] - clock.monotonic_ns() / 1e9 if queue else timeout_s + 1
        clock.advance(max(0.0, min(left_s, timeout_s)) + TICK_S)
        return queue.pop(0)[1] if left_s <= timeout_s else None

    broker.way = way
    transport = BlockTransport(broker._ask, receive, lambda: clock.monotonic_ns() / 1e9)
    assert fetch(transport, tmp_path / "incoming").read_bytes() == CONTENT
    assert sum(sent) <= 1.25 * len(CONTENT)


def test_a_broker_that_is_away_is_given_up_and_what_came_stays(broker: Broker, tmp_path: Path) -> None:
    """Case 9, and what a resume wastes: no more than a window."""
    counted: list[bytes] = []

    def way(block: bytes) -> list[bytes]:
        counted.append(block)
        return [block] if len(counted) <= 6 else []

    broker.way = way
    began_s = broker.clock.monotonic_ns() / 1e9
    assert failure(lambda: fetch(broker.transport(), tmp_path / "incoming")) == "network"
    assert broker.clock.monotonic_ns() / 1e9 - began_s <= 2 * GIVE_UP_S
    kept = (tmp_path / "incoming" / f"{DIGEST}.part").stat().st_size
    broker.clock.advance(24 * 3600)
    broker.way, asked = lambda block: [block], len(broker.asked)
    assert fetch(broker.transport(), tmp_path / "incoming").read_bytes() == CONTENT
    assert min(broker.asked[asked:]) == kept > 0
    assert WINDOW * BLOCK_BYTES <= 1024**2
