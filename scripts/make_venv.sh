#!/bin/sh
# make_venv.sh FOLDER: create the virtual environment with the first Python >= 3.11 found ($PYTHON, if set, comes first).
set -u
folder=$1

suitable() {
    command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python; do
    suitable "$candidate" || continue
    if ! "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
        # Debian splits venv off Python; the package is named after the interpreter's version.
        package="$("$candidate" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
        if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
            apt-get update -qq && apt-get install -y -qq "$package" >/dev/null
        else
            echo "$candidate cannot make virtual environments; install $package first." >&2
            exit 1
        fi
    fi
    exec "$candidate" -m venv "$folder"
done
echo "No Python 3.11 or newer was found; install one, or name it: make PYTHON=/path/to/python3.12" >&2
exit 1
