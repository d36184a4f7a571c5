"""Coral Edge TPUs: TFLite with libedgetpu's delegate, each device in a child of its own, all of the box in one pool.

Opening a device holds the interpreter's lock for up to 25 s (firmware, retries), and libedgetpu crashes with a runtime that it was not
built for: neither may happen in the daemon.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from edged.domain.errors import DeviceError, EngineLostError
from edged.domain.tensor import Array
from edged.engines.edgetpu_canary import Canary
from edged.engines.sandbox import CrashedError, Home, Order, Sandbox, SandboxEngine

LIBRARY = "libedgetpu.so.1"
FOLDERS = ("/usr/local/lib", "/usr/lib", "/usr/lib/*-linux-gnu*", "/lib/*-linux-gnu*", "/opt/edgetpu/lib")
"""Where packages put it."""
GIVE_BACK_S = 0.3
"""An idle device is given back within; whoever closes waits no longer, since its next rung has to see again."""


@dataclass(frozen=True, slots=True)
class Device:
    """An Edge TPU as the delegate's ``device`` option names it (``usb:0``, ``pci:1``), and its node if that is known."""

    name: str
    node: str = ""

    def __post_init__(self) -> None:
        """Refuse a name without an index: libedgetpu ignores its other options then."""
        kind, _, index = self.name.partition(":")
        if kind not in {"usb", "pci"} or not index.isdecimal():
            message = f"cannot use Edge TPU {self.name!r}, expected usb:N or pci:N"
            raise ValueError(message)


class Pool:
    """The Edge TPUs of a box, a child for each. Pipelines are spread; a file that runs on a device already is shared there."""

    def __init__(self, devices: Sequence[Device], canary: Canary, library: Path | None = None) -> None:
        """``library`` is libedgetpu's file; None: it is looked for where packages put it."""
        self._devices, self._canary, self._library = tuple(devices), canary, library
        self._lock = threading.Lock()
        self._seats = {device.name: _Seat() for device in devices}
        self._failed: list[str] = []

    def __repr__(self) -> str:
        seats = ", ".join(f"{name}: {seat!r}" for name, seat in self._seats.items())
        return f"<Pool of {len(self._devices)} Edge TPUs: {seats}>"

    def know(self, devices: Sequence[Device]) -> None:
        """Take these as the box's devices from now on; who holds one that is gone finds out at its next call."""
        with self._lock:
            self._devices = tuple(devices)
            for device in devices:
                self._seats.setdefault(device.name, _Seat())

    def open(self, file: Path, home: Home, runs: int = 3) -> Lease:
        """Run a file on the device that has the least to do.

        Raises DeviceError when there is no library or device, or none opens; BundleError when it is the file.
        """
        if not self._devices:
            message = "cannot use an Edge TPU: none was found, expected one on USB or PCIe"
            raise DeviceError(message, remedy="edged hardware shows what was looked for", code="device-absent")
        library = self._library or find_library()
        told: list[DeviceError] = []
        for device in self._candidates():
            try:
                return self._lease(
                    device,
                    Order(file, "tflite", delegate=str(library), options={"device": device.name}, runs=runs),
                    home,
                )
            except DeviceError as error:
                self._put_last(device)
                if error.code not in OF_ONE_DEVICE:
                    raise
                told.append(error)
        message = "; ".join(str(error.args[0]) for error in told)
        raise DeviceError(message, remedy=told[0].remedy, code=told[0].code)

    def _candidates(self) -> list[Device]:
        """Order the devices: what failed last at the end, and before that those with the fewest users first."""
        with self._lock:
            failed = {name: place for place, name in enumerate(self._failed, 1)}
            return sorted(self._devices, key=lambda one: (failed.get(one.name, 0), self._seats[one.name].users))

    def _lease(self, device: Device, order: Order, home: Home) -> Lease:
        with self._lock:
            seat = self._seats[device.name]
            if seat.sandbox is not None and seat.sandbox.lingers:
                # Another child would come to hang beside it, and so on with each try.
                raise _held_for_ever(device, seat.sandbox)
            if seat.is_lost:
                # Those who still hold it find out by themselves; who comes now gets a new one.
                seat = self._seats[device.name] = _Seat()
            seat.users += 1
        give_back = partial(self._give_back, seat, order.file)
        try:
            # One opens it, and whoever wants something there waits for that.
            with seat.opening:
                engine = self._opened(seat, device, order, home)
        except BaseException:
            give_back()
            raise
        with self._lock:
            self._failed = [name for name in self._failed if name != device.name]
        return Lease(engine, device.name, give_back, partial(self._put_last, device))

    def _opened(self, seat: _Seat, device: Device, order: Order, home: Home) -> SandboxEngine:
        """Give the file's engine on a device, opened if need be, with one user more."""
        library, hello = Path(order.delegate), None
        seat.counts[order.file] = seat.counts.get(order.file, 0) + 1
        try:
            if seat.sandbox is None:
                seat.sandbox = Sandbox(order.kind, home, f"Edge TPU {device.name}")
            hello = seat.sandbox.hello
            self._canary.check(library, hello)
            if order.file not in seat.engines:
                seat.engines[order.file] = seat.sandbox.open(order, home)
        except CrashedError:
            if hello is not None:
                self._canary.note(library, hello, crashed=True)
            raise
        except DeviceError as error:
            raise _said(error, device) from error
        self._canary.note(library, hello, crashed=False)
        return seat.engines[order.file]

    def _give_back(self, seat: _Seat, file: Path) -> None:
        with seat.opening:
            seat.counts[file] = seat.counts.get(file, 0) - 1
            unused = seat.engines.pop(file, None) if seat.counts[file] <= 0 else None
            with self._lock:
                seat.users -= 1
                is_last = seat.users == 0
            if unused is not None:
                unused.close()
            if is_last and seat.sandbox is not None:
                # The device is given back, too: only its process's end does that.
                seat.sandbox.close()
                if not seat.sandbox.lingers:
                    seat.sandbox = None

    def _put_last(self, device: Device) -> None:
        with self._lock:
            self._failed = [name for name in self._failed if name != device.name] + [device.name]


OF_ONE_DEVICE = frozenset({"device-failed", "deadline", "engine-lost"})
"""Errors after which another device may do."""


@dataclass(slots=True)
class _Seat:
    """A device's child, and what runs there for how many."""

    users: int = 0
    sandbox: Sandbox | None = None
    engines: dict[Path, SandboxEngine] = field(default_factory=dict)
    counts: dict[Path, int] = field(default_factory=dict)
    opening: threading.Lock = field(default_factory=threading.Lock)

    def __repr__(self) -> str:
        return ", ".join(f"{file.name} for {self.counts.get(file, 0)}" for file in self.engines) or "free"

    @property
    def is_lost(self) -> bool:
        """Whether its child has ended."""
        return self.sandbox is not None and self.sandbox.is_lost


class Lease:
    """An engine that several pipelines may hold, each until it closes its own."""

    def __init__(
        self, engine: SandboxEngine, device: str, give_back: Callable[[], None], blame: Callable[[], None]
    ) -> None:
        self.engine, self.device = engine, device
        self.runtime, self.inputs, self.outputs = engine.runtime, engine.inputs, engine.outputs
        self._give_back, self._blame = give_back, blame
        self._closed = False
        self.priority = 0
        """Whose calls come first, where others run something on the device too."""

    def __repr__(self) -> str:
        return f"<Lease of {self.device}: {'closed' if self._closed else repr(self.engine)}>"

    def infer(self, tensors: Sequence[Array]) -> list[Array]:
        """Run once, after whoever is before. Raises DeadlineError and EngineLostError, as the engine does."""
        if self._closed:
            message = f"cannot run on Edge TPU {self.device}: its engine was closed"
            raise EngineLostError(message)
        try:
            return self.engine.infer(tensors, self.priority)
        except EngineLostError:
            self._blame()
            raise

    def close(self) -> None:
        """Give it back; the last one ends the child. May be called twice. What is busy for another is given back after that, aside."""
        if not self._closed:
            self._closed = True
            giving = threading.Thread(target=self._give_back, name="edged-edgetpu-give-back", daemon=True)
            giving.start()
            giving.join(GIVE_BACK_S)


def find_library(folders: Iterable[str] = FOLDERS) -> Path:
    """Find libedgetpu. Raises DeviceError when it is not installed."""
    for folder in folders:
        for found in sorted(Path("/").glob(f"{folder.lstrip('/')}/{LIBRARY}")):
            return found
    message = f"cannot use an Edge TPU: {LIBRARY} is in none of {', '.join(folders)}, expected Coral's library"
    remedy = "install libedgetpu1-std, or name its file: library below [engine.edgetpu]"
    raise DeviceError(message, remedy=remedy, code="library-missing")


def holders(node: str, proc: Path = Path("/proc")) -> list[str]:
    """Name the processes that hold a device's node; of others' processes only root sees which files they hold."""
    found = []
    for process in sorted(proc.glob("[0-9]*")):
        with suppress(OSError):
            if any(str(one.readlink()) == node for one in (process / "fd").iterdir()):
                name = (process / "comm").read_text("utf-8", "replace").strip()
                found.append(f"process {process.name} ({name})")
    return found


def _held_for_ever(device: Device, sandbox: Sandbox) -> DeviceError:
    message = (
        f"cannot open Edge TPU {device.name}: process {sandbox.process.pid}, which was ended there, hangs in its driver, "
        "expected a device that lets go"
    )
    return DeviceError(message, remedy="unplug it and plug it in again, or restart the box", code="device-failed")


def _said(error: DeviceError, device: Device) -> DeviceError:
    """Say which device it is, and who holds it if somebody does."""
    if error.code != "device-failed":
        return error
    who = holders(device.node) if device.node else []
    if who:
        message = f"cannot open Edge TPU {device.name}: {' and '.join(who)} holds {device.node}, expected a free device"
        return DeviceError(message, remedy="stop that process", code="device-failed")
    words = str(error.args[0]).partition(": ")[2]
    message = f"cannot open Edge TPU {device.name}: {words}, expected a device that answers"
    return DeviceError(message, remedy="unplug it and plug it in again, and see the kernel log", code="device-failed")
