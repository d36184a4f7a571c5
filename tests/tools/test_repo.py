"""``edgectl repo``, and what boxes make of what it publishes."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgectl.cli import main
from edgectl.repo.change import Keepers, Terms, add, delegate, init, publish, rotate
from edgectl.repo.desire import Wish, signed_order
from edgectl.repo.keys import read_keys
from edgectl.repo.releases import find_release, find_releases
from edgectl.repo.status import rows
from edgectl.repo.work import Work
from edged.assembly.courier import Courier, CourierSettings
from edged.domain.errors import ConfigError, EdgedError
from edged.fleet.fetch import Transport
from edged.fleet.folder import FolderTransport
from edged.fleet.https import HttpTransport
from edged.fleet.repository import Repository
from edged.update.desired import Audience
from edged.update.disk import LocalDisk
from edged.update.trust_file import TrustFile
from fakes.bundle import make_bundle
from fakes.clock import FakeClock
from fakes.couriers import DEVICE, InProcess

ONE = Keepers(1, 1)
WEIGHTS = os.urandom(50_000)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return init(tmp_path / "work", Keepers(), datetime.now(timezone.utc))


def signed(work: Work) -> Work:
    work.sign(read_keys([work.keys, work.root_keys]))
    return work


def published(work: Work) -> Work:
    publish(signed(work))
    return work


def offering(work: Work, tmp_path: Path, version: str = "1.0.0", weights: bytes = WEIGHTS, **terms: str) -> Work:
    bundle = make_bundle(tmp_path / f"bundle-{version}", version=version, weights=weights)
    add(work, bundle, Terms(**terms))
    return published(work)


def courier(work: Work, state: Path, way: Transport | None = None) -> Courier:
    state.mkdir(exist_ok=True)
    root = state / "root.json"
    root.write_bytes((work.public / "metadata" / "1.root.json").read_bytes())
    clock = FakeClock(wall=int(work.now.timestamp() * 1e9))
    return Courier(
        CourierSettings("memory", root, state, DEVICE.name),
        TrustFile(state, LocalDisk()),
        clock,
        start=lambda order: InProcess(order, way or FolderTransport(work.public)),
    )


def followed(work: Work, state: Path, wish: Wish, way: Transport | None = None) -> bytes:
    own = courier(work, state, way)
    order = own.judge(signed_order(wish, work.public, work.keys), DEVICE).models["parts"]
    assert order is not None
    return own.fetch(order).path.read_bytes()


def code(attempt: Callable[[], object]) -> str:
    with pytest.raises(EdgedError) as refused:
        attempt()
    return refused.value.code


def test_a_box_follows_an_order_for_what_was_added_signed_and_published(work: Work, tmp_path: Path) -> None:
    offering(work, tmp_path)
    content = followed(work, tmp_path / "state", Wish(DEVICE, ("parts=1.0.0",)))
    assert len(content) == find_release(work.public, "parts").length


def test_any_web_server_can_hand_out_what_was_published(work: Work, tmp_path: Path) -> None:
    """One that knows nothing but folders: neither ranges nor tags."""
    offering(work, tmp_path)
    plain = partial(SimpleHTTPRequestHandler, directory=str(work.public))
    with ThreadingHTTPServer(("127.0.0.1", 0), plain) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        way = HttpTransport(f"http://127.0.0.1:{server.server_port}/")
        content = followed(work, tmp_path / "state", Wish(DEVICE, ("parts=1.0.0",)), way)
        server.shutdown()
        serving.join()
    assert len(content) == find_release(work.public, "parts").length


def test_private_keys_are_their_owners_alone_and_never_below_public(work: Work) -> None:
    keys = [*work.keys.glob("*.pem"), *work.root_keys.glob("*.pem")]
    assert len(keys) == 7
    assert {file.stat().st_mode & 0o777 for file in keys} == {0o600}
    assert not [file for file in work.public.rglob("*") if file.is_file() and b"PRIVATE" in file.read_bytes()]


def test_keys_may_have_a_passphrase(tmp_path: Path) -> None:
    work = init(tmp_path / "work", Keepers(passphrase=b"correct horse"))
    assert len(read_keys([work.keys], passphrase=b"correct horse")) == 4
    with pytest.raises(ConfigError, match=r"cannot read key .*--passphrase-file"):
        read_keys([work.keys])


def test_what_is_not_signed_is_not_published(work: Work, tmp_path: Path) -> None:
    add(work, make_bundle(tmp_path / "bundle"), Terms())
    with pytest.raises(ConfigError, match="cannot publish: targets lacks 1 of"):
        publish(work)
    assert find_releases(work.public) == []


def test_another_root_needs_two_old_keepers_and_two_new_ones(work: Work, tmp_path: Path) -> None:
    old = read_keys([work.root_keys])
    made = rotate(work, "root", Keepers())
    new = {keyid: key for keyid, key in read_keys([work.root_keys]).items() if keyid in made}
    work.sign(dict(list(new.items())[:2]))
    assert [(one.role, one.count) for one in work.missing()] == [("root", 2)]
    work.sign(dict(list(old.items())[:1]))
    assert [(one.role, one.count) for one in work.missing()] == [("root", 1)]
    work.sign(dict(list(old.items())[1:2]))
    assert work.missing() == []
    offering(work, tmp_path)
    assert followed(work, tmp_path / "state", Wish(DEVICE, ("parts=1.0.0",)))


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp", "desired"])
def test_a_box_follows_after_any_role_got_other_keys(work: Work, tmp_path: Path, role: str) -> None:
    offering(work, tmp_path)
    assert followed(work, tmp_path / "state", Wish(DEVICE, ("parts=1.0.0",)))
    before = set(work.keys.glob(f"{role}-*"))
    rotate(work, role, ONE)
    published(work)
    for file in before:
        file.unlink()
    order = Wish(Audience("group", "line-a"), ("parts=1.0.0",))
    assert courier_in_group(work, tmp_path / "state").judge(signed_order(order, work.public, work.keys), order.audience)


def courier_in_group(work: Work, state: Path) -> Courier:
    own = courier(work, state)
    own._settings = CourierSettings("memory", state / "root.json", state, DEVICE.name, ("line-a",))
    return own


def metadata_of(work: Work) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (work.public / "metadata").iterdir()}


@pytest.mark.parametrize("role", ["snapshot", "timestamp"])
def test_while_a_new_key_is_missing_nothing_is_published_and_afterwards_all(
    work: Work, tmp_path: Path, role: str
) -> None:
    before = set(work.keys.glob(f"{role}-*"))
    rotate(work, role, ONE)
    signed(work)
    (key,) = set(work.keys.glob(f"{role}-*")) - before
    key.rename(tmp_path / key.name)
    was = metadata_of(work)

    with pytest.raises(ConfigError, match=f"cannot sign {role}"):
        publish(work)

    assert metadata_of(work) == was
    (tmp_path / key.name).rename(key)
    assert publish(work) == ["root", "snapshot", "timestamp"]
    assert work.waiting() == []


def test_what_a_box_would_refuse_is_not_published(work: Work) -> None:
    was = metadata_of(work)
    work.now -= timedelta(days=400)
    staged = work.edit("targets")
    work.stage("targets", staged)
    signed(work)
    work.now += timedelta(days=400)

    assert code(lambda: publish(work)) == "metadata-expired"

    assert metadata_of(work) == was
    assert work.waiting() == ["targets"]


@pytest.mark.parametrize("writes", range(5))
def test_cut_off_at_any_file_boxes_go_on_and_publishing_again_ends_it(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """Between a root with another snapshot key and its timestamp they must wait; at no other moment."""
    rotate(work, "snapshot", ONE)
    rotate(work, "targets", ONE)
    signed(work)
    left = iter(range(writes))
    put = Work.put

    def cut(self: Work, name: str, content: bytes) -> None:
        if next(left, None) is None:
            message = "the power was cut"
            raise OSError(message)
        put(self, name, content)

    with monkeypatch.context() as disk:
        disk.setattr(Work, "put", cut)
        if writes < 4:
            with pytest.raises(OSError, match="power"):
                publish(work)
        else:
            publish(work)
    assert walked(work, tmp_path / "box") == ("unsigned" if writes == 3 else "")
    publish(work)
    assert walked(work, tmp_path / "box") == ""


def walked(work: Work, box: Path) -> str:
    try:
        first = (work.public / "metadata" / "1.root.json").read_bytes()
        Repository(box, first, FolderTransport(work.public), int(work.now.timestamp() * 1000))
    except EdgedError as error:
        return error.code
    return ""


def test_an_order_signed_with_a_withdrawn_key_is_rejected(work: Work, tmp_path: Path) -> None:
    offering(work, tmp_path)
    order = signed_order(Wish(DEVICE, ("parts=1.0.0",)), work.public, work.keys)
    rotate(work, "desired", ONE)
    published(work)
    assert code(lambda: courier(work, tmp_path / "state").judge(order, DEVICE)) == "signature"


def test_a_team_signs_what_it_may_and_nothing_else(work: Work, tmp_path: Path) -> None:
    delegate(work, "vision", ["parts-*"], ONE)
    published(work)
    offering(work, tmp_path, role="vision")
    assert followed(work, tmp_path / "state", Wish(DEVICE, ("parts=1.0.0",)))
    add(work, make_bundle(tmp_path / "other", name="sound"), Terms(role="vision"))
    published(work)
    own = courier(work, tmp_path / "state2")
    wish = Wish(DEVICE, ("sound=1.0.0",), shadow_one_in=10)
    order = own.judge(signed_order(wish, work.public, work.keys), DEVICE).models["sound"]
    assert order is not None
    assert order.shadow_one_in == 10
    assert code(lambda: own.fetch(order)) == "not-offered"


def test_a_release_comes_with_the_differences_to_the_two_before_it(work: Work, tmp_path: Path) -> None:
    for number in range(4):
        weights = bytes((byte + number * (index % 40 == 0)) % 256 for index, byte in enumerate(WEIGHTS))
        offering(work, tmp_path, f"1.{number}.0", weights)
    names = list(work.latest("targets").signed.targets)
    assert sum(name.startswith("parts-1.3.0.from-") for name in names) == 2
    assert [one.order.version for one in find_releases(work.public)] == ["1.0.0", "1.1.0", "1.2.0", "1.3.0"]


def test_the_same_version_with_other_content_is_not_added(work: Work, tmp_path: Path) -> None:
    offering(work, tmp_path)
    other = make_bundle(tmp_path / "other", weights=b"other")
    with pytest.raises(ConfigError, match=r"has it with other content.*raise the version"):
        add(work, other, Terms())


def test_what_nears_its_end_is_told_in_time(work: Work) -> None:
    def words(days: float) -> dict[str, str]:
        work.now += timedelta(days=days)
        return {row.role: row.word for row in rows(work)}

    assert set(words(0).values()) == {"ok"}
    assert words(20)["timestamp"] == "soon"
    assert words(8)["timestamp"] == "urgent"
    assert words(3)["timestamp"] == "expired"
    assert words(1000)["root"] == "soon"
    assert words(40)["root"] == "urgent"


def test_publishing_again_renews_what_ends_first(work: Work) -> None:
    work.now += timedelta(days=25)
    publish(work)
    assert {row.role: row.days for row in rows(work)}["timestamp"] == pytest.approx(30, abs=0.1)


def test_the_verbs_lead_from_nothing_to_a_signed_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work, bundle = tmp_path / "work", make_bundle(tmp_path / "bundle")
    for verb in (["init"], ["add", str(bundle), "--profile", "raspberry-pi-5"], ["sign"], ["publish"]):
        assert main(["repo", verb[0], str(work), *verb[1:]]) == 0
    capsys.readouterr()
    assert main(["repo", "status", str(work), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["missing"] == []
    assert told["releases"][0]["custom"]["profiles"] == ["raspberry-pi-5"]
    public, keys = str(work / "public"), str(work / "keys")
    assert main(["repo", "desire", "parts=1.0.0", "--for", "group:line-a", "--repository", public, "--keys", keys]) == 0
    assert json.loads(capsys.readouterr().out)["payloadType"] == "application/vnd.edged.desired+json"
    assert main(["repo", "rotate", str(work), "root", "--keys", "3", "--threshold", "2"]) == 0
    assert "root waits for" in capsys.readouterr().err
    assert main(["repo", "publish", str(work)]) == 2


def test_an_order_goes_on_after_the_last_one(work: Work, tmp_path: Path) -> None:
    offering(work, tmp_path)
    last = tmp_path / "last.json"
    last.write_bytes(signed_order(Wish(DEVICE, ("parts=1.0.0",)), work.public, work.keys))
    own = courier(work, tmp_path / "state")
    own.judge(last.read_bytes(), DEVICE)
    after = own.judge(signed_order(Wish(DEVICE, ("sound=",), after=last), work.public, work.keys), DEVICE)
    assert (after.seq, list(after.models)) == (2, ["parts", "sound"])
    assert after.models["sound"] is None
