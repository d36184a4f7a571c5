"""What the Open Inference Protocol asks of a server, without a protocol: values in, values and plain documents out.

HTTP (``edged.api.http``) and gRPC stand on this alone. Every method may be called on any thread; every fault is a ``RefusedError`` (see
``edged.api.refusal``), whose ``kind`` each protocol turns into its own status.

- Documents are plain dicts with the protocol's own field names, as the REST API and Triton's extensions have them.
- ``infer`` comes back at once with a ``Pending`` (see ``edged.api.infer``): it is checked, and waits for an instance.
- ``model``, ``config`` and ``infer`` load a model that a pipeline runs when it is asked for first: who must not wait for that, an event
  loop, asks ``is_at_hand`` before and calls ``wake`` on a thread.
- ``load`` and ``unload`` take seconds.
- An empty ``version`` means the one that runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edged.api.infer import InferRequest, Pending, begin
from edged.api.refusal import RefusedError
from edged.api.regions import Regions
from edged.api.sequences import IDLE_S
from edged.api.serve import Served
from edged.api.shelf import Shelf
from edged.api.tensors import DATATYPES, Tensor, raw
from edged.api.traced import follow
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.domain.tensor import TensorSpec
from edged.telemetry.trace import Tracer

NAME = "edged"
EXTENSIONS = (
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "sequence",
    "statistics",
    "system_shared_memory",
    "trace",
    "logging",
)
"""Triton's names of what edged has beyond the protocol itself."""
SEQUENCES = {"max_sequence_idle_microseconds": int(IDLE_S * 1_000_000)}
"""As Triton's configuration says that a model's requests are steps of sequences."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How the box is: ``health`` gives the document of out/health, ``unready`` why it is not ready, empty when it is.

    ``unmet`` gives the pipelines that run with less than their objective asks for, which a box that is ready may have.
    """

    health: Callable[[], Mapping[str, Any]]
    unready: Callable[[], Sequence[Reason]]
    unmet: Callable[[], Sequence[Reason]] = tuple


@dataclass(slots=True)
class Handlers:
    """The server's answers. ``limit_s`` is how long a request may wait for its run at most."""

    version: str
    shelf: Shelf
    condition: Condition
    clock: Clock
    limit_s: float = 30.0
    regions: Regions = field(default_factory=Regions)
    tracer: Tracer | None = None

    def server(self) -> dict[str, Any]:
        """Give the server's metadata."""
        return {"name": NAME, "version": self.version, "extensions": list(EXTENSIONS)}

    def is_live(self) -> bool:
        """Whether the process answers: it does, or nobody could be told."""
        return True

    def is_ready(self) -> bool:
        """Whether every pipeline's model is loaded, its source live, and every model loaded that shall be served."""
        return not self.condition.unready()

    def is_at_hand(self, model: str) -> bool:
        """Whether this model's answers come without loading it first."""
        return self.shelf.is_at_hand(model)

    def wake(self, model: str) -> None:
        """Load a model that a pipeline runs, for requests; takes seconds when it is not at hand."""
        self.shelf.get(model)

    def is_model_ready(self, model: str, version: str = "") -> bool:
        """Whether a model would answer. Raises RefusedError ``not-found`` for one that there is not."""
        return self.shelf.is_ready(model, version)

    def model(self, model: str, version: str = "") -> dict[str, Any]:
        """Give a model's metadata."""
        brought = self.shelf.get(model, version).brought
        return {
            "name": brought.name,
            "versions": [brought.version],
            "platform": str(brought.about["platform"]),
            "inputs": [_metadata(spec) for spec in brought.inputs],
            "outputs": [_metadata(spec) for spec in brought.outputs],
        }

    def config(self, model: str, version: str = "") -> dict[str, Any]:
        """Give a model's configuration with the field names of Triton's ModelConfig."""
        served = self.shelf.get(model, version)
        brought = served.brought
        told = {**brought.about, "takes": brought.takes, "batch": served.batch}
        return {
            "name": brought.name,
            "platform": str(brought.about["platform"]),
            "backend": str(brought.about["backend"]),
            "version_policy": {"latest": {"num_versions": 1}},
            "max_batch_size": 0,
            "input": [_configured(spec) for spec in brought.inputs],
            "output": [_configured(spec) for spec in brought.outputs],
            "instance_group": [{"name": brought.name, "kind": "KIND_CPU", "count": served.instances}],
            "parameters": {name: {"string_value": str(value)} for name, value in told.items()},
            **({"sequence_batching": SEQUENCES} if brought.remembers else {}),
        }

    def statistics(self, model: str = "", version: str = "") -> dict[str, Any]:
        """Give the statistics of one model, or of all that are loaded when none is named."""
        served = (self.shelf.get(model, version),) if model else self.shelf.loaded()
        return {"model_stats": [_statistics(one) for one in served]}

    def index(self, *, ready_only: bool = False) -> list[dict[str, str]]:
        """Give every model that there is, with its state and why it is not ready."""
        return [
            {"name": entry.name, "version": entry.version, "state": entry.state, "reason": entry.reason}
            for entry in self.shelf.index()
            if entry.state == "READY" or not ready_only
        ]

    def load(self, model: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Load a model, or a newer version of it; comes back when it is warm. Parameters (another configuration, files) are refused."""
        if parameters:
            message = (
                f"cannot load {model!r} with parameters {', '.join(sorted(parameters))[:200]}: a bundle brings its own"
            )
            raise RefusedError(message, "unsupported")
        self.shelf.load(model)

    def unload(self, model: str) -> None:
        """Unload a model; one that is not loaded is no fault."""
        self.shelf.unload(model)

    def check_room(self, model: str, version: str = "") -> None:
        """Raise RefusedError when a request for a model would be refused anyway: before its body is read."""
        self.shelf.get(model, version).check_room()

    def raw_input(self, model: str, version: str, body: memoryview) -> Tensor:
        """View a body that is nothing but the one input of a model."""
        specs = self.shelf.get(model, version).brought.inputs
        if len(specs) != 1:
            message = f"cannot take a raw body for {model!r}: it has {len(specs)} inputs, expected one"
            raise RefusedError(message, "invalid")
        return raw(specs[0], body)

    def infer(self, request: InferRequest) -> Pending:
        """Check a request and let it wait for its run."""
        pending = begin(request, self.shelf.get(request.model, request.version), self.clock, self.limit_s)
        if self.tracer is not None:
            follow(self.tracer, pending)
        return pending

    def trace_settings(self, model: str = "") -> dict[str, Any]:
        """Give Triton's trace settings: nothing is traced to a file here."""
        if model:
            self.shelf.get(model)
        return {"trace_level": ["OFF"], "trace_rate": "0", "trace_count": "0", "log_frequency": "0", "trace_file": ""}

    def log_settings(self) -> dict[str, Any]:
        """Give Triton's log settings: edged's log goes to the journal or standard error."""
        return {
            "log_file": "",
            "log_info": True,
            "log_warning": True,
            "log_error": True,
            "log_verbose_level": 0,
            "log_format": "default",
        }

    def refuse_settings(self) -> None:
        """Answer who wants to change trace or log settings. Raises RefusedError."""
        message = "cannot change trace or log settings: they are read-only here"
        raise RefusedError(message, "unsupported", remedy="edged's own logs are configured where it is started")


def _metadata(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": list(spec.shape)}


def _configured(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "data_type": f"TYPE_{DATATYPES[spec.dtype]}", "dims": list(spec.shape)}


def _statistics(served: Served) -> dict[str, Any]:
    return {"name": served.brought.name, "version": served.brought.version, **served.counts.document()}
