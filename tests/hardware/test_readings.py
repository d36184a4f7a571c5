from __future__ import annotations

from pathlib import Path

import pytest

from edged.hardware.readings import Pressure, read
from fakes.devicetree import Machine


def test_an_empty_root_reads_as_absent_throughout(tmp_path: Path) -> None:
    readings = read(tmp_path)

    assert readings.temperatures == ()
    assert readings.hottest_c is readings.headroom_c is readings.under_voltage is readings.throttled is None
    assert readings.memory_available_mb is readings.memory_total_mb is readings.cgroup_headroom_mb is None
    assert readings.cpu_pressure is readings.load_1m is readings.gpu_load_percent is readings.cpu_frequency_cap is None


def test_this_machine_is_read() -> None:
    readings = read(Path("/"))

    assert readings.memory_available_mb is not None
    assert readings.load_1m is not None


def test_a_raspberry_pi_tells_heat_voltage_and_throttling(machine: Machine) -> None:
    readings = read(machine("raspberry-pi-4-coral-usb3"))

    assert (readings.hottest_c, readings.headroom_c) == (61.0, 49.0)
    assert (readings.under_voltage, readings.throttled, readings.cpu_frequency_cap) == (True, True, 0.75)
    assert (readings.load_1m, readings.memory_available_mb) == (0.52, 1464)


def test_a_pressure_file_may_have_one_of_its_two_lines(machine: Machine) -> None:
    readings = read(machine("raspberry-pi-4-coral-usb3"))

    assert readings.cpu_pressure == Pressure(12.5, None)
    assert readings.memory_pressure == Pressure(None, 0.75)
    assert readings.io_pressure is None


def test_a_jetsons_constant_zone_and_unpowered_rails_are_left_out(machine: Machine) -> None:
    readings = read(machine("jetson-orin-nx-third-party-carrier"))

    assert [(x.sensor, x.temp_c) for x in readings.temperatures] == [("cpu-thermal", 55.25)]


@pytest.mark.parametrize(
    ("name", "percent"), [("jetson-orin-nx-third-party-carrier", 42.3), ("jetson-agx-xavier", 99.9)]
)
def test_a_tegra_counts_its_load_in_thousandths(name: str, percent: float, machine: Machine) -> None:
    assert read(machine(name)).gpu_load_percent == percent


def test_old_kernels_memory_is_estimated(machine: Machine) -> None:
    assert read(machine("jetson-agx-xavier")).memory_available_mb == 24_000_000 // 1024


@pytest.mark.parametrize(("name", "headroom_mb"), [("container-cgroup1", 64), ("container-cgroup2", 256)])
def test_the_nearest_limit_on_the_way_up_is_the_headroom(name: str, headroom_mb: int, machine: Machine) -> None:
    assert read(machine(name)).cgroup_headroom_mb == headroom_mb


def test_trip_points_are_the_limits_of_their_zone(machine: Machine) -> None:
    zone = "sys/class/thermal/thermal_zone0"
    root = machine(
        f"{zone}/type = cpu-thermal\n{zone}/temp = 71000\n"
        f"{zone}/trip_point_0_type = active\n{zone}/trip_point_0_temp = 50000\n"
        f"{zone}/trip_point_1_type = passive\n{zone}/trip_point_1_temp = 85000\n"
        f"{zone}/trip_point_2_type = critical\n{zone}/trip_point_2_temp = 115000\n"
        f"{zone}/trip_point_10_type = passive\n{zone}/trip_point_10_temp = 75000"
    )

    (sensor,) = read(root).temperatures

    assert (sensor.soft_c, sensor.hard_c, read(root).headroom_c) == (75.0, 115.0, 4.0)


def test_a_pcs_processor_is_read_from_hwmon_and_a_disk_is_not_the_processor(machine: Machine) -> None:
    root = machine(
        "sys/class/hwmon/hwmon0/name = coretemp\nsys/class/hwmon/hwmon0/temp1_input = 54000\n"
        "sys/class/hwmon/hwmon0/temp1_label = Package id 0\nsys/class/hwmon/hwmon0/temp1_max = 81000\n"
        "sys/class/hwmon/hwmon0/temp1_crit = 91000\n"
        "sys/class/hwmon/hwmon1/name = nvme\nsys/class/hwmon/hwmon1/temp1_input = 65000\n"
        "sys/class/hwmon/hwmon1/temp1_max = 65261850"
    )

    readings = read(root)

    assert [(x.sensor, x.soft_c, x.hard_c) for x in readings.temperatures] == [
        ("coretemp Package id 0", 81.0, 91.0),
        ("nvme temp1", None, None),
    ]
    assert readings.hottest_c == 54.0


def test_a_graphics_cards_own_sensor_is_found_below_drm(machine: Machine) -> None:
    card = "sys/class/drm/card0/device"

    readings = read(machine(f"{card}/hwmon/hwmon4/temp1_input = 47000\n{card}/gpu_busy_percent = 10"))

    assert (readings.hottest_c, readings.gpu_load_percent) == (47.0, 10.0)


@pytest.mark.parametrize(
    ("kind", "state", "throttled"),
    [("pwm-fan", 4, None), ("Processor", 0, False), ("Processor", 3, True), ("intel_powerclamp", -1, False)],
)
def test_a_cooling_device_that_slows_the_processor_is_throttling(
    kind: str,
    state: int,
    throttled: bool | None,
    machine: Machine,
) -> None:
    device = "sys/class/thermal/cooling_device0"

    assert read(machine(f"{device}/type = {kind}\n{device}/cur_state = {state}")).throttled is throttled


def test_a_coral_cards_own_sensor_has_its_first_trip_point_as_the_soft_limit(machine: Machine) -> None:
    card = "sys/class/apex/apex_0"

    (sensor,) = read(
        machine(f"{card}/temp = 84800\n{card}/trip_point0_temp = 84800\n{card}/hw_temp_warn2 = 100000")
    ).temperatures

    assert (sensor.sensor, sensor.temp_c, sensor.soft_c, sensor.hard_c) == ("apex_0", 84.8, 84.8, 100.0)
