"""``edgectl install`` and ``uninstall`` on the root of an image, with systemd's programs and with stand-ins for them."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgectl.cli import main
from edgectl.setup import machine as running
from edgectl.setup.machine import Machine
from edgectl.setup.plan import Wishes, install_steps
from edgectl.setup.program import Program
from edgectl.setup.steps import Step, Told, carry_out, would
from edgectl.setup.uninstall import uninstall_steps
from edged.config.share import shipped
from edged.domain.errors import DeviceError
from fakes.ptyscreen import PtyScreen
from fakes.systemdbox import SystemdBox

PROGRAM = Program(Path("/opt/edged/bin/edged"))
TRUST = b'{"signed": {"_type": "root", "roles": {"root": {"keyids": ["a"]}}}}'


@pytest.fixture
def box(tmp_path: Path) -> SystemdBox:
    return SystemdBox(tmp_path / "image")


def steps(box: SystemdBox, wishes: Wishes | None = None) -> list[Step]:
    return install_steps(Machine(box.root, box), PROGRAM, wishes or Wishes())


def outcomes(told: list[Told]) -> dict[str, str]:
    return {one.name: one.outcome for one in told}


def files(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(file.relative_to(root)): (
            stat.S_IMODE(file.lstat().st_mode),
            b"" if file.is_symlink() else file.read_bytes(),
        )
        for file in root.rglob("*")
        if file.is_symlink() or file.is_file()
    }


def test_a_dry_run_says_every_step_and_leaves_no_trace(box: SystemdBox) -> None:
    before = files(box.root)
    told = outcomes(list(would(steps(box))))
    assert told.pop("program") == "left"
    assert {*told.values()} == {"done"}
    assert files(box.root) == before
    assert box.asked == []


def test_each_step_is_done_once(box: SystemdBox) -> None:
    wishes = Wishes(("cpu-only", "cloud-broker"), b"secret\n", TRUST, ("mine.toml", b'name = "mine"\n'))
    first = outcomes(list(carry_out(steps(box, wishes))))
    asked = list(box.asked)
    second = outcomes(list(carry_out(steps(box, wishes))))
    assert {name for name, outcome in first.items() if outcome == "done"} == {*first} - {"program"}
    assert {name for name, outcome in second.items() if outcome == "already"} == {*second} - {"program"}
    assert (
        box.asked
        == asked
        == ["systemd-sysusers edged.conf", "systemd-tmpfiles --create edged.conf", "systemctl enable edged.service"]
    )
    assert files(box.root)["etc/edged/credentials/mqtt"] == (0o600, b"secret\n")
    assert files(box.root)["etc/edged/trust/root.json"] == (0o640, TRUST)
    drop_ins = {path for path in files(box.root) if ".service.d/" in path}
    assert drop_ins == {
        f"etc/systemd/system/{unit}.service.d/{name}.conf"
        for unit, names in {
            "edged": ("cpu-only", "cloud-broker", "credentials"),
            "edged-safe": ("cloud-broker", "credentials"),
        }.items()
        for name in names
    }


def test_what_somebody_changed_is_put_right_and_told(box: SystemdBox) -> None:
    list(carry_out(steps(box)))
    unit = box.root / "etc/systemd/system/edged.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n", encoding="utf-8")
    (box.root / "etc/edged/models").rmdir()
    told = outcomes(list(carry_out(steps(box))))
    assert (told["units"], told["folders"]) == ("changed", "done")
    assert unit.read_text() == (shipped("systemd") / "edged.service").read_text()


def test_a_password_that_was_written_before_there_was_an_account_is_given_to_it(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    password = image / "etc/edged/mqtt.password"
    password.parent.mkdir(parents=True)
    password.touch(0o600)
    told_by(capsys, "install", "--root", str(image), "--program", str(PROGRAM.file))
    assert stat.S_IMODE(password.stat().st_mode) == 0o640
    assert password.stat().st_gid == Machine(image).gid("edged")


@pytest.mark.parametrize("program", ["systemd-sysusers", "systemd-tmpfiles", "systemctl"])
def test_a_fault_ends_it_there_and_the_same_again_ends_it_well(box: SystemdBox, program: str) -> None:
    box.fails = program
    told = list(carry_out(steps(box)))
    assert told[-1].outcome == "failed"
    assert program in told[-1].what
    assert not (box.root / "etc/systemd/system/multi-user.target.wants").exists()

    box.fails = ""

    assert {*outcomes(list(carry_out(steps(box)))).values()} <= {"done", "already", "changed", "left"}
    assert list(would(steps(box)))[-1].outcome == "already"


def test_on_a_narrow_screen_a_step_stands_beside_its_mark(tmp_path: Path, screens: list[PtyScreen]) -> None:
    words = ["install", "--dry-run", "--root", str(tmp_path), "--program", str(PROGRAM.file)]
    screen = PtyScreen(*words, columns=64, lines=30)
    screens.append(screen)
    assert screen.end("") == 0
    assert screen.text().splitlines()[:2] == [
        "        left  program  /opt/edged/bin/edged is not there yet:",
        "              the units start nothing until it is",
    ]


def test_a_drop_in_of_an_older_edged_comes_up_to_date(box: SystemdBox) -> None:
    list(carry_out(steps(box, Wishes(("cpu-only",)))))
    drop_in = box.root / "etc/systemd/system/edged.service.d/cpu-only.conf"
    drop_in.write_text("[Service]\n", encoding="utf-8")
    assert outcomes(list(carry_out(steps(box))))["drop-in cpu-only"] == "changed"
    assert drop_in.read_bytes() == (shipped("systemd") / "drop-ins/cpu-only.conf").read_bytes()


def test_an_image_whose_links_lead_out_of_it_changes_nothing_of_this_machine(box: SystemdBox, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (box.root / "etc/sysusers.d").symlink_to(tmp_path / "host")
    told = list(carry_out(steps(box)))
    assert (told[-1].name, told[-1].outcome) == ("user and groups", "failed")
    assert f"its folder is a link to {tmp_path / 'host'}" in told[-1].what
    assert list((tmp_path / "host").iterdir()) == []
    with pytest.raises(DeviceError, match="its folder is a link"):
        uninstall_steps(Machine(box.root, box))


def test_a_link_to_the_root_of_this_machine_is_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    (tmp_path / "all").symlink_to("/")
    for verb in ("install", "uninstall"):
        assert main([verb, "--root", str(tmp_path / "all")]) == 2
        assert "cannot change this machine as user 1000, expected root" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"edged\nedged:x\n", b"edged:x:many:1\n", b"\xff\xfe"])
def test_accounts_that_cannot_be_read_are_none(box: SystemdBox, content: bytes) -> None:
    (box.root / "etc/passwd").write_bytes(content)
    assert Machine(box.root, box).uid("edged") is None


def test_a_program_that_does_not_end_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LONGEST_S", 0.05)
    with pytest.raises(DeviceError, match="cannot sleep 5: it has not ended"):
        running.run(["sleep", "5"])


def test_a_step_that_did_not_help_has_failed() -> None:
    told = list(
        carry_out(
            [Step("glue", "a thing", lambda: "done", lambda: None), Step("next", "", lambda: "done", lambda: None)]
        )
    )
    assert [(one.name, one.outcome) for one in told] == [("glue", "failed")]


def test_a_file_is_written_whole_or_not_at_all(box: SystemdBox) -> None:
    list(carry_out(steps(box)))
    unit = box.root / "etc/systemd/system/edged.service"
    unit.unlink()
    unit.mkdir()
    told = list(carry_out(steps(box)))
    assert (told[-1].name, told[-1].outcome) == ("units", "failed")
    assert [one.name for one in unit.parent.iterdir() if one.name.startswith(".")] == []


def test_taking_it_away_leaves_what_is_the_operators(box: SystemdBox) -> None:
    list(carry_out(steps(box, Wishes(("polite",), b"secret\n"))))
    mine = {"etc/edged/edged.toml": b"mine", "etc/systemd/system/edged.service.d/mine.conf": b"mine"}
    for path, content in mine.items():
        (box.root / path).write_bytes(content)
    told = list(carry_out(uninstall_steps(Machine(box.root, box))))
    left = {path: content for path, (_, content) in files(box.root).items() if not path.endswith(("passwd", "group"))}
    assert left == {**mine, "etc/edged/credentials/mqtt": b"secret\n"}
    assert [one.outcome for one in told] == ["done"] * 4 + ["left"] * 2
    assert not (box.root / "etc/systemd/system/edged-safe.service.d").exists()
    again = list(carry_out(uninstall_steps(Machine(box.root, box))))
    assert {one.outcome for one in again} == {"already", "left"}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Give the root of an image, for systemd's own programs."""
    if os.geteuid() != 0:
        pytest.skip("needs root: systemd-tmpfiles gives folders to other users")
    missing = [name for name in ("systemd-sysusers", "systemd-tmpfiles", "systemctl") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: not on PATH")
    root = tmp_path / "image"
    root.mkdir()
    return root


def told_by(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main([*words, "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_systemds_own_programs_set_an_image_up_and_nothing_of_this_machine_changes(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("install", "--root", str(image), "--program", str(PROGRAM.file))
    first, second = told_by(capsys, *words), told_by(capsys, *words)
    assert [one["outcome"] for one in first["steps"]] == ["left", *["done"] * 5]
    assert [one["outcome"] for one in second["steps"]] == ["left", *["already"] * 5]
    accounts = (image / "etc/passwd").read_text() + (image / "etc/group").read_text()
    assert "edged:x:" in accounts
    assert (image / "etc/systemd/system/multi-user.target.wants/edged.service").is_symlink()
    assert stat.S_IMODE((image / "etc/edged").stat().st_mode) == 0o750
    removed = told_by(capsys, "uninstall", "--root", str(image))
    assert [one["outcome"] for one in removed["steps"]] == ["done", "done", "already", "done", "left", "left"]


Refused = Callable[[Path], list[str]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            lambda _: ["--with", "fast"],
            "cannot find drop-in 'fast', expected one of cloud-broker, cpu-only, gpio, jetson, polite",
        ),
        (lambda folder: ["--trust", str(folder / "none")], "cannot read the root of trust"),
        (lambda folder: ["--trust", str(folder / "text")], "it is no root metadata"),
        (lambda folder: ["--profile", str(folder / "text")], "its name does not end in .toml"),
        (lambda folder: ["--profile", str(folder / "bad.toml")], "bad.toml"),
        (lambda folder: ["--mqtt-password-file", str(folder / "empty")], "it is empty"),
        (lambda folder: ["--mqtt-password-file", str(folder / "lines")], "it has several lines"),
        (lambda _: ["--program", "bin/edged"], "expected an absolute path"),
        (lambda _: ["--program", "/opt/edged\nUser=root"], "without control characters"),
        (lambda folder: ["--root", str(folder / "none")], "it is no folder"),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: Refused, said: str
) -> None:
    for name, text in {"text": "hello", "empty": "\n", "lines": "a\nb\n", "bad.toml": "nonsense = 1\n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "image").mkdir()
    program = ["--program", "/opt/edged/bin/edged"]
    assert main(["install", "--root", str(tmp_path / "image"), *program, *words(tmp_path)]) in {1, 2}
    told = capsys.readouterr().err
    assert said in told
    assert "bad.toml" not in told or str(tmp_path / "bad.toml") in told
    assert list((tmp_path / "image").iterdir()) == []


def test_without_root_it_tells_the_line_to_copy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("sys.argv", ["edgectl", "install", "--trust", "my root.json"])
    assert main() == 2
    assert f"sudo {sys.prefix}/bin/edgectl install --trust 'my root.json'\n" in capsys.readouterr().err


def test_a_program_that_is_not_there_is_told_with_what_it_needs() -> None:
    with pytest.raises(DeviceError, match="cannot run systemd-of-nowhere: it is not there"):
        running.run(["systemd-of-nowhere"])
