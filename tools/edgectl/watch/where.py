"""Which broker is asked, and as whom."""

from __future__ import annotations

from pathlib import Path

from edgectl.fleet.settings import FILE, Settings, read_settings
from edgectl.options import CONFIG
from edged.config.load import load
from edged.config.read import read_toml
from edged.config.schema import Mqtt
from edged.domain.errors import ConfigError

FLEET = FILE
PORT = 1883


def broker_of(config: Path | None, broker: str) -> Settings:
    """Give the broker: the one that is named, that of a file of the fleet's or a box's, or of the usual file of either.

    Raises ConfigError, also for a box whose user the broker knows: a user has one connection, and that is edged's own.
    """
    if broker:
        return Settings(mqtt=_named(broker))
    file = config or (FLEET if FLEET.is_file() else CONFIG)
    if config is None and not file.is_file():
        message = f"cannot find a broker: there is neither {FLEET} here nor {CONFIG}, expected one of them"
        raise ConfigError(message, remedy="name one: --broker HOST, or --config FILE")
    if set(read_toml(file)) <= set(Settings.model_fields):
        return read_settings(file)
    return _of_box(file)


def _of_box(file: Path) -> Settings:
    mqtt = load(file, named=False).config.mqtt
    if (
        mqtt.username is not None
        or mqtt.password_file is not None
        or (mqtt.tls is not None and mqtt.tls.cert is not None)
    ):
        message = f"cannot watch as the user of {file}: its connection is edged's own, which it would lose"
        raise ConfigError(message, remedy="use a user of the fleet's: --config fleet.toml (docs/fleet.md)")
    return Settings(mqtt=mqtt)


def _named(broker: str) -> Mqtt:
    host, colon, port = broker.rpartition(":")
    name, number = (host, port) if colon and not broker.endswith("]") else (broker, str(PORT))
    if not number.isdecimal() or not name:
        message = f"cannot use the broker {broker!r}, expected HOST or HOST:PORT"
        raise ConfigError(message)
    return Mqtt(host=name.strip("[]"), port=int(number))
