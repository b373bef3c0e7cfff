#!/bin/sh
# Clients from npm against the daemon: sh tests/interop/run.sh [--install]
# With --install the packages of the lock file are put into a folder of the build; nothing is written to the tree.
# Wants ASPACED, ASPACECTL and INTEROP_DIR (that folder). Ends with 77, and says why, where it cannot be run.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

not_run() {
    echo "interop: NOT RUN: $*"
    exit 77
}

command -v node >/dev/null 2>&1 || not_run "node is not installed"
if [ "${1-}" = --install ]; then
    command -v npm >/dev/null 2>&1 || not_run "npm is not installed"
    mkdir -p "$INTEROP_DIR"
    cp "$here/package.json" "$here/package-lock.json" "$INTEROP_DIR/"
    (cd "$INTEROP_DIR" && npm ci --ignore-scripts --no-audit --no-fund --silent)
fi
[ -d "$INTEROP_DIR/node_modules" ] || not_run "its packages are not installed (sh tests/interop/run.sh --install)"
NODE_PATH=$INTEROP_DIR/node_modules exec "$ASPACECTL" run -- node --test "$here/interop.js"
