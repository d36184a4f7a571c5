"""What the parts of the daemon that work beside the pipelines have in common: a thread of their own, for whose end nobody waits."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence

from edged.domain.health import Reason
from edged.pipeline.line import NEVER_STUCK_NS


class SidePart(ABC):
    """Implements edged.daemon.Part. ``_run`` works until ``_stop`` is set."""

    def __init__(self, name: str) -> None:
        """``name`` is what its thread is called."""
        self._thread_name = name
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in the background. May be started again after it was stopped, and then begins when it has ended."""
        self._stop.clear()
        thread = threading.Thread(target=self._run_after, args=(self._thread,), name=self._thread_name, daemon=True)
        thread.start()
        self._thread = thread

    def stop(self) -> None:
        """Ask it to end."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end."""
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def reload(self) -> None:  # noqa: B027 - most have nothing to do then
        """Nothing: it looks by itself, or another configuration is another part."""

    @property
    def heartbeat_ns(self) -> int:
        """Never stuck: nothing that sees and decides depends on it, and is started anew for it."""
        return NEVER_STUCK_NS

    @property
    def ended(self) -> bool:
        """Always: it has no end of its own, and nobody waits for it."""
        return True

    @property
    def working(self) -> bool:
        """Never: it gives no results."""
        return False

    def reasons(self) -> Sequence[Reason]:
        """Nothing: the pipelines are none the worse for it."""
        return ()

    def _run_after(self, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        self._run()

    @abstractmethod
    def _run(self) -> None:
        """Work, on the part's thread."""
