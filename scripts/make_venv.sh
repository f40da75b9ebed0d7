#!/bin/sh
# See to it that there is a virtual environment of Python 3.11 or newer and a uv to fill it with.
# Works without ensurepip (Debian without python3-venv) and beside an externally managed pip.
set -eu

venv=${1:-.venv}

is_new_enough() {
  "$1" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
  for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
    if is_new_enough "$name"; then
      echo "$name"
      return
    fi
  done
  echo "Runcast needs Python 3.11 or newer: install it, or name one with PYTHON=/path/to/python." >&2
  exit 1
}

# pip works on the environment from outside, so that the system's own packages stay as they are.
install_uv() {
  "$python" -m pip --python "$venv/bin/python" install --quiet --disable-pip-version-check uv && return
  "$venv/bin/python" -m ensurepip >/dev/null 2>&1 &&
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
}

python=$(find_python)
is_new_enough "$venv/bin/python" || "$python" -m venv --clear --without-pip "$venv"

if uv --version >/dev/null 2>&1 || [ -x "$venv/bin/uv" ]; then
  exit
fi
if ! install_uv; then
  echo "uv could not be installed: see above; or install uv yourself and try again." >&2
  exit 1
fi
