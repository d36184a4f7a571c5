"""Safe mode: a box whose daemon keeps failing stays in reach, without models, and tries again by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edged.config.schema import Config
from edged.daemon import Plan
from edged.domain.health import Reason

TRY_AGAIN_S = 3600.0
"""How long safe mode lasts: a cause that went away by itself (heat, a full disk, a device) must need no visit, and one that stays costs
half a minute of attempts an hour."""


class SafePlanner:
    """Plans nothing, and says why; what a reload would change does not matter here."""

    def __init__(self, config: Config, reasons: Sequence[Reason]) -> None:
        self.config = config
        self.plans = 0
        self._reasons = tuple(reasons)

    def __call__(self) -> Plan:
        """Give the plan without parts."""
        self.plans += 1
        return Plan((), self._reasons)


def safe_mode(environment: Mapping[str, str], now_ns: int) -> Reason:
    """Say that this is safe mode, and what brought it about, which systemd 251 and newer tells in MONITOR_* (systemd.exec(5))."""
    remedy = "edged starts again within the hour, or now: systemctl start edged; journalctl -u edged tells how it ended"
    return Reason("safe-mode", "edged", f"runs no pipelines: {_cause(environment)}", now_ns, remedy, fatal=True)


def _cause(environment: Mapping[str, str]) -> str:
    result = environment.get("MONITOR_SERVICE_RESULT")
    # Told of a unit that ended as it was asked to, also.
    if result in {None, "success"}:
        return "it was started in safe mode"
    unit = environment.get("MONITOR_UNIT", "edged.service")
    how = " ".join(filter(None, (environment.get("MONITOR_EXIT_CODE"), environment.get("MONITOR_EXIT_STATUS"))))
    return f"{unit} ended too often, at last by {result}{f' ({how})' if how else ''}"
