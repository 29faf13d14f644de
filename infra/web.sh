#!/usr/bin/env bash
# Bring what the pages need of npm to where the app serves it. Done again it costs nothing until the lock changes.
#
#   web/package-lock.json says which versions, by digest; npm takes them from whatever registry it is configured for.
#   chalicelib/entrypoints/static/vendor/ gets the few files that are served, each with its licence beside it.
set -euo pipefail
cd "$(dirname "$0")/.."

vendor=chalicelib/entrypoints/static/vendor
modules=web/node_modules
stamp=$vendor/made-from.sha256
wanted=$(sha256sum web/package.json web/package-lock.json web/.npmrc infra/web.sh | sha256sum)
up_to_date() {
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && [ -f "$vendor/openseadragon.min.js" ] && [ -d "$modules" ]
}

up_to_date && exit
mkdir -p .local/log
exec 8>.local/web.lock
command -v flock >/dev/null && flock 8
up_to_date && exit

command -v npm >/dev/null || infra/setup.sh --tool nodejs npm
echo "Setting up the viewer's library from its lock" >&2
# No script of a package is run: all we take are files.
if ! (cd web && npm ci --ignore-scripts --no-audit --no-fund) >.local/log/web.log 2>&1; then
    tail -n 15 .local/log/web.log >&2
    echo "error: the locked packages of web/ could not be installed. All of npm's messages are in .local/log/web.log" >&2
    exit 1
fi
mkdir -p "$vendor"
rm -f "$vendor"/*
# Without the last line, which names a map of the source that is not served.
sed '/^\/\/# sourceMappingURL=/d' "$modules/openseadragon/build/openseadragon/openseadragon.min.js" \
    >"$vendor/openseadragon.min.js"
cp "$modules/openseadragon/LICENSE.txt" "$vendor/openseadragon.LICENSE.txt"
echo "$wanted" >"$stamp"
