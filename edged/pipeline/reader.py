"""What one pipeline takes from a source: its pictures as they are, or windows cut from its samples."""

from __future__ import annotations

from collections.abc import Sequence

from edged.domain.errors import ConfigError
from edged.domain.frame import Frame, Samples
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.window import Windower


class Reader:
    """A mailbox, with a windower before it when its pipeline's model takes sensor windows.

    A feed's thread gives; the pipeline's thread shuts it while it has no model and opens it with the next one. What
    comes meanwhile is dropped by cause ``no-model``: a pipeline that cannot run must not hold up the others that read
    the same recording.
    """

    def __init__(self, mailbox: Mailbox, windower: Windower | None = None) -> None:
        """Build it open."""
        self.mailbox = mailbox
        self._windower = windower
        self._is_open = True
        self._is_paused = False

    def pause(self) -> None:
        """Drop what comes, by cause ``paused``."""
        self._is_paused = True

    def resume(self) -> None:
        """Take what comes; a window that was half full is begun anew by the jump in its samples' time."""
        self._is_paused = False

    def shut(self) -> None:
        """Take nothing more."""
        self._is_open = False

    def open(self, windower: Windower | None) -> None:
        """Take pictures, or samples when there is a windower for them."""
        self._windower = windower
        self._is_open = True

    def fits(self, frame: Frame) -> bool:
        """Whether it was made for the model that is open now: a window for the one before may be on its way, or wait."""
        return self._windower is None or frame.data.shape == self._windower.shape

    def offer(self, frame: Frame, timeout_s: float) -> bool:
        """Put a frame into the mailbox; False when it has no place for ``timeout_s`` and the frame shall come again."""
        cause = self._closed_by
        if not cause:
            return self.mailbox.put(frame, timeout_s)
        self.mailbox.drop(cause)
        return True

    def frames_of(self, item: Frame | Samples) -> Sequence[Frame]:
        """Give the frames that this item makes for the pipeline: none, one or several.

        Raises:
            ConfigError: a model of pictures reads a sensor, or the reverse, or the channels do not fit.
        """
        cause = self._closed_by
        if cause:
            self.mailbox.drop(cause)
            return ()
        if isinstance(item, Samples):
            if self._windower is None:
                message = (
                    f"cannot give samples of shape {item.values.shape} to {self.mailbox.name!r}, expected pictures"
                )
                raise ConfigError(message, remedy="name a camera, file or images source in the pipeline's section")
            return self._windower.push(item)
        if self._windower is not None:
            message = f"cannot give a picture of shape {item.data.shape} to {self.mailbox.name!r}, expected samples"
            raise ConfigError(message, remedy="name a sensor source in the pipeline's section")
        return (item,)

    def restart(self) -> None:
        """Forget what is half done: the source was opened anew, and its time has jumped."""
        if self._windower is not None:
            self._windower.restart()

    @property
    def _closed_by(self) -> str:
        if self._is_paused:
            return "paused"
        return "" if self._is_open else "no-model"

    def __repr__(self) -> str:
        """Say what it feeds."""
        state = self._closed_by or "open"
        return f"<Reader {state}, {self.mailbox!r}{f', {self._windower!r}' if self._windower else ''}>"
