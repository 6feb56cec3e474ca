"""`python -m tests.chaos.skewed HOURS PORT`: all functions in a process whose wall clock is wrong by that many hours.

time-machine shifts what the Python code of the process is told. libfaketime, which shifts a whole process, is
of no use: Python's sleeps fail with it, or never end.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import time_machine

from dev import gateway


def main() -> None:
    hours = float(sys.argv.pop(1))
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=hours), tick=True):
        gateway.main()


if __name__ == "__main__":
    main()
