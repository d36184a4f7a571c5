"""The link on mosquitto behind TLS, with certificates made for the test: what is right, and every way to be wrong."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from edged.fleet.settings import TlsFiles
from fakes import brokers
from fakes.brokers import BrokerProcess
from fakes.certificates import Authority, Pair
from fakes.station import MakeStation, Station
from fakes.waiting import until

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Plant:
    """Two authorities, and what the right one signed for this machine and for a device."""

    ca: Authority
    other: Authority
    broker: Pair
    device: Pair

    @property
    def tls(self) -> TlsFiles:
        return TlsFiles(self.ca.pair.cert)

    def mutual(self, pair: Pair | None = None) -> TlsFiles:
        mine = pair or self.device
        return TlsFiles(self.ca.pair.cert, mine.cert, mine.key)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    folder = tmp_path_factory.mktemp("certificates")
    ca, other = Authority(folder), Authority(folder, "Other CA")
    return Plant(ca, other, ca.sign("broker", names="IP:127.0.0.1,DNS:localhost"), ca.sign("press-07"))


Serve = Callable[..., BrokerProcess]


@pytest.fixture
def serve(plant: Plant, tmp_path: Path) -> Iterator[Serve]:
    """Give a function that starts mosquitto with a certificate."""
    started: list[BrokerProcess] = []

    def start(*lines: str, pair: Pair | None = None) -> BrokerProcess:
        own = pair or plant.broker
        started.append(brokers.mosquitto(tmp_path, f"certfile {own.cert}", f"keyfile {own.key}", *lines))
        return started[-1]

    yield start
    for one in started:
        one.close()


def asks_for_certificates(plant: Plant) -> tuple[str, ...]:
    return f"cafile {plant.ca.pair.cert}", "require_certificate true", "use_identity_as_username true"


def refused(station: Station) -> tuple[str, str]:
    """Wait for the refusal; give its code and the remedy. Only a person can mend it: the next try is minutes away."""
    station.start()
    until(lambda: station.link.state.phase == "waiting" and (station.link.state.retry_s or 0) >= 15, "refused")
    (trouble,) = station.link.troubles()
    assert "127.0.0.1" in trouble.message
    assert trouble.component == "mqtt"
    return trouble.code, trouble.remedy


def test_with_the_right_authority_everything_arrives(serve: Serve, plant: Plant, station: MakeStation) -> None:
    one = station(serve().port, tls=plant.tls).online()
    one.put(500, size=500)
    assert one.outbox.drain(60)
    assert one.link.troubles() == ()


def test_a_broker_behind_tls_that_is_spoken_to_without_says_what_to_set(serve: Serve, station: MakeStation) -> None:
    one = station(serve().port).start()
    until(one.link.troubles, "a trouble")
    (trouble,) = one.link.troubles()
    assert (trouble.code, "mqtt.tls" in trouble.remedy) == ("broker-lost", True)


def test_a_certificate_of_its_own_lets_the_device_in(serve: Serve, plant: Plant, station: MakeStation) -> None:
    one = station(serve(*asks_for_certificates(plant)).port, tls=plant.mutual()).online()
    one.put(20)
    assert one.outbox.drain(60)


def test_a_password_over_tls_lets_the_device_in_and_a_wrong_one_is_said(
    serve: Serve, plant: Plant, station: MakeStation, tmp_path: Path
) -> None:
    port = serve(*brokers.knowing(tmp_path, {"press-07": "right"})).port
    (tmp_path / "second").mkdir()

    right = station(port, tls=plant.tls, username="press-07", password="right").online()  # noqa: S106  (made up)
    right.put(5)
    assert right.outbox.drain(60)
    wrong = station(port, tmp_path / "second", tls=plant.tls, username="press-07", password="wrong")  # noqa: S106  (made up)
    assert refused(wrong)[0] == "broker-auth"


def test_a_broker_of_another_authority_is_not_trusted(serve: Serve, plant: Plant, station: MakeStation) -> None:
    code, remedy = refused(station(serve().port, tls=TlsFiles(plant.other.pair.cert)))
    assert code == "broker-certificate"
    assert "mqtt.tls.ca" in remedy


def test_a_broker_that_only_the_system_could_vouch_for_is_not_trusted(serve: Serve, station: MakeStation) -> None:
    assert refused(station(serve().port, tls=TlsFiles()))[0] == "broker-certificate"


def test_a_brokers_certificate_that_expired_is_said(serve: Serve, plant: Plant, station: MakeStation) -> None:
    expired = plant.ca.sign("expired", names="IP:127.0.0.1", days=-1)
    code, remedy = refused(station(serve(pair=expired).port, tls=plant.tls))
    assert code == "broker-certificate-expired"
    assert "clock" in remedy


def test_a_brokers_certificate_for_another_name_is_said(serve: Serve, plant: Plant, station: MakeStation) -> None:
    elsewhere = plant.ca.sign("elsewhere", names="DNS:broker.plant.local")
    code, remedy = refused(station(serve(pair=elsewhere).port, tls=plant.tls))
    assert code == "broker-certificate-name"
    assert "mqtt.host" in remedy


def test_a_device_without_the_certificate_that_is_asked_for_is_told_so(
    serve: Serve, plant: Plant, station: MakeStation
) -> None:
    code, remedy = refused(station(serve(*asks_for_certificates(plant)).port, tls=plant.tls))
    assert code == "broker-wants-certificate"
    assert "mqtt.tls.cert" in remedy


def test_a_devices_certificate_of_another_authority_is_told_apart(
    serve: Serve, plant: Plant, station: MakeStation
) -> None:
    foreign = plant.mutual(plant.other.sign("foreign"))
    assert refused(station(serve(*asks_for_certificates(plant)).port, tls=foreign))[0] == "certificate-refused"


def test_a_devices_certificate_that_expired_is_told_apart(serve: Serve, plant: Plant, station: MakeStation) -> None:
    old = plant.mutual(plant.ca.sign("old", days=-1))
    assert refused(station(serve(*asks_for_certificates(plant)).port, tls=old))[0] == "certificate-expired"


def test_files_that_do_not_fit_are_said(serve: Serve, plant: Plant, station: MakeStation, tmp_path: Path) -> None:
    port = serve().port
    junk, second = tmp_path / "junk.pem", tmp_path / "second"
    junk.write_text("no certificate")
    second.mkdir()
    mixed = TlsFiles(plant.ca.pair.cert, plant.device.cert, plant.broker.key)
    assert refused(station(port, tls=mixed)) == ("certificate-files", "let mqtt.tls.key be the key of mqtt.tls.cert")
    assert refused(station(port, second, tls=TlsFiles(junk)))[0] == "certificate-files"


def test_a_key_behind_a_passphrase_asks_nobody(
    serve: Serve, plant: Plant, station: MakeStation, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "ec", "-aes256", "-passout", "pass:secret", "-in", plant.device.key, "-out", locked],
        check=True,
        capture_output=True,
    )
    files = TlsFiles(plant.ca.pair.cert, plant.device.cert, locked)
    assert refused(station(serve().port, tls=files))[0].startswith(("certificate", "broker-tls"))


def test_a_renewed_certificate_is_used_from_the_next_connection_on(
    serve: Serve, plant: Plant, station: MakeStation, tmp_path: Path
) -> None:
    mine = Pair(tmp_path / "mine.pem", tmp_path / "mine.key")
    old, new = plant.ca.sign("aged", days=-1), plant.device
    shutil.copy(old.cert, mine.cert)
    shutil.copy(old.key, mine.key)
    one = station(serve(*asks_for_certificates(plant)).port, tls=plant.mutual(mine))
    one.link._retry._backoff = replace(one.link._retry._backoff, slow_s=0.2)
    one.start()
    until(one.link.troubles, "refused")
    shutil.copy(new.cert, mine.cert)
    shutil.copy(new.key, mine.key)
    until(lambda: one.link.state.phase == "online", "let in")
