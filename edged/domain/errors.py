"""The errors of edged: one root, and a leaf for each party whose move it is.

A message reads ``cannot <verb> <what>: <observed>, expected <wanted>``; ``remedy`` says the next step.
"""

from __future__ import annotations


class EdgedError(Exception):
    """The root. ``str(error)`` is one line for a person; ``remedy`` is the next step, or empty.

    ``code`` is stable and travels in health reasons and results, so that programs can tell faults apart.
    """

    code = "fault"

    def __init__(self, message: str, *, remedy: str = "", code: str | None = None) -> None:
        """Keep the line, the next step and, when it is finer than the class's own, the code."""
        super().__init__(message)
        self.remedy = remedy
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        """Give the message, with the next step behind it."""
        message = super().__str__()
        return f"{message}; {self.remedy}" if self.remedy else message


class ConfigError(EdgedError):
    """The operator's move: the configuration, a command line or a file that the operator named is wrong."""

    code = "config"


class BundleError(EdgedError):
    """The fleet's move: a model bundle or an order is missing, damaged or does not fit."""

    code = "bundle"


class DeviceError(EdgedError):
    """The device's move: hardware, a driver, a disk or a runtime is absent, gone or failing."""

    code = "device"


class SourceLostError(DeviceError):
    """A source that was delivering stopped; opening it again may help."""

    code = "source-lost"


class FrameError(DeviceError):
    """One frame or window cannot be judged, through no fault of the model's; the next one may be sound."""

    code = "frame-invalid"


class EngineLostError(DeviceError):
    """An engine failed while it ran; loading it again may help."""

    code = "engine-lost"


class DeadlineError(EngineLostError):
    """An engine gave no answer in time and was ended; loading it again may help."""

    code = "deadline"


class CalibratingError(DeviceError):
    """Nothing failed: the box still learns what is normal, and this frame is not judged."""

    code = "calibrating"


class BudgetError(EdgedError):
    """What was asked does not fit into the memory, disk or time that the box has for it."""

    code = "budget"


class RejectedError(BundleError):
    """An order or what it names must not be carried out, now or later: its signature, a replay, its end date, or it is not for this box."""

    code = "rejected"


class RetryableError(DeviceError):
    """An order could not be carried out now: the network, the disk, or a repository that shows nothing valid; a later try may succeed."""

    code = "retryable"
