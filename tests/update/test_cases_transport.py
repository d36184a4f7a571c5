"""How files come: every fault of the way of ``updates.md``, section 6, cases 1 to 10, and 36."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.assembly.courier import Courier, CourierSettings
from edged.assembly.courier_child import CourierChild
from edged.domain.errors import RetryableError
from edged.fleet.blocks import BLOCK_BYTES, GIVE_UP_S, LEAST_BYTES, WINDOW, BlockTransport, unpack
from edged.fleet.fetch import AbsentError, Reply, Transport, Wanted, download, read_whole
from edged.fleet.folder import FolderTransport
from edged.fleet.https import HttpTransport
from edged.fleet.pace import WINDOW_NS, Pace
from edged.fleet.serving import answer
from edged.update.disk import LocalDisk
from edged.update.trust_file import TrustFile
from fakes.certificates import Authority
from fakes.clock import FakeClock
from fakes.couriers import DEVICE
from fakes.repository_simulator import Simulator, desired, ordered
from fakes.webserver import Web, serving

NAME = "parts-1.3.0.edgemodel"
CONTENT = os.urandom(1_500_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
TICK_S = 1e-6
"""What waiting takes at least: a clock that counts whole nanoseconds would stand still before the last fraction of one."""
WANTED = Wanted(f"targets/{DIGEST}.{NAME}", len(CONTENT), DIGEST)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    simulator = Simulator()
    simulator.add(NAME, CONTENT)
    simulator.publish()
    simulator.write(tmp_path / "repository")
    (tmp_path / "order").write_bytes(simulator.desire(desired(models={"parts": ordered(NAME, CONTENT)})))
    (tmp_path / "root.json").write_bytes(simulator.provisioned)
    return tmp_path / "repository"


@pytest.fixture
def web(repository: Path) -> Iterator[Web]:
    with serving(repository) as web:
        yield web


def fetch(transport: Transport, incoming: Path) -> Path:
    return download(transport, WANTED, incoming, Pace())


def failure(attempt: Callable[[], object]) -> str:
    with pytest.raises(RetryableError) as failed:
        attempt()
    return failed.value.code


def test_a_file_comes_over_http(web: Web, tmp_path: Path) -> None:
    place = fetch(HttpTransport(web.url), tmp_path / "incoming")
    assert place.read_bytes() == CONTENT
    assert sorted(file.name for file in (tmp_path / "incoming").iterdir()) == [DIGEST]


def test_what_is_there_already_is_not_fetched_again(web: Web, tmp_path: Path) -> None:
    fetch(HttpTransport(web.url), tmp_path / "incoming")
    fetch(HttpTransport(web.url), tmp_path / "incoming")
    assert web.of(NAME) == [0]


def test_a_server_that_dies_costs_only_what_is_missing(web: Web, tmp_path: Path) -> None:
    """Case 1."""
    web.cut_after = 1_000_000
    assert failure(lambda: fetch(HttpTransport(web.url), tmp_path / "incoming")) == "network"
    kept = (tmp_path / "incoming" / f"{DIGEST}.part").stat().st_size
    web.cut_after = None
    fetch(HttpTransport(web.url), tmp_path / "incoming")
    assert web.of(NAME) == [0, kept]
    assert 0 < kept <= 1_000_000


def test_a_server_without_ranges_is_read_from_the_start(web: Web, tmp_path: Path) -> None:
    """Case 3."""
    web.cut_after, web.ranges = 1_000_000, False
    assert failure(lambda: fetch(HttpTransport(web.url), tmp_path / "incoming")) == "network"
    web.cut_after = None
    assert fetch(HttpTransport(web.url), tmp_path / "incoming").read_bytes() == CONTENT
    assert web.of(NAME) == [0, 0]


@pytest.mark.parametrize("etags", [True, False])
def test_a_file_that_changed_at_its_source_is_read_from_the_start(web: Web, tmp_path: Path, etags: bool) -> None:
    """Case 4: told by the ETag at once, without one by the digest in the end."""
    place = web.folder / WANTED.path
    web.cut_after, web.etags = 1_000_000, etags
    place.write_bytes(os.urandom(len(CONTENT)))
    assert failure(lambda: fetch(HttpTransport(web.url), tmp_path / "incoming")) == "network"
    place.write_bytes(CONTENT)
    web.cut_after = None
    assert fetch(HttpTransport(web.url), tmp_path / "incoming").read_bytes() == CONTENT
    assert web.of(NAME)[-1] == 0


def test_endless_data_is_read_to_the_signed_length_and_no_further(web: Web, tmp_path: Path) -> None:
    """Case 8."""
    web.endless = True
    assert fetch(HttpTransport(web.url), tmp_path / "incoming").read_bytes() == CONTENT


def test_endless_metadata_is_refused_at_its_limit(web: Web) -> None:
    """Case 8."""
    web.endless = True
    assert failure(lambda: read_whole(HttpTransport(web.url), "metadata/timestamp.json", 16_384)) == "endless-data"


@pytest.mark.parametrize("status", [403, 404])
def test_a_file_that_is_absent_or_forbidden_ends_the_search_for_newer_roots(web: Web, status: int) -> None:
    web.status = status
    with pytest.raises(AbsentError):
        read_whole(HttpTransport(web.url), "metadata/2.root.json", 16_384)


def test_an_error_of_the_server_is_the_networks_and_not_an_absent_file(web: Web) -> None:
    web.status = 503
    assert failure(lambda: read_whole(HttpTransport(web.url), "metadata/9.root.json", 16_384)) == "network"


def test_a_server_that_says_nothing_is_given_up(repository: Path) -> None:
    with serving(repository) as web:
        url = web.url
    assert failure(lambda: read_whole(HttpTransport(url), "metadata/timestamp.json", 16_384)) == "network"


def test_a_server_proves_itself_by_a_certificate_that_the_system_trusts(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    with serving(repository, authority.sign("server", names="IP:127.0.0.1")) as web:
        assert failure(lambda: read_whole(HttpTransport(web.url), "metadata/timestamp.json", 16_384)) == "network"
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.pair.cert))
        assert read_whole(HttpTransport(web.url), "metadata/timestamp.json", 16_384)


def test_requests_go_by_the_proxy_that_the_environment_names(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", web.url)
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(AbsentError):
        read_whole(HttpTransport("http://models.plant.invalid/"), "metadata/timestamp.json", 16_384)


def test_a_file_that_became_shorter_at_its_source_is_read_from_the_start(web: Web, tmp_path: Path) -> None:
    """Case 4: the server knows no such range any more."""
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (incoming / f"{DIGEST}.part").write_bytes(bytes(1_400_000))
    web.status = 416
    assert failure(lambda: fetch(HttpTransport(web.url), incoming)) == "network"
    web.status = None
    assert fetch(HttpTransport(web.url), incoming).read_bytes() == CONTENT
    assert web.of(NAME) == [0]


def test_a_part_that_nobody_asked_for_in_two_weeks_is_removed(web: Web, tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    for name, days in (("old.part", 15), ("young.part", 13)):
        (incoming / name).write_bytes(b"x")
        os.utime(incoming / name, times=(time.time() - days * 86_400,) * 2)
    fetch(HttpTransport(web.url), incoming)
    assert sorted(file.name for file in incoming.iterdir()) == sorted([DIGEST, "young.part"])


def test_a_clock_that_is_set_in_the_middle_of_a_download_costs_none_of_it(web: Web, tmp_path: Path) -> None:
    """A box without a clock of its own begins in 1970."""
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    part = incoming / f"{DIGEST}.part"
    part.write_bytes(CONTENT[:700_000])
    os.utime(part, times=(0, 0))
    assert fetch(HttpTransport(web.url), incoming).read_bytes() == CONTENT
    assert web.of(NAME) == [700_000]


def test_a_poisoned_part_is_thrown_away_and_the_file_fetched_once_more(web: Web, tmp_path: Path) -> None:
    """Case 36."""
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (incoming / f"{DIGEST}.part").write_bytes(b"\0" * 700_000)
    assert fetch(HttpTransport(web.url), incoming).read_bytes() == CONTENT
    assert web.of(NAME) == [700_000, 0]


def test_a_part_that_is_longer_than_the_file_is_thrown_away(web: Web, tmp_path: Path) -> None:
    """Case 36."""
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (incoming / f"{DIGEST}.part").write_bytes(CONTENT + b"more")
    assert fetch(HttpTransport(web.url), incoming).read_bytes() == CONTENT


def test_a_download_that_does_not_fit_on_the_disk_is_refused_before_its_first_byte(web: Web, tmp_path: Path) -> None:
    huge = Wanted(WANTED.path, 1 << 60, DIGEST)
    assert failure(lambda: download(HttpTransport(web.url), huge, tmp_path, Pace())) == "disk-full"
    assert web.asked == []


def test_a_folder_is_read_from_where_it_stopped(repository: Path, tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (incoming / f"{DIGEST}.part").write_bytes(CONTENT[:500_000])
    assert fetch(FolderTransport(repository), incoming).read_bytes() == CONTENT


@dataclass
class Fickle:
    """Gives a file in pieces, and breaks off after so many bytes, each time it is asked; with or without ranges and tags."""

    cuts: list[int]
    ranges: list[bool]
    tags: list[str]
    content: bytes = CONTENT[:5000]

    @contextmanager
    def read(self, path: str, offset: int = 0, tag: str = "") -> Iterator[Reply]:
        own = self.tags.pop(0) if self.tags else ""
        whole = not (self.ranges.pop(0) if self.ranges else True) or bool(tag and own and tag != own)
        begin = 0 if whole else offset
        yield Reply(begin, own, self._blocks(path, begin, self.cuts.pop(0) if self.cuts else None))

    def _blocks(self, path: str, begin: int, cut: int | None) -> Iterator[bytes]:
        end = len(self.content) if cut is None else min(len(self.content), begin + cut)
        yield from (self.content[at : min(at + 700, end)] for at in range(begin, end, 700))
        if cut is not None:
            message = f"cannot read {path}: it broke off, expected the rest"
            raise RetryableError(message, code="network")


@given(
    st.lists(st.integers(0, 6000), max_size=5),
    st.lists(st.booleans(), max_size=6),
    st.lists(st.sampled_from(["", "a", "b"]), max_size=6),
)
def test_however_often_and_wherever_a_download_breaks_off_the_file_is_whole_in_the_end(
    cuts: list[int], ranges: list[bool], tags: list[str]
) -> None:
    source = Fickle(cuts, ranges, tags)
    wanted = Wanted("x", len(source.content), hashlib.sha256(source.content).hexdigest())
    with TemporaryDirectory() as folder:
        for _ in range(12):
            try:
                place = download(source, wanted, Path(folder), Pace())
            except RetryableError:
                continue
            else:
                assert place.read_bytes() == source.content
                return
    pytest.fail("it never came to its end")


def test_a_link_out_of_a_folder_leads_nowhere(repository: Path, tmp_path: Path) -> None:
    """Case 26."""
    (tmp_path / "secret").write_bytes(CONTENT)
    place = repository / WANTED.path
    place.unlink()
    place.symlink_to(tmp_path / "secret")
    assert failure(lambda: fetch(FolderTransport(repository), tmp_path / "incoming")) == "absent"


def test_a_link_in_place_of_what_came_so_far_leads_nothing_out_of_the_folder(repository: Path, tmp_path: Path) -> None:
    """Case 26."""
    incoming, secret = tmp_path / "incoming", tmp_path / "secret"
    incoming.mkdir()
    secret.write_bytes(b"of somebody else")
    (incoming / f"{DIGEST}.part").symlink_to(secret)
    assert fetch(FolderTransport(repository), incoming).read_bytes() == CONTENT
    assert secret.read_bytes() == b"of somebody else"


# -- the pace


@dataclass
class Trickle:
    """Gives a few bytes every so often."""

    clock: FakeClock
    bytes_per_s: int

    @contextmanager
    def read(self, path: str, offset: int = 0, tag: str = "") -> Iterator[Reply]:  # noqa: ARG002 - as Transport says
        yield Reply(offset, tag, self._blocks())

    def _blocks(self) -> Iterator[bytes]:
        while True:
            self.clock.advance(1)
            yield bytes(self.bytes_per_s)


def test_a_trickle_is_refused(tmp_path: Path) -> None:
    """Case 7."""
    clock = FakeClock()
    began_ns = clock.monotonic_ns()
    pace = Pace(None, clock.monotonic_ns, clock.advance)
    assert failure(lambda: download(Trickle(clock, 100), WANTED, tmp_path, pace)) == "slow-retrieval"
    assert clock.monotonic_ns() - began_ns <= WINDOW_NS + 1_000_000_000


def test_a_slow_line_is_no_trickle_and_neither_is_a_limit_of_our_own(tmp_path: Path) -> None:
    """Case 7: at 8 kbit/s of our own choosing."""
    clock = FakeClock()
    wanted = Wanted("x", 100_000, hashlib.sha256(bytes(100_000)).hexdigest())
    pace = Pace(500, clock.monotonic_ns, clock.advance)
    began_ns = clock.monotonic_ns()
    download(Trickle(clock, 10_000), wanted, tmp_path, pace)
    assert 150 <= (clock.monotonic_ns() - began_ns) / 1e9 <= 210


# -- blocks over MQTT


@dataclass
class Broker:
    """Answers requests out of a folder, through whatever ``way`` makes of the answers; its clock runs when nothing comes."""

    folder: Path
    clock: FakeClock
    way: Callable[[bytes], list[bytes]] = lambda block: [block]
    waiting: list[bytes] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def transport(self) -> BlockTransport:
        return BlockTransport(self._ask, self._receive, lambda: self.clock.monotonic_ns() / 1e9)

    def _ask(self, document: dict[str, object]) -> None:
        self.asked.append(int(str(document["offset"])))
        block = answer(self.folder, json.dumps(document).encode())
        assert block is not None
        self.waiting += self.way(block.packed())

    def _receive(self, timeout_s: float) -> bytes | None:
        if not self.waiting:
            self.clock.advance(timeout_s + TICK_S)
            return None
        return self.waiting.pop(0)


@pytest.fixture
def broker(repository: Path) -> Broker:
    return Broker(repository, FakeClock())


def test_a_file_comes_in_blocks_and_each_is_asked_for_once(broker: Broker, tmp_path: Path) -> None:
    assert fetch(broker.transport(), tmp_path / "incoming").read_bytes() == CONTENT
    assert len(broker.asked) == len(set(broker.asked)) <= len(CONTENT) / BLOCK_BYTES + 8


def test_a_file_that_is_absent_there_is_absent_here(broker: Broker) -> None:
    """The search for a newer root ends on it."""
    with pytest.raises(AbsentError):
        read_whole(broker.transport(), "metadata/2.root.json", 16_384)


def test_blocks_that_come_twice_in_disorder_or_unasked_do_no_harm(broker: Broker, tmp_path: Path) -> None:
    """Case 5."""
    held: list[bytes] = []

    def way(block: bytes) -> list[bytes]:
        held.append(block)
        foreign = block.replace(b'"id":"', b'"id":"x', 1)
        return [foreign, *reversed(held[-3:]), b"", b"\xff" * 100]

    broker.way = way
    transport = broker.transport()
    assert fetch(transport, tmp_path / "incoming").read_bytes() == CONTENT
    assert transport.refused > 0


@pytest.mark.parametrize("spoil", [lambda block: block[:-1], lambda block: block + b"x"], ids=["short", "long"])
def test_a_block_of_the_wrong_length_is_refused_and_asked_for_again(
    broker: Broker, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    """Case 6."""
    spoilt: list[bytes] = []

    def way(block: bytes) -> list[bytes]:
        if len(block) > LEAST_BYTES and len(spoilt) < 3:
            spoilt.append(block)
            return [spoil(block)]
        return [block]

    broker.way = way
    assert fetch(broker.transport(), tmp_path / "incoming").read_bytes() == CONTENT
    assert len(spoilt) == 3


def test_a_file_that_changes_between_two_blocks_is_not_mixed(broker: Broker, tmp_path: Path) -> None:
    """Case 4."""
    counted: list[bytes] = []

    def way(block: bytes) -> list[bytes]:
        counted.append(block)
        found = unpack(block)
        assert found is not None
        return [block if len(counted) < 5 else replace(found, tag="another").packed()]

    broker.way = way
    assert failure(lambda: fetch(broker.transport(), tmp_path / "incoming")) == "changed"
    broker.way = lambda block: [block]
    assert fetch(broker.transport(), tmp_path / "incoming").read_bytes() == CONTENT


def test_a_file_that_changed_between_two_tries_is_read_from_the_start(broker: Broker, tmp_path: Path) -> None:
    """Case 4."""
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (incoming / f"{DIGEST}.part").write_bytes(CONTENT[:500_000])
    (incoming / f"{DIGEST}.part.json").write_text('{"tag": "another"}')
    assert fetch(broker.transport(), incoming).read_bytes() == CONTENT
    assert broker.asked[:2] == [500_000, 0]


def test_an_empty_file_comes_empty(broker: Broker) -> None:
    (broker.folder / "empty").touch()
    assert read_whole(broker.transport(), "empty", 100) == b""


def test_half_of_all_answers_lost_only_take_longer(broker: Broker, tmp_path: Path) -> None:
    """Case 10: a black hole in a shared subscription."""
    counted: list[bytes] = []

    def way(block: bytes) -> list[bytes]:
        counted.append(block)
        return [block] if len(counted) % 2 else []

    broker.way = way
    assert fetch(broker.transport(), tmp_path / "incoming").read_bytes() == CONTENT


@pytest.mark.parametrize("bytes_per_s", [2_000, 12_000, 10**6])
def test_a_slow_line_carries_hardly_more_than_the_file(broker: Broker, tmp_path: Path, bytes_per_s: int) -> None:
    """Answers that wait in a modem's queue are late, not lost: asking for all of them again would fill the line with copies."""
    clock, queue = broker.clock, list[tuple[float, bytes]]()
    free_s, sent = 0.0, list[int]()

    def way(block: bytes) -> list[bytes]:
        nonlocal free_s
        sent.append(len(block))
        free_s = max(free_s, clock.monotonic_ns() / 1e9) + len(block) / bytes_per_s
        queue.append((free_s, block))
        return []

    def receive(timeout_s: float) -> bytes | None:
        left_s = queue[0][0] - clock.monotonic_ns() / 1e9 if queue else timeout_s + 1
        clock.advance(max(0.0, min(left_s, timeout_s)) + TICK_S)
        return queue.pop(0)[1] if left_s <= timeout_s else None

    broker.way = way
    transport = BlockTransport(broker._ask, receive, lambda: clock.monotonic_ns() / 1e9)
    assert fetch(transport, tmp_path / "incoming").read_bytes() == CONTENT
    assert sum(sent) <= 1.25 * len(CONTENT)


def test_a_broker_that_is_away_is_given_up_and_what_came_stays(broker: Broker, tmp_path: Path) -> None:
    """Case 9, and what a resume wastes: no more than a window."""
    counted: list[bytes] = []

    def way(block: bytes) -> list[bytes]:
        counted.append(block)
        return [block] if len(counted) <= 6 else []

    broker.way = way
    began_s = broker.clock.monotonic_ns() / 1e9
    assert failure(lambda: fetch(broker.transport(), tmp_path / "incoming")) == "network"
    assert broker.clock.monotonic_ns() / 1e9 - began_s <= 2 * GIVE_UP_S
    kept = (tmp_path / "incoming" / f"{DIGEST}.part").stat().st_size
    broker.clock.advance(24 * 3600)
    broker.way, asked = lambda block: [block], len(broker.asked)
    assert fetch(broker.transport(), tmp_path / "incoming").read_bytes() == CONTENT
    assert min(broker.asked[asked:]) == kept > 0
    assert WINDOW * BLOCK_BYTES <= 1024**2


# -- the child itself


def courier(repository: str, state: Path, root: Path, max_kbps: int | None = None) -> Courier:
    settings = CourierSettings(repository, root, state, DEVICE.name, max_kbps=max_kbps)
    return Courier(settings, TrustFile(state, LocalDisk()), FakeClock())


@pytest.mark.slow
def test_the_child_judges_and_fetches_over_http_in_50_mb(web: Web, tmp_path: Path) -> None:
    """The promised bound is of its largest resident size; nothing of it stays here."""
    own = courier(web.url, tmp_path / "state", tmp_path / "root.json")
    peaks: list[int] = []
    accepted = own.judge((tmp_path / "order").read_bytes(), DEVICE)
    wanted = accepted.models["parts"]
    assert wanted is not None
    artefact = own.fetch(wanted, progress=lambda _done, _all: peaks.append(peak_kib(own)))
    assert artefact.path.read_bytes() == CONTENT
    assert 0 < max(peaks) <= 50 * 1024


def peak_kib(own: Courier) -> int:
    """Give the largest resident size of the child that works now."""
    status = Path("/proc", str(pid_of(own)), "status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def pid_of(own: Courier) -> int:
    child = own._child
    assert isinstance(child, CourierChild)
    return child._process.pid


@pytest.mark.slow
def test_a_download_that_is_killed_goes_on_where_it_was(web: Web, tmp_path: Path) -> None:
    """Case 2: at 8 Mbit/s, so that there is a middle to be killed in."""
    own = courier(web.url, tmp_path / "state", tmp_path / "root.json", max_kbps=8000)
    wanted = own.judge((tmp_path / "order").read_bytes(), DEVICE).models["parts"]
    assert wanted is not None

    def kill(done: int, _whole: int) -> None:
        if 0 < done < len(CONTENT):
            os.kill(pid_of(own), signal.SIGKILL)

    assert failure(lambda: own.fetch(wanted, kill)) == "crashed"
    assert own.fetch(wanted).path.read_bytes() == CONTENT
    assert web.of(NAME)[-1] > 0


@pytest.mark.slow
def test_a_download_that_is_called_off_ends_at_once(web: Web, tmp_path: Path) -> None:
    own = courier(web.url, tmp_path / "state", tmp_path / "root.json", max_kbps=800)
    wanted = own.judge((tmp_path / "order").read_bytes(), DEVICE).models["parts"]
    assert wanted is not None
    off = threading.Event()
    assert failure(lambda: own.fetch(wanted, lambda _done, _all: off.set(), off.is_set)) == "cancelled"
    # The rest would have taken 15 s.
    assert (tmp_path / "state" / "incoming" / f"{DIGEST}.part").stat().st_size < len(CONTENT)
