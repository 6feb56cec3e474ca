#!/bin/sh
# Drops everything that `make` made, after making sure that nobody is using it.
set -eu
pid_file=.local/dev.pid
if [ -f "$pid_file" ] && ps -p "$(cat "$pid_file")" -o args= 2>/dev/null | grep -q -- "-m dev"; then
    echo "error: make dev is running (process $(cat "$pid_file")); stop it first." >&2
    exit 1
fi
echo "==> dropping .local (data), .venv, node_modules, public/vendor and caches"
rm -rf .local .venv node_modules dev/node_modules tests/js/node_modules public/vendor .mypy_cache .pytest_cache .ruff_cache .hypothesis
