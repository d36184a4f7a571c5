"""Tables of names: what numbers in device trees and /proc/cpuinfo are called."""

from __future__ import annotations

BOARDS = {
    # The model text of this one (the vendor's tree and Linux's own) names the chip's maker and a code name, not what is printed on the box.
    "fsl,imx8mq-phanbell": "Google Coral Dev Board (Phanbell)",
    "google,imx8mq-phanbell": "Google Coral Dev Board (Phanbell)",
}
"""Boards by ``compatible``, where the model text is not the name that people know."""

JETSON_MODULES = {
    "p2180": "Jetson TX1",
    "p3448": "Jetson Nano",
    "p3310": "Jetson TX2",
    "p3489": "Jetson TX2",
    "p3489-0000": "Jetson TX2i",
    "p3636": "Jetson TX2 NX",
    "p3668": "Jetson Xavier NX",
    "p2888": "Jetson AGX Xavier",
    "p3767-0000": "Jetson Orin NX",
    "p3767-0001": "Jetson Orin NX",
    "p3767-0002": "Jetson Orin NX",
    "p3767-0003": "Jetson Orin Nano",
    "p3767-0004": "Jetson Orin Nano",
    "p3767-0005": "Jetson Orin Nano",
    "p3701": "Jetson AGX Orin",
    "p3834": "Jetson AGX Thor",
}
"""NVIDIA's part numbers of modules (never of carrier boards), as its device trees and developer pages give them."""

IMX = {
    "imx8mq": "i.MX 8M Quad",
    "imx8mm": "i.MX 8M Mini",
    "imx8mn": "i.MX 8M Nano",
    "imx8mp": "i.MX 8M Plus",
    "imx8qm": "i.MX 8QuadMax",
    "imx8qxp": "i.MX 8QuadXPlus",
    "imx93": "i.MX 93",
    "imx95": "i.MX 95",
    "imx6q": "i.MX 6Quad",
    "imx6dl": "i.MX 6DualLite",
}
"""NXP's chips by the name in Documentation/devicetree/bindings/arm/fsl.yaml."""

SOC_IDS = {"jep106:0426:8901": "GB10"}
"""Chips without a device tree, by the SMCCC identification in sys/devices/soc0/soc_id."""

ARM_CORES = {
    (0x41, 0xC07): "Cortex-A7",
    (0x41, 0xC08): "Cortex-A8",
    (0x41, 0xC09): "Cortex-A9",
    (0x41, 0xC0D): "Cortex-A17",
    (0x41, 0xC0E): "Cortex-A17",
    (0x41, 0xC0F): "Cortex-A15",
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73",
    (0x41, 0xD0A): "Cortex-A75",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse N1",
    (0x41, 0xD0D): "Cortex-A77",
    (0x41, 0xD0E): "Cortex-A76AE",
    (0x41, 0xD40): "Neoverse V1",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD48): "Cortex-X2",
    (0x41, 0xD49): "Neoverse N2",
    (0x41, 0xD4B): "Cortex-A78C",
    (0x41, 0xD4D): "Cortex-A715",
    (0x41, 0xD4E): "Cortex-X3",
    (0x41, 0xD4F): "Neoverse V2",
    (0x41, 0xD80): "Cortex-A520",
    (0x41, 0xD81): "Cortex-A720",
    (0x41, 0xD82): "Cortex-X4",
    (0x41, 0xD83): "Neoverse V3AE",
    (0x41, 0xD84): "Neoverse V3",
    (0x41, 0xD85): "Cortex-X925",
    (0x41, 0xD87): "Cortex-A725",
    (0x41, 0xD8E): "Neoverse N3",
    (0x4E, 0x003): "NVIDIA Denver 2",
    (0x4E, 0x004): "NVIDIA Carmel",
    (0xC0, 0xAC3): "Ampere-1",
    (0xC0, 0xAC4): "Ampere-1A",
}
"""(implementer, part) of MIDR_EL1, from arch/arm64/include/asm/cputype.h and arch/arm/include/asm/cputype.h."""
