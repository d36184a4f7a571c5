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

    def shut(self) -> None:
        """Take nothing more."""
        self._is_open = False

    def open(self, windower: Windower | None) -> None:
        """Take pictures, or samples when there is a windower for them."""
        self._windower = windower
        self._is_open = True

    def offer(self, frame: Frame, timeout_s: float) -> bool:
        """Put a frame into the mailbox; False when it has no place for ``timeout_s`` and the frame shall come again."""
        if self._is_open:
            return self.mailbox.put(frame, timeout_s)
        self.mailbox.drop("no-model")
        return True

    def frames_of(self, item: Frame | Samples) -> Sequence[Frame]:
        """Give the frames that this item makes for the pipeline: none, one or several.

        Raises:
            ConfigError: a model of pictures reads a sensor, or the reverse, or the channels do not fit.
        """
        if not self._is_open:
            self.mailbox.drop("no-model")
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

    def __repr__(self) -> str:
        """Say what it feeds."""
        state = "open" if self._is_open else "shut"
        return f"<Reader {state}, {self.mailbox!r}{f', {self._windower!r}' if self._windower else ''}>"
