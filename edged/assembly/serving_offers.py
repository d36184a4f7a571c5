"""What the box offers to other programs, put together: models for requests, what answers them, and the servers that speak for it.

``Offers.parts`` is what is asked for at each plan. A server that is not configured is not imported; ``more_routes`` is where
others (metrics, the dashboard) add theirs to the HTTP server, and ``handlers`` what another protocol stands on.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

from edged.api.handlers import Condition, Handlers
from edged.api.serve import Batches
from edged.api.shelf import Shelf
from edged.assembly import levels
from edged.assembly.adapters import adapter
from edged.assembly.box import model_folders
from edged.assembly.secrets import secret
from edged.assembly.serving import Ground
from edged.assembly.serving_keeper import PART, ModelKeeper
from edged.assembly.serving_models import BoxModels, Guests
from edged.assembly.serving_ready import unmet, unready
from edged.config.schema import Config
from edged.config.serving import Grpc, Http, Listener
from edged.daemon import Part, Wanted
from edged.domain.errors import ConfigError
from edged.domain.health import Reason
from edged.hardware import heap

HTTP, GRPC = "http", "grpc"
MB = 1_000_000


class Offers:
    """The parts that serve, and what they share: the models that are loaded for requests."""

    def __init__(self, ground: Ground, config: Config) -> None:
        self._ground = ground
        self._serving, self._is_behind = config.serving, bool(config.pipeline)
        self._keeper: ModelKeeper | None = None
        self.more_routes: list[Callable[[], Sequence[Any]]] = []
        """Each gives ``edged.api.routes.Route`` rows; called when the HTTP server starts, so that nothing is imported before."""
        if ground.scraper is not None:
            scraper = ground.scraper
            self.more_routes.append(lambda: adapter("edged.api.metrics", HTTP).routes(scraper()))
        if ground.overview is not None:
            looking = ground.overview()
            self.more_routes.append(lambda: adapter("edged.api.page", HTTP).routes(looking))
        if (histories := ground.histories) is not None:
            self.more_routes.append(lambda: adapter("edged.api.past", HTTP).routes(histories))
        places = max(1, int(ground.box.inventory.cpu.allowed or 1))
        lines = ground.roster.lines
        guests = Guests(ground.turns, places, lines)
        models = BoxModels(model_folders(config), ground.supply, ground.admitting, guests, lines, ground.clock)
        serving = config.serving
        batches = Batches(serving.max_batch, serving.max_delay_ms / 1000)
        self._shelf = Shelf(models, ground.clock, queue=serving.queue, freeing=heap.freeing, batches=batches)
        condition = Condition(self.health, self.unready, lambda: unmet(ground.roster))
        self.handlers = Handlers(
            version("edged"),
            self._shelf,
            condition,
            ground.clock,
            limit_s=config.serving.timeout_s,
            tracer=ground.tracer,
        )

    def parts(self, config: Config) -> tuple[Wanted, ...]:
        """Give what serves by this configuration: the models, and each server that is configured."""
        http, grpc = config.http, config.grpc
        servers = (
            *((Wanted(HTTP, http, partial(self._http, http)),) if http is not None else ()),
            *((Wanted(GRPC, grpc, partial(self._grpc, grpc)),) if grpc is not None else ()),
        )
        return (Wanted(PART, None, self._kept), *servers) if servers else ()

    def health(self) -> Mapping[str, Any]:
        """Give the document of out/health, as of the daemon's last tick."""
        roster, clock = self._ground.roster, self._ground.clock
        return levels.health(roster.grade, roster.reasons, clock.monotonic_ns(), clock.wall_ns())

    def unready(self) -> Sequence[Reason]:
        """Say why the box is not ready; empty when it is."""
        keeper = self._keeper
        loading = keeper.unready() if keeper is not None else ()
        return (*unready(self._ground.roster, self._ground.clock.monotonic_ns()), *loading)

    def _kept(self) -> Part:
        ground = self._ground
        models, told = self._serving.models, (ground.roster, ground.clock)
        self._keeper = ModelKeeper(self._shelf, models, *told, is_behind=self._is_behind)
        return self._keeper

    def _http(self, http: Http) -> Part:
        server = adapter("edged.api.server", HTTP)
        host, port = http.address
        tls = (http.tls.cert, http.tls.key) if http.tls is not None else (None, None)
        listening = server.Listening(host, port, http.max_connections, *tls)
        part: Part = server.HttpServer(listening, partial(self._application, http), self._ground.clock)
        return part

    def _grpc(self, grpc: Grpc) -> Part:
        server = adapter("edged.api.grpc", GRPC)
        tls = (grpc.tls.cert, grpc.tls.key) if grpc.tls is not None else (None, None)
        listening = server.GrpcListening(*grpc.address, int(grpc.max_message_mb * MB), *tls)
        part: Part = server.GrpcServer(
            listening, self.handlers, partial(access_of, grpc), self._ground.clock.monotonic_ns
        )
        return part

    def _application(self, http: Http) -> Any:
        """Make the application. Raises DeviceError for a token that cannot be read, ConfigError for one that is no good."""
        routes, rows = adapter("edged.api.routes", HTTP), adapter("edged.api.http", HTTP)
        buffers = adapter("edged.api.buffers", HTTP).Buffers(heap.freeing)
        inference = rows.InferenceApi(self.handlers, int(http.max_body_mb * MB), buffers)
        served = [*inference.routes(), *(row for give in self.more_routes for row in give())]
        served += adapter("edged.api.health", HTTP).routes(
            self.handlers.condition, self.handlers.version, lambda: served
        )
        return routes.Application(served, access_of(http), [inference.buffers.let_go])


def access_of(listener: Listener) -> Any:
    """Read the tokens. Raises DeviceError when a file cannot be read, ConfigError for a token that could be guessed."""
    access = adapter("edged.api.access", HTTP)
    tokens = [(secret(file) or "").encode() for file in (listener.token_file, listener.read_token_file)]
    own = platform.node().lower()
    named_hosts = listener.hosts if isinstance(listener, Http) else ()
    hosts = {"localhost", own, f"{own}.local", listener.address[0].lower(), *(name.lower() for name in named_hosts)}
    named = [
        file
        for file, token in zip((listener.token_file, listener.read_token_file), tokens, strict=True)
        if file and not token
    ]
    if named:
        message = f"cannot use the token in {named[0]}: it is empty, expected one"
        raise ConfigError(message)
    try:
        return access.Access(*tokens, hosts=frozenset(hosts))
    except ValueError as error:
        message = f"cannot use the tokens: {error}"
        raise ConfigError(
            message, remedy="python3 -c 'import secrets; print(secrets.token_urlsafe(32))' makes one"
        ) from error
