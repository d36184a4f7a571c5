from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edgectl.cli import main
from edgectl.repo.keys import make_key
from edgectl.repo.manifest import Validity, trust_of, write_manifest
from edgectl.repo.orders import seal
from edged.assembly.courier import Courier, CourierSettings
from edged.domain.artefact import VerifiedArtefact
from edged.domain.errors import EdgedError
from edged.fleet.folder import FolderTransport
from edged.fleet.signed_manifest import PAYLOAD_TYPE
from edged.update.desired import PAYLOAD_TYPE as ORDER
from edged.update.desired import Audience
from edged.update.disk import LocalDisk
from edged.update.trust_file import TrustFile
from fakes.bundle import make_bundle
from fakes.clock import FakeClock
from fakes.couriers import DEVICE, Box, InProcess
from fakes.repository_simulator import NOW, desired, ordered

GROUP = Audience("group", "line-a")


class Stick:
    """A stick with one release, and a box that it is put into."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.place = folder, folder / "stick"
        self.signer = make_key(folder / "keys", "desired")
        self.bundle = make_bundle(folder / "bundle")
        self.clock = FakeClock()
        (folder / "trust.json").write_bytes(trust_of([self.signer]))

    def write(self, *audiences: Audience, days: float = 30, signer: object = None) -> None:
        key = signer or self.signer
        write_manifest(self.place, [self.bundle], key, audiences or (GROUP,), Validity(NOW, days))  # type: ignore[arg-type]

    def courier(self) -> Courier:
        state = self.folder / "state"
        return Courier(
            CourierSettings(str(self.place), self.folder / "trust.json", state, DEVICE.name, (GROUP.name,)),
            TrustFile(state, LocalDisk()),
            self.clock,
            start=lambda order: InProcess(order, FolderTransport(self.place)),
        )

    def follow(self, **changes: object) -> VerifiedArtefact:
        (file,) = (self.place / "targets").iterdir()
        digest, _, name = file.name.partition(".")
        wanted = {"version": "1.0.0", "target": name, "length": file.stat().st_size, "sha256": digest}
        document = desired(models={"parts": wanted}, **changes)
        courier = self.courier()
        order = courier.judge(seal(json.dumps(document).encode(), ORDER, [self.signer]), DEVICE).models["parts"]
        assert order is not None
        return courier.fetch(order)


@pytest.fixture
def stick(tmp_path: Path) -> Stick:
    stick = Stick(tmp_path)
    stick.write()
    return stick


def code(attempt: Callable[[], object]) -> str:
    with pytest.raises(EdgedError) as refused:
        attempt()
    return refused.value.code


def test_one_signed_manifest_gives_the_same_artefact_as_a_whole_repository(stick: Stick, tmp_path: Path) -> None:
    artefact = stick.follow()

    whole, content = Box(tmp_path / "other-state"), artefact.path.read_bytes()
    name = "parts-1.0.0.edgemodel"
    whole.simulator.add(name, content, **artefact.custom)
    whole.simulator.publish()
    document = desired(models={"parts": ordered(name, content, version="1.0.0")})
    wanted = whole.judge(whole.simulator.desire(document)).models["parts"]
    assert wanted is not None
    fetched = whole.courier().fetch(wanted)
    assert fetched.path.read_bytes() == content
    assert replace(fetched, path=artefact.path) == artefact


def test_an_older_manifest_again_is_told_as_a_rollback_attack(stick: Stick) -> None:
    older = (stick.place / "manifest.json").read_bytes()
    stick.write()
    stick.follow()
    (stick.place / "manifest.json").write_bytes(older)
    assert code(stick.follow) == "rollback-attack"


def test_a_manifest_past_its_end_is_refused(stick: Stick) -> None:
    stick.clock.advance(31 * 24 * 3600)
    later = (NOW + timedelta(days=60)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert code(lambda: stick.follow(not_after=later)) == "metadata-expired"


def test_a_manifest_for_others_is_refused(stick: Stick) -> None:
    stick.write(Audience("device", "press-08"), Audience("group", "line-b"))
    assert code(stick.follow) == "other-audience"


def test_a_manifest_that_somebody_else_signed_is_refused(stick: Stick, tmp_path: Path) -> None:
    stick.write(signer=make_key(tmp_path / "others", "desired"))
    assert code(stick.follow) == "unsigned"


def test_an_order_that_somebody_else_signed_is_rejected(stick: Stick, tmp_path: Path) -> None:
    stick.signer = make_key(tmp_path / "others", "desired")
    assert code(stick.follow) == "signature"


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[" * 100_000, b"\xff", seal(b"[]", PAYLOAD_TYPE, []), seal(b"{}", ORDER, [])],
    ids=["empty", "bare", "deep", "no text", "unsigned", "another kind"],
)
def test_what_is_no_manifest_is_refused(stick: Stick, content: bytes) -> None:
    (stick.place / "manifest.json").write_bytes(content)
    assert code(stick.follow) in {"tampered", "unsigned"}


@pytest.mark.parametrize(
    "document", [{}, {"schema": "edged.manifest/1"}, {"schema": "edged.manifest/1", "seq": 9, "files": 7}]
)
def test_a_signed_manifest_that_makes_no_sense_is_refused(stick: Stick, document: dict[str, object]) -> None:
    (stick.place / "manifest.json").write_bytes(seal(json.dumps(document).encode(), PAYLOAD_TYPE, [stick.signer]))
    assert code(stick.follow) == "tampered"


@pytest.mark.parametrize("entry", [{}, {"sha256": "x", "length": 5}, {"sha256": "a" * 64}])
def test_a_file_without_digest_and_length_is_not_offered(stick: Stick, entry: dict[str, object]) -> None:
    envelope = json.loads((stick.place / "manifest.json").read_bytes())
    document = json.loads(base64.b64decode(envelope["payload"]))
    document = {**document, "seq": 9, "files": dict.fromkeys(document["files"], entry)}
    (stick.place / "manifest.json").write_bytes(seal(json.dumps(document).encode(), PAYLOAD_TYPE, [stick.signer]))
    assert code(stick.follow) == "not-offered"


def test_a_stick_without_a_manifest_is_looked_at_later(stick: Stick) -> None:
    (stick.place / "manifest.json").unlink()
    assert code(stick.follow) == "network"


def test_a_file_that_the_manifest_does_not_list_is_not_offered(stick: Stick) -> None:
    document = {"schema": "edged.manifest/1", "seq": 9, **Validity(NOW, 3).told(), "for": [{"group": "line-a"}]}
    content = json.dumps({**document, "files": {}}).encode()
    (stick.place / "manifest.json").write_bytes(seal(content, PAYLOAD_TYPE, [stick.signer]))
    assert code(stick.follow) == "not-offered"


def test_a_flipped_bit_in_a_file_is_refused(stick: Stick) -> None:
    (file,) = (stick.place / "targets").iterdir()
    content = bytearray(file.read_bytes())
    content[700] ^= 1
    file.write_bytes(content)
    assert code(stick.follow) == "digest"


def test_a_pulled_stick_leaves_what_was_trusted_to_judge_by(stick: Stick) -> None:
    artefact = stick.follow()
    artefact.path.unlink()
    files = list((stick.place / "targets").iterdir())
    (stick.place / "manifest.json").unlink()
    stick.place.rename(stick.folder / "pulled")
    document = desired(seq=13, models={})
    accepted = stick.courier().judge(seal(json.dumps(document).encode(), ORDER, [stick.signer]), DEVICE)
    assert accepted.seq == 13
    assert files


@pytest.mark.parametrize(
    "trust",
    [
        {"schema": "edged.trust/1", "threshold": 2, "keys": {"a": "00" * 32}},
        {"schema": "edged.trust/2", "threshold": 1, "keys": {}},
        {"schema": "edged.trust/1", "keys": []},
    ],
)
def test_keys_that_make_no_sense_are_the_operators_fault(stick: Stick, trust: dict[str, object]) -> None:
    (stick.folder / "trust.json").write_text(json.dumps(trust))
    assert code(stick.follow) == "trust"


def test_the_verb_writes_a_stick_and_what_boxes_are_provisioned_with(tmp_path: Path) -> None:
    stick = Stick(tmp_path)
    arguments = [str(stick.place), str(stick.bundle), "--for", "group:line-a", "--keys", str(tmp_path / "keys")]
    assert main(["repo", "manifest", *arguments]) == 0
    stick.clock.wall = int(datetime.now(timezone.utc).timestamp() * 1e9)
    (tmp_path / "trust.json").write_bytes((tmp_path / "keys" / "trust.json").read_bytes())
    assert stick.follow().name == "parts"
