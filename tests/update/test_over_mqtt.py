from __future__ import annotations

import os
from pathlib import Path

import pytest

from edged.assembly.courier import Courier, CourierSettings
from edged.update.disk import LocalDisk
from edged.update.trust_file import TrustFile
from fakes.blockservice import BlockService, DeviceLink
from fakes.brokers import mosquitto
from fakes.clock import FakeClock
from fakes.couriers import DEVICE
from fakes.repository_simulator import Simulator, desired, ordered

NAME = "parts-1.3.0.edgemodel"


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [5, 4])
def test_an_order_is_judged_and_its_file_fetched_through_the_broker_alone(tmp_path: Path, protocol: int) -> None:
    content, simulator = os.urandom(3_000_000), Simulator()
    simulator.add(NAME, content)
    simulator.publish()
    simulator.write(tmp_path / "repository")
    (tmp_path / "root.json").write_bytes(simulator.provisioned)
    broker = mosquitto(tmp_path)
    settings = CourierSettings("mqtt", tmp_path / "root.json", tmp_path / "state", DEVICE.name)
    links: list[DeviceLink] = []
    courier = Courier(
        settings,
        TrustFile(tmp_path / "state", LocalDisk()),
        FakeClock(),
        lambda document: links[0].ask(document),  # noqa: PLW0108 - it comes below
    )
    links.append(DeviceLink(broker.port, DEVICE.name, courier.take, protocol))
    service = BlockService(broker.port, tmp_path / "repository", protocol)
    try:
        order = simulator.desire(desired(models={"parts": ordered(NAME, content)}))
        wanted = courier.judge(order, DEVICE).models["parts"]
        assert wanted is not None
        assert courier.fetch(wanted).path.read_bytes() == content
        assert service.sent < len(content) + 100_000
    finally:
        links[0].close()
        service.close()
        broker.close()
