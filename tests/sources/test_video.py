"""Video files: whole, cut, damaged, and no videos at all."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from edged.domain.errors import ConfigError, SourceLostError
from edged.domain.frame import Frame
from edged.sources.video import EBML, SEGMENT, VideoSource, _missing_bytes, open_source
from fakes.clock import FakeClock
from fakes.recording import HEIGHT, WIDTH, drawn, write_titled, write_video

FORMATS = [
    ("mp4", "mpeg4", {"movflags": "faststart"}),
    ("mp4", "mpeg4", {"movflags": "frag_keyframe+empty_moov"}),
    ("avi", "mjpeg", {}),
    ("matroska", "mpeg4", {}),
    ("mpegts", "mpeg2video", {}),
    ("flv", "flv", {}),
]


def opened(path: Path, *, loop: bool = False) -> VideoSource:
    return open_source(path=path, clock=FakeClock(), loop=loop)


def frames_of(source: VideoSource) -> list[Frame]:
    return list(iter(source.read, None))


def outcome(path: Path) -> tuple[list[Frame], str]:
    """Give every frame that a file delivers, and the word at its end."""
    frames = []
    try:
        source = opened(path)
        while (frame := source.read()) is not None:
            frames.append(frame)
    except (ConfigError, SourceLostError) as error:
        return frames, error.code if str(path) in str(error) else f"{error} does not name its file"
    source.close()
    return frames, "whole"


@pytest.mark.parametrize(("container", "codec", "options"), FORMATS)
def test_every_picture_comes_with_its_presentation_time_from_zero(
    tmp_path: Path, container: str, codec: str, options: dict[str, str]
) -> None:
    path = write_video(tmp_path / "v", frames=20, fps=25, codec=codec, container=container, options=options)

    frames = frames_of(opened(path))

    assert [frame.stamp.source_s for frame in frames] == pytest.approx([i / 25 for i in range(20)], abs=0.002)
    assert all(frame.data.shape == (HEIGHT, WIDTH, 3) for frame in frames)


def test_pictures_are_what_libav_decodes_to_bgr(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=5)
    with av.open(str(path)) as container:
        expected = [picture.to_ndarray(format="bgr24") for picture in container.decode(video=0)]

    frames = frames_of(opened(path))

    assert all(np.array_equal(frame.data, picture) for frame, picture in zip(frames, expected, strict=True))


def test_in_a_loop_time_and_numbers_go_on(tmp_path: Path) -> None:
    source = opened(write_video(tmp_path / "v.mp4", frames=3, fps=10), loop=True)

    frames = [source.read() for _ in range(7)]

    assert [frame.stamp.index for frame in frames if frame] == list(range(7))
    assert [frame.stamp.source_s for frame in frames if frame] == pytest.approx([i / 10 for i in range(7)])
    source.close()


def test_parts_with_times_of_their_own_are_joined_into_one_time(tmp_path: Path) -> None:
    parts = [write_video(tmp_path / f"{i}.ts", frames=5, codec="mpeg2video", container="mpegts") for i in range(2)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))

    times_s = [frame.stamp.source_s for frame in outcome(joined)[0]]

    assert len(times_s) >= 9  # libav marks the picture at the seam as incomplete
    assert all(0 < b - a < 0.5 for a, b in pairwise(times_s))


def test_a_video_that_ends_in_the_middle_of_a_frame_gives_every_whole_frame_and_then_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", codec="mjpeg", container="avi")
    data = path.read_bytes()
    whole = frames_of(opened(path))
    path.write_bytes(data[: len(data) // 2])
    source = opened(path)
    frames: list[Frame] = []

    with pytest.raises(SourceLostError, match=r"cannot read all of video .*v\.avi: a picture's data are incomplete"):
        frames.extend(iter(source.read, None))

    assert 0 < len(frames) < len(whole)
    assert all(np.array_equal(a.data, b.data) for a, b in zip(frames, whole, strict=False))
    assert source.drops == {"damaged": 1}
    source.close()
    assert source.read() is None


@pytest.mark.parametrize(("container", "codec"), [("matroska", "mpeg4"), ("avi", "mjpeg")])
@pytest.mark.parametrize("missing", [1, 100, 600])
def test_every_missing_byte_is_noticed_where_the_head_tells_the_length(
    tmp_path: Path, container: str, codec: str, missing: int
) -> None:
    path = write_video(tmp_path / "v", frames=40, container=container, codec=codec)
    path.write_bytes(path.read_bytes()[:-missing])

    frames, word = outcome(path)

    assert 0 < len(frames) <= 40
    assert word == "video-damaged"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        EBML,
        EBML + b"\x00",
        EBML + b"\x40",
        EBML + b"\x81\x00" + b"other",
        EBML + b"\x80" + SEGMENT + b"\x01" + b"\xff" * 7,
        EBML + b"\x80" + SEGMENT + b"\xff",
    ],
)
def test_a_head_that_tells_no_length_is_taken_at_its_word(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "v"
    path.write_bytes(head)

    assert _missing_bytes(path) == 0


def test_a_file_that_was_deleted_while_it_was_read_still_ends_cleanly(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", frames=5, container="matroska")
    source = opened(path)
    path.unlink()

    assert len(frames_of(source)) == 5


def test_a_loop_over_a_file_that_vanished_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=3)
    source = opened(path, loop=True)
    path.unlink()

    with pytest.raises(ConfigError, match="No such file"):
        frames_of(source)


def test_a_length_of_two_bytes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "v"
    path.write_bytes(EBML + b"\x80" + SEGMENT + b"\x43\xe8" + bytes(900))

    assert _missing_bytes(path) == 100


def test_damage_in_the_middle_costs_its_pictures_only_and_is_reported(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", codec="mjpeg", container="avi")
    data = bytearray(path.read_bytes())
    at = data.index(b"00dc", len(data) // 2) + 8
    data[at : at + 600] = bytes(600)
    path.write_bytes(bytes(data))

    frames, word = outcome(path)

    assert len(frames) == 19
    assert word == "video-damaged"


def test_a_damaged_video_does_not_loop(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", codec="mjpeg", container="avi")
    path.write_bytes(path.read_bytes()[:-5000])
    source = opened(path, loop=True)

    with pytest.raises(SourceLostError):
        frames_of(source)


@pytest.mark.parametrize(("container", "codec", "options"), FORMATS)
def test_cut_anywhere_it_gives_true_frames_only_and_a_clear_end(
    tmp_path: Path, container: str, codec: str, options: dict[str, str]
) -> None:
    cut_anywhere(tmp_path, container, codec, options, cuts=12)


@pytest.mark.slow
@pytest.mark.parametrize(("container", "codec", "options"), FORMATS)
def test_cut_at_many_places_it_gives_true_frames_only_and_a_clear_end(
    tmp_path: Path, container: str, codec: str, options: dict[str, str]
) -> None:
    cut_anywhere(tmp_path, container, codec, options, cuts=300)


def cut_anywhere(folder: Path, container: str, codec: str, options: dict[str, str], cuts: int) -> None:
    whole = write_video(folder / "whole", codec=codec, container=container, options=options)
    data = whole.read_bytes()
    truth = [frame.data for frame in frames_of(opened(whole))]
    victim = folder / "cut"
    for cut in range(0, len(data), max(1, len(data) // cuts)):
        victim.write_bytes(data[:cut])
        frames, word = outcome(victim)
        assert word in {"config", "video-damaged", "whole"}
        assert (word == "config") <= (not frames)
        assert all(np.array_equal(frame.data, true) for frame, true in zip(frames, truth, strict=False))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot open video .*absent\.mp4: No such file"):
        opened(tmp_path / "absent.mp4")


@pytest.mark.parametrize("content", [b"", b"no video at all\n" * 50, bytes(5000), bytes(range(256)) * 20])
@pytest.mark.parametrize("name", ["a.mp4", "a.txt", "a.bin"])
def test_what_is_no_video_is_refused_with_its_path(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    assert outcome(path) == ([], "config")


def test_a_title_in_another_alphabet_is_nothing_to_fail_on(tmp_path: Path) -> None:
    source = opened(write_titled(tmp_path / "v.mkv", "Caméra de quai".encode("latin-1")))
    assert source.read() is not None
    source.close()


def test_a_folder_is_no_video(tmp_path: Path) -> None:
    assert outcome(tmp_path) == ([], "config")


def test_a_video_without_a_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"

    assert outcome(path) == ([], "config")


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=8000)
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        tone.sample_rate = 8000
        output.mux(stream.encode(tone))

    with pytest.raises(ConfigError, match="of no known format, expected a video"):
        opened(path)


def test_a_container_with_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w", format="matroska") as output:
        stream = output.add_stream("pcm_s16le", rate=8000)
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        tone.sample_rate = 8000
        output.mux(stream.encode(tone))

    with pytest.raises(ConfigError, match="no pictures in a file of format 'matroska,webm'"):
        opened(path)


def test_a_playlist_leads_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n")

    assert outcome(path) == ([], "config")


def test_a_rotation_that_the_file_asks_for_is_logged_and_not_carried_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV writes no rotation")
        stream.set_display_rotation(90)
        output.mux(stream.encode(av.VideoFrame.from_ndarray(drawn(0), format="bgr24")))
        output.mux(stream.encode())

    with caplog.at_level("INFO"):
        frame = opened(path).read()

    assert frame is not None
    assert frame.data.shape == (HEIGHT, WIDTH, 3)
    assert "video.rotation-ignored" in caplog.messages


def test_its_repr_says_how_far_it_is(tmp_path: Path) -> None:
    source = opened(write_video(tmp_path / "v.mp4", fps=10))
    source.read()
    source.read()

    assert repr(source) == f"<VideoSource {tmp_path / 'v.mp4'}: 2 pictures, at 0.10 s, sound>"


def test_a_thousand_pictures_leave_no_memory_behind(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    source = opened(write_video(tmp_path / "v.mp4", frames=50), loop=True)
    for _ in range(200):
        source.read()
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for _ in range(1000):
        source.read()

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 8000
    source.close()


def test_a_sensor_box_loads_no_video_library() -> None:
    code = "import sys, edged.pipeline.feed, edged.sources.csv; sys.exit(any(m in sys.modules for m in ('av', 'cv2')))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.assets
def test_a_real_clip_gives_all_its_131_frames(assets: Path) -> None:
    frames = frames_of(opened(assets / "video" / "carving_ice.mp4"))

    assert len(frames) == 131
    assert frames[-1].stamp.source_s == pytest.approx(4.33, abs=0.01)


@pytest.mark.assets
@pytest.mark.slow
def test_a_real_recording_is_read_whole_at_ten_frames_a_second(assets: Path) -> None:
    source = opened(assets / "video" / "one-by-one-person-detection.mp4")
    count = 0
    while (frame := source.read()) is not None:
        assert frame.stamp.source_s == pytest.approx(count / 10, abs=0.01)
        count += 1

    assert count == 1394
