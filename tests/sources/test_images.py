"""Pictures in files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.domain.errors import ConfigError, SourceLostError
from edged.sources.images import ImagesSource, open_source, read_picture
from fakes.clock import FakeClock
from fakes.recording import drawn, write_pictures
from fakes.stranger import closed_to


def opened(path: Path | str, *, loop: bool = False, fps: float | None = None) -> ImagesSource:
    return open_source(path=path, clock=FakeClock(), loop=loop, fps=fps)


def test_pictures_come_in_name_order_with_the_sources_own_time(tmp_path: Path) -> None:
    source = opened(write_pictures(tmp_path / "p", 3), fps=4)

    for index in range(3):
        frame = source.read()
        assert frame is not None
        assert np.array_equal(frame.data, drawn(index))
        assert frame.stamp.source_s == index / 4
    assert source.read() is None


def test_a_pattern_chooses_among_files(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "p", 3)

    source = opened(folder / "*1.png")

    assert np.array_equal(source.read().data, drawn(1))  # type: ignore[union-attr]
    assert source.read() is None


def test_one_picture_is_a_source_too(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "p", 1)

    assert opened(folder / "000.png").read() is not None


def test_files_that_are_no_pictures_are_left_out(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "p", 1)
    (folder / "notes.txt").write_text("hello")

    source = opened(folder)

    assert source.read() is not None
    assert source.read() is None
    assert source.drops == {}


def test_in_a_loop_numbers_and_time_go_on(tmp_path: Path) -> None:
    source = opened(write_pictures(tmp_path / "p", 2), loop=True, fps=10)

    frames = [source.read() for _ in range(5)]

    assert [frame.stamp.index for frame in frames if frame] == [0, 1, 2, 3, 4]
    assert np.array_equal(frames[4].data, drawn(0))  # type: ignore[union-attr]


@pytest.mark.parametrize("damage", ["cut", "empty", "garbage", "directory"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_damaged_picture_is_passed_over_and_counted(tmp_path: Path, damage: str, suffix: str) -> None:
    folder = write_pictures(tmp_path / "p", 3, suffix)
    victim = folder / f"001{suffix}"
    data = victim.read_bytes()
    victim.unlink()
    if damage == "directory":
        victim.symlink_to(folder / "absent")
    else:
        victim.write_bytes({"cut": data[: len(data) * 2 // 3], "empty": b"", "garbage": b"no picture" * 20}[damage])
    source = opened(folder / f"*{suffix}") if damage != "directory" else opened(folder)

    frames = [source.read(), source.read(), source.read()]

    assert [frame is not None for frame in frames] == [True, True, False]
    assert source.drops.get("unreadable", 0) == (0 if damage == "directory" else 1)


def test_a_picture_that_vanished_is_passed_over(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "p", 2)
    source = opened(folder)
    (folder / "000.png").unlink()

    frame = source.read()

    assert frame is not None
    assert np.array_equal(frame.data, drawn(1))
    assert source.drops == {"unreadable": 1}


def test_not_one_readable_picture_is_an_error_even_in_a_loop(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"no picture")

    with pytest.raises(SourceLostError, match=r"cannot read pictures from .*p: all 1 are unreadable"):
        opened(folder, loop=True).read()


def test_an_empty_folder_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no picture, expected files that end in"):
        opened(tmp_path)


def test_a_pattern_without_a_match_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="match the pattern"):
        opened(tmp_path / "*.png")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent: no such file or folder"):
        opened(tmp_path / "absent")


@pytest.mark.parametrize("name", ["", "a.png", "*.png"])
def test_what_edged_may_not_look_at_says_so_with_what_to_do(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    cv2.imwrite(str(home / "a.png"), drawn(0))

    with closed_to(home), pytest.raises(ConfigError, match="Permission denied, expected pictures that") as caught:
        opened(home / name)

    assert "every folder above it" in caught.value.remedy


def test_a_jpegs_orientation_is_carried_out(tmp_path: Path) -> None:
    file = tmp_path / "turned.jpg"
    cv2.imwrite(str(file), drawn(0))
    data = file.read_bytes()
    # An APP1 segment whose only entry is tag 0x0112, orientation 6: turn by 90 degrees (Exif 2.3, 4.6.4).
    tiff = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    segment = b"Exif\0\0" + tiff
    file.write_bytes(data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:])

    assert read_picture(file).shape == (64, 48, 3)


def test_a_single_picture_that_is_damaged_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff")

    with pytest.raises(ConfigError, match=r"cannot read picture .*a\.jpg: the file ends in the middle"):
        read_picture(tmp_path / "a.jpg")


def test_its_repr_says_how_far_it_is(tmp_path: Path) -> None:
    source = opened(write_pictures(tmp_path / "p", 2))
    source.read()

    assert repr(source) == f"<ImagesSource {tmp_path / 'p'}: 1 of 2, 0 unreadable>"


@pytest.mark.assets
def test_real_pictures_are_read_whole(assets: Path) -> None:
    source = opened(assets / "images")
    count = 0
    while source.read() is not None:
        count += 1

    assert count == 18
    assert source.drops == {}
