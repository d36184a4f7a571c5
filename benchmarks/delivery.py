"""From a frame in hand to its message at a subscriber in another process, without the inference itself."""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

from figure import Effort, Figure, median, quantile
from listening import Listener
from live import Live, live
from loops import FPS, PIPELINE, rules
from networks import Network, edged_model, network

from edged.domain.frame import Frame, Stamp
from edged.domain.result import Event, Result
from edged.pipeline.loop import Loop
from edged.pipeline.mailbox import Mailbox
from edged.sinks.due import Due
from edged.sinks.report import ReportSink
from edged.telemetry.metrics import PipelineMetrics

FRAMES = 600
P50_MS, P99_MS = 3.0, 10.0
WARM_UP = 20
ARRIVAL_S = 10.0


class Inferences:
    """Keeps each frame's capture and the time that its inference took, by index."""

    def __init__(self) -> None:
        self.spent_ns: dict[int, int] = {}

    def result(self, result: Result) -> None:
        """Keep capture plus inference: what an ideal system would need."""
        self.spent_ns[result.stamp.index] = result.stamp.mono_ns + int(result.latency.inference_ms * 1e6)

    def event(self, event: Event) -> None:
        """Events are no results."""


def measure(effort: Effort) -> list[Figure]:
    """Give the one row."""
    with (
        tempfile.TemporaryDirectory() as folder,
        live(Path(folder)) as fleet,
        closing(Listener(fleet.port)) as listener,
    ):
        net = network("large", Path(folder))
        beyond_ms = _deliver(net, fleet, listener, WARM_UP + effort.times(FRAMES))[WARM_UP:]
    p50, p99 = median(beyond_ms), quantile(beyond_ms, 0.99)
    return [
        Figure(
            "frame in hand → message at a subscriber, beyond the inference itself",
            f"p50 ≤ {P50_MS:.0f} ms, p99 ≤ {P99_MS:.0f} ms",
            f"p50 {p50:.2f} ms, p99 {p99:.2f} ms",
            p50 <= P50_MS and p99 <= P99_MS,
            f"{len(beyond_ms)} frames at {FPS:.0f} fps; p90 {quantile(beyond_ms, 0.9):.2f} ms, at worst {max(beyond_ms):.1f} ms",
        )
    ]


def _deliver(net: Network, fleet: Live, listener: Listener, frames: int) -> list[float]:
    """Send frames at their rate through mailbox, loop, outbox, link and broker; gives ms beyond the inference, frame by frame."""
    mailbox, inferences = Mailbox(PIPELINE), Inferences()
    report = ReportSink(fleet.outbox, fleet.stamper, Due("all"), qos=1, wait_s=0.0)
    loop = Loop(PIPELINE, mailbox, edged_model(net), rules(), (PipelineMetrics(), report, inferences), fleet.clock)
    source = threading.Thread(target=_play, args=(net, mailbox, frames), name="source", daemon=True)
    source.start()
    while loop.step():
        pass
    loop.close()
    beyond: list[float] = []
    for _ in range(len(inferences.spent_ns)):
        at_ns, frame = listener.heard(ARRIVAL_S)
        beyond.append((at_ns - inferences.spent_ns[frame]) / 1e6)
    return beyond


def _play(net: Network, mailbox: Mailbox, frames: int) -> None:
    data, began_s = net.frame(), time.monotonic()
    for index in range(frames):
        time.sleep(max(0.0, began_s + index / FPS - time.monotonic()))
        mailbox.put(Frame(data, Stamp(index, time.monotonic_ns(), time.time_ns(), index / FPS)))
    mailbox.close()
