from __future__ import annotations

import os
from pathlib import Path

import pytest

from edged.hardware.tree import Tree
from fakes.devicetree import Machine


def test_an_absolute_link_is_followed_inside_the_root(machine: Machine) -> None:
    tree = Tree(machine("a -> /etc/passwd\netc/passwd = mine"))

    assert tree.text("a") == "mine"


def test_no_link_leads_out_of_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("secret")
    (root / "up").symlink_to("../../../../secret")
    (root / "absolute").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to("..")

    tree = Tree(root)

    assert [tree.text(path) for path in ("up", "absolute", "folder/secret", "../secret")] == [None] * 4


def test_links_in_a_circle_are_absent(machine: Machine) -> None:
    tree = Tree(machine("a -> b\nb -> a\nself -> self"))

    assert [tree.text("a"), tree.exists("self"), tree.names("b"), tree.has_node("a")] == [None, False, (), False]


@pytest.mark.parametrize(
    ("path", "lack"),
    [
        ("a/file", ""),
        ("a/empty", ""),
        ("a/", ""),
        ("a/none", "no a/none"),
        ("a/file/below", "no a/file/below"),
        ("nowhere", "no nowhere"),
        ("a/file/", "no a/file"),
        ("a", "cannot read a (it is no file)"),
        ("circle", "cannot read circle (its links turn in a circle)"),
        ("circle/", "cannot read circle (its links turn in a circle)"),
        ("a\0", "cannot read a\0 (it leads to no path)"),
        ("circle/file", "cannot read circle/file (its links turn in a circle)"),
    ],
)
def test_what_is_not_there_and_what_is_refused_are_told_apart(path: str, lack: str, machine: Machine) -> None:
    tree = Tree(machine("a/file = x\na/empty\nnowhere -> a/none\ncircle -> circle"))

    assert tree.lack(path) == lack
    assert bool(tree.refusals(path)) == lack.startswith("cannot")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_what_is_forbidden_is_refused_with_the_systems_reason(machine: Machine) -> None:
    root = machine("a/file = x\nb/file = x\nc/file = x")
    (root / "a").chmod(0)
    (root / "b").chmod(0o100)
    (root / "c/file").chmod(0)

    told = [Tree(root).lack(path) for path in ("a/file", "b/", "b/file", "c/file")]
    (root / "a").chmod(0o700)
    (root / "b").chmod(0o700)

    refused = "cannot read {} (Permission denied)"
    assert told == [refused.format("a/file"), refused.format("b"), "", refused.format("c/file")]


def test_a_link_that_was_stored_as_text_is_followed(tmp_path: Path) -> None:
    (tmp_path / "sys/class").mkdir(parents=True)
    (tmp_path / "sys/devices/x").mkdir(parents=True)
    (tmp_path / "sys/devices/x/name").write_text("coretemp\n")
    (tmp_path / "sys/class/hwmon0").write_text("../devices/x")

    assert Tree(tmp_path).text("sys/class/hwmon0/name") == "coretemp"


def test_a_value_that_looks_like_a_path_is_a_value_when_it_ends_with_a_line_feed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("/sys/kernel\n")

    assert Tree(tmp_path).text("a") == "/sys/kernel"


def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cpuinfo")

    assert Tree(tmp_path).text("cpuinfo") is None


@pytest.mark.parametrize("content", ["", " ", "\0", "1.5", "0x10", "１２", "9" * 30, "1 2"])  # noqa: RUF001 - other digits
def test_what_is_no_decimal_number_is_absent(content: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text(content)

    assert Tree(tmp_path).integer("a") is None


def test_terminal_sequences_do_not_get_through(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"Pi\x1b[31m\xff\0")

    assert Tree(tmp_path).text("model") == "Pi\ufffd[31m\ufffd"


def test_names_come_in_natural_order_and_odd_ones_are_left_out(tmp_path: Path) -> None:
    for name in ("zone10", "zone2", "zo ne", "z\u00f6ne"):
        (tmp_path / name).touch()

    assert Tree(tmp_path).names("") == ("zone2", "zone10")


def test_long_values_are_shortened_as_evidence(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x" * 1000)

    assert len(Tree(tmp_path).evidence("a").value) == 160


def test_only_the_root_folder_is_this_machine(tmp_path: Path) -> None:
    assert (Tree(Path("/")).is_live, Tree(Path("/proc/..")).is_live, Tree(tmp_path).is_live) == (True, True, False)
