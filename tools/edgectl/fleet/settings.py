"""What the fleet's verbs need to know: the broker, the repository, and the key that signs orders. One file, ``fleet.toml``."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from edgectl.fleet.plan import read_table
from edged.assembly.secrets import secret
from edged.config.schema import Mqtt
from edged.domain.errors import ConfigError

FILE = Path("fleet.toml")


class Repository(BaseModel):
    """Where releases and keys lie: folders of `edgectl repo`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    """What any web server, or `edgectl fleet serve`, hands out."""
    keys: Path | None = None
    """With the key of the role ``desired``; None where nothing is ordered from."""
    by: str = ""
    """Who orders, as boxes write it into their journals."""


class Settings(BaseModel):
    """``fleet.toml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mqtt: Mqtt = Mqtt()
    repository: Repository | None = None

    def password(self) -> str | None:
        """Read the password. Raises DeviceError."""
        return secret(self.mqtt.password_file)

    def releases(self) -> Repository:
        """Give the repository. Raises ConfigError when there is none."""
        if self.repository is None:
            message = "cannot order anything: there is no [repository], expected its folder in fleet.toml"
            raise ConfigError(message)
        return self.repository


def read_settings(file: Path) -> Settings:
    """Read ``fleet.toml``; relative paths count from where it lies. Raises ConfigError with every fault."""
    settings = read_table(file, Settings)
    return _placed(settings, file.resolve().parent)


def _placed(settings: Settings, folder: Path) -> Settings:
    mqtt = settings.mqtt
    if mqtt.password_file is not None:
        mqtt = mqtt.model_copy(update={"password_file": folder / mqtt.password_file})
    if mqtt.tls is not None:
        files = {name: folder / path for name in ("ca", "cert", "key") if (path := getattr(mqtt.tls, name)) is not None}
        mqtt = mqtt.model_copy(update={"tls": mqtt.tls.model_copy(update=files)})
    repository = settings.repository
    if repository is not None:
        keys = folder / repository.keys if repository.keys is not None else None
        repository = repository.model_copy(update={"folder": folder / repository.folder, "keys": keys})
    return settings.model_copy(update={"mqtt": mqtt, "repository": repository})
