"""What installed packages bring, opened: foreign code, held to the ports and kept from ending a thread with errors of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edged.config.plugins import load_plugin
from edged.domain.errors import ConfigError, DeviceError, EdgedError, SourceLostError
from edged.domain.frame import Frame, Samples
from edged.domain.ports import Clock, Engine, Source


def open_source(kind: str, options: Mapping[str, Any], clock: Clock) -> Source:
    """Open a package's source. Raises DeviceError when it cannot be opened now, ConfigError when its options cannot be used."""
    opens = load_plugin("edged.sources", kind)
    try:
        return ForeignSource(kind, opens(options=options, clock=clock))
    except EdgedError:
        raise
    except (TypeError, ValueError, KeyError) as error:
        message = f"cannot open a source of kind {kind!r}: {_words(error)}, expected options that its package knows"
        raise ConfigError(message, remedy="see the package's own words about its options") from error
    except Exception as error:  # a package's own code runs here, and may raise whatever it likes
        message = f"cannot open a source of kind {kind!r}: {_words(error)}"
        raise DeviceError(message, code="plugin-failed") from error


def open_engine(runtime: str, file: Path, *, threads: int, accelerator: str) -> Engine:
    """Load a model with a package's engine. Raises DeviceError when that fails in the package's own way, and what it raises of edged's."""
    opens = load_plugin("edged.engines", runtime)
    try:
        engine: Engine = opens(file, threads=threads, accelerator=accelerator)
    except EdgedError:
        raise
    except Exception as error:  # a package's own code runs here, and may raise whatever it likes
        message = f"cannot open {file.name} with the runtime {runtime!r}: {_words(error)}"
        raise DeviceError(message, remedy="ask for a variant of another runtime", code="plugin-failed") from error
    return engine


class ForeignSource:
    """A package's source. What it raises besides edged's own errors counts as its loss: it is closed, and opened again."""

    def __init__(self, kind: str, source: Source) -> None:
        """Take the source over."""
        self._kind = kind
        self._source = source

    def __repr__(self) -> str:
        return f"<ForeignSource {self._kind}: {self._source!r}>"

    @property
    def drops(self) -> dict[str, int]:
        """What it dropped, by cause, if it counts."""
        return dict(getattr(self._source, "drops", {}))

    def read(self) -> Frame | Samples | None:
        """Give what it gives."""
        try:
            return self._source.read()
        except EdgedError:
            raise
        except Exception as error:  # a package's own code runs here, and may raise whatever it likes
            message = f"cannot read a source of kind {self._kind!r} on: {_words(error)}"
            raise SourceLostError(message, code="plugin-failed") from error

    def close(self) -> None:
        """Close it."""
        self._source.close()


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
