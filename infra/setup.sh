#!/usr/bin/env bash
# Make .venv from the lock files, and what the pages need of npm (infra/web.sh). Done again it costs nothing until a
# lock changes.
#
#   infra/setup.sh                  the virtual environment, and what its programs need of Debian
#   infra/setup.sh --tool NAME...   only install these Debian packages
#
# PY names the Python to use (3.11 or later); by default the first that is found.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "error: $*" >&2; exit 1; }

debian_install() {
    local as_root=()
    command -v apt-get >/dev/null ||
        fail "this needs $*, and there is no apt-get here to install it. Install it and try again."
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "this needs $*. Run as root: apt-get install $*"
        as_root=(sudo)
    fi
    echo "Installing $* with apt-get" >&2
    { "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
    } >&2 || fail "apt-get could not install $*. Its messages are above."
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local name
    if [ -n "${PY:-}" ]; then
        is_new_enough "$PY" || fail "PY=$PY is no Python of version 3.11 or later."
        echo "$PY"
        return
    fi
    for name in python3.11 python3.12 python3.13 python3; do
        if is_new_enough "$name"; then echo "$name"; return; fi
    done
}

make_venv() {
    local python version
    python=$(find_python)
    if [ -z "$python" ]; then
        debian_install python3 python3-venv
        python=$(find_python)
        [ -n "$python" ] || fail "Python 3.11 or later is needed; this system's python3 is older. Name another with PY=."
    fi
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    "$python" -c 'import ensurepip, venv' 2>/dev/null || debian_install "$version-venv"
    rm -rf .venv
    "$python" -m venv .venv
}

# The wheel that holds mongod brings no libraries. Servers of the user's own need none of this.
install_libraries_of_mongod() {
    local mongod packages=()
    command -v mongod >/dev/null && return
    mongod=$(echo .venv/lib/python3*/site-packages/fiftyone/db/bin/mongod)
    [ -x "$mongod" ] && command -v ldd >/dev/null || return 0
    for library in $(ldd "$mongod" | awk '/not found/ {print $1}'); do
        case $library in
            libcurl.so.4) packages+=(libcurl4) ;;
            libssl.so.3 | libcrypto.so.3) packages+=(libssl3) ;;
            liblzma.so.5) packages+=(liblzma5) ;;
            *) fail "mongod needs $library; install it, or set MONGO_URI to a server of your own." ;;
        esac
    done
    [ ${#packages[@]} = 0 ] || debian_install "${packages[@]}"
}

if [ "${1:-}" = --tool ]; then
    shift
    debian_install "$@"
    exit
fi

infra/web.sh

wanted=$(sha256sum requirements.txt requirements-dev.txt infra/setup.sh | sha256sum)
stamp=.venv/made-from.sha256
up_to_date() { [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; }

up_to_date && exit
mkdir -p .local
# Two commands started at the same time must not fill the same folder.
exec 9>.local/setup.lock
command -v flock >/dev/null && flock 9
up_to_date && exit

echo "Setting up .venv from the locked requirements; this takes a minute or two the first time" >&2
.venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || make_venv
mkdir -p .local/log
# The lock is complete, so nothing is left to resolve; old versions of pip that do try take an extra of a locked package
# (coverage[toml]) for a package without a lock as soon as a newer release of it appears.
if ! .venv/bin/python -m pip install --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.txt \
    >.local/log/setup.log 2>&1; then
    tail -n 15 .local/log/setup.log >&2
    fail "the locked requirements could not be installed. All of pip's messages are in .local/log/setup.log"
fi
install_libraries_of_mongod
echo "$wanted" >"$stamp"
