#!/bin/sh
# Installs what is missing, builds and runs every test: sh scripts/test.sh [PRESET]   (debug unless told)
# The last line is "N passed, N failed"; the exit status is 0 only if all passed.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

preset=${1:-debug}
need_packages $BUILD_PACKAGES $TEST_PACKAGES
build "$preset" -DBUILD_TESTING=ON

run_tests "$preset" --parallel "$(job_count)"
