"""Differences between releases, and case 27 of ``updates.md``, section 6."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from edgectl.repo.delta import make
from edged.assembly.courier import Courier, CourierSettings
from edged.domain.errors import BundleError
from edged.fleet.places import delta_name
from edged.update import delta
from edged.update.delta import BLOCK_BYTES, HEAD, MAGIC, apply
from edged.update.disk import LocalDisk
from edged.update.lanes import added, difference
from edged.update.trust_file import TrustFile
from fakes.clock import FakeClock
from fakes.couriers import DEVICE, InProcess
from fakes.repository_simulator import Simulator, desired, ordered

WEIGHTS = os.urandom(200_000)
OLD = {"model.toml": b'version = "1.2.0"', "int8.tflite": WEIGHTS, "labels.txt": b"bolt\n"}
NEW = {
    "model.toml": b'version = "1.3.0"',
    "int8.tflite": bytes((byte + (index % 50 == 0)) % 256 for index, byte in enumerate(WEIGHTS)),
    "labels.txt": b"bolt\nnut\n",
}


def packed(file: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return packed(tmp_path / "parts-1.2.0.edgemodel", OLD)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return packed(tmp_path / "parts-1.3.0.edgemodel", NEW)


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def applied(content: bytes, base: Path, length: int) -> tuple[str, Path]:
    file, result = base.with_name("delta"), base.with_name("result")
    file.write_bytes(content)
    return apply(file, base, result, length), result


@given(st.sampled_from([1, 2, 4]), st.binary(max_size=64), st.binary(max_size=64))
def test_a_difference_leads_back_to_the_result(width: int, one: bytes, other: bytes) -> None:
    size = min(len(one), len(other)) // width * width
    base, result = one[:size], other[:size]
    assert added(base, difference(base, result, width), width) == result


@pytest.mark.parametrize(("before", "after", "told"), [(5, 6, 2), (5, 4, 1), (0, 255, 1), (255, 0, 2), (7, 7, 0)])
def test_small_steps_are_small_numbers(before: int, after: int, told: int) -> None:
    assert difference(bytes([before]), bytes([after]), 1) == bytes([told])


def test_a_release_is_made_of_the_one_before_it(old: Path, new: Path) -> None:
    content = make(old, new)
    assert content is not None
    assert len(content) < 0.1 * new.stat().st_size
    assert applied(content, old, new.stat().st_size)[0] == sha256(new)


@pytest.mark.parametrize("kind", [delta.TDIFF, delta.PATCH])
def test_each_format_alone_leads_to_the_result(
    old: Path, new: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgectl.repo import delta as maker  # noqa: PLC0415

    monkeypatch.setattr(maker, "_patch" if kind == delta.TDIFF else "_tdiff", lambda *_: bytes(10**6))
    content = make(old, new)
    assert content is not None
    assert kind.encode() in content[:100]
    assert applied(content, old, new.stat().st_size)[0] == sha256(new)


def test_a_delta_that_saves_little_is_not_offered(old: Path, tmp_path: Path) -> None:
    assert make(old, packed(tmp_path / "x", {**NEW, "int8.tflite": os.urandom(200_000)})) is None


def built(head: dict[str, object], body: bytes) -> bytes:
    told = json.dumps(head).encode()
    return MAGIC + HEAD.pack(len(told)) + told + zstandard.compress(body)


BOMBS: dict[str, bytes] = {
    "more than was signed": built({"format": "tdiff1", "segments": [["raw", 10**9]]}, bytes(10**8)),
    "a patch that is more": built({"format": "zstd-patch"}, bytes(10**8)),
    "cut off": built({"format": "tdiff1", "segments": [["raw", 100]]}, bytes(10)),
    "behind the base": built({"format": "tdiff1", "segments": [["diff", 100, 10**9, 1]]}, bytes(100)),
    "before the base": built({"format": "tdiff1", "segments": [["diff", 100, -5, 1]]}, bytes(100)),
    "odd width": built({"format": "tdiff1", "segments": [["diff", 100, 0, 3]]}, bytes(100)),
    "half an integer": built({"format": "tdiff1", "segments": [["diff", 3, 0, 2]]}, bytes(3)),
    "unknown": built({"format": "tdiff2"}, b""),
    "no head": b"",
    "a huge head": MAGIC + HEAD.pack(2**31) + b"{",
    "deep": MAGIC + HEAD.pack(200) + b"[" * 200,
    "no delta": b"x" * 100,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_stops_at_what_was_signed(old: Path, bomb: bytes) -> None:
    """Case 27."""
    with pytest.raises(BundleError) as refused:
        applied(bomb, old, 300_000)
    assert refused.value.code == "delta"
    result = old.with_name("result")
    assert not result.exists() or result.stat().st_size <= 300_000


def test_a_wish_for_a_window_of_gigabytes_is_refused(old: Path) -> None:
    """Case 27: the frame's own head asks for the memory."""
    settings = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    body = zstandard.ZstdCompressor(compression_params=settings).compressobj().compress(bytes(10**6))
    head = json.dumps({"format": "tdiff1", "segments": [["raw", 1000]]}).encode()
    with pytest.raises(BundleError, match="memory"):
        applied(MAGIC + HEAD.pack(len(head)) + head + body + bytes(100), old, 300_000)


def test_a_patch_of_more_than_the_child_may_hold_is_left_alone(
    old: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 27: base and result would both be in memory."""
    from edgectl.repo import delta as maker  # noqa: PLC0415

    monkeypatch.setattr(maker, "_tdiff", lambda *_: bytes(10**6))
    content = make(old, new)
    assert content is not None
    monkeypatch.setattr(delta, "MAX_PATCH_BYTES", 100_000)
    with pytest.raises(BundleError, match="more than 100000"):
        applied(content, old, new.stat().st_size)


def test_blocks_of_a_body_hold_whole_integers() -> None:
    assert all(BLOCK_BYTES % width == 0 for width in delta.WIDTHS)


# -- the courier's way with them


def site(tmp_path: Path, old: Path, new: Path, content: bytes, **custom: str) -> tuple[Courier, Simulator, Path]:
    simulator = Simulator()
    simulator.add(new.name, new.read_bytes())
    signed = {"base_sha256": sha256(old), "result_sha256": sha256(new), **custom}
    simulator.add(delta_name(new.name, sha256(old)), content, **signed)
    simulator.publish()
    root, state = tmp_path / "root.json", tmp_path / "state"
    root.write_bytes(simulator.provisioned)
    courier = Courier(
        CourierSettings("memory", root, state, DEVICE.name),
        TrustFile(state, LocalDisk()),
        FakeClock(),
        bases=lambda _model: {sha256(old): lambda file: file.write_bytes(old.read_bytes()) and None},
        start=lambda order: InProcess(order, simulator),
    )
    return courier, simulator, state / "incoming"


def fetched(courier: Courier, simulator: Simulator, new: Path) -> Path:
    order = simulator.desire(desired(models={"parts": ordered(new.name, new.read_bytes())}))
    wanted = courier.judge(order, DEVICE).models["parts"]
    assert wanted is not None
    return courier.fetch(wanted).path


def whole_asked(simulator: Simulator) -> bool:
    return any(path.endswith(".edgemodel") for path, _ in simulator.asked)


def test_a_box_that_has_the_base_fetches_the_difference_alone(tmp_path: Path, old: Path, new: Path) -> None:
    courier, simulator, incoming = site(tmp_path, old, new, make(old, new) or b"")
    assert fetched(courier, simulator, new).read_bytes() == new.read_bytes()
    assert not whole_asked(simulator)
    assert [file.name for file in incoming.iterdir()] == [sha256(new)]


@pytest.mark.parametrize("content", [b"x" * 100, *list(BOMBS.values())[:2]], ids=["none", "bomb", "patch bomb"])
def test_whatever_is_wrong_with_a_delta_the_whole_file_is_fetched(
    tmp_path: Path, old: Path, new: Path, content: bytes
) -> None:
    """Case 27."""
    courier, simulator, incoming = site(tmp_path, old, new, content)
    assert fetched(courier, simulator, new).read_bytes() == new.read_bytes()
    assert [file.name for file in incoming.iterdir()] == [sha256(new)]


def test_a_delta_that_leads_elsewhere_is_no_release(tmp_path: Path, old: Path, new: Path) -> None:
    other = packed(tmp_path / "other", {**OLD, "labels.txt": b"nut\n"})
    courier, simulator, _ = site(tmp_path, old, new, make(old, other) or b"")
    assert fetched(courier, simulator, new).read_bytes() == new.read_bytes()
    assert whole_asked(simulator)


def test_a_delta_to_another_release_is_left_alone(tmp_path: Path, old: Path, new: Path) -> None:
    courier, simulator, _ = site(tmp_path, old, new, make(old, new) or b"", result_sha256="0" * 64)
    fetched(courier, simulator, new)
    assert whole_asked(simulator)
