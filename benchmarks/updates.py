"""Models over the air: 100 MiB through the short-lived child, verified and on the disk, and what an interruption costs."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from figure import Effort, Figure, median

from edged.assembly.courier import Courier, CourierSettings
from edged.domain.errors import RetryableError
from edged.domain.message import Draft
from edged.fleet.blocks import BLOCK_BYTES, WINDOW
from edged.fleet.link import Link
from edged.fleet.outbox import Outbox
from edged.fleet.settings import LinkSettings
from edged.fleet.topics import GET, Stamper
from edged.hardware.clock import SystemClock, boot_id
from edged.update.desired import Audience, ModelOrder
from edged.update.disk import LocalDisk
from edged.update.trust_file import TrustFile

TESTS = Path(__file__).resolve().parents[1] / "tests"
MIB = 1024**2
SIZE = 100 * MIB
NAME = "large-1.0.0.edgemodel"
DEVICE = Audience("device", "bench")
LEAST_MB_PER_S = 30.0
MOST_MB = 50.0
TIMES = 5
OUTBOX_BYTES = 64 * MIB


@dataclass
class Site:
    """A repository on the disk, and one box whose courier fetches from it."""

    folder: Path
    repository: str
    ask: Callable[[dict[str, Any]], None] = lambda _document: None

    def __post_init__(self) -> None:
        settings = CourierSettings(self.repository, self.folder / "root.json", self.folder / "state", DEVICE.name)
        self.courier = Courier(settings, TrustFile(settings.state, LocalDisk()), SystemClock(), self.ask)
        self.peak_mb = 0.0

    @cached_property
    def order(self) -> ModelOrder:
        """The release, once its order is judged."""
        order = self.courier.judge((self.folder / "order").read_bytes(), DEVICE).models["large"]
        if order is None:
            message = "the order names no release"
            raise RuntimeError(message)
        return order

    def fetch_s(self) -> float:
        """Fetch it anew; gives seconds."""
        shutil.rmtree(self.folder / "state" / "incoming", ignore_errors=True)
        began_s = time.perf_counter()
        self.courier.fetch(self.order, self._look)
        return time.perf_counter() - began_s

    def interrupted(self, at: int) -> None:
        """Begin anew, and kill the child once ``at`` bytes are there."""
        shutil.rmtree(self.folder / "state" / "incoming", ignore_errors=True)

        def kill(done: int, _whole: int) -> None:
            if done >= at:
                os.kill(self._pid(), signal.SIGKILL)

        try:
            self.courier.fetch(self.order, kill)
        except RetryableError as error:
            if error.code != "crashed":
                raise

    def _look(self, _done: int, _whole: int) -> None:
        status = Path("/proc", str(self._pid()), "status").read_text(encoding="ascii")
        peak_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        self.peak_mb = max(self.peak_mb, peak_kib / 1024)

    def _pid(self) -> int:
        return int(self.courier._child._process.pid)  # type: ignore[union-attr]  # noqa: SLF001 - who is to be killed


def measure(effort: Effort) -> list[Figure]:
    """Give the rows: rates, what a resume wastes, and what the child takes of memory."""
    sys.path.insert(0, str(TESTS))
    from fakes.webserver import serving  # noqa: PLC0415 - not on the path before

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _repository(folder)
        with serving(folder / "public") as web:
            site = Site(folder, web.url)
            over_http = [SIZE / 1e6 / site.fetch_s() for _ in range(effort.times(TIMES))]
        shutil.rmtree(folder / "state")
        over_mqtt, wasted, peak_mb = _mqtt(folder, effort)
    window = WINDOW * BLOCK_BYTES
    peak_mb = max(peak_mb, site.peak_mb)
    return [
        _rate("HTTP", over_http),
        _rate("MQTT", over_mqtt),
        Figure(
            "bytes sent twice when a download over MQTT is killed and goes on",
            f"≤ {window / MIB:.0f} MiB, one window",
            f"{max(wasted) / MIB:.2f} MiB",
            max(wasted) <= window,
            f"{len(wasted)} kills in the middle of 100 MiB",
            "python-tuf's own download begins anew",
        ),
        Figure(
            "largest resident size of the child that verifies and downloads",
            f"≤ {MOST_MB:.0f} MB",
            f"{peak_mb:.1f} MB",
            peak_mb <= MOST_MB,
            "looked at twice a second; nothing of it stays in the daemon",
        ),
    ]


def _mqtt(folder: Path, effort: Effort) -> tuple[list[float], list[int], float]:
    """Fetch through the daemon's own link and outbox, from a service on a broker of its own."""
    from fakes.blockservice import BlockService  # noqa: PLC0415 - as above
    from fakes.brokers import mosquitto  # noqa: PLC0415

    with ExitStack() as stack:
        broker = stack.enter_context(closing(mosquitto(folder, "set_tcp_nodelay true", "max_queued_messages 1000")))
        service = stack.enter_context(closing(BlockService(broker.port, folder / "public")))
        clock = SystemClock()
        stamper = Stamper(boot_id(Path("/")), clock)
        outbox = Outbox.open(folder / "outbox.sqlite3", device=DEVICE.name, clock=clock, max_bytes=OUTBOX_BYTES)
        stack.callback(outbox.close)

        def ask(body: dict[str, Any]) -> None:
            outbox.put(Draft(GET, {**body, **stamper.now()}, qos=0))

        site = Site(folder, "mqtt", ask)
        link = Link(
            LinkSettings("127.0.0.1", broker.port, DEVICE.name),
            outbox,
            clock,
            lambda came: site.courier.take(came.payload),
        )
        stack.callback(link.stop, 2.0)
        link.start()
        rates = [SIZE / 1e6 / site.fetch_s() for _ in range(effort.times(TIMES))]
        wasted = []
        for _ in range(effort.times(TIMES)):
            sent = service.sent
            site.interrupted(SIZE // 2)
            site.courier.fetch(site.order)
            # The metadata is read anew; two kilobytes of it are no waste of the file's.
            wasted.append(service.sent - sent - SIZE - _metadata(folder))
        return rates, wasted, site.peak_mb


def _metadata(folder: Path) -> int:
    return 2 * sum(file.stat().st_size for file in (folder / "public" / "metadata").glob("timestamp.json"))


def _repository(folder: Path) -> None:
    from fakes.repository_simulator import Simulator, desired, ordered, written  # noqa: PLC0415 - as above

    now = datetime.now(timezone.utc).replace(microsecond=0)
    simulator, content = Simulator(expires=now + timedelta(days=1)), os.urandom(SIZE)
    simulator.add(NAME, content)
    simulator.publish()
    simulator.write(folder / "public")
    end = written(now + timedelta(days=1))
    models = {"large": ordered(NAME, content, version="1.0.0")}
    document = desired(**{"for": {"device": DEVICE.name}, "issued": written(now), "not_after": end, "models": models})
    (folder / "order").write_bytes(simulator.desire(document))
    (folder / "root.json").write_bytes(simulator.provisioned)


def _rate(way: str, rates: list[float]) -> Figure:
    return Figure(
        f"100 MiB over {way}, verified and on the disk",
        f"≥ {LEAST_MB_PER_S:.0f} MB/s",
        f"{median(rates):.0f} MB/s",
        median(rates) >= LEAST_MB_PER_S,
        f"{len(rates)} times, {min(rates):.0f} to {max(rates):.0f}; on loopback, server and box on one machine",
        "36 to 50 MB/s over MQTT with blocks of 256 KiB",
    )
