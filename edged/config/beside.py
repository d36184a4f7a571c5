"""What hears all that the box tells besides its broker's readers: ``[homeassistant]`` and ``[[sink]]``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from edged.config.keys import Flag, Name, Section


class HomeAssistant(Section):
    """What Home Assistant finds on the same broker by itself; see docs/home-assistant.md."""

    enabled: Flag = False
    """Whether the box tells it what there is: its rules, figures and health. Off again, that is taken back at the next start."""
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,7}$")] = (
        "homeassistant"
    )
    """Its discovery prefix, as it is set there."""


class Sink(Section):
    """Where everything that the box tells goes, too: a sink that an installed package brings (docs/plug-ins.md)."""

    name: Name
    kind: Name
    """The package's word for it: the name of its entry point in ``edged.sinks``."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What the package asks for, handed to it as it stands."""
