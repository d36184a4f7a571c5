from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.fleet.frames import MAX_BYTES, Unpacker, pack, read_some, write_all

MESSAGES = st.lists(st.one_of(st.binary(max_size=50), st.dictionaries(st.text(max_size=5), st.integers())), max_size=5)


@given(MESSAGES, st.integers(1, 20))
def test_messages_come_out_as_they_went_in_however_they_were_cut(messages: list[object], size: int) -> None:
    stream = b"".join(pack(message) for message in messages)
    unpacker = Unpacker()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert [message for piece in pieces for message in unpacker.feed(piece)] == messages


@pytest.mark.parametrize("stream", [b"\xff\xff\xff\xffB", b"\0\0\0\1X", (MAX_BYTES + 1).to_bytes(4, "big") + b"B"])
def test_what_is_no_message_ends_the_stream(stream: bytes) -> None:
    with pytest.raises(ValueError, match="cannot read a message"):
        list(Unpacker().feed(stream))


def test_more_than_a_pipe_holds_is_written_whole() -> None:
    read, write = os.pipe()
    content = os.urandom(300_000)
    writer = threading.Thread(target=lambda: (write_all(write, content), os.close(write)))
    writer.start()
    found = b""
    while piece := read_some(read):
        found += piece
    writer.join()
    os.close(read)
    assert found == content
