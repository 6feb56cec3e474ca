"""Ends the processes of a supervisor that died without a chance to (kill -9, a crashed test runner).

Reads process group ids from standard input, `+42` to watch and `-42` to forget. The pipe closes when the
supervisor is gone, however it went: then every group still watched gets SIGINT (Postgres' fast shutdown) and,
later, SIGKILL. Unlike Linux' PR_SET_PDEATHSIG this works on macOS, survives a change of user and needs no
code in a forked child.
"""

import contextlib
import os
import signal
import sys
import time

GRACE_SECONDS = 3.0


def signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def watch() -> set[int]:
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    return groups


def main() -> None:
    groups = watch()
    for group in groups:
        signal_group(group, signal.SIGINT)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(is_alive(group) for group in groups):
        time.sleep(0.05)
    for group in groups:
        signal_group(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
