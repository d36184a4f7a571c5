"""Models that also live on a server in the plant: the ``[remote.MODEL]`` tables."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from edged.config.keys import File, Number, Section, Text, Url
from edged.config.urls import is_http


class Remote(Section):
    """A server of the Open Inference Protocol (Triton, KServe, MLServer, OpenVINO's, another edged) that runs a bundle's model too.

    It is the first rung of the model's ladder, and the box's own come below it. Holds until a restart; needs the extra ``remote``.
    """

    url: Url
    """Where the server listens for HTTP, such as ``http://triton.plant.local:8000``; a path below which it answers may follow."""
    model: Text | None = None
    """What the server calls it. Default: the bundle's name."""
    version: Text | None = None
    """Which of the server's versions. Default: the one that it chooses."""
    variant: Text | None = None
    """Id of the bundle's variant whose input and output the server's model has. Default: the first of precision fp32."""
    deadline_ms: Annotated[Number, Field(gt=0, le=60_000)] = 500.0
    """A frame that is not answered by then has no answer, and the box's own rungs take over until the server is back."""
    token_file: File | None = None
    """A file that holds what the server asks for as a bearer token."""
    ca: File | None = None
    """Certificates that may have signed an ``https`` server's, PEM. Default: those of the system."""

    @field_validator("url")
    @classmethod
    def _speaks_http(cls, url: str) -> str:
        if not is_http(url):
            message = "cannot ask a server there, expected an http or https URL such as http://triton.plant.local:8000"
            raise ValueError(message)
        if "?" in url or "#" in url:
            # It would not be sent, and what stands there may be a secret.
            message = "cannot ask a server with a query, expected a URL without one; token_file names a token's file"
            raise ValueError(message)
        return url
