#!/bin/sh
# Installs what is missing, builds and runs every test: sh scripts/test.sh [PRESET]   (debug unless told)
# The last line is "N passed, N failed"; the exit status is 0 only if all passed.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

preset=${1:-debug}
need_packages $BUILD_PACKAGES $TEST_PACKAGES
build "$preset" -DBUILD_TESTING=ON

log=build/$preset-tests.log
failed_run=build/$preset-tests.failed
rm -f "$failed_run"
{ ctest --preset "$preset" --output-on-failure --parallel "$(job_count)" </dev/null 2>&1 || touch "$failed_run"; } |
    tee "$log"

# "96% tests passed, 2 tests failed out of 50"
total=$(sed -n 's/.*tests passed, .* tests\{0,1\} failed out of \([0-9]*\).*/\1/p' "$log" | tail -n 1)
failed=$(sed -n 's/.*tests passed, \([0-9]*\) tests\{0,1\} failed out of .*/\1/p' "$log" | tail -n 1)
total=${total:-0}
failed=${failed:-0}
status=0
if [ -e "$failed_run" ] || [ "$total" = 0 ] || [ "$failed" != 0 ]; then
    status=1
fi
rm -f "$failed_run"
echo "$((total - failed)) passed, $failed failed"
exit $status
