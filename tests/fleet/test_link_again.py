"""How the link comes back: as wide as the next connection bears, and not in step with others."""

from __future__ import annotations

from pathlib import Path

from edged.fleet.backoff import Backoff
from fakes.broker import FakeBroker
from fakes.brokers import free_port
from fakes.station import MakeStation, seqs
from fakes.waiting import until


def test_a_broker_that_bears_less_at_the_next_connection_gets_less(station: MakeStation) -> None:
    broker = FakeBroker(receive_maximum=7, ack_delay_s=0.02)
    one = station(broker.port).start()
    one.put(150)
    until(lambda: len(broker.published) > 50, "some are out")
    assert broker.most_unacked == 7

    broker.receive_maximum = 3
    broker.drop()
    until(lambda: len(broker.connects) == 2, "the next connection")
    broker.most_unacked = 0

    assert one.outbox.drain(60)
    assert broker.most_unacked == 3
    assert sorted(set(seqs(broker.payloads("result/a")))) == list(range(1, 151))
    broker.close()


def test_devices_that_lose_their_broker_together_do_not_come_back_together(
    station: MakeStation, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    fleet = [
        station(free_port(), folder, backoff=Backoff(base_s=60)).start() for folder in (tmp_path, tmp_path / "other")
    ]

    until(lambda: all(one.link.state.phase == "waiting" for one in fleet), "both wait")

    assert len({one.link.state.retry_s for one in fleet}) == 2
