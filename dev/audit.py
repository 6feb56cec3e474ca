"""`make audit`: recomputes every drop from its rows and prints what does not hold, naming the row.

It reads DATABASE_URL_UNPOOLED, else DATABASE_URL, from the environment or .env; without one, the database of the
running `make dev`. It changes nothing. Exit code 1 if something was found, 2 if the database could not be read.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from dotenv import load_dotenv

from dev.npm import ROOT
from dev.ports import HOST, accepts
from dev.stack import DATABASE
from lib import audits, db
from lib.errors import Unavailable
from lib.settings import settings

# The largest drop may take long, and nobody waits for the answer.
SECONDS = 600.0
LINE = "{:24} {:14} {:>20}  {}"


def url_of_running_stack() -> str | None:
    """Where `make dev` has its database, if it runs."""
    local = Path(os.environ.get("HOLDFAST_LOCAL_DIR") or ROOT / ".local").resolve()
    with contextlib.suppress(OSError, IndexError, ValueError):
        # Written by Postgres itself; the fourth line is its port.
        port = int((local / "postgres" / "postmaster.pid").read_text().splitlines()[3])
        if accepts(port):
            return f"postgresql://postgres@{HOST}:{port}/{DATABASE}"
    return None


def choose_database() -> str | None:
    """Make the calls of lib use the database to audit; a word for it, or None if there is none."""
    load_dotenv(ROOT / ".env")
    for name in ("DATABASE_URL_UNPOOLED", "DATABASE_URL"):
        if os.environ.get(name):
            os.environ["DATABASE_URL"] = os.environ[name]
            return name
    url = url_of_running_stack()
    if url is None:
        return None
    os.environ["DATABASE_URL"] = url
    return "the running make dev"


def audit_all() -> int:
    """Audit every drop, and rows of drops that are not there; how many findings."""
    began = time.monotonic()
    found = 0
    drops = audits.audit_ids(SECONDS)
    for drop in drops:
        for finding in audits.audit_rows(drop, SECONDS):
            if not found:
                print(LINE.format("rule", "table", "row", "what is there"))
            found += 1
            print(LINE.format(finding["rule"], finding["table"], finding["id"], finding["detail"]), flush=True)
    seconds = time.monotonic() - began
    print(f"{len(drops)} drops audited in {seconds:.1f} s: {found or 'no'} finding{'' if found == 1 else 's'}")
    return found


def main() -> int:
    source = choose_database()
    if source is None:
        print("error: no DATABASE_URL, and make dev does not run. Start it, or: DATABASE_URL=postgresql://… make audit")
        return 2
    settings.cache_clear()
    print(f"==> the database of {source}", flush=True)
    try:
        return 1 if audit_all() else 0
    except Unavailable as error:
        print(f"error: {error.detail}")
        return 2
    finally:
        db.close_pool()


if __name__ == "__main__":
    sys.exit(main())
