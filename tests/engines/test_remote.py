"""A model on a server: our own server of the protocol, over TLS too, and one that is not there."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from edged.api.access import Access
from edged.domain.errors import DeadlineError, DeviceError, EngineLostError
from edged.domain.tensor import Array
from edged.engines.remote import OPEN_S, RemoteEngine, Server, open_engine
from fakes.brokers import free_port
from fakes.certificates import Authority
from fakes.modelserver import ONES, at, sends
from fakes.serving import FakeBrought, box, doubled, served
from fakes.waiting import until

pytestmark = pytest.mark.slow
OPEN_FILES = Path("/proc/self/fd")
TOKEN = "a-token-that-nobody-guesses"  # noqa: S105 - of this test alone


@pytest.fixture
def port() -> Iterator[int]:
    made = box(FakeBrought("double")).loaded("double")
    with served(made) as port:
        yield port
    made.handlers.shelf.close()


def test_it_answers_as_the_server_does_with_the_servers_tensors(port: int) -> None:
    engine = open_engine(at(port, version="1.0.0"))

    assert (engine.infer([ONES])[0] == 2 * ONES).all()
    assert [(one.name, one.shape, one.dtype) for one in (*engine.inputs, *engine.outputs)] == [
        ("x", (1, 4), "float32"),
        ("y", (1, 4), "float32"),
    ]
    assert (engine.runtime, repr(engine)) == ("remote", f"<RemoteEngine double at 127.0.0.1:{port}>")
    engine.close()
    engine.close()


def test_it_runs_on_another_thread_than_the_one_that_opened_it_and_its_answers_are_the_callers(port: int) -> None:
    with closing(open_engine(at(port))) as engine:
        found: list[Array] = []
        thread = threading.Thread(target=lambda: found.extend(engine.infer([n * ONES])[0] for n in range(3)))
        thread.start()
        thread.join(10)
    found[0][:] = 9

    assert [array[0, 0] for array in found] == [9, 2, 4]


def test_the_token_is_sent_and_shown_to_nobody() -> None:
    made = box(FakeBrought("double")).loaded("double")
    with served(made, access=Access(TOKEN.encode())) as port:
        with closing(open_engine(at(port, token=TOKEN))) as engine:
            assert (engine.infer([ONES])[0] == 2).all()
        with pytest.raises(DeviceError, match="cannot use double at 127") as caught:
            open_engine(at(port, token=TOKEN[:-1]))
    made.handlers.shelf.close()

    assert TOKEN not in repr(at(port, token=TOKEN))
    assert caught.value.code == "remote-unusable"


def test_an_answer_that_does_not_come_in_time_is_a_deadline_that_holds() -> None:
    slow = threading.Event()

    def wait(tensors: Sequence[Array]) -> list[Array]:
        slow.wait(60)
        return doubled(tensors)

    brought = FakeBrought("double")
    made = box(brought).loaded("double")
    with served(made) as port:
        engine = open_engine(at(port, deadline_s=0.2))
        brought.compute = wait
        began = time.monotonic()
        with pytest.raises(DeadlineError, match="no answer within 200 ms"):
            engine.infer([ONES])
        took_s = time.monotonic() - began
        slow.set()
    made.handlers.shelf.close()

    assert took_s < 20  # and not the server's 60


def test_a_server_that_ends_is_the_engines_loss_and_one_that_is_not_there_cannot_be_opened() -> None:
    made = box(FakeBrought("double")).loaded("double")
    with served(made) as port:
        engine = open_engine(at(port))
    made.handlers.shelf.close()

    with pytest.raises(EngineLostError, match="refused"):
        engine.infer([ONES])
    with pytest.raises(DeviceError, match="refused"):
        open_engine(at(port))


def test_a_model_that_the_server_does_not_have_cannot_be_opened(port: int) -> None:
    with pytest.raises(DeviceError, match="nobody at 127"):
        open_engine(Server(f"http://127.0.0.1:{port}", "nobody"))


def test_opening_again_and_again_leaves_nothing_behind(port: int) -> None:
    open_engine(at(port)).close()
    before = len(list(OPEN_FILES.iterdir()))
    for _ in range(10):
        open_engine(at(port)).close()

    until(lambda: not any(thread.name == "edged-remote" for thread in threading.enumerate()), "its threads have ended")
    # The server's ends are files of this process, too, and close a moment later.
    until(lambda: len(list(OPEN_FILES.iterdir())) <= before + 2, "and their files are closed")


def test_a_port_where_nobody_listens_is_told_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(DeviceError, match="see the server"):
        open_engine(at(free_port()))

    assert time.monotonic() - began < OPEN_S


def test_the_deadline_holds_over_tls_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("triton", names="IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sends(listener, pause_s=0.05, block=b"a", context=context)
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        engine = RemoteEngine(Server(url, "double", "", 0.5, None, authority.pair.cert), (), (), is_binary=True)
        began = time.monotonic()
        with pytest.raises(DeadlineError):
            engine.infer([])
        assert time.monotonic() - began < 2


def test_a_certificate_that_is_over_or_cannot_be_checked_is_refused_at_once(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("triton", names="IP:127.0.0.1", days=-1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    (tmp_path / "junk.pem").write_text("junk")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sends(listener, pause_s=1, block=b"a", context=context)
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(DeviceError, match="certificate"):
            open_engine(Server(url, "double", ca=authority.pair.cert))
        for ca, words in (("junk.pem", "no certificate"), ("absent.pem", "No such file")):
            with pytest.raises(DeviceError, match=words):
                open_engine(Server(url, "double", ca=tmp_path / ca))


def test_a_process_that_looked_a_servers_name_up_ends_well() -> None:
    asks = "from edged.engines.remote import Server, open_engine\nopen_engine(Server('http://localhost:1', 'double'))"
    ended = subprocess.run([sys.executable, "-c", asks], capture_output=True, check=False, timeout=60)

    # An exception's, not a segmentation fault's.
    assert ended.returncode == 1
    assert b"Connection refused" in ended.stderr
