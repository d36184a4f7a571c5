from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from edged.domain.errors import DeviceError
from edged.engines.engine_cache import BEGUN, RECORD, EngineCache, Key

KEY = Key("a" * 64, "tensorrt", "fp16", "onnxruntime 1.20.0, tensorrt 10.3.0", "NVIDIA integrated GPU (Tegra234)")
OTHER = replace(KEY, sha256="b" * 64)
NOBODY = 2**22 + 1
"""No process has this number (pid_max is at most 2**22)."""


def _make(cache: EngineCache, key: Key, size: int = 100) -> Path:
    folder = cache.begin(key)
    (folder / "engine").write_bytes(b"e" * size)
    (folder / "timing").write_bytes(b"t")
    return cache.finish(key)


def test_what_was_made_is_found_by_another_process(tmp_path: Path) -> None:
    made = _make(EngineCache(tmp_path), KEY)
    assert EngineCache(tmp_path).find(KEY) == made
    assert (made / "engine").read_bytes() == b"e" * 100


@pytest.mark.parametrize("field", ["sha256", "accelerator", "precision", "runtime", "device"])
def test_any_other_model_runtime_or_device_finds_nothing(tmp_path: Path, field: str) -> None:
    cache = EngineCache(tmp_path)
    _make(cache, KEY)
    assert cache.find(replace(KEY, **{field: "another"})) is None
    assert cache.find(KEY) is not None


@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "record"])
def test_what_was_damaged_is_not_found_and_thrown_away(tmp_path: Path, damage: str) -> None:
    cache = EngineCache(tmp_path)
    made = _make(cache, KEY)
    file = made / ("made.json" if damage == "record" else "engine")
    content = file.read_bytes()
    file.unlink()
    if damage != "gone":
        file.write_bytes({"cut": content[:-1], "flip": b"x" + content[1:], "record": content[:-1]}[damage])
    assert cache.find(KEY) is None
    assert damage == "record" or not made.exists()
    assert cache.find(KEY) is None
    assert _make(cache, KEY) == made
    assert cache.find(KEY) == made


def test_what_a_session_that_loads_it_writes_anew_is_accepted(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    made = _make(cache, KEY)
    (made / "engine").unlink()
    (made / "another").write_bytes(b"compiled anew")
    cache.accept(KEY)
    assert cache.find(KEY) == made
    (made / "another").write_bytes(b"damaged")
    assert cache.find(KEY) is None


def test_what_is_half_made_is_not_found_and_tells_since_when(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    making = cache.begin(KEY)
    (making / "engine").write_bytes(b"e")
    assert cache.find(KEY) is None
    assert cache.begun(KEY) == pytest.approx(json.loads((making / BEGUN).read_text())["at"])
    cache.sweep()
    assert making.exists()


def test_what_an_ended_process_left_half_made_is_swept(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    making = cache.begin(KEY)
    (making / BEGUN).write_text(json.dumps({"pid": NOBODY, "at": 0.0}))
    assert cache.begun(KEY) is None
    cache.sweep()
    assert not making.exists()


def test_a_new_runtime_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    old, other = _make(cache, KEY), _make(cache, OTHER)
    new = _make(cache, replace(KEY, runtime="onnxruntime 1.21.0"))
    assert (old.exists(), other.exists(), new.exists()) == (False, True, True)


def test_the_longest_unused_goes_when_the_bound_is_met(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path, max_bytes=300)
    first, second = _make(cache, KEY), _make(cache, OTHER)
    for age_s, folder in ((100, first), (50, second)):
        os.utime(folder / RECORD, (age_s, age_s))
    assert cache.find(KEY) == first
    third = _make(cache, replace(KEY, sha256="c" * 64))
    assert (first.exists(), second.exists(), third.exists()) == (True, False, True)


@pytest.mark.parametrize(("size", "told"), [(301, "takes 302 bytes, expected at most 300"), (None, "wrote no file")])
def test_what_is_too_large_or_nothing_is_not_kept_and_leaves_nothing(
    tmp_path: Path, size: int | None, told: str
) -> None:
    cache = EngineCache(tmp_path, max_bytes=300)
    folder = cache.begin(KEY)
    if size is not None:
        (folder / "engine").write_bytes(b"e" * size)
        (folder / "timing").write_bytes(b"t")
    with pytest.raises(DeviceError, match=told) as caught:
        cache.finish(KEY)
    assert caught.value.code == "engine-unkept"
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "engines").write_text("a file in the folder's place")
    with pytest.raises(DeviceError, match="cannot keep the model that was compiled for tensorrt"):
        EngineCache(tmp_path / "engines").begin(KEY)
