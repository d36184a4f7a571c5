"""What stands in ``options`` of the ``[[sink]]``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from edged.config.schema import Mqtt, Tls
from edged.domain.errors import ConfigError
from edged.sinks.box import SinkBox

Id = Annotated[str, StringConstraints(pattern=r"^[^+#/\x00]{1,128}$")]
"""What Sparkplug lets stand in a topic (5.2)."""


class Options(BaseModel):
    """Without ``host`` the box's own broker, with its TLS; never with its user, whose only connection is edged's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: Id = "edged"
    node: Id | None = None
    """Default: the device's id."""
    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    tls: Tls | None = None
    username: str | None = None
    password_file: Path | None = None
    client_id: str | None = None
    """Default: the user's name, or the device's id with ``-sparkplug``."""


def read_options(given: Mapping[str, Any], box: SinkBox) -> Options:
    """Read them, with what the box has where they are silent. Raises ConfigError."""
    try:
        options = Options.model_validate(dict(given))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        message = f"cannot use the options of a sink of kind 'sparkplug': {faults}"
        raise ConfigError(message, remedy="see docs/sparkplug.md") from error
    broker, tls = box.broker, options.tls
    if options.username is not None and options.username == broker.username and options.host in {None, broker.host}:
        message = f"cannot use the user {options.username!r} for Sparkplug: its connection is edged's own, expected another user"
        raise ConfigError(message, remedy="add one with edgectl fleet broker sparkplug")
    if options.host is None:
        tls = tls or (Tls(ca=broker.tls.ca, cert=broker.tls.cert, key=broker.tls.key) if broker.tls else None)
    port = options.port or (broker.port if options.host is None else Mqtt(tls=tls).port)
    return options.model_copy(
        update={
            "node": options.node or box.device,
            "host": options.host or broker.host,
            "port": port,
            "tls": tls,
            "client_id": options.client_id or options.username or f"{box.device}-sparkplug",
        }
    )
