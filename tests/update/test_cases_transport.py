"""How files come: every fault of the way of ``updates.md``, section 6, cases 1 to 10, and 36."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.assembly.courier import Courier, CourierSettings
from edged.assembly.courier_child import CourierChild
from edged.domain.errors import RetryableError
from edged.fleet.fetch import AbsentError, Reply, Wanted, download, read_whole
from edged.fleet.folder import FolderTransport
from edged.fleet.https import HttpTransport
from edged.fleet.pace import WINDOW_NS, Pace
from edged.update.disk import LocalDisk
from edged.update.trust_file import TrustFile
from fakes.certificates import Authority
from fakes.clock import FakeClock
from fakes.couriers import DEVICE
from fakes.onefile import CONTENT, DIGEST, NAME, WANTED, failure, fetch, made_in
from fakes.webserver import Web, serving


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return made_in(tmp_path)


@pytest.fixture
def web(repository: Path) -> Iterator[Web]:
    with serving(repository) as web:
        yield web


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
