#!/bin/sh
# Builds the virtual environment: dev/bootstrap.sh .venv
set -eu
venv=$1

fail() {
    echo "error: $1" >&2
    exit 1
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for candidate in "${HOLDFAST_PYTHON:-python3}" python3.13 python3.12 python3.11 python3; do
        if command -v "$candidate" >/dev/null 2>&1 && is_new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
}

python=$(find_python)
[ -n "$python" ] || fail "Python 3.11 or newer is missing; install it from https://www.python.org/downloads or with your package manager."

# A virtual environment whose interpreter was upgraded away, or that a Ctrl-C left half made, is made again.
if ! { [ -x "$venv/bin/python" ] && is_new_enough "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }; then
    echo "==> $venv with $("$python" --version)"
    rm -rf "$venv"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "this Python cannot make virtual environments; install its venv module (Debian, Ubuntu: apt-get install python3-venv)."
    "$python" -m venv "$venv" || fail "$python could not make $venv; see the message above."
fi

echo "==> Python packages of requirements-dev.txt"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-dev.txt ||
    fail "the Python packages were not installed; see the message above, check the network, and run the same command again."
touch "$venv/.installed"
