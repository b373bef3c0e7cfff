#!/bin/sh
# From an empty clone to a real process's address space imported, changed and walked: sh scripts/demo.sh
# The daemon is a private one and is gone at the end. The steps themselves are in demo-steps.sh.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

need_packages $BUILD_PACKAGES
build release -DBUILD_TESTING=OFF

PATH=$PWD/build/release/bin:$PATH
COUNTER=$PWD/build/release/examples/counter
export PATH COUNTER
say 'starting a private daemon: aspacectl run -- sh scripts/demo-steps.sh'
exec aspacectl run -- sh scripts/demo-steps.sh
