from __future__ import annotations

from pathlib import Path

from edged.domain.ports import Clock
from edged.hardware.clock import UNKNOWN_BOOT, SystemClock, boot_id
from fakes.devicetree import Machine


def test_the_monotonic_clock_never_steps_back() -> None:
    clock: Clock = SystemClock()

    first = clock.monotonic_ns()

    assert clock.monotonic_ns() >= first
    assert clock.wall_ns() > 1_700_000_000_000_000_000


def test_synchronisation_is_a_plain_answer() -> None:
    clock = SystemClock()

    assert clock.synced() in {True, False}
    assert repr(clock) in {"SystemClock(synced)", "SystemClock(unsynced)"}


def test_without_adjtimex_the_clock_counts_as_unsynced() -> None:
    clock = SystemClock()
    clock._adjtimex = None

    assert not clock.synced()


def test_the_boots_identity_is_the_kernels(machine: Machine) -> None:
    root = machine("proc/sys/kernel/random/boot_id = 0b0a8a4e-7d8a-4a0e-9f7b-6f0f7f0c1d2e")

    assert boot_id(root) == "0b0a8a4e-7d8a-4a0e-9f7b-6f0f7f0c1d2e"
    assert boot_id(Path("/")) != UNKNOWN_BOOT


def test_an_unreadable_identity_is_zeros(tmp_path: Path) -> None:
    assert boot_id(tmp_path) == UNKNOWN_BOOT
