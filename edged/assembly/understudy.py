"""A candidate that runs beside what is live: on an engine in a child with the least priority, and on a thread that nobody waits for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress

from edged.assembly.models import answering
from edged.domain.bundle import Bundle, Golden, Variant, WindowInput
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

    While it is opened or at work frames pass it by but for the newest: it slows no pipeline down, and needs no queue.
    """

    def __init__(self, bundle: Bundle, variant: Variant, opens: Callable[[], Model]) -> None:
        """Open it with ``opens`` on its own thread, for that may take a minute; ``close`` frees it.

        It is opened again when its engine was ended since it hung.
        """
        self.compared = Compared()
        self.unfit = ""
        """Why it does not open, or why what the pipelines hand over is none of its input."""
        self._bundle, self._variant, self._opens = bundle, variant, opens
        self._golden = bundle.golden_of(variant) or USUAL
        self._model: Model | None = None
        self._waiting: tuple[Frame, Output] | None = None
        self._ends = False
        self._turn = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="edged-understudy", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        manifest, seen = self._bundle.manifest, self.compared
        what = "opens" if self._model is None else f"{seen.agreed} of {seen.frames} agree"
        return f"<Understudy {manifest.name} {manifest.version} {self._variant.id}: {self.unfit or what}>"

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
            self._open("it does not open beside what is live")
            while not (self.compared.lost or self.unfit) and (pair := self._next()) is not None:
                self.compared = self._after(*pair)
        except Exception as error:  # noqa: BLE001 - a thread that ended in silence would leave the order waiting for hours
            self.unfit = f"it cannot be compared: {type(error).__name__}: {error}"
        finally:
            self._free()

    def _open(self, otherwise: str) -> None:
        try:
            self._model = self._opens()
        except EdgedError as error:
            # It passed its trial here: whether it runs alone is for its activation to see.
            self.unfit = f"{otherwise}: {error.args[0]}"

    def _free(self) -> None:
        if self._model is not None:
            self._model.engine.close()

    def _next(self) -> tuple[Frame, Output] | None:
        with self._turn:
            while self._waiting is None and not self._ends:
                self._turn.wait()
            pair, self._waiting = self._waiting, None
            return None if self._ends else pair

    def _after(self, frame: Frame, output: Output) -> Compared:
        """Give what is known after one more frame; one that nobody could judge says nothing."""
        seen, wanted = self.compared, self._bundle.input_of(self._variant)
        if isinstance(wanted, WindowInput) and frame.data.shape != (wanted.length, wanted.channels):
            live = f"those of what is live {frame.data.shape[0]} of {frame.data.shape[1]}"
            self.unfit = f"its windows are {wanted.length} samples of {wanted.channels}, {live}"
            return seen
        try:
            got = self._answer(frame)
        except (FrameError, CalibratingError):
            return seen
        except DeadlineError as error:  # behind everything else it may be late once, and a device may be busy
            # Whoever gives no answer in time is ended, and would give none for that.
            self._free()
            self._open("it hung, and does not open again beside what is live")
            return seen.without_answer(str(error.args[0]))
        except EngineLostError as error:
            return seen.without_engine(str(error.args[0]))
        except EdgedError as error:
            return seen.without_answer(str(error.args[0]))
        return seen.with_answer(agrees(output, got, self._golden))

    def _answer(self, frame: Frame) -> Output:
        assert self._model is not None  # noqa: S101 - it is open as long as it is fit
        return answering(self._model)(frame)
