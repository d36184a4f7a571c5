"""The frequencies at which a damaged rolling-element bearing strikes, from its geometry."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bearing:
    """Lengths in mm, the contact angle in degrees. Frequencies are multiples of the shaft's turning frequency; the outer race stands.

    The formulas are those of Randall and Antoni, "Rolling element bearing diagnostics: a tutorial", Mechanical Systems and Signal
    Processing 25 (2011), pages 485-520, equations 1 to 4, for rolling without slip; slip of 1 to 2 % makes real ones differ and wander.
    """

    balls: int
    ball_mm: float
    pitch_mm: float
    contact_deg: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no bearing can be."""
        if self.balls < 1 or not 0 < self.ball_mm < self.pitch_mm:
            message = f"cannot build a bearing of {self.balls} balls of {self.ball_mm} mm on {self.pitch_mm} mm"
            raise ValueError(message)

    @property
    def ftf(self) -> float:
        """Fundamental train frequency, the cage's turns: 1/2 (1 - d/D cos a)."""
        return (1 - self._ratio) / 2

    @property
    def bpfo(self) -> float:
        """Ball pass frequency of the outer race: n/2 (1 - d/D cos a)."""
        return self.balls * (1 - self._ratio) / 2

    @property
    def bpfi(self) -> float:
        """Ball pass frequency of the inner race: n/2 (1 + d/D cos a)."""
        return self.balls * (1 + self._ratio) / 2

    @property
    def bsf(self) -> float:
        """Ball spin frequency: D/(2 d) (1 - (d/D cos a)^2). A damaged ball strikes both races, twice in each of its turns."""
        return self.pitch_mm / (2 * self.ball_mm) * (1 - self._ratio**2)

    @property
    def _ratio(self) -> float:
        return self.ball_mm / self.pitch_mm * math.cos(math.radians(self.contact_deg))


TYPE_6205 = Bearing(balls=9, ball_mm=7.94, pitch_mm=39.04)
"""The deep-groove bearing of countless small motors. Its multiples as the bearing data centre of Case Western Reserve University publishes
them for an SKF 6205: inner race 5.4152, outer race 3.5848, cage 0.39828, ball 4.7135 (which is two strikes a turn)."""
TYPE_6203 = Bearing(balls=8, ball_mm=6.75, pitch_mm=28.5)
"""The smaller one of the same series, at the same motors' fan end; published for an SKF 6203: 4.9469, 3.0530, 0.3817, 3.9874."""
