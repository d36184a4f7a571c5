from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edged.fleet.ready import MAX_EXPRESS, Ready, Row

MAX_ROWS, MAX_BYTES = 8, 2000


def row(id_: int, priority: int = 1, size: int = 10) -> Row:
    return Row(priority, id_, f"s{priority}", id_, 1, retain=False, payload=b"x" * size)


class Queue(RuleBasedStateMachine):
    """A disk that holds everything, and a link that takes, settles and loses: nothing is skipped, doubled or out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = Ready(max_rows=MAX_ROWS, max_bytes=MAX_BYTES)
        self.disk: dict[int, dict[int, Row]] = {0: {}, 1: {}, 2: {}}
        self.next_id = {0: 1, 1: 1, 2: 1}
        self.taken: dict[tuple[int, int], Row] = {}
        self.last_sent = {0: 0, 1: 0, 2: 0}

    @rule(priority=st.integers(0, 2), size=st.integers(1, 600), count=st.integers(1, 12))
    def put(self, priority: int, size: int, count: int) -> None:
        for _ in range(count):
            new = row(self.next_id[priority], priority, size)
            self.next_id[priority] += 1
            self.disk[priority][new.id] = new
            self.ready.offer(new)

    @rule(limit=st.integers(1, 6))
    def take(self, limit: int) -> None:
        for found in self.ready.take(limit):
            assert found.id == self.last_sent[found.priority] + 1 or self.lost(found)
            self.last_sent[found.priority] = found.id
            self.taken[found.key] = found

    def lost(self, found: Row) -> bool:
        """Whether everything between the last one and this one is gone from the disk (acknowledged or evicted)."""
        between = range(self.last_sent[found.priority] + 1, found.id)
        return all(id_ not in self.disk[found.priority] for id_ in between)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.taken)))
        assert self.ready.settle(key) == self.taken.pop(key)
        del self.disk[key[0]][key[1]]

    @rule()
    def lose_the_connection(self) -> None:
        self.ready.give_back()
        for priority, id_ in self.taken:
            self.last_sent[priority] = min(self.last_sent[priority], id_ - 1)
        self.taken.clear()

    @rule(priority=st.integers(0, 2), count=st.integers(1, 5))
    def evict(self, priority: int, count: int) -> None:
        oldest = [(priority, id_) for id_ in sorted(self.disk[priority])[:count]]
        held = self.ready.discard(oldest)
        assert held == {key for key in oldest if key in self.taken}
        for key in set(oldest) - held:
            del self.disk[key[0]][key[1]]

    @rule(limit=st.integers(1, 20))
    def refill(self, limit: int) -> None:
        for priority in range(3):
            after = self.ready.wants(priority)
            if after is not None:
                rows = [found for id_, found in sorted(self.disk[priority].items()) if id_ > after]
                self.ready.refill(priority, rows[:limit], complete=len(rows) <= limit)

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.ready) <= 3 * MAX_ROWS + len(self.taken) + 6 * 64

    def teardown(self) -> None:
        self.lose_the_connection()
        for _ in range(1000):
            self.refill(7)
            self.take(50)
        assert sorted(self.taken) == sorted((p, id_) for p, rows in self.disk.items() for id_ in rows)


Queue.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestQueue = Queue.TestCase


def test_express_rows_go_first_and_are_forgotten() -> None:
    ready = Ready()
    ready.offer(row(1, 0))
    ready.offer_express(row(0))

    first, second = ready.take(5)

    assert (first.id, second.id) == (0, 1)
    assert ready.taken == 1


def test_express_rows_are_few_the_oldest_goes() -> None:
    ready = Ready()
    for n in range(MAX_EXPRESS + 3):
        ready.offer_express(Row(1, 0, "s", n, 0, retain=False, payload=b""))

    assert [found.seq for found in ready.take(1)] == [3]
    assert ready.express_dropped == 3


def of(stream: str, id_: int) -> Row:
    return Row(1, id_, stream, id_, 1, retain=False, payload=b"x")


def ids(rows: list[Row]) -> list[int]:
    return [found.id for found in rows]


def test_a_parked_stream_is_passed_by_and_what_the_link_had_of_it_is_not_given_back() -> None:
    ready = Ready()
    for new in (of("a", 1), of("b", 2), of("a", 3)):
        ready.offer(new)
    (first,) = ready.take(1)
    ready.park("a")
    ready.offer(of("a", 4))
    ready.offer(of("b", 5))
    ready.hold(first.key)
    ready.give_back()

    assert ids(ready.take(9)) == [2, 5]


def test_what_the_link_still_has_of_a_parked_stream_is_not_given_back() -> None:
    ready = Ready()
    ready.offer(of("a", 1))
    ready.take(1)
    ready.park("a")
    ready.give_back()

    assert ready.take(9) == []


def test_an_unparked_stream_is_read_from_the_disk_but_for_what_is_on_its_way_or_settled() -> None:
    ready = Ready()
    disk = [of("a", 1), of("b", 2), of("b", 3), of("b", 4)]
    for new in disk:
        ready.offer(new)
    ready.park("a")
    ready.take(2)
    ready.settle((1, 2))
    ready.unpark()
    assert ready.wants(1) == 0
    ready.refill(1, disk, complete=True)

    assert ids(ready.take(9)) == [1, 4]
    ready.deleted([(1, 2)])
    assert ready.settle((1, 3)) is not None


def test_rows_of_a_parked_stream_that_are_read_from_the_disk_are_passed_by() -> None:
    ready = Ready()
    ready.spill(1)
    ready.park("a")
    ready.offer(of("a", 9))
    ready.refill(1, [of("a", 1), of("b", 2), of("a", 3)], complete=True)

    assert ids(ready.take(9)) == [2]
