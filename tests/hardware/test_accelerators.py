from __future__ import annotations

import pytest

from edged.domain.device import Accelerator
from edged.hardware.inventory import take_inventory
from fakes.devicetree import Machine

PCI = "sys/bus/pci/devices/0000:01:00.0"
USB = "sys/bus/usb/devices/1-2"
APEX = "sys/class/apex/apex_0"


def _pci(vendor: str, device: str, pci_class: str = "", driver: str = "") -> str:
    lines = [f"{PCI}/vendor = 0x{vendor}", f"{PCI}/device = 0x{device}"]
    lines += [f"{PCI}/class = 0x{pci_class}"] * bool(pci_class)
    lines += [f"{PCI}/uevent = DRIVER={driver}"] * bool(driver)
    return "\n".join(lines)


def _only(machine: Machine, lines: str) -> Accelerator:
    (found,) = take_inventory(machine(lines)).accelerators
    return found


def _told(found: Accelerator) -> tuple[str, bool, str]:
    return found.kind, found.usable, found.state


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("raspberry-pi-5-hailo-no-driver", [("hailo", False, "driver-missing")]),
        ("raspberry-pi-4-coral-usb3", [("edgetpu", True, "ready")]),
        ("jetson-orin-nx-third-party-carrier", [("nvidia-gpu", True, "ready")]),
        ("jetson-thor", [("nvidia-gpu", True, "ready")]),
        ("rk3576-vendor-kernel", [("rockchip-npu", True, "ready")]),
        ("rk3566-no-render-node", [("rockchip-npu", False, "node-missing")]),
        ("pc-dual-coral", [("edgetpu", True, "ready"), ("edgetpu", False, "node-missing")]),
        ("pc-geforce", [("nvidia-gpu", True, "ready")]),
        ("pc-geforce-nouveau", [("nvidia-gpu", False, "driver-missing")]),
        ("core-ultra-no-npu-firmware", [("intel-npu", False, "node-missing"), ("intel-gpu", True, "ready")]),
    ],
)
def test_a_machine_has_these_accelerators(name: str, expected: list[tuple[str, bool, str]], machine: Machine) -> None:
    assert [_told(found) for found in take_inventory(machine(name)).accelerators] == expected


def test_a_coral_stick_without_firmware_counts_as_usable_and_says_what_will_happen(machine: Machine) -> None:
    found = _only(machine, f"{USB}/idVendor = 1a6e\n{USB}/idProduct = 089a\n{USB}/speed = 5000")

    assert (_told(found), found.speed_mbps) == (("edgetpu", True, "waiting-for-firmware"), 5000)
    assert "18d1:9302" in found.reason


def test_a_coral_stick_without_its_node_is_unusable(machine: Machine) -> None:
    found = _only(machine, f"{USB}/idVendor = 18d1\n{USB}/idProduct = 9302\n{USB}/busnum = 1\n{USB}/devnum = 5")

    assert (_told(found), found.speed_mbps) == (("edgetpu", False, "node-missing"), None)
    assert "/dev/bus/usb/001/005" in found.reason


def test_a_coral_stick_at_usb_2_speed_is_a_warning(machine: Machine) -> None:
    found = take_inventory(machine(f"{USB}/idVendor = 18d1\n{USB}/idProduct = 9302\n{USB}/speed = 480"))

    assert [(x.code, x.evidence[0].value) for x in found.warnings] == [("usb2-link", "480")]


def test_a_usb_hub_is_no_accelerator(machine: Machine) -> None:
    assert take_inventory(machine(f"{USB}/idVendor = 1d6b\n{USB}/idProduct = 0002")).accelerators == ()


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ("", "gasket-dkms"),
        ("\nproc/modules = apex 28672 0 - Live 0x0\\ngasket 1 1 apex, Live 0x0", "reset"),
        (f"\n{PCI}/driver -> ../../drivers/vfio-pci\nsys/bus/pci/drivers/vfio-pci/", "vfio-pci"),
    ],
)
def test_a_coral_card_without_its_driver_names_what_is_missing(more: str, word: str, machine: Machine) -> None:
    found = _only(machine, _pci("1ac1", "089a", "0000ff") + more)

    assert _told(found) == ("edgetpu", False, "driver-missing")
    assert word in found.reason


def test_a_coral_card_with_driver_but_no_class_entry_lacks_its_node(machine: Machine) -> None:
    assert _told(_only(machine, _pci("1ac1", "089a", "0000ff", "apex"))) == ("edgetpu", False, "node-missing")


def test_a_dead_coral_card_is_unusable(machine: Machine) -> None:
    lines = f"{APEX}/pci_address = 0000:01:00.0\n{APEX}/status = DEAD\ndev/apex_0"

    found = _only(machine, f"{_pci('1ac1', '089a', '088000', 'apex')}\n{lines}")

    assert (_told(found), found.address) == (("edgetpu", False, "failed"), "0000:01:00.0")


def test_a_coral_card_in_use_says_by_whom(machine: Machine) -> None:
    found = _only(machine, f"{APEX}/is_device_owned = 1\n{APEX}/device_owner = 1842\ndev/apex_0")

    assert _told(found) == ("edgetpu", True, "busy")
    assert "1842" in found.reason


def test_a_folder_in_the_place_of_a_node_is_no_node(machine: Machine) -> None:
    assert _told(_only(machine, f"{APEX}/status = ALIVE\ndev/apex_0/")) == ("edgetpu", False, "node-missing")


def test_each_hailo_card_needs_a_node_of_its_own(machine: Machine) -> None:
    second = PCI.replace("01:00", "02:00")
    lines = f"{second}/vendor = 0x1e60\n{second}/device = 0x2864\n{second}/uevent = DRIVER=hailo\ndev/hailo0"

    found = take_inventory(machine(f"{_pci('1e60', '2864', '0b4000', 'hailo')}\n{lines}")).accelerators

    assert [_told(x) for x in found] == [("hailo", True, "ready"), ("hailo", False, "node-missing")]


@pytest.mark.parametrize(
    ("vendor", "device", "pci_class", "driver", "nodes", "expected"),
    [
        ("8086", "46d1", "030000", "i915", "dev/dri/renderD128", ("intel-gpu", True, "ready")),
        ("8086", "46d1", "030000", "i915", "dev/null", ("intel-gpu", False, "node-missing")),
        ("8086", "46d1", "030000", "", "dev/null", ("intel-gpu", False, "driver-missing")),
        ("8086", "46d1", "030000", "vfio-pci", "dev/dri/renderD128", ("intel-gpu", False, "driver-missing")),
        ("8086", "0116", "030000", "i915", "dev/dri/renderD128", ("intel-gpu", False, "unsupported")),
        ("8086", "2a42", "030000", "i915", "dev/dri/renderD128", ("intel-gpu", False, "unsupported")),
        ("8086", "0bd5", "038000", "xe", "dev/dri/renderD128", ("intel-gpu", True, "ready")),
        ("1002", "15d8", "030000", "amdgpu", "dev/dri/renderD128", ("amd-gpu", True, "ready")),
        ("1002", "67df", "030000", "amdgpu", "dev/dri/renderD128", ("amd-gpu", False, "unsupported")),
        ("1002", "15d8", "030000", "", "dev/dri/renderD128", ("amd-gpu", False, "driver-missing")),
        ("10de", "20b0", "030200", "nvidia", "dev/nvidia0", ("nvidia-gpu", True, "ready")),
        ("10de", "20b0", "030200", "nvidia", "dev/null", ("nvidia-gpu", False, "node-missing")),
        ("10de", "20b0", "030200", "", "dev/nvidia0", ("nvidia-gpu", False, "driver-missing")),
        ("8086", "7d1d", "120000", "", "dev/null", ("intel-npu", False, "driver-missing")),
        ("8086", "7d1d", "120000", "intel_vpu", "dev/accel/accel0", ("intel-npu", True, "ready")),
    ],
)
def test_a_pci_device_is_judged_by_driver_and_node(
    vendor: str, device: str, pci_class: str, driver: str, nodes: str, expected: tuple[str, bool, str], machine: Machine
) -> None:
    assert _told(_only(machine, f"{_pci(vendor, device, pci_class, driver)}\n{nodes}")) == expected


@pytest.mark.parametrize(
    ("vendor", "device", "pci_class"),
    [("10de", "1af1", "068000"), ("10de", "22bc", "040300"), ("8086", "a2af", "0c0330"), ("1106", "3483", "0c0330")],
)
def test_bridges_sound_and_usb_controllers_are_no_accelerators(
    vendor: str, device: str, pci_class: str, machine: Machine
) -> None:
    assert take_inventory(machine(_pci(vendor, device, pci_class))).accelerators == ()


def test_the_old_proc_list_tells_graphics_by_the_drivers_name(machine: Machine) -> None:
    blank = "\\t0" * 15
    lines = f"proc/bus/pci/devices = 0010\\t80869a49\\tad{blank[2:]}\\ti915\\n00f8\\t8086a082\\t0{blank[2:]}\\nshort"

    assert _told(_only(machine, lines)) == ("intel-gpu", True, "ready")


def test_a_render_node_of_another_device_does_not_count(machine: Machine) -> None:
    owner = "sys/class/drm/renderD128/device -> ../../../devices/platform/v3d\nsys/devices/platform/v3d/"

    found = _only(machine, f"{_pci('8086', '46d1', '030000', 'i915')}\n{owner}\ndev/dri/renderD128")

    assert _told(found) == ("intel-gpu", False, "node-missing")


def test_a_card_without_driver_name_under_drm_is_listed_once(machine: Machine) -> None:
    card = "sys/class/drm/card0/device"

    found = _only(machine, f"{card}/vendor = 0x1002\n{card}/device = 0x1586\ndev/dri/renderD128")

    assert (_told(found), found.address) == (("amd-gpu", True, "ready"), None)


def test_a_jetson_with_a_foreign_kernel_lacks_the_driver(machine: Machine) -> None:
    found = _only(machine, "proc/device-tree/compatible = nvidia,p3450-0000\\0nvidia,tegra210\\0\ndev/null")

    assert _told(found) == ("nvidia-gpu", False, "driver-missing")


def test_a_rockchip_npu_without_the_vendors_driver_is_present_in_silicon_only(machine: Machine) -> None:
    found = _only(machine, "proc/device-tree/compatible = radxa,rock-5b\\0rockchip,rk3588\\0\ndev/dri/renderD128")

    assert _told(found) == ("rockchip-npu", False, "driver-missing")
    assert "in silicon" in found.reason


def test_the_mainline_driver_of_rockchips_npu_is_not_the_one_that_is_needed(machine: Machine) -> None:
    driver = "sys/bus/platform/drivers/rocket/fdab0000.npu/uevent = x"

    found = _only(machine, f"proc/device-tree/compatible = radxa,rock-5b\\0rockchip,rk3588\\0\n{driver}")

    assert _told(found) == ("rockchip-npu", False, "driver-missing")
    assert "rocket" in found.reason


def test_a_rockchip_npu_is_found_without_a_device_tree(machine: Machine) -> None:
    lines = "sys/bus/platform/drivers/RKNPU/fdab0000.npu/uevent = x\nsys/kernel/debug/rknpu/version = v0.9.3\ndev/rknpu"

    assert _told(_only(machine, lines)) == ("rockchip-npu", True, "ready")


def test_amds_neural_processor_is_named_as_one_that_nothing_drives(machine: Machine) -> None:
    found = take_inventory(
        machine(
            "sys/bus/pci/drivers/amdxdna/0000:c4:00.1/vendor = 0x1022\n"
            "sys/bus/pci/drivers/amdxdna/0000:c4:00.1/device = 0x1714"
        )
    )

    assert (found.accelerators, [x.code for x in found.warnings]) == ((), ["unsupported-accelerator"])


def test_a_coral_class_entry_that_names_no_address_belongs_to_the_card_with_the_driver(machine: Machine) -> None:
    found = _only(machine, f"{_pci('1ac1', '089a', '0000ff', 'apex')}\n{APEX}/status = ALIVE\ndev/apex_0")

    assert (_told(found), found.address) == (("edgetpu", True, "ready"), "0000:01:00.0")


def test_a_hot_coral_card_is_a_warning(machine: Machine) -> None:
    lines = f"{APEX}/temp = 86000\n{APEX}/trip_point0_temp = 84800\n{APEX}/status = ALIVE\ndev/apex_0"

    assert [x.code for x in take_inventory(machine(lines)).warnings] == ["temperature-high"]
