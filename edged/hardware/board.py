"""Which board it is and which chip is on it: device tree first, then the firmware's tables, then /proc/cpuinfo."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edged.domain.device import Evidence, Fact
from edged.hardware.cpu import CPUINFO, CpuInfo
from edged.hardware.names import ARM_CORES, BOARDS, IMX, JETSON_MODULES, SOC_IDS
from edged.hardware.tree import Tree, shown

DEVICE_TREES = ("proc/device-tree", "sys/firmware/devicetree/base")
"""The first is a link to the second on a running machine; a captured tree may have only one."""
DMI = "sys/class/dmi/id"
MAX_COMPATIBLE = 64

_ENTRY = re.compile(r"[\w.,+#-]{1,128}", re.ASCII)
_PLACEHOLDER = re.compile(
    r"to be filled.*|default( string| name)?|system (product name|manufacturer|version)|not (specified|applicable|available)"
    r"|unknown|none|n/?a|o\.?e\.?m\.?|oem.*name|product name|base board.*|empty|invalid|undefined|x+|0+|[.\s-]*|type\d.*",
    re.IGNORECASE,
)
"""What makers leave in the firmware instead of a name."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Board and chip, None where nothing shows them, and the device tree's ``compatible`` list."""

    board: str | None
    soc: str | None
    compatible: tuple[str, ...]
    facts: tuple[Fact, ...]


def identify(tree: Tree, info: CpuInfo | None) -> Identity:
    """Find board and chip."""
    compatible, path = _compatible(tree)
    board, board_fact = _board(tree, info, compatible, path)
    soc, soc_fact = _soc(tree, info, compatible, path)
    return Identity(board, soc, compatible, (board_fact, soc_fact))


def _compatible(tree: Tree) -> tuple[tuple[str, ...], str]:
    for folder in DEVICE_TREES:
        path = f"{folder}/compatible"
        entries = (tree.raw(path) or "").replace("\n", "\0").split("\0")
        kept = tuple(entry for entry in entries[:MAX_COMPATIBLE] if _ENTRY.fullmatch(entry))
        if kept:
            return kept, path
    return (), ""


def _board(tree: Tree, info: CpuInfo | None, compatible: tuple[str, ...], path: str) -> tuple[str | None, Fact]:
    model, evidence = _model(tree)
    known = next(((entry, BOARDS[entry]) for entry in compatible if entry in BOARDS), None)
    if known is not None:
        return known[1], Fact("board", (shown(path, known[0]), *evidence))
    module = _jetson_module(compatible)
    if module is not None:
        return _jetson_name(module[1], model), Fact("board", (shown(path, module[0]), *evidence))
    if model is not None:
        return model, Fact("board", evidence)
    if info is not None and info.pi_model:
        return info.pi_model, Fact("board", (shown(CPUINFO, f"Model: {info.pi_model}"),))
    return _dmi_board(tree)


def _model(tree: Tree) -> tuple[str | None, tuple[Evidence, ...]]:
    for folder in DEVICE_TREES:
        path = f"{folder}/model"
        model = tree.text(path)
        if model is not None:
            evidence = shown(path, model)
            return evidence.value, (evidence,)
    return None, ()


def _jetson_module(compatible: tuple[str, ...]) -> tuple[str, str] | None:
    """Find the entry that names the module, and the module's name.

    Only the P-numbers are reliable: the model text is free ("quill", "Orin Jetson-Small"), SMBIOS can name another
    module, and BOARD in nv_tegra_release another chip. Numbers of carrier boards are not in the table.
    """
    for entry in compatible:
        for board, sku in re.findall(r"p(\d{4})-(\d{4})", entry):
            name = JETSON_MODULES.get(f"p{board}-{sku}") or JETSON_MODULES.get(f"p{board}")
            if name is not None:
                return entry, name
    return None


def _jetson_name(module: str, model: str | None) -> str:
    """Give NVIDIA's name of the module, with what the model text adds to it."""
    if model is None:
        return f"NVIDIA {module}"
    if module.lower() in model.lower():
        return model
    if re.search(r"nvidia|jetson|orin|tegra", model, re.IGNORECASE):
        return f"NVIDIA {module}" + (" Developer Kit" if "developer kit" in model.lower() else "")
    # Another maker's carrier says its own name; one word is a code name of NVIDIA's ("quill").
    return f"NVIDIA {module} ({model})" if " " in model else f"NVIDIA {module}"


def _dmi_board(tree: Tree) -> tuple[str | None, Fact]:
    for vendor_file, product_file in (("sys_vendor", "product_name"), ("board_vendor", "board_name")):
        vendor, product = _dmi(tree, vendor_file), _dmi(tree, product_file)
        if product is None:
            continue
        files = [f"{DMI}/{vendor_file}"] * (vendor is not None) + [f"{DMI}/{product_file}"]
        fact = Fact("board", tuple(tree.evidence(path) for path in files))
        repeated = vendor is None or product.lower().startswith(vendor.lower())
        return (product if repeated else f"{vendor} {product}"), fact
    files = [*(f"{folder}/model" for folder in DEVICE_TREES), f"{DMI}/product_name", f"{DMI}/board_name"]
    absence = tree.absence(f"no device tree with a model, and no product name in {DMI}", *files)
    return None, Fact("board", (), absence)


def _dmi(tree: Tree, name: str) -> str | None:
    content = tree.text(f"{DMI}/{name}")
    if content is None or _PLACEHOLDER.fullmatch(content):
        return None
    return shown("", content).value


def _soc(tree: Tree, info: CpuInfo | None, compatible: tuple[str, ...], path: str) -> tuple[str | None, Fact]:
    entry, soc = soc_of(compatible)
    if soc is not None:
        return soc, Fact("soc", (shown(path, entry),))
    soc_id_path = "sys/devices/soc0/soc_id"
    soc_id = tree.text(soc_id_path)
    if soc_id in SOC_IDS:
        return SOC_IDS[soc_id], Fact("soc", (shown(soc_id_path, soc_id),))
    name = processor_name(info) if info is not None else None
    if name is not None:
        return name[0], Fact("soc", (shown(CPUINFO, name[1]),))
    absence = f"no device tree, no {soc_id_path}, and no processor name in {CPUINFO}"
    files = [*(f"{folder}/compatible" for folder in DEVICE_TREES), soc_id_path, CPUINFO]
    return None, Fact("soc", (), tree.absence(absence, *files))


def soc_of(compatible: tuple[str, ...]) -> tuple[str, str | None]:
    """Find the chip in a ``compatible`` list: the entry that shows it, and its usual name."""
    for entry in reversed(compatible):  # the list goes from the board to the chip
        vendor, _, name = entry.partition(",")
        if vendor == "nvidia" and re.fullmatch(r"tegra\d{2,3}", name):
            return entry, name.capitalize()
        if vendor == "fsl" and name in IMX:
            return entry, IMX[name]
        if (vendor, bool(re.fullmatch(r"(bcm|rk|rv|px)\d{3,5}[a-z]{0,2}", name))) in {
            ("brcm", True),
            ("rockchip", True),
        }:
            return entry, name.upper()
    named = [entry for entry in compatible if re.fullmatch(r"[a-z]+,[a-z]*\d[a-z0-9-]*", entry)]
    return (named[-1], named[-1].partition(",")[2].upper()) if named and len(compatible) > 1 else ("", None)


def processor_name(info: CpuInfo) -> tuple[str, str] | None:
    """Give the processor's name without trade marks and clock, and the line that shows it."""
    if info.features_key == "flags" and info.model_name:
        return _x86_name(info.model_name) or "x86", f"model name: {info.model_name}"
    if info.isa:
        base = info.isa.partition("_")[0]
        line = f"isa: {info.isa}"
        return (f"{base} ({info.uarch})", f"{line}, uarch: {info.uarch}") if info.uarch else (base, line)
    if info.parts:
        names = dict.fromkeys(ARM_CORES.get(key, f"core 0x{key[0]:02x}/0x{key[1]:03x}") for key in info.parts)
        line = ", ".join(f"implementer 0x{i:02x} part 0x{p:03x}" for i, p in info.parts)
        return " + ".join(names), line
    return None


def _x86_name(model_name: str) -> str:
    """Shorten "11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz" to "Intel Core i7-1165G7"."""
    name = re.sub(r"\((R|TM|tm|r)\)", "", model_name)
    name = re.sub(r"\s*(@ .*|w/ .*|with Radeon.*|with AMD.*)$", "", name)
    name = re.sub(r"\b(\d+(st|nd|rd|th) Gen|CPU|APU|Processor|\d+-Core|(Dual|Quad|Six|Eight)-Core)\b", " ", name)
    return " ".join(name.replace("RYZEN", "Ryzen").split())
