from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from edged.domain.errors import ConfigError, DeviceError, EdgedError, SourceLostError
from edged.domain.frame import Frame, Samples, Stamp
from edged.domain.ports import Source
from edged.sources.join import JoinSource, Part, open_source
from fakes.realclock import RealClock
from fakes.source import picture
from fakes.waiting import until

LONG_S = 30.0
"""No thread is late by so much: who waits so long for a sensor misses none."""


class Live:
    """A sensor that a test feeds: items are given, errors are raised."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.drops = Counter({"malformed": 1})
        self.closed = threading.Event()

    def say(self, values: list[float], step_s: float = 0.05) -> None:
        """Give one sample a step, the newest of which is of now."""
        times = time.monotonic() + (np.arange(len(values)) - len(values) + 1) * step_s
        self.items.append(Samples(np.array(values, np.float32)[:, None], times, Stamp(0, 0, 0, float(times[-1]))))

    def read(self) -> Frame | Samples | None:
        while not self.closed.wait(0.002):
            if self.items:
                item = self.items.pop(0)
                if isinstance(item, EdgedError):
                    raise item
                given: Frame | Samples = item
                return given
        return None

    def close(self) -> None:
        self.closed.set()


def joined(*sensors: Callable[[], Source], **settings: Any) -> JoinSource:
    parts = [Part(name, 1, sensor) for name, sensor in zip("ab", sensors, strict=True)]
    return open_source(parts=parts, clock=RealClock(), **{"rate_hz": 20.0, "max_wait_s": 0.2, **settings})


def drained(source: JoinSource) -> None:
    while source.read():
        pass


@pytest.fixture
def pair() -> Iterator[tuple[Live, Live]]:
    made = Live(), Live()
    yield made
    for one in made:
        one.close()


def test_two_sensors_are_side_by_side(pair: tuple[Live, Live]) -> None:
    with closing(joined(lambda: pair[0], lambda: pair[1], max_wait_s=LONG_S)) as source:
        pair[0].say([1.0] * 10)
        pair[1].say([2.0] * 10)

        samples = source.read()

    assert samples is not None
    assert samples.values[-1].tolist() == [1, 2]
    assert samples.values.dtype == np.float32
    assert samples.stamp.index == len(samples.values) - 1
    assert source.drops["a.malformed"] == 1
    assert repr(source).startswith("<JoinSource of a, b: closed, ")
    assert all(one.closed.is_set() for one in pair)


def test_the_loss_of_one_is_the_loss_of_all(pair: tuple[Live, Live]) -> None:
    with closing(joined(lambda: pair[0], lambda: pair[1])) as source:
        pair[1].items.append(SourceLostError("cannot read on: unplugged", remedy="plug it in", code="serial-lost"))

        with pytest.raises(SourceLostError, match="cannot join b: cannot read on: unplugged; plug it in") as caught:
            source.read()
    assert caught.value.code == "serial-lost"


def test_a_sensor_that_cannot_be_opened_is_the_loss_of_all(pair: tuple[Live, Live]) -> None:
    def absent() -> Source:
        message = "cannot open it"
        raise DeviceError(message)

    with closing(joined(lambda: pair[0], absent)) as source, pytest.raises(SourceLostError, match="cannot join b"):
        source.read()


def test_where_a_missing_one_is_borne_the_others_go_on(pair: tuple[Live, Live]) -> None:
    with closing(joined(lambda: pair[0], lambda: pair[1], missing="nan")) as source:
        pair[1].items.append(SourceLostError("cannot read on"))
        until(lambda: source._members[1].error, "b is lost")
        pair[0].say([1.0] * 20)

        samples = source.read()

        assert samples is not None
        assert np.isnan(samples.values[:, 1]).all()
        assert samples.values[0, 0] == 1
        pair[0].items.append(SourceLostError("cannot read on"))
        until(lambda: source._members[0].error, "a is lost too")
        with pytest.raises(SourceLostError, match="cannot join a"):
            drained(source)


def test_a_missing_one_is_opened_again() -> None:
    first, second = Live(), Live()
    made = [second, Live()]
    with closing(joined(lambda: first, made.pop, missing="nan", max_wait_s=LONG_S)) as source:
        made_first = source._members[1]
        until(lambda: made_first._source, "b is open")
        made_first._source.items.append(SourceLostError("cannot read on"))  # type: ignore[union-attr] # a Live
        until(lambda: made_first._source is second, "b is open again")
        first.say([1.0] * 10)
        second.say([2.0] * 10)

        until(lambda: not np.isnan(source.read().values).all(0).any(), "both are there")  # type: ignore[union-attr] # open
    assert source.drops["b.malformed"] == 2


@pytest.mark.parametrize("item", [ConfigError("cannot find 'x'"), picture()])
def test_what_can_never_be_joined_is_the_operators_to_mend(pair: tuple[Live, Live], item: Any) -> None:
    with closing(joined(lambda: pair[0], lambda: pair[1], missing="nan")) as source:
        pair[0].items.append(item)

        with pytest.raises(ConfigError, match="cannot join a"):
            source.read()


def test_instants_without_all_sensors_are_counted(pair: tuple[Live, Live]) -> None:
    with closing(joined(lambda: pair[0], lambda: pair[1])) as source:
        pair[0].say([1.0] * 40)
        until(lambda: source._members[0]._blocks, "the sensor spoke")
        pair[1].say([2.0] * 10)

        assert source.read() is not None
        assert source.drops["missing"] > 10


def test_a_sensor_that_opens_after_all_was_closed_is_closed_too(pair: tuple[Live, Live]) -> None:
    may_open = threading.Event()

    def late() -> Source:
        may_open.wait(30)
        return pair[1]

    joined(lambda: pair[0], late).close()
    may_open.set()

    assert pair[1].closed.wait(30)


def test_closing_ends_a_read_that_waits(pair: tuple[Live, Live]) -> None:
    source = joined(lambda: pair[0], lambda: pair[1])
    got: list[Samples | None] = []
    reader = threading.Thread(target=lambda: got.append(source.read()))
    reader.start()

    source.close()
    source.close()
    reader.join(30)

    assert got == [None]
