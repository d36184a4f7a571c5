"""How accurate the variants of a model are, compared: by the manifest's figures, or by what is known of precisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edged.domain.bundle import Bundle, ImageInput, Precision, Variant

TIE = 0.005
"""Half a point of a figure from 0 to 1: on the hundreds of samples that variants are judged by, less is chance (one picture of 200
is half a point), and nobody should pay with latency for it. Of figures beyond 1, such as per cents, the same part."""

ERROR_TIE = 0.05
"""Of an error, which has a unit and may be small throughout, a part: that of some hundred samples is known to some per cent."""

LESS_IS_BETTER = frozenset({"mae", "mse", "rmse", "mape", "error"})
"""Metrics, in lower case, of which the smaller figure is the better one."""

PRECISIONS: Mapping[Precision, int] = {"fp32": 3, "fp16": 2, "dynamic": 1, "int8": 0}
"""Where no figure is given: the more is rounded, the less accurate within one size of network."""


@dataclass(frozen=True, slots=True)
class Grade:
    """``level`` 0 is the best, and within a level the difference is chance; ``place`` goes by the plain figures."""

    level: int
    place: int


def grades(bundle: Bundle) -> dict[str, Grade]:
    """Grade every variant, by id.

    Figures are compared when metric and test data are the same as most variants have. Variants without such a figure stand behind,
    the larger input first (of two networks of a model the larger is the more accurate), then by precision.
    """
    keys = _keys(bundle)
    ordered = sorted(set(keys.values()), reverse=True)
    level = dict(zip(ordered, _levels(ordered, is_error=_is_error(_yardstick(bundle))), strict=True))
    place = {key: number for number, key in enumerate(ordered)}
    return {name: Grade(level[key], place[key]) for name, key in keys.items()}


_Key = tuple[bool, float, int]
"""Whether there is a figure, and then figure and 0, or else input size and precision; the greatest is the best."""


def _keys(bundle: Bundle) -> dict[str, _Key]:
    yardstick = _yardstick(bundle)
    return {variant.id: _key(bundle, variant, yardstick) for variant in bundle.manifest.variant}


def _yardstick(bundle: Bundle) -> tuple[str, str] | None:
    counted = Counter((found.metric, found.on) for variant in bundle.manifest.variant if (found := variant.accuracy))
    return counted.most_common(1)[0][0] if counted else None


def _key(bundle: Bundle, variant: Variant, yardstick: tuple[str, str] | None) -> _Key:
    figure = variant.accuracy
    if figure is None or (figure.metric, figure.on) != yardstick:
        return False, float(_volume(bundle, variant)), PRECISIONS[variant.precision]
    return True, -figure.value if _is_error(yardstick) else figure.value, 0


def _is_error(yardstick: tuple[str, str] | None) -> bool:
    return yardstick is not None and yardstick[0].lower() in LESS_IS_BETTER


def _volume(bundle: Bundle, variant: Variant) -> int:
    wanted = bundle.input_of(variant)
    return wanted.width * wanted.height if isinstance(wanted, ImageInput) else wanted.length * wanted.channels


def _levels(ordered: list[_Key], *, is_error: bool) -> Iterator[int]:
    """Number the levels from the best down: one begins where the difference to the first of the one before is no tie any more."""
    level, first = 0, None
    for key in ordered:
        if first is None or not _tied(first, key, is_error=is_error):
            level, first = (0 if first is None else level + 1), key
        yield level


def _tied(first: _Key, other: _Key, *, is_error: bool) -> bool:
    if not (first[0] and other[0]):
        return first == other
    borne = ERROR_TIE * abs(first[1]) if is_error else TIE * max(1.0, abs(first[1]))
    # Decimal figures have no exact binary form: 0.9 - 0.895 is a little more than 0.005.
    return first[1] - other[1] <= borne * (1 + 1e-9)
