"""Documents from put to acknowledgement at QoS 1, beside paho's own queue, which keeps nothing."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
from figure import Effort, Figure, median, quantile
from live import Live, live
from paho.mqtt.enums import CallbackAPIVersion

from edged.domain.frame import Stamp
from edged.domain.message import Draft
from edged.domain.result import Classes, ClassScore, Latency, ModelRef, Result
from edged.fleet import documents, topics

MESSAGES = 3000
ROUNDS = 12
TARGET_PER_S, TARGET_US = 3000.0, 250.0
WAIT_S = 20.0
REF = ModelRef("large", "1.0.0", "int8", f"sha256:{'0' * 64}", "litert", "cpu")
OUTPUT = Classes((ClassScore("Egyptian cat", 0.875), ClassScore("tabby, tabby cat", 0.0625)))


def measure(effort: Effort) -> list[Figure]:
    """Give a row for the rate and one for the CPU time, both with serialisation."""
    ours: list[tuple[float, float]] = []
    naive: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder, live(Path(folder)) as fleet, naive_client(fleet.port) as paho:
        for _ in range(1 + effort.times(ROUNDS)):
            naive.append(_timed(lambda: _publish(paho, fleet)))
            ours.append(_timed(lambda: _put(fleet)))
        stats = fleet.outbox.stats()
    lost = sum(stats.dropped.values()) + stats.evicted + stats.rejected + stats.unstored
    (rates, costs), (naive_rates, naive_costs) = ([*zip(*rounds[1:], strict=True)] for rounds in (ours, naive))
    rate, cost = median(rates), median(costs)
    quartiles = f"{quantile(rates, 0.25):,.0f} to {quantile(rates, 0.75):,.0f}"
    return [
        Figure(
            "outbox to broker, QoS 1, put to acknowledgement",
            f"≥ {TARGET_PER_S:,.0f} messages/s",
            f"{rate:,.0f} messages/s, {lost} lost",
            rate >= TARGET_PER_S and not lost,
            f"{len(rates)} rounds of {MESSAGES}, middle half {quartiles}; "
            f"naive paho beside it {median(naive_rates):,.0f}",
        ),
        Figure(
            "CPU time of one such message, with serialisation",
            f"≤ {TARGET_US:.0f} µs",
            f"{cost:.0f} µs",
            cost <= TARGET_US,
            f"naive paho beside it {median(naive_costs):.0f} µs; ratio {cost / median(naive_costs):.1f}",
            "naive paho 84 µs, nothing kept",
        ),
    ]


def _timed(block: Callable[[], None]) -> tuple[float, float]:
    """Give messages a second, and CPU microseconds a message over all threads of this process."""
    wall_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
    block()
    took_ns, used_ns = time.perf_counter_ns() - wall_ns, time.process_time_ns() - cpu_ns
    return MESSAGES / (took_ns / 1e9), used_ns / MESSAGES / 1e3


def _result(index: int) -> Result:
    stamp = Stamp(index, time.monotonic_ns(), time.time_ns(), index / 30)
    return Result("bench", stamp, REF, "ok", Latency(1.0, 0.4, 12.0, 0.1), OUTPUT)


def _put(fleet: Live) -> None:
    for index in range(MESSAGES):
        body = documents.result_body(_result(index), fleet.stamper)
        fleet.outbox.put(Draft(topics.result_stream("bench"), body, priority=1), wait_s=WAIT_S)
    fleet.outbox.drain(WAIT_S)


@contextmanager
def naive_client(port: int) -> Iterator[mqtt.Client]:
    """Give a paho client as its documentation shows it."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "bench-naive")
    client.max_queued_messages_set(0)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def _publish(paho: mqtt.Client, fleet: Live) -> None:
    sent = []
    for index in range(MESSAGES):
        body = {**documents.result_body(_result(index), fleet.stamper), "device": "bench-naive", "seq": index}
        sent.append(paho.publish("bench/naive", json.dumps(body), 1))
    for message in sent:
        message.wait_for_publish(WAIT_S)
