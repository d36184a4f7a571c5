"""What a variant was measured to do on a box: values that the choice reads, and the store keeps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """One variant on one accelerator with ``threads`` threads; times of one call of the engine, without pre- and post-processing."""

    threads: int
    runs: int
    """Calls that were measured, after the warm-up."""
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    """Processor time of a call, over all threads."""
    load_ms: float
    """From the file to the first answer."""
    peak_memory_mb: float
    """Resident memory that loading and running added, at its peak."""

    def __post_init__(self) -> None:
        """Refuse what cannot have been measured. Raises ValueError."""
        if self.threads < 1 or self.runs < 1:
            message = f"cannot keep figures of {self.threads} threads and {self.runs} runs, expected 1 or more of both"
            raise ValueError(message)
        times = (self.p50_ms, self.p99_ms, self.cpu_ms, self.load_ms, self.peak_memory_mb)
        if not all(0 <= value < float("inf") for value in times) or self.p50_ms > self.p99_ms:
            message = f"cannot keep figures {times}, expected numbers of 0 or more with p50_ms at most p99_ms"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Subject:
    """What figures belong to: the same file with the same runtime on the same kind of box does the same."""

    sha256: str
    """Of the variant's file, 64 hexadecimal digits."""
    runtime: str
    """``tflite``, ``onnx`` or an installed package's."""
    runtime_version: str
    accelerator: str
    profile: str
    """The device profile's name: figures that travel with a bundle hold for the same profile and runtime version."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of a subject, one row a measurement: several with one number of threads stand in the order in which they were made."""

    subject: Subject
    figures: tuple[Figures, ...]
    origin: str
    """``here`` (this box measured) or ``bundle`` (another box of the same profile did)."""
    at: str
    """When, RFC 3339 in UTC; a label only."""
