"""What gRPC costs, and what a server adds to the memory of a box that serves nobody yet."""

from __future__ import annotations

import socket
import tempfile
import time
from contextlib import closing
from importlib import import_module
from pathlib import Path

import psutil
from apart import apart
from daemons import start, stop, write_config
from figure import Effort, Figure, median
from listening import Listener
from served import Server

from edged.demo.broker import Broker

ROUNDS, BLOCK_S = 9, 1.0
BOXES = 3
SETTLED_RESULTS, RESULT_S = 40, 60.0
LOOKS = 5
MOST_OVERHEAD_MS, MOST_GRPC_MB, MOST_HTTP_MB = 0.9, 30.0, 10.0
HTTP, GRPC = '[http]\nlisten = "127.0.0.1:{port}"\n', '[grpc]\nlisten = "127.0.0.1:{port}"\n'


def measure(effort: Effort) -> list[Figure]:
    """Give every row."""
    return [_overhead(effort), *_memory(effort)]


def _overhead(effort: Effort) -> Figure:
    """Serve what computes nothing: 602 KB in, 4 KB out."""
    cpu_ms = [apart(_grpc_cpu_ms) for _ in range(effort.times(ROUNDS))]
    usual = median(cpu_ms)
    return Figure(
        "pure serving overhead, gRPC, 602 KB in: CPU a request",
        f"≤ {MOST_OVERHEAD_MS} ms",
        f"{usual:.2f} ms",
        usual <= MOST_OVERHEAD_MS,
        f"{min(cpu_ms):.2f} to {max(cpu_ms):.2f} ms",
        "PyTriton 3.60 ms",
    )


def _grpc_cpu_ms() -> float:
    taken: float = import_module("noop").grpc_cpu_ms(BLOCK_S)
    return taken


def _memory(effort: Effort) -> list[Figure]:
    """Run a box with one camera plain, with HTTP, and with HTTP and gRPC, in turns; each server has answered once."""
    plain, http, both = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle, picture = apart(_prepare, folder)
        source = f'kind = "images"\npath = "{picture}"\nloop = true\nfps = 10\n'
        with closing(Broker(folder)) as broker, closing(Listener(broker.port)) as listener:
            config = write_config(folder / "box", bundle, broker.port, source)
            text = config.read_text(encoding="utf-8")
            _settled_mb(config, text, (), listener)
            for _ in range(effort.times(BOXES)):
                plain.append(_settled_mb(config, text, (), listener))
                http.append(_settled_mb(config, text, (HTTP,), listener))
                both.append(_settled_mb(config, text, (HTTP, GRPC), listener))
    adds = median([more - less for more, less in zip(http, plain, strict=True)])
    adds_grpc = median([more - less for more, less in zip(both, http, strict=True)])
    words = f"{median(plain):.0f} MB plain, {median(http):.0f} with HTTP, {median(both):.0f} with both (PSS)"
    return [
        Figure(
            "memory that HTTP adds to a camera box",
            f"≤ {MOST_HTTP_MB:.0f} MB",
            f"{adds:.1f} MB",
            adds <= MOST_HTTP_MB,
            words,
        ),
        Figure(
            "memory that gRPC adds to that",
            f"≤ {MOST_GRPC_MB:.0f} MB",
            f"{adds_grpc:.1f} MB",
            adds_grpc <= MOST_GRPC_MB,
            words,
        ),
    ]


def _prepare(folder: Path) -> tuple[Path, Path]:
    net = import_module("networks").network("large", folder / "bundles")
    return net.bundle.folder, net.picture


def _settled_mb(config: Path, text: str, sections: tuple[str, ...], listener: Listener) -> float:
    """Give the least of a few looks at the process once it has settled and each server has answered, in MB."""
    ports = [_free_port() for _ in sections]
    more = "".join(section.format(port=port) for section, port in zip(sections, ports, strict=True))
    config.write_text(text + more, encoding="utf-8")
    listener.forget()
    daemon = start(config)
    try:
        listener.heard(RESULT_S)
        if sections:
            Server(ports[0], daemon).wait()
        if len(sections) > 1:
            apart(_is_live, ports[1])
        for _ in range(SETTLED_RESULTS):
            listener.heard(RESULT_S)
        looks = []
        for _ in range(LOOKS):
            time.sleep(1.0)
            looks.append(psutil.Process(daemon.pid).memory_full_info().pss / 1e6)
    finally:
        stop(daemon)
    return min(looks)


def _is_live(port: int) -> None:
    """Ask over gRPC once. Raises RpcError when there is no answer."""
    grpc, messages = import_module("grpc"), import_module("edged.api.grpc_messages")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        channel.unary_unary(f"/{messages.SERVICE}/ServerLive")(b"", timeout=30, wait_for_ready=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
