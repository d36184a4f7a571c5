"""What goes into a support archive, what does not, and that it is the same for the same box."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from edged.assembly import support_sources
from edged.assembly.histories import past
from edged.assembly.history_store import HistoryStore
from edged.assembly.support_archive import MB, Gathered, gather, name_of, write
from edged.assembly.support_sources import Piece, Place, pieces
from edged.assembly.supporting import KEPT, Support
from edged.domain.errors import DeviceError
from edged.telemetry.ring import framed
from fakes.secretbox import CANARY, SecretBox
from fakes.stuck import StuckFile, stuck_folder

AT_S = 1_800_000_000
AT_NS, END_MS = AT_S * 10**9, AT_S * 1000


@pytest.fixture
def box(tmp_path: Path) -> SecretBox:
    return SecretBox(tmp_path / "box")


def gathered(box: SecretBox, max_bytes: int = 10 * MB, **told: Any) -> Gathered:
    documents = {f"{name}.json": (name, document) for name, document in told.items()}
    return gather(pieces(Place(box.state, box.config, documents, box.log)), max_bytes)


def unpacked(file: Path, into: Path) -> Path:
    with tarfile.open(file) as tar:
        tar.extractall(into, filter="data")
    (folder,) = into.iterdir()
    return folder


def test_no_secret_of_any_place_is_in_the_archive(box: SecretBox, tmp_path: Path) -> None:
    told = {"health": {"reasons": [{"message": f"cannot open rtsp://viewer:{box.secrets[6]}@10.0.0.9/"}]}}
    file = tmp_path / "a.tar.gz"
    write(file, gathered(box, **told), "press-07", AT_NS)
    folder = unpacked(file, tmp_path / "out")
    files = [one for one in folder.rglob("*") if one.is_file()]
    assert len(files) > 12
    assert [one for one in files if CANARY.encode() in one.read_bytes()] == []
    assert [one for one in files if CANARY in str(one)] == []


def test_what_helps_is_in_it(box: SecretBox, tmp_path: Path) -> None:
    file = tmp_path / "a.tar.gz"
    write(file, gathered(box), "press-07", AT_NS)
    folder = unpacked(file, tmp_path / "out")
    config = json.loads((folder / "configuration" / "edged.toml.json").read_text("utf-8"))
    assert config["mqtt"]["password_file"] == f"{box.folder}/mqtt.secret"
    assert config["source"][0]["url"] == "rtsp://10.0.0.7/stream?***"
    assert "host = ***" in (folder / "configuration" / "conf.d" / "20-broken.toml.json").read_text("utf-8")
    assert "WARNING source.lost url=rtsp://***@10.0.0.7/stream" in (folder / "log.txt").read_text("utf-8")
    assert "snapshots/gate.jpg" in (folder / "files.txt").read_text("utf-8")
    found = past(HistoryStore(folder), END_MS - 120_000, END_MS, 10)
    assert "rate gate" in [curve.title for curve in found.curves]


def test_the_manifest_tells_every_file_with_its_digest_and_what_is_left_out(box: SecretBox, tmp_path: Path) -> None:
    file = tmp_path / "a.tar.gz"
    (box.state / "journal.ndjson").unlink()
    written = write(file, gathered(box), "press-07", AT_NS)
    folder = unpacked(file, tmp_path / "out")
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert (manifest["schema"], manifest["device"]) == ("edged.support/1", "press-07")
    there = {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()} - {"manifest.json"}
    assert {one["name"] for one in manifest["members"]} == there
    for one in manifest["members"]:
        assert hashlib.sha256((folder / one["name"]).read_bytes()).hexdigest() == one["sha256"]
    assert {"name": "journal/journal.ndjson", "why": "there is none"}.items() <= manifest["left_out"][0].items()
    assert written.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_same_content_gives_the_same_bytes_in_the_order_of_names(box: SecretBox, tmp_path: Path) -> None:
    found = gathered(box)
    first = write(tmp_path / "a.tar.gz", found, "press-07", AT_NS)
    (tmp_path / "elsewhere").mkdir()
    shuffled = Gathered(found.members[::-1], found.left_out)
    assert write(tmp_path / "elsewhere" / "a.tar.gz", shuffled, "press-07", AT_NS).sha256 == first.sha256
    with tarfile.open(first.file) as tar:
        names = tar.getnames()
        assert {(member.uid, member.mtime, member.mode) for member in tar} == {(0, AT_S, 0o600)}
    assert names[0] == "a/manifest.json"
    assert names[1:] == sorted(names[1:])


@pytest.mark.parametrize("max_bytes", [80_000, 100_000, 1_000_000])
def test_it_never_grows_beyond_its_bound_and_what_is_left_out_says_why(
    box: SecretBox, tmp_path: Path, max_bytes: int
) -> None:
    (box.state / "history" / "00000000.ring").write_bytes(
        bytes(range(256)) * 8000
    )  # no record of ours: nothing of it is told
    (box.state / "history" / "00000002.ring").write_bytes(framed(b"B", hashlib.shake_256(b"noise").digest(900_000)))
    found = gathered(box, max_bytes)
    written = write(tmp_path / "a.tar.gz", found, "press-07", AT_NS)
    assert written.size_bytes <= max_bytes
    assert any("has no room for it" in one.why for one in found.left_out) == (max_bytes < 1_000_000)
    assert "system.json" in [member.name for member in found.members], "what is most telling goes first"


def test_names_that_are_no_text_are_listed_all_the_same(box: SecretBox, monkeypatch: pytest.MonkeyPatch) -> None:
    (box.state / os.fsdecode(b"a\xff")).touch()
    whole = support_sources.listing(box.state)
    monkeypatch.setattr(support_sources, "LISTED", len(whole.splitlines()))
    assert support_sources.listing(box.state) == whole + "…\n".encode()


def test_what_may_not_be_read_is_left_out_with_the_next_step() -> None:
    def refused() -> bytes:
        raise PermissionError(13, "Permission denied")

    (left,) = gather([Piece("a", "b", "text", refused)], MB).left_out
    assert left.why == "Permission denied: sudo edgectl support reads it"


def test_what_is_no_file_is_not_read(box: SecretBox) -> None:
    (box.state / "benchmarks.json").unlink()
    (box.state / "benchmarks.json").mkdir()
    assert {one.name: one.why for one in gathered(box).left_out}["benchmarks.json"] == "it is no regular file"


def test_what_lies_on_a_disk_that_hangs_is_left_out(box: SecretBox, monkeypatch: pytest.MonkeyPatch) -> None:
    assert support_sources.READ_S < 45.0, "the kernel's patience with who holds a file"
    monkeypatch.setattr("edged.assembly.support_archive.READ_S", 0.5)
    stuck = StuckFile(box.state / "benchmarks.json")
    try:
        found = gathered(box)
    finally:
        stuck.close()
    assert {one.name: one.why for one in found.left_out}["benchmarks.json"] == "no answer within 0.5 s"
    assert "journal/journal.ndjson" in [member.name for member in found.members]


def test_a_state_directory_on_a_disk_that_hangs_is_left_out_and_the_log_is_there(
    box: SecretBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.assembly.support_sources.READ_S", 2.0)
    with stuck_folder(box.state) as state:
        found = gather(pieces(Place(state, box.config, {}, box.log)), 10 * MB)
    assert {one.name: one.why for one in found.left_out}["state/"] == "no answer within 2 s"
    names = [member.name for member in found.members]
    assert {"configuration/edged.toml.json", "log.txt"} <= set(names)


@pytest.mark.parametrize("name", ["journal.ndjson", "history/00000009.ring", "coverage/2026-11-21/a.minutes"])
def test_a_link_in_the_state_directory_takes_nothing_out_of_the_rest_of_the_machine(box: SecretBox, name: str) -> None:
    outside, link = box.folder / "shadow", box.state / name
    outside.write_text(f"root:{CANARY}:19000", "utf-8")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(outside)
    found = gathered(box)
    assert "it is a link, and not what edged wrote" in [one.why for one in found.left_out]
    assert [member.name for member in found.members if CANARY.encode() in member.content] == []


def test_of_a_file_of_the_flight_recorder_whole_records_alone_are_told(box: SecretBox) -> None:
    file = box.state / "history" / "00000009.ring"
    file.write_bytes(b"\xff\xd8 a picture" + framed(b"B", b"a block") + b"and more")
    (member,) = (member for member in gathered(box).members if member.name == "history/00000009.ring")
    assert member.content == framed(b"B", b"a block")


def test_a_link_in_the_archives_place_is_not_followed(box: SecretBox, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("important")
    (tmp_path / ".a.tar.gz.new").symlink_to(victim)
    write(tmp_path / "a.tar.gz", gathered(box), "press-07", AT_NS)
    assert victim.read_text() == "important"


def test_what_a_kill_left_of_an_archive_goes_with_the_next(box: SecretBox) -> None:
    (box.state / "support").mkdir()
    (box.state / "support" / ".edged-support-x.tar.gz.new").write_bytes(b"torn")
    Support(box.state, box.config, "press-07", dict)(AT_S * 10**9)
    assert len(list((box.state / "support").iterdir())) == 1


def test_a_box_without_a_journal_says_what_to_do(box: SecretBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(box.folder))
    found = gather(pieces(Place(box.state, box.config)), MB)
    assert {one.name: one.why for one in found.left_out}["log.txt"] == (
        "cannot read the log: there is no journalctl here; name edged's log file with --log"
    )


def journalctl(box: SecretBox, script: str) -> None:
    program = box.folder / "journalctl"
    program.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    program.chmod(0o755)


def test_the_journal_is_asked_for_the_units_alone(box: SecretBox, monkeypatch: pytest.MonkeyPatch) -> None:
    journalctl(box, 'echo "$@"')
    monkeypatch.setenv("PATH", f"{box.folder}:/usr/bin:/bin")
    assert support_sources.journal().decode().startswith("-u edged.service -u edged-safe.service -n 20000 ")


def test_a_journal_that_may_not_be_read_says_so(box: SecretBox, monkeypatch: pytest.MonkeyPatch) -> None:
    journalctl(box, 'echo "Hint: You are currently not seeing messages" >&2')
    monkeypatch.setenv("PATH", f"{box.folder}:/usr/bin:/bin")
    with pytest.raises(DeviceError, match="Hint: You are currently not seeing messages; sudo edgectl support"):
        support_sources.journal()


def test_a_disk_that_takes_nothing_leaves_nothing_behind(box: SecretBox, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot write"):
        write(tmp_path / "absent" / "a.tar.gz", gathered(box), "press-07", AT_NS)
    assert list(tmp_path.glob("*.gz*")) == []


def test_the_daemon_keeps_its_last_archives(box: SecretBox) -> None:
    support = Support(box.state, box.config, "press-07", lambda: {"health.json": ("health", {"state": "ok"})})
    told = [support((AT_S + number) * 10**9) for number in range(KEPT + 2)]
    kept = sorted((box.state / "support").iterdir())
    assert [str(file) for file in kept] == [one["path"] for one in told[-KEPT:]]
    assert told[-1]["bytes"] == kept[-1].stat().st_size
    assert told[-1]["members"] > 10
    assert "log.txt" in told[-1]["left_out"]


def test_an_archive_is_named_by_its_box_and_its_time() -> None:
    assert name_of("press-07", AT_S * 10**9) == "edged-support-press-07-20270115T080000Z.tar.gz"
