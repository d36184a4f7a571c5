"""What boxes consume, from trees as their kernels write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.hardware.energy import Consumption, Counter, Meter, counters, spent_uj, watts
from edged.hardware.tree import Tree
from fakes.clock import FakeClock

UNKNOWN = {"source": "unknown", "joules": None, "watts": None, "joules_per_inference": None}


def put(root: Path, **files: str | int) -> None:
    for path, value in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n", "utf-8")


def monitor(root: Path, number: int, *rails: tuple[str, int, int], name: str = "ina3221") -> None:
    """Write a monitor: label, millivolts and milliamperes of each rail."""
    folder = f"sys/class/hwmon/hwmon{number}"
    put(root, **{f"{folder}/name": name})
    for channel, (label, millivolts, milliamperes) in enumerate(rails, 1):
        told = {f"in{channel}_label": label, f"in{channel}_input": millivolts, f"curr{channel}_input": milliamperes}
        put(root, **{f"{folder}/{file}": value for file, value in told.items()})


def zone(root: Path, number: int, name: str, energy_uj: int) -> None:
    folder = f"sys/class/powercap/intel-rapl:{number}"
    told = {"name": name, "energy_uj": energy_uj, "max_energy_range_uj": 262_143_328_850}
    put(root, **{f"{folder}/{file}": value for file, value in told.items()})


def test_the_rail_that_feeds_the_others_is_the_whole_module(tmp_path: Path) -> None:
    monitor(tmp_path, 1, ("VDD_IN", 5000, 1400), ("VDD_CPU_GPU_CV", 5000, 600), ("VDD_SOC", 5000, 300))
    assert watts(Tree(tmp_path)) == pytest.approx(7.0)


def test_rails_beside_each_other_are_summed_over_all_monitors(tmp_path: Path) -> None:
    monitor(tmp_path, 1, ("VDD_GPU_SOC", 19_000, 200), ("VDD_CPU_CV", 19_000, 100), ("VIN_SYS_5V0", 5000, 800))
    monitor(tmp_path, 2, ("NC", 5000, 900), ("VDDQ_VDD2_1V8AO", 5000, 100), ("NC", 0, 0))
    monitor(tmp_path, 3, ("fan", 12_000, 100), name="pwmfan")
    assert watts(Tree(tmp_path)) == pytest.approx(3.8 + 1.9 + 4.0 + 0.5)


def test_a_channel_that_does_not_read_is_left_out(tmp_path: Path) -> None:
    monitor(tmp_path, 1, ("CPU", 5000, 100), ("GPU", 5000, 100))
    (tmp_path / "sys/class/hwmon/hwmon1/curr2_input").unlink()
    assert watts(Tree(tmp_path)) == pytest.approx(0.5)


def test_power_that_is_read_is_added_up_over_time(tmp_path: Path) -> None:
    clock = FakeClock()
    monitor(tmp_path, 1, ("VDD_IN", 5000, 1000))
    meter = Meter(tmp_path, clock)
    monitor(tmp_path, 1, ("VDD_IN", 5000, 2000))
    clock.advance(2)
    meter.sample()
    assert (meter.origin, meter.joules) == ("ina3221", pytest.approx(15.0))


def test_packages_are_summed_and_their_parts_are_not(tmp_path: Path) -> None:
    clock = FakeClock()
    zone(tmp_path, 0, "package-0", 1_000_000)
    zone(tmp_path, 1, "package-1", 5_000_000)
    put(tmp_path, **{"sys/class/powercap/intel-rapl:0:0/name": "core"})
    meter = Meter(tmp_path, clock)
    zone(tmp_path, 0, "package-0", 4_000_000)
    zone(tmp_path, 1, "package-1", 6_000_000)
    clock.advance(1)
    meter.sample()
    assert (meter.origin, meter.joules) == ("rapl", pytest.approx(4.0))


def test_the_platforms_own_counter_stands_for_all(tmp_path: Path) -> None:
    zone(tmp_path, 0, "package-0", 1_000)
    zone(tmp_path, 1, "psys", 2_000)
    assert counters(Tree(tmp_path)) == {"psys": Counter(2_000, 262_143_328_850)}


def test_a_counter_that_went_round_is_no_gain() -> None:
    assert spent_uj({"package-0": Counter(990, 1000)}, {"package-0": Counter(5, 1000)}) == 15


def test_a_counter_that_only_root_may_read_is_unknown(tmp_path: Path) -> None:
    put(tmp_path, **{"sys/class/powercap/intel-rapl:0/name": "package-0"})
    clock = FakeClock()
    assert Consumption(Meter(tmp_path, clock), clock).told(100) == UNKNOWN


def test_joules_an_inference_are_those_since_the_last_time(tmp_path: Path) -> None:
    clock = FakeClock()
    monitor(tmp_path, 1, ("VDD_IN", 5000, 1000))
    consumption = Consumption(Meter(tmp_path, clock), clock)
    clock.advance(10)
    consumption.told(40)
    clock.advance(10)
    told = consumption.told(140)
    assert told == {"source": "ina3221", "joules": 50.0, "watts": 5.0, "joules_per_inference": 0.5}
    clock.advance(10)
    assert consumption.told(140)["joules_per_inference"] is None
