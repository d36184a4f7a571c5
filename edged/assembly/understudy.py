"""A candidate that runs beside what is live: on an engine in a child with the least priority, and on a thread that nobody waits for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from edged.assembly.models import Opened, answering
from edged.domain.bundle import Golden, WindowInput
from edged.domain.errors import CalibratingError, DeadlineError, EdgedError, EngineLostError, FrameError
from edged.domain.frame import Frame
from edged.domain.result import Output
from edged.hardware.spare import LEAST_NICE
from edged.pipeline.model import Model
from edged.pipeline.postprocess.agree import agrees
from edged.update.shadow import Compared

USUAL = Golden(samples="none")
"""The tolerances of a bundle without golden samples."""
END_S = 2.0


class Understudy:
    """Implements ``edged.pipeline.companion.Beside``; ``compared`` may be read on any thread.

    While it is at work frames pass it by but for the newest: it slows no pipeline down, and needs no queue.
    """

    def __init__(self, opened: Opened, reopen: Callable[[], Model]) -> None:
        """Take an opened candidate over; ``close`` frees it. ``reopen`` gives another engine for one that was ended since it hung."""
        self.compared = Compared()
        self.unfit = ""
        """Why what the pipelines hand over is none of its input."""
        self._opened, self._reopen = opened, reopen
        self._answer = answering(opened.model)
        self._golden = opened.bundle.golden_of(opened.variant) or USUAL
        self._waiting: tuple[Frame, Output] | None = None
        self._ends = False
        self._turn = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="edged-understudy", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        ref = self._opened.model.ref
        return f"<Understudy {ref.name} {ref.version} {ref.variant}: {self.compared.agreed} of {self.compared.frames} agree>"

    def saw(self, frame: Frame, output: Output) -> None:
        """Take a frame with the live model's answer; returns at once."""
        with self._turn:
            self._waiting = frame, output
            self._turn.notify()

    def close(self) -> None:
        """End it and free its engine; one that hangs is freed when its time is up, and not waited for. May be called twice."""
        with self._turn:
            self._ends = True
            self._turn.notify()
        self._thread.join(END_S)

    def _run(self) -> None:
        with suppress(OSError):  # preparing a picture shall cost the pipelines nothing either
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LEAST_NICE)
        try:
            while (pair := self._next()) is not None and not (self.compared.lost or self.unfit):
                self.compared = self._after(*pair)
        except Exception as error:  # noqa: BLE001 - a thread that ended in silence would leave the order waiting for hours
            self.unfit = f"it cannot be compared: {type(error).__name__}: {error}"
        finally:
            self._opened.model.engine.close()

    def _next(self) -> tuple[Frame, Output] | None:
        with self._turn:
            while self._waiting is None and not self._ends:
                self._turn.wait()
            pair, self._waiting = self._waiting, None
            return None if self._ends else pair

    def _after(self, frame: Frame, output: Output) -> Compared:
        """Give what is known after one more frame; one that nobody could judge says nothing."""
        seen, wanted = self.compared, self._opened.model_input
        if isinstance(wanted, WindowInput) and frame.data.shape != (wanted.length, wanted.channels):
            live = f"those of what is live {frame.data.shape[0]} of {frame.data.shape[1]}"
            self.unfit = f"its windows are {wanted.length} samples of {wanted.channels}, {live}"
            return seen
        try:
            got = self._answer(frame)
        except (FrameError, CalibratingError):
            return seen
        except DeadlineError as error:  # behind everything else it may be late once, and a device may be busy
            self._renew()
            return seen.without_answer(str(error.args[0]))
        except EngineLostError as error:
            return seen.without_engine(str(error.args[0]))
        except EdgedError as error:
            return seen.without_answer(str(error.args[0]))
        return seen.with_answer(agrees(output, got, self._golden))

    def _renew(self) -> None:
        """Open it again: whoever gives no answer in time is ended, and would give none for that."""
        self._opened.model.engine.close()
        try:
            model = self._reopen()
        except EdgedError as error:
            self.unfit = f"it hung, and does not open again beside what is live: {error.args[0]}"
            return
        self._opened, self._answer = replace(self._opened, model=model), answering(model)
