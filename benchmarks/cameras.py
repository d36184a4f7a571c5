"""Network cameras: CPU of a JPEG, how soon a stall is found and pictures flow again, and what each further camera costs in memory."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import psutil
from av.packet import Packet
from daemons import start, stop
from figure import Effort, Figure, median
from networks import Network, edged_model, network
from pairs import compare
from rtsp import Camera, camera, is_there

from edged.demo.broker import Broker
from edged.domain.frame import Frame, Stamp
from edged.hardware.clock import SystemClock
from edged.pipeline.backoff import Backoff
from edged.pipeline.feed import Feed
from edged.pipeline.inlet import Inlet
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.need import Needs
from edged.pipeline.reader import Reader
from edged.sources.camera import Transport, open_source
from edged.sources.picture_decoder import JpegDecoder, Shrinker

JPEG_TARGET, FOUND_S, BACK_S, MEMORY_MB = 0.5, 3.0, 5.0, 25.0
PAIRS, BLOCK_S, ROUNDS, LOOKS, GIVE_UP_S = 20, 0.5, 3, 6, 20.0
RETRY_LIMIT_S = 2.5
FURTHER = 3
KEPT = Stamp(0, 0, 0, 0.0)
NO_SERVER = "no RTSP server on this machine"


def measure(effort: Effort) -> list[Figure]:
    """Give a row for each figure."""
    with tempfile.TemporaryDirectory() as name:
        net = network("large", Path(name) / "bundles")
        rows = [_jpeg(net, effort)]
        if is_there():
            rows += [*_recovery("tcp", effort), *_recovery("udp", effort), _memory(net, Path(name), effort)]
        else:
            rows.append(Figure("network cameras", "", NO_SERVER, None))
    return rows


def _jpeg(net: Network, effort: Effort) -> Figure:
    """Compare JPEG to tensor: decoded at the scale that the model needs, and whole with OpenCV."""
    model = edged_model(net)
    needs = Needs(["bench"])
    needs.tell("bench", net.image())
    data = _large_jpeg(net)
    shrinker = Shrinker(needs.reduction)
    decoder = JpegDecoder(shrinker)
    array = np.frombuffer(data, np.uint8)
    whole, small = edged_model(net).preprocess, model.preprocess

    def bare(frames: int) -> None:
        for _ in range(frames):
            whole(Frame(cv2.imdecode(array, cv2.IMREAD_COLOR), KEPT))

    def ours(frames: int) -> None:
        for _ in range(frames):
            small(Frame(shrinker.bgr(decoder.decode(Packet(data))[0]), KEPT))

    ours(2)
    ratios = compare(bare, ours, pairs=effort.times(PAIRS), block_s=BLOCK_S)
    ratio = 1 / median(ratios.cpu)
    return Figure(
        "1080p MJPEG, CPU a frame, capture to tensor ÷ full decode and resize",
        f"≤ {JPEG_TARGET}",
        f"{ratio:.2f}",
        ratio <= JPEG_TARGET,
        f"{ratios.spread()}; {len(data) // 1000} kB a picture; damaged pictures are found on our side alone",
        "1 (OpenCV)",
    )


def _large_jpeg(net: Network) -> bytes:
    picture = cv2.resize(net.frame(), (1920, 1080), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(1).integers(0, 8, picture.shape, np.uint8)
    _, data = cv2.imencode(".jpg", cv2.add(picture, noise), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data.tobytes()


class _Watched:
    """A camera as a pipeline sees it."""

    def __init__(self, url: str, transport: Transport) -> None:
        clock, box = SystemClock(), Mailbox("bench")
        self._inlet = Inlet(box, clock, max_age_s=1.0)
        self._feed = Feed(
            "bench",
            lambda: open_source(url=url, clock=clock, transport=transport),
            clock,
            readers=[Reader(box)],
            backoff=Backoff(limit_s=RETRY_LIMIT_S),
        )
        self._feed.start()

    def until_lost(self) -> float:
        """Give the seconds from now until the loss is known."""
        return self._until(lambda: self._feed.state.condition == "lost")

    def until_seen(self) -> float:
        """Give the seconds from now until a fresh picture is there."""
        return self._until(lambda: self._inlet.take(0.02) is not None)

    def close(self) -> None:
        """Let the camera go."""
        self._feed.stop()
        self._feed.join(GIVE_UP_S)

    def _until(self, fact: Callable[[], bool]) -> float:
        began_s = time.monotonic()
        while not fact():
            self._inlet.take(0.005)
            if time.monotonic() - began_s > GIVE_UP_S:
                message = "cannot measure the camera: nothing happened, expected a loss or a picture"
                raise RuntimeError(message)
        return time.monotonic() - began_s


def _recovery(transport: Transport, effort: Effort) -> list[Figure]:
    """Kill, stop and start the server again, a few times each; give the worst."""
    found: list[float] = []
    back: list[float] = []
    with camera(640, 480, 25) as served:
        watched = _Watched(served.url, transport)
        for number in range(effort.times(ROUNDS)):
            watched.until_seen()
            kills = number % 2 == 0
            _take_away(served, kills=kills)
            found.append(watched.until_lost())
            time.sleep(2.0)
            _give_back(served, kills=kills)
            back.append(watched.until_seen())
        watched.close()
    spread = f"worst of {len(found)}, server killed and stopped in turn; H.264 over {transport.upper()}"
    known = "OpenCV 6.1 s, never"
    return [
        Figure(
            f"stall found, {transport}",
            f"≤ {FOUND_S:.0f} s",
            f"{max(found):.1f} s",
            max(found) <= FOUND_S,
            spread,
            known,
        ),
        Figure(
            f"frames back, {transport}", f"≤ {BACK_S:.0f} s", f"{max(back):.1f} s", max(back) <= BACK_S, spread, known
        ),
    ]


def _take_away(served: Camera, *, kills: bool) -> None:
    if kills:
        served.kill()
    else:
        served.send(signal.SIGSTOP)


def _give_back(served: Camera, *, kills: bool) -> None:
    if kills:
        served.start()
    else:
        served.send(signal.SIGCONT)


def _memory(net: Network, folder: Path, effort: Effort) -> Figure:
    """Compare the daemon with one camera and with several, each with a pipeline of its own."""
    broker = Broker(folder)
    try:
        with camera(1280, 720, 10) as served:
            one, several = (
                _pss(net, folder / str(count), broker.port, served.url, count, effort) for count in (1, 1 + FURTHER)
            )
    finally:
        broker.close()
    each = (several - one) / FURTHER
    return Figure(
        "each further network camera, memory (PSS)",
        f"≤ {MEMORY_MB:.0f} MB",
        f"{each:.1f} MB",
        each <= MEMORY_MB,
        f"720p H.264, each with a pipeline and a network of its own; one camera {one:.0f} MB, {1 + FURTHER} cameras {several:.0f} MB",
        "Frigate 72 to 76 MB",
    )


def _pss(net: Network, folder: Path, port: int, url: str, cameras: int, effort: Effort) -> float:
    folder.mkdir()
    lines = [f'[device]\nid = "bench"\n[state]\ndirectory = "{folder}/state"\n[mqtt]\nport = {port}']
    lines.append(f'[models]\ndirectories = ["{net.bundle.folder.parent}"]')
    for number in range(cameras):
        lines.append(f'[[source]]\nname = "c{number}"\nkind = "camera"\nurl = "{url}"')
        lines.append(f'[[pipeline]]\nname = "p{number}"\nsource = "c{number}"\nmodel = "{net.bundle.manifest.name}"')
    config = folder / "edged.toml"
    config.write_text("\n".join(lines), encoding="utf-8")
    daemon = start(config)
    try:
        time.sleep(12.0)
        return max(_look(daemon.pid) for _ in range(effort.times(LOOKS)))
    finally:
        stop(daemon)


def _look(pid: int) -> float:
    """Wait a second, and sum the memory of the tree in proportion to its users (PSS), in MB."""
    time.sleep(1.0)
    total = 0.0
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024 / 1e6
    return total
