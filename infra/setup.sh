#!/usr/bin/env bash
# Install what the project needs into .venv, .local and static/vendor, from its lock files. A second run costs nothing
# until a lock file changes.
#
#   infra/setup.sh                  the virtual environment, the libraries of mongod, the viewer's library
#   infra/setup.sh --browser        Chromium and the real scan, which the tests need
#   infra/setup.sh --tool NAME...   these Debian packages
#
# PY names the Python to use (3.11 or later). The default is the first one found.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "error: $*" >&2; exit 1; }

debian_install() {
    local as_root=()
    command -v apt-get >/dev/null ||
        fail "$* is missing and this system has no apt-get. Install $* and try again."
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "$* is missing. Run as root: apt-get install $*"
        as_root=(sudo)
    fi
    echo "Installing Debian packages: $*" >&2
    mkdir -p .local/log
    if ! { "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
    } >.local/log/apt.log 2>&1 </dev/null; then
        tail -n 15 .local/log/apt.log >&2
        fail "apt-get could not install $*. The full output is in .local/log/apt.log"
    fi
}

# Run a command with its output in a log file. On a terminal, show how many of `total` lines that match `pattern` the
# log has: pip reports each package with one line.
#   with_progress LABEL TOTAL PATTERN LOG COMMAND...
with_progress() {
    local label=$1 total=$2 pattern=$3 log=$4 pid status=0
    shift 4
    echo "$label" >&2
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    if [ -t 2 ]; then
        while kill -0 "$pid" 2>/dev/null; do
            printf '\r  %s of %s' "$(grep -c "$pattern" "$log" || true)" "$total" >&2
            sleep 0.2
        done
        printf '\r\033[K' >&2
    fi
    wait "$pid" || status=$?
    return "$status"
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local name
    if [ -n "${PY:-}" ]; then
        is_new_enough "$PY" || fail "PY=$PY is not a Python of version 3.11 or later."
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
        [ -n "$python" ] || fail "Python 3.11 or later is required and this system's python3 is older. Set PY= to another one."
    fi
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    "$python" -c 'import ensurepip, venv' 2>/dev/null || debian_install "$version-venv"
    rm -rf .venv
    "$python" -m venv .venv
}

# Programs inside wheels come without the shared libraries of the system that they need.
#   install_libraries_of PROGRAM REMEDY
install_libraries_of() {
    local program=$1 remedy=$2 library packages=()
    [ -x "$program" ] && command -v ldd >/dev/null || return 0
    for library in $(ldd "$program" | awk '/not found/ {print $1}'); do
        case $library in
            libatomic.so.1) packages+=(libatomic1) ;;
            libcurl.so.4) packages+=(libcurl4) ;;
            libssl.so.3 | libcrypto.so.3) packages+=(libssl3) ;;
            liblzma.so.5) packages+=(liblzma5) ;;
            *) fail "$program needs $library. $remedy" ;;
        esac
    done
    [ ${#packages[@]} = 0 ] || debian_install "${packages[@]}"
}

install_packages() {
    local total
    total=$(grep -c '^[a-z0-9].*==' requirements-dev.txt)
    mkdir -p .local/log
    # The lock is complete, so nothing is left to resolve. Old versions of pip that resolve nonetheless take an extra of
    # a locked package (coverage[toml]) for a package without a lock as soon as a newer release of it appears.
    if ! with_progress "Installing $total Python packages from the lock file (once; about a minute)" \
        "$total" '^Collecting ' .local/log/setup.log .venv/bin/python -m pip install --disable-pip-version-check \
        --progress-bar off --require-hashes --no-deps -r requirements-dev.txt; then
        tail -n 15 .local/log/setup.log >&2
        fail "the locked requirements could not be installed. The full output of pip is in .local/log/setup.log"
    fi
}

case ${1:-} in
    --tool)
        shift
        debian_install "$@"
        exit
        ;;
    --browser)
        command -v chromium >/dev/null || command -v chromium-browser >/dev/null || debian_install chromium
        for driver in .venv/lib/python3*/site-packages/playwright/driver/node; do
            install_libraries_of "$driver" "Install it: the browser tests need it."
        done
        .venv/bin/python -m tests.scan
        exit
        ;;
    '') ;;
    *) fail "unknown argument: $1" ;;
esac

wanted=$(sha256sum requirements.txt requirements-dev.txt infra/setup.sh | sha256sum)
stamp=.venv/made-from.sha256
up_to_date() { [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; }

install_venv() {
    mkdir -p .local
    # Two commands started at the same time must not fill the same folder.
    exec 9>.local/setup.lock
    ! command -v flock >/dev/null || flock 9
    ! up_to_date || return 0
    .venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || make_venv
    install_packages
    # A mongod on PATH is used instead of the wheel's own.
    command -v mongod >/dev/null ||
        for mongod in .venv/lib/python3*/site-packages/fiftyone/db/bin/mongod; do
            install_libraries_of "$mongod" "Install it, or set MONGO_URI to a server of your own."
        done
    echo "$wanted" >"$stamp"
}

up_to_date || install_venv
infra/web.sh
