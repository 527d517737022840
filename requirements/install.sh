#!/bin/sh
# Installs the locked requirements into $VENV with uv, which itself comes from the package index.
set -eu

fail() {
    echo "make setup: $1" >&2
    exit 1
}

command -v "$PYTHON" >/dev/null 2>&1 || fail "there is no $PYTHON. Install Python 3.11, 3.12 or 3.13, or name one: make PYTHON=/path/to/python3"
"$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' ||
    fail "$PYTHON is $("$PYTHON" -V 2>&1); it must be Python 3.11, 3.12 or 3.13. Name another one: make PYTHON=/path/to/python3"

tools=build/uv
if [ ! -x "$tools/bin/uv" ]; then
    echo "Installing uv"
    rm -rf "$tools"
    "$PYTHON" -m venv "$tools" || fail "$PYTHON cannot make a virtual environment; on Debian or Ubuntu: apt install python3-venv"
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt ||
        fail "uv could not be installed: is the package index reachable?"
fi

unset VIRTUAL_ENV CONDA_PREFIX || true
if [ ! -x "$VENV/bin/python" ]; then
    "$tools/bin/uv" venv --quiet --python "$PYTHON" "$VENV"
fi
echo "Installing the locked requirements"
"$tools/bin/uv" pip sync --quiet --require-hashes --python "$VENV/bin/python" requirements/project.txt ||
    fail "the requirements could not be installed: is the package index reachable?"
"$tools/bin/uv" pip install --quiet --no-deps --no-build-isolation --python "$VENV/bin/python" -e . -e ./localcloud
