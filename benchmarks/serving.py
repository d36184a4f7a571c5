"""What serving a model over HTTP costs, against the bare session's loop: CPU, rate, refusals, memory, start, what cameras feel."""

from __future__ import annotations

import importlib
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from daemons import STATE
from figure import Effort, Figure, median, quantile
from paho.mqtt.client import Client as MqttClient
from paho.mqtt.enums import CallbackAPIVersion
from served import Load, Server, Subject, infer_request, serving, subject

from edged.demo.broker import Broker

ROUNDS = 9
BLOCK_S = 1.0
SETTLED_S = 5.0
"""Three seconds after a start the daemon gives back what only starting took."""
STARTS, ROUNDS_OF_A_START = 5, 3
CAMERA_BLOCKS, CAMERA_S = 8, 4.0
BEST_CPU = {1: "PyTriton 1.38, LitServe 1.81", 16: "LitServe 1.91, PyTriton 2.32"}
BEST_RATE = {4: "LitServe 0.67", 16: "LitServe 0.40"}
LEAST_RATE = {4: 0.90, 16: 0.85}
MOST_CPU, MOST_OVERHEAD_MS, MOST_START_S, MOST_MEMORY_MB, MOST_MORE_MB = 1.20, 0.7, 1.5, 110.0, 10.0
MOST_REFUSAL_MS, MOST_P99, MOST_CAMERA = 50.0, 2.0, 1.2
PARTS = 'kind = "images"\nloop = true\nfps = 10\n'


def measure(effort: Effort) -> list[Figure]:
    """Give every row."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked = subject(folder / "bundles")
        rows = [*_against_bare(folder / "one", asked, effort), *_start(folder / "starts", asked, effort)]
        rows += _overload(folder / "overload", asked, effort)
        rows += [_overhead(effort)]
        rows += _camera(folder, asked, effort)
    return rows


def _against_bare(folder: Path, asked: Subject, effort: Effort) -> list[Figure]:
    """Compare with the session in a loop of this process, in turns.

    Both begin anew several times: where the memory of a process happens to lie makes a run up to 15 % shorter or longer while it lives.
    """
    seen = _Seen()
    name = _bare(asked)[1]
    request = infer_request(asked.tensor, name)
    memory_mb = []
    for _ in range(effort.times(STARTS)):
        bare = _bare(asked)[0]
        with serving(folder, asked) as server:
            time.sleep(SETTLED_S)
            memory_mb.append(_memory_mb(server))
            server.press(request, 16, 2 * BLOCK_S)
            for _ in range(ROUNDS_OF_A_START):
                seen.add(bare(1, BLOCK_S), bare(2, BLOCK_S), _loads(server, request))
    rows = [_cpu_row(clients, ratios, asked) for clients, ratios in seen.cpu.items()]
    rows += [
        _rate_row(clients, ratios, median(seen.theirs[clients]), median(seen.p99), asked)
        for clients, ratios in seen.rate.items()
    ]
    return [*rows, _memory_row(max(memory_mb), asked)]


def _loads(server: Server, request: bytes) -> dict[int, Load]:
    return {clients: server.press(request, clients, BLOCK_S) for clients in (1, 4, 16)}


@dataclass(slots=True)
class _Seen:
    """Ratios by the number of clients, one a round."""

    cpu: dict[int, list[float]] = field(default_factory=lambda: {1: [], 16: []})
    rate: dict[int, list[float]] = field(default_factory=lambda: {4: [], 16: []})
    theirs: dict[int, list[float]] = field(default_factory=lambda: {4: [], 16: []})
    """The clients' own work, of a run of the bare loop, as often as both processors do one."""
    p99: list[float] = field(default_factory=list)

    def add(self, one: tuple[float, float], two: tuple[float, float], loads: Mapping[int, Load]) -> None:
        """Take a round: the bare loop's runs a second and CPU ms a run, with one thread and with two, and the loads beside it."""
        self.cpu[1].append(loads[1].cpu_ms / one[1])
        self.cpu[16].append(loads[16].cpu_ms / two[1])
        for clients, ratios in self.rate.items():
            ratios.append(loads[clients].rate / two[0])
            self.theirs[clients].append(loads[clients].clients_cpu_ms / two[1])
        self.p99.append(loads[16].quantile_ms(0.99))


def _memory_row(memory_mb: float, asked: Subject) -> Figure:
    what = "memory when ready (RSS), HTTP and ONNX Runtime, one model"
    reached = None if asked.is_substitute else memory_mb <= MOST_MEMORY_MB
    spread = f"{SETTLED_S:.0f} s after, the most of {STARTS} starts"
    return Figure(what, f"≤ {MOST_MEMORY_MB:.0f} MB", f"{memory_mb:.0f} MB", reached, spread, "MLServer 198")


def _cpu_row(clients: int, ratios: Sequence[float], asked: Subject) -> Figure:
    what = f"CPU a request ÷ bare session, HTTP binary, {clients} client{'s' if clients > 1 else ''}"
    reached = None if asked.is_substitute else median(ratios) <= MOST_CPU
    return Figure(what, f"≤ {MOST_CPU:.2f}", f"{median(ratios):.2f}", reached, _spread(ratios), BEST_CPU[clients])


def _rate_row(clients: int, ratios: Sequence[float], theirs: float, p99_ms: float, asked: Subject) -> Figure:
    """Give the row; ``theirs`` is the clients' own part of the processors for each request, as a part of a bare run."""
    least = LEAST_RATE[clients]
    spread = f"{_spread(ratios)}; the clients' own work takes {theirs:.2f} of a bare run on the same processors" + (
        f"; p99 {p99_ms:.0f} ms" if clients == max(LEAST_RATE) else ""
    )
    reached = None if asked.is_substitute else median(ratios) >= least
    what = f"requests/s ÷ two-thread bare loop, {clients} clients"
    return Figure(what, f"≥ {least:.2f}", f"{median(ratios):.2f}", reached, spread, BEST_RATE[clients])


def _start(folder: Path, asked: Subject, effort: Effort) -> list[Figure]:
    """Start again and again, on the state of the first start."""
    name = _bare(asked)[1]
    request = infer_request(asked.tensor, name)
    took: list[float] = []
    for _ in range(1 + effort.times(STARTS)):
        with serving(folder, asked, until=request) as server:
            took.append(server.ready_s)
    usual = median(took[1:])
    spread = f"{min(took[1:]):.2f} to {max(took[1:]):.2f} s; the first start, which takes the model in, {took[0]:.2f} s"
    reached = None if asked.is_substitute else usual <= MOST_START_S
    return [
        Figure("start to the first answer", f"≤ {MOST_START_S} s", f"{usual:.2f} s", reached, spread, "LitServe 5.5 s")
    ]


def _overload(folder: Path, asked: Subject, effort: Effort) -> list[Figure]:
    """64 clients on a queue of 8; each refused one comes again at once."""
    request = infer_request(asked.tensor, _bare(asked)[1])
    with serving(folder, asked, queue=8) as server:
        server.press(request, 4, BLOCK_S)
        # The line itself, full and without anybody who is refused: 8 that wait and as many as run.
        usual = server.press(request, 10, effort.times(4) * BLOCK_S)
        load = server.press(request, 64, effort.times(4) * BLOCK_S)
    slowest_ms = 1000 * quantile(load.refused_s, 0.99)
    ratio = load.quantile_ms(0.99) / usual.quantile_ms(0.99)
    told = f"{len(load.refused_s)} refused, {len(load.answered_s)} answered, {load.lost} lost; the clients share the processors"
    return [
        Figure(
            "64 clients, queue of 8: p99 of a refusal",
            f"< {MOST_REFUSAL_MS:.0f} ms",
            f"{slowest_ms:.0f} ms",
            None if asked.is_substitute else slowest_ms < MOST_REFUSAL_MS and not load.lost,
            f"{told}; median {1000 * median(load.refused_s):.1f} ms, slowest {1000 * max(load.refused_s):.0f} ms",
            "unbounded queues",
        ),
        Figure(
            "the same: p99 of the accepted ÷ that of a full queue alone",
            f"≤ {MOST_P99:.0f}",
            f"{ratio:.2f}",
            None if asked.is_substitute else ratio <= MOST_P99,
            f"{usual.quantile_ms(0.99):.0f} → {load.quantile_ms(0.99):.0f} ms",
        ),
    ]


def _overhead(effort: Effort) -> Figure:
    """Serve what computes nothing: 602 KB in, 4 KB out."""
    noop = importlib.import_module("noop")
    cpu_ms = [noop.cpu_ms(BLOCK_S) for _ in range(effort.times(ROUNDS))]
    return Figure(
        "pure serving overhead, HTTP, 602 KB in: CPU a request",
        f"≤ {MOST_OVERHEAD_MS} ms",
        f"{median(cpu_ms):.2f} ms",
        median(cpu_ms) <= MOST_OVERHEAD_MS,
        f"{min(cpu_ms):.2f} to {max(cpu_ms):.2f} ms",
        "PyTriton 2.83 ms",
    )


def _camera(folder: Path, asked: Subject, effort: Effort) -> list[Figure]:
    """A pipeline at 10 frames a second, alone and while 16 clients press on, in turns."""
    net = importlib.import_module("networks").network("large", folder / "bundles")
    request = infer_request(asked.tensor, _bare(asked)[1])
    quiet: list[float] = []
    pressed: list[float] = []
    with closing(Broker(folder)) as broker, closing(Results(broker.port)) as results:
        source = f'[[source]]\nname = "camera"\n{PARTS}path = "{net.picture}"\n'
        more = f'{source}[[pipeline]]\nname = "bench"\nsource = "camera"\nmodel = "{net.bundle.manifest.name}"\n'
        with serving(folder / "camera", asked, more, mqtt=broker.port) as server:
            server.press(_load_request(), 1, 0.01)
            server.press(request, 4, BLOCK_S)
            for _ in range(effort.times(CAMERA_BLOCKS)):
                quiet += results.during(lambda: time.sleep(CAMERA_S))
                pressed += results.during(lambda: server.press(request, 16, CAMERA_S, from_afar=True))
    shutil.rmtree(folder / "camera" / STATE, ignore_errors=True)
    ratio = quantile(pressed, 0.99) / quantile(quiet, 0.99)
    spread = (
        f"{quantile(quiet, 0.99):.1f} → {quantile(pressed, 0.99):.1f} ms of {len(quiet)} and {len(pressed)} frames; "
        f"medians {median(quiet):.1f} → {median(pressed):.1f} ms; the clients, which would be elsewhere, run behind everything else"
    )
    reached = None if asked.is_substitute else ratio <= MOST_CAMERA
    what = "a camera pipeline's p99 while 16 clients press on ÷ alone"
    return [Figure(what, f"≤ {MOST_CAMERA}", f"{ratio:.2f}", reached, spread)]


class Results:
    """Listens to a pipeline's results, from capture to the end of its judgement."""

    def __init__(self, port: int) -> None:
        self._latencies: list[float] = []
        self._lock = threading.Lock()
        self._client = MqttClient(CallbackAPIVersion.VERSION2, "results")
        self._client.on_message = self._heard
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("edged/v1/d/bench/out/result/bench")
        self._client.loop_start()

    def during(self, work: Callable[[], object]) -> list[float]:
        """Give the milliseconds of the frames that came while ``work`` was done."""
        with self._lock:
            self._latencies.clear()
        work()
        with self._lock:
            return list(self._latencies)

    def close(self) -> None:
        """Stop listening."""
        self._client.loop_stop()
        self._client.disconnect()

    def _heard(self, _client: object, _userdata: object, message: Any) -> None:
        with self._lock:
            self._latencies.append(sum(json.loads(message.payload)["latency_ms"].values()))


def _load_request() -> bytes:
    return b"POST /v2/repository/models/served/load HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}"


def _bare(asked: Subject) -> tuple[Callable[[int, float], tuple[float, float]], str]:
    """Give the loop by hand, runs a second and CPU ms a run with so many threads, and the name of the model's input."""
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = runtime.InferenceSession(str(asked.file), options, providers=["CPUExecutionProvider"])
    name: str = session.get_inputs()[0].name
    tensor = np.ascontiguousarray(asked.tensor)

    def loop(threads: int, seconds: float) -> tuple[float, float]:
        counts = [0] * threads
        end_s = time.monotonic() + seconds

        def run(place: int) -> None:
            while time.monotonic() < end_s:
                session.run(None, {name: tensor})
                counts[place] += 1

        workers = [threading.Thread(target=run, args=(place,)) for place in range(threads)]
        began_s, cpu_s = time.monotonic(), time.process_time()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        took_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
        return sum(counts) / took_s, 1000 * cpu_s / sum(counts)

    return loop, name


def _memory_mb(server: Server) -> float:
    return float(psutil.Process(server.daemon.pid).memory_info().rss) / 1e6


def _spread(ratios: Sequence[float]) -> str:
    return f"middle half of {len(ratios)} rounds {quantile(ratios, 0.25):.2f} to {quantile(ratios, 0.75):.2f}"
