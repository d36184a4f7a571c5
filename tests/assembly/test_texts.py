from __future__ import annotations

from pathlib import Path
from typing import Any

from edged.assembly import levels
from edged.assembly.box import survey
from edged.assembly.texts import hardware_text, ladder_text, models_text
from edged.config.schema import Objective
from edged.control.choose import choose
from edged.control.possible import Facts
from edged.domain.figures import Figures
from edged.hardware.inventory import to_document
from edged.hardware.runtimes import InstalledRuntime
from fakes import box
from fakes.devicetree import build, plant

PI_5 = """\
board         Raspberry Pi 5 Model B Rev 1.1
soc           BCM2712
architecture  aarch64
profile       raspberry-pi-5
processors    4 online
int8          asimddp
memory        4034 MiB

accelerators
  hailo (pcie): NOT usable, driver-missing: no driver is bound and there is no /dev/hailo0: install the hailo_pci module \
(package hailort-pcie-driver)
      sys/bus/pci/devices/0000:01:00.0/vendor: 0x1e60
      sys/bus/pci/devices/0000:01:00.0/device: 0x2864
      sys/bus/pci/devices/0000:01:00.0/class: 0x0b4000
      dev/hailo0: absent

runtimes
  tflite: ai-edge-litert 2.3.0
  tflite: tflite-runtime 2.14.0: unused: ai-edge-litert is installed and preferred

warnings
  temperature-high: cpu-thermal is at 86 °C: improve the cooling
      sys/class/thermal/thermal_zone0/temp: 86400
      sys/class/thermal/thermal_zone0/type: cpu-thermal"""

NOTHING = """\
board         unknown: no device tree with a model, and no product name in sys/class/dmi/id
soc           unknown: no device tree, no sys/devices/soc0/soc_id, and no processor name in proc/cpuinfo
architecture  unknown: neither proc/cpuinfo nor a kernel version nor a program shows it
profile       generic
processors    unknown: no sys/devices/system/cpu/online, no proc/cpuinfo
int8          unknown: no proc/cpuinfo
memory        unknown: no proc/meminfo

accelerators
  unknown: no sys/bus/usb/devices, no sys/bus/pci/devices, no proc/device-tree/compatible"""

LADDER = """\
parts 1.0.0, profile a-profile, asked for accuracy

            variant  runs as            precision  accuracy     threads
* chosen    int8     tflite on cpu      int8       mAP50 0.941        3
              profile a-profile, wish 1: cpu, int8
  possible  fp32     tflite on cpu      fp32                          1
              profile a-profile, wish 2: cpu, fp32
x refused   coral    tflite on edgetpu  int8
              """

MEASURED = """\
parts 1.0.0, profile a-profile, asked for accuracy within 50 ms at 10 frames/s
NOT met: cannot meet accuracy within 50 ms at 10 frames/s: int8 on cpu with 2 threads comes nearest, with latency 70.25 of 50 ms

            variant  runs as        precision  accuracy  threads  p50 ms  p99 ms  cpu ms  load ms    MiB
* chosen    int8     tflite on cpu  int8                       2   60.00   70.25  110.50     8.00  41.25
              the nearest to the objective, which it misses: latency 70.25 of 50 ms
  possible  fp32     tflite on cpu  fp32                       1  130.00  150.00  128.00    11.00  60.00
              misses the objective: latency 150 of 50 ms, a frame 130 of 100 ms"""

MODELS = """\
level: active
  active       1.0.0  0123456789ab
  previous     0.9.0  ba9876543210
  found        1.1.0  /etc/edged/models/newer
  found        1.0.0  /etc/edged/models/level
  quarantined  1.1.0: golden sample first.npy: score 4, expected 7
absent: empty: it was never brought in
refused /etc/edged/models/broken
  model.toml: task: cannot use 'dance'
  model.toml: name: is missing"""


def test_a_board_with_everything_to_tell(tmp_path: Path) -> None:
    found = survey(plant("raspberry-pi-5-hailo-no-driver", tmp_path), "auto", ())
    runtimes = (
        InstalledRuntime("tflite", "ai-edge-litert", "2.3.0"),
        InstalledRuntime(
            "tflite",
            "tflite-runtime",
            "2.14.0",
            degraded=True,
            note="unused: ai-edge-litert is installed and preferred",
        ),
    )
    assert hardware_text(to_document(found.inventory, found.profile.name, runtimes)) == PI_5


def test_a_machine_of_which_nothing_is_known(tmp_path: Path) -> None:
    found = survey(tmp_path, "auto", ())
    assert hardware_text(to_document(found.inventory, found.profile.name, found.runtimes)) == NOTHING


def test_limits_stand_behind_what_is_unknown_too(tmp_path: Path) -> None:
    root = build("sys/fs/cgroup/memory.max = 1073741824\nsys/fs/cgroup/cpu.max = 150000 100000", tmp_path)
    lines = hardware_text(to_document(survey(root, "auto", ()).inventory, "generic", ())).splitlines()
    assert "processors    unknown: no sys/devices/system/cpu/online, no proc/cpuinfo; 1.5 allowed" in lines
    assert "memory        unknown: no proc/meminfo; limited to 1024 MiB" in lines


def test_that_there_is_none_is_told_with_where_was_looked(tmp_path: Path) -> None:
    root = build("proc/cpuinfo = flags : lm\nproc/bus/pci/devices = 0000", tmp_path)
    lines = hardware_text(to_document(survey(root, "auto", ()).inventory, "generic", ())).splitlines()
    assert "int8          no instructions for it" in lines
    assert "  none found in proc/bus/pci/devices; no sys/bus/usb/devices, no proc/device-tree/compatible" in lines


def test_limits_stand_behind_what_the_machine_has() -> None:
    document: dict[str, Any] = {
        "board": None,
        "soc": None,
        "arch": None,
        "profile": "generic",
        "cpu": {"online": 4, "allowed": 1.5, "int8": ["avx2"]},
        "memory_mb": {"total": 8000, "limit": 512},
        "accelerators": [],
        "warnings": [],
    }
    lines = hardware_text(document).splitlines()
    assert "processors    4 online, 1.5 allowed" in lines
    assert "memory        8000 MiB, limited to 512 MiB" in lines


def test_a_ladder_is_a_line_a_variant_with_its_reason() -> None:
    bundle = box.bundle(
        box.variant("coral", accelerators=["edgetpu"]),
        box.variant("int8", accuracy={"metric": "mAP50", "value": 0.941, "on": "holdout"}),
        box.variant("fp32", precision="fp32"),
    )
    profile = box.profile(
        {"accelerator": "cpu", "precision": "int8", "threads": 3},
        {"accelerator": "cpu", "precision": "fp32", "threads": 1},
    )
    whole = choose(bundle, profile, Facts(box.inventory(), runtimes={"tflite"}))
    refused = whole.rungs[-1].reason
    assert refused
    assert ladder_text(levels.ladder(whole, Objective())) == LADDER + refused


def test_figures_stand_in_columns_and_what_is_not_met_above_them() -> None:
    objective = Objective(latency_ms=50, fps=10)
    facts = Facts(
        box.inventory(),
        figures={
            ("int8", "cpu"): (Figures(2, 100, 60.0, 70.25, 110.5, 8.0, 41.25),),
            ("fp32", "cpu"): (Figures(1, 100, 130.0, 150.0, 128.0, 11.0, 60.0),),
        },
    )
    bundle = box.bundle(box.variant("fp32", precision="fp32"), box.variant("int8"))
    whole = choose(bundle, box.profile({"accelerator": "cpu"}), facts, objective=objective)
    assert ladder_text(levels.ladder(whole, objective)) == MEASURED


def test_neighbours_share_their_reason_and_the_refused_are_sorted_by_it() -> None:
    bundle = box.bundle(
        *(box.variant(name, accelerators=[kind]) for name, kind in (("a", "cuda"), ("b", "edgetpu"), ("c", "cuda"))),
        box.variant("d"),
        box.variant("e"),
    )
    whole = choose(bundle, box.profile({"accelerator": "cpu"}), Facts(box.inventory()))
    assert [line.split()[0:3:2] for line in ladder_text(levels.ladder(whole, Objective())).splitlines()[3:]] == [
        ["*", "d"],
        ["possible", "tflite"],
        ["profile", "wish"],
        ["x", "a"],
        ["x", "c"],
        ["needs", "no"],
        ["x", "b"],
        ["needs", "no"],
    ]


def test_models_are_told_with_what_runs_and_what_must_not() -> None:
    document = {
        "models": [
            {
                "name": "level",
                "state": "active",
                "reason": "",
                "active": {"version": "1.0.0", "digest": "0123456789abcdef"},
                "previous": {"version": "0.9.0", "digest": "ba9876543210fedc"},
                "found": [
                    {"version": "1.1.0", "folder": "/etc/edged/models/newer"},
                    {"version": "1.0.0", "folder": "/etc/edged/models/level"},
                ],
                "quarantined": [{"version": "1.1.0", "reason": "golden sample first.npy: score 4, expected 7"}],
            },
            {
                "name": "absent",
                "state": "empty",
                "reason": "it was never brought in",
                "active": None,
                "previous": None,
                "found": [],
                "quarantined": [],
            },
        ],
        "refused": [
            {
                "folder": "/etc/edged/models/broken",
                "faults": ["model.toml: task: cannot use 'dance'", "model.toml: name: is missing"],
            }
        ],
    }
    assert models_text(document) == MODELS


def test_no_models_are_told_as_that() -> None:
    assert models_text({"models": [], "refused": []}) == "no models found"
