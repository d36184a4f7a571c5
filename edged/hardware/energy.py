"""What the box consumes, where it can tell: TI's INA3221 on Jetson modules, or the processor's own counters (RAPL).

Both tell of everything that runs and idles there, not of one program: what a pipeline costs shows in the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edged.domain.ports import Clock
from edged.hardware.tree import Tree

Origin = Literal["ina3221", "rapl", "unknown"]

WHOLE_RAILS = frozenset({"VDD_IN", "POM_5V_IN"})
"""Rails that feed all others of their module (Orin Nano and NX, Xavier NX; Nano, TX2): added to those they would count twice."""
UNCONNECTED = "NC"
LONGEST_GAP_S = 10.0
"""Power that is read now and then is taken to have gone straight between two readings; not for longer than this."""

_HWMON = "sys/class/hwmon"
_POWERCAP = "sys/class/powercap"
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Counter:
    """An energy counter in microjoules, which begins anew after ``range_uj``."""

    energy_uj: int
    range_uj: int


def watts(tree: Tree) -> float | None:
    """Give the power that INA3221 monitors read now; None where there is none (Documentation/hwmon/ina3221.rst)."""
    rails: dict[str, float] = {}
    for name in tree.matching(_HWMON, r"hwmon\d+"):
        if tree.text(f"{_HWMON}/{name}/name") == "ina3221":
            rails |= _rails(tree, f"{_HWMON}/{name}")
    whole = [power for rail, power in rails.items() if rail.rpartition("/")[2] in WHOLE_RAILS]
    return (sum(whole) if whole else sum(rails.values())) if rails else None


def _rails(tree: Tree, monitor: str) -> dict[str, float]:
    found = {}
    for channel in (1, 2, 3):
        label = tree.text(f"{monitor}/in{channel}_label") or str(channel)
        millivolts = tree.integer(f"{monitor}/in{channel}_input")
        milliamperes = tree.integer(f"{monitor}/curr{channel}_input")
        if label != UNCONNECTED and millivolts is not None and milliamperes is not None:
            found[f"{monitor}/{label}"] = max(0.0, millivolts * milliamperes / 1e6)
    return found


def counters(tree: Tree) -> Mapping[str, Counter]:
    """Give the counters of each processor package, or of the whole platform where it has one (Documentation/power/powercap).

    Only root may read them since Linux 5.10 (CVE-2020-8694), unless a rule says otherwise: empty then.
    """
    found: dict[str, Counter] = {}
    for zone in tree.matching(_POWERCAP, r"intel-rapl:\d+"):
        name = tree.text(f"{_POWERCAP}/{zone}/name")
        energy = tree.integer(f"{_POWERCAP}/{zone}/energy_uj")
        bound = tree.integer(f"{_POWERCAP}/{zone}/max_energy_range_uj")
        if name is not None and energy is not None and bound is not None and 0 <= energy <= bound:
            found[name] = Counter(energy, bound)
    return {"psys": found["psys"]} if "psys" in found else found


def spent_uj(before: Mapping[str, Counter], now: Mapping[str, Counter]) -> int:
    """Give what was spent between two readings that lie less than a round of the counter apart."""
    total = 0
    for name, counter in now.items():
        if name in before:
            difference = counter.energy_uj - before[name].energy_uj
            total += difference if difference >= 0 else difference + counter.range_uj
    return total


class Meter:
    """Adds up what the box consumes. ``sample`` at least every ten seconds; one thread."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self._tree, self._clock = Tree(root), clock
        self._at_ns = clock.monotonic_ns()
        self._watts = watts(self._tree)
        self._counters = counters(self._tree) if self._watts is None else {}
        self.origin: Origin = "ina3221" if self._watts is not None else "rapl" if self._counters else "unknown"
        self.joules = 0.0

    def __repr__(self) -> str:
        return f"<Meter {self.origin}: {self.joules:.1f} J>"

    def sample(self) -> None:
        """Read, and add what was consumed since the last time."""
        now_ns = self._clock.monotonic_ns()
        elapsed_s, self._at_ns = (now_ns - self._at_ns) / _NS_PER_S, now_ns
        if self.origin == "ina3221":
            self._add_power(elapsed_s)
        elif self.origin == "rapl":
            now = counters(self._tree)
            self.joules += spent_uj(self._counters, now) / 1e6
            self._counters = now or self._counters

    def _add_power(self, elapsed_s: float) -> None:
        now = watts(self._tree)
        if now is not None and self._watts is not None:
            self.joules += (now + self._watts) / 2 * min(elapsed_s, LONGEST_GAP_S)
        self._watts = now


class Consumption:
    """What telemetry says about energy since the last time. ``inferences`` counts those of the whole box so far."""

    def __init__(self, meter: Meter, clock: Clock) -> None:
        self._meter, self._clock = meter, clock
        self._before = (clock.monotonic_ns(), meter.joules, 0)

    def told(self, inferences: int) -> dict[str, object]:
        """Give joules, watts and joules an inference; null where nothing tells them, ``source`` says what does."""
        self._meter.sample()
        now = (self._clock.monotonic_ns(), self._meter.joules, inferences)
        (then_ns, joules, count), self._before = self._before, now
        if self._meter.origin == "unknown":
            return {"source": "unknown", "joules": None, "watts": None, "joules_per_inference": None}
        spent, done, seconds = now[1] - joules, max(0, inferences - count), (now[0] - then_ns) / _NS_PER_S
        return {
            "source": self._meter.origin,
            "joules": round(spent, 3),
            "watts": round(spent / seconds, 3) if seconds > 0 else None,
            "joules_per_inference": round(spent / done, 4) if done else None,
        }
