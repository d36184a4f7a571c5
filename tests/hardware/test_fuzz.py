"""Whatever stands in the files of a root: an inventory and readings come out, and can be written as JSON."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.hardware.inventory import take_inventory, to_document
from edged.hardware.readings import read
from edged.hardware.tree import Tree
from fakes.devicetree import NAMES, plant

NASTY = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [
            b"",
            b"\0" * 50,
            b"-1",
            b"9" * 400,
            b"0x" + b"f" * 8,
            b"nan",
            "١٢٣".encode(),
            b"0-99999999",
            b"0::/" + b"../" * 99,
            b"1:memory:/" + b"a/" * 3000,
            b"..",
            b"../../../../../../etc",
            b"\xff\xfe\x00\x1b]0;x\x07",
            b"processor : 0\nFeatures : \nflags : \nCPU part : 0xzz\n" * 5,
            b"MemTotal: 0 kB\n",
            b"nvidia,tegra210\0rockchip,rk3588\0fsl,imx8mq\0",
        ]
    ),
)
MORE_FILES = (
    "proc/self/cgroup",
    "proc/bus/pci/devices",
    "proc/modules",
    "sys/fs/cgroup/cpu.max",
    "sys/fs/cgroup/memory.max",
    "sys/class/dmi/id/product_name",
    "sys/class/thermal/thermal_zone0/temp",
    "sys/class/apex/apex_0/device_owner",
    "bin/sh",
)


@settings(deadline=None, max_examples=30)
@given(name=st.sampled_from(NAMES), data=st.data())
def test_no_content_makes_detection_raise(name: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = plant(name, Path(folder))
        files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        for path in data.draw(st.lists(st.sampled_from([*files, *MORE_FILES]), min_size=1, max_size=6, unique=True)):
            _spoil(root / path, data.draw(NASTY), data.draw(st.sampled_from(["content", "folder", "link"])))

        found = take_inventory(root)
        read(root)

    document = to_document(found, None, ())
    assert json.loads(json.dumps(document, ensure_ascii=False).encode()) == document
    assert all(x.reason for x in found.accelerators if not x.usable)


def _spoil(path: Path, content: bytes, how: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if how == "folder":
            path.mkdir()
        elif how == "link":
            path.symlink_to(content.replace(b"\0", b"").decode("utf-8", "surrogateescape")[:100] or "x")
        else:
            path.write_bytes(content)
    except OSError:
        return  # an earlier blow turned its folder into something else


@given(path=st.text(max_size=50))
def test_no_path_makes_a_tree_raise_or_leave_its_root(path: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder))

        assert (tree.text(path), tree.names(f"{path}/x"), tree.has_node(path)) == (None, (), False)


@pytest.mark.assets
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_no_content_in_a_captured_tree_makes_detection_raise(data: st.DataObject, assets: Path) -> None:
    trees = sorted(path for path in (assets / "devices").iterdir() if path.is_dir())
    source = data.draw(st.sampled_from(trees))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = [path for path in sorted(source.rglob("*")) if path.is_file()]
        spoiled = set(data.draw(st.lists(st.sampled_from(files), max_size=8)))
        for file in files:
            copy = root / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(data.draw(NASTY) if file in spoiled else file.read_bytes())

        document = to_document(take_inventory(root), None, ())
        read(root)

    assert json.loads(json.dumps(document)) == document
