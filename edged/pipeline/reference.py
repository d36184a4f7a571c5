"""What is normal for a pipeline: of each feature how it is spread, how fast it changes, and from where on a window is unusual.

It travels as one ``.npz`` without pickles: ``about``, JSON, and for feature ``k`` the arrays ``k.cuts``, ``k.shares``, ``k.quantiles`` and
``k.profile``.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np

from edged.domain.errors import BundleError
from edged.domain.tensor import Array
from edged.pipeline.bootstrap import Limits

FORM = "edged.drift/1"
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""What a distribution is told by."""
HOURS = 24
MAX_BYTES = 1_048_576
"""A hundred times a usual one, whatever its size says before it is unpacked."""
MAX_FEATURES, MAX_BINS, MAX_WINDOW = 64, 64, 1000
ARRAYS = ("cuts", "shares", "quantiles", "profile")
NUMBERS = ("mean", "scale", "interval_s")


def _none() -> Array:
    return np.empty(0)


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature's normal. Of a category ``labels`` stand for bins, with one more for all others; of a number ``cuts`` lie between them.

    ``profile`` is what is usual at each hour of the day (UTC, at the hour's middle), or empty; everything else is of what is left without
    it. ``interval_s`` is how far apart samples tell something of their own, ``window`` how many of them are judged at once. ``mean`` and
    ``scale``, the standard deviation, are in the feature's own unit; ``quantiles`` are those of ``QUANTILES``.
    """

    name: str
    shares: Array
    mean: float
    scale: float
    interval_s: float
    window: int
    limits: Limits
    cuts: Array = field(default_factory=_none)
    labels: tuple[str, ...] = ()
    quantiles: Array = field(default_factory=_none)
    profile: Array = field(default_factory=_none)

    def __post_init__(self) -> None:
        """Refuse what cannot judge."""
        bins = (len(self.labels) if self.labels else len(self.cuts)) + 1
        numbers = (self.mean, self.scale, self.interval_s, self.limits.stability, self.limits.rise, self.limits.power)
        arrays = (self.cuts, self.shares, self.quantiles, self.profile)
        is_sound = (
            all(array.ndim == 1 and np.isfinite(array).all() for array in arrays)
            and np.isfinite(numbers).all()
            and min(self.scale, self.interval_s) > 0
            and 1 <= self.window <= MAX_WINDOW
            and len(self.shares) == bins <= MAX_BINS
            and self.shares.min() >= 0
            and abs(self.shares.sum() - 1) < 1e-6  # noqa: PLR2004 - what rounding leaves
            and bool((np.diff(self.cuts) > 0).all())
            and len(self.quantiles) in {0, len(QUANTILES)}
            and len(self.profile) in {0, HOURS}
        )
        if not is_sound:
            message = f"cannot hold {self.name!r} against this reference: its numbers do not fit together"
            raise ValueError(message)

    @property
    def bins(self) -> int:
        """How many there are."""
        return len(self.shares)

    def usual(self, wall_s: float) -> float:
        """Give what is usual at this time of the day (Unix time), between the middles of hours in a straight line; 0 without a profile."""
        return float(usual_at(np.array([wall_s]), self.profile)[0]) if len(self.profile) else 0.0

    def bin_of(self, value: float | str) -> int:
        """Give the bin of a label, or of a number without what is usual at its hour."""
        if isinstance(value, str):
            return self.labels.index(value) if value in self.labels else len(self.labels)
        return int(np.searchsorted(self.cuts, value))


@dataclass(frozen=True, slots=True)
class Reference:
    """All features of a pipeline. ``about`` is told where the reference is: when it was learned, from how much, on which model."""

    features: tuple[Feature, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a reference of nothing, and one of the same feature twice."""
        names = {feature.name for feature in self.features}
        if not 0 < len(self.features) == len(names) <= MAX_FEATURES:
            message = f"cannot use {len(self.features)} features of {len(names)} names, expected 1 to {MAX_FEATURES} that differ"
            raise ValueError(message)


def usual_at(walls_s: Array, profile: Array) -> Array:
    """Give what is usual at each time, (n,) Unix seconds."""
    hours = (walls_s / 3600.0) % HOURS
    usual: Array = np.interp(hours, np.arange(HOURS) + 0.5, profile, period=HOURS)
    return usual


def to_bytes(reference: Reference) -> bytes:
    """Write a reference as a file's content."""
    arrays: dict[str, Array] = {}
    told = []
    for number, feature in enumerate(reference.features):
        arrays |= {f"{number}.{name}": getattr(feature, name) for name in ARRAYS}
        limits = {name: getattr(feature.limits, name) for name in Limits.__slots__}
        numbers = {name: getattr(feature, name) for name in NUMBERS}
        told.append({"name": feature.name, "window": feature.window, "labels": feature.labels, **numbers, **limits})
    about = {"form": FORM, "about": dict(reference.about), "features": told}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, about=np.array(json.dumps(about)), **arrays)
    return content.getvalue()


def from_bytes(content: bytes, name: str = "the drift reference") -> Reference:
    """Read a file's content. Raises BundleError for one that is damaged, too large or of another form."""
    try:
        if len(content) > MAX_BYTES or _unpacked(content) > MAX_BYTES:
            return _refused(name, f"it has more than {MAX_BYTES} bytes")
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            if about["form"] != FORM:
                return _refused(name, f"it is of the form {about['form']!r}")
            features = tuple(_feature(number, told, stored) for number, told in enumerate(about["features"]))
            return Reference(features, dict(about["about"]))
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        RuntimeError,  # said to be encrypted, or compressed in a way that nobody knows; nested too deeply
        BadZipFile,
        zlib.error,
    ) as error:
        message = f"cannot read {name}: {str(error) or type(error).__name__}, expected a file of the form {FORM}"
        raise BundleError(message, remedy="learn it again: edgectl drift learn", code="drift-reference") from error


def with_about(reference: Reference, **about: Any) -> Reference:
    """Give the reference with more told about it."""
    return replace(reference, about={**reference.about, **about})


def _feature(number: int, told: Mapping[str, Any], stored: Mapping[str, Array]) -> Feature:
    arrays: dict[str, Any] = {name: np.asarray(stored[f"{number}.{name}"], np.float64) for name in ARRAYS}
    limits = Limits(*(float(told[name]) for name in Limits.__slots__))
    numbers: dict[str, Any] = {name: float(told[name]) for name in NUMBERS}
    labels = tuple(str(label) for label in told["labels"])
    return Feature(str(told["name"]), window=int(told["window"]), limits=limits, labels=labels, **numbers, **arrays)


def _unpacked(content: bytes) -> int:
    with ZipFile(io.BytesIO(content)) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _refused(name: str, observed: str) -> Reference:
    message = f"cannot read {name}: {observed}, expected a file of the form {FORM}"
    raise BundleError(message, remedy="learn it again: edgectl drift learn", code="drift-reference")
