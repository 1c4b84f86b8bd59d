"""One of our programs in bad weather: `python -m tests.faults.faulty bridge`.

FAULT_ERRORS, FAULT_LOST, FAULT_ONLY and FAULT_SEED make its weather; CRASH_AT, CRASH_NUMBER and
CRASH_LOG say where a bridge dies; CALLS_LOG gets the count of its calls to AWS.
"""

import asyncio
import importlib
import json
import os
import sys
from pathlib import Path

from bridge.__main__ import consume
from bridge.adapters import Adapters
from bridge.settings import BridgeSettings
from jobs.logs import configure_logs
from tests.faults.crash_points import CrashPoint
from tests.faults.hooks import Weather


def main(name: str, arguments: list[str]) -> int:
    """The program's exit status."""
    weather = Weather(
        seed=int(os.environ.get("FAULT_SEED", "0")),
        errors=float(os.environ.get("FAULT_ERRORS", "0")),
        lost=float(os.environ.get("FAULT_LOST", "0")),
        operations=frozenset(os.environ.get("FAULT_ONLY", "").split()),
    )
    weather.over_all_clients()
    if name == "bridge":
        try:
            return _bridge()
        finally:
            if log := os.environ.get("CALLS_LOG"):
                Path(log).write_text(json.dumps(weather.calls))
    program = importlib.import_module(name)
    takes_arguments = name in ("bridge.sweeper", "bridge.dead_letters")
    status: int = program.main(arguments) if takes_arguments else program.main()
    return status


def _bridge() -> int:
    configure_logs(os.environ, process="bridge")
    settings = BridgeSettings.from_env(os.environ)
    on = Adapters.on_aws(settings)
    if point := os.environ.get("CRASH_AT"):
        log = os.environ.get("CRASH_LOG")
        number = int(os.environ.get("CRASH_NUMBER", "1"))
        on = CrashPoint(point, number, Path(log) if log else None).wrapped(on)
    asyncio.run(consume(settings, on))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
