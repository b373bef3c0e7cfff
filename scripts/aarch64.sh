#!/bin/sh
# Builds for AArch64 on another machine and runs the tests, under QEMU's user emulation: sh scripts/aarch64.sh
# Unit tests by ctest, then a daemon of that build by the system tests that need nothing of its process. Some minutes.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

dpkg --print-foreign-architectures | grep -qx arm64 ||
    die "apt does not know arm64 here; as root: dpkg --add-architecture arm64 && apt-get update"
need_packages $BUILD_PACKAGES gcc-aarch64-linux-gnu qemu-user-static python3 \
    libuv1-dev:arm64 libcjson-dev:arm64 libcmocka-dev:arm64
build aarch64 -DBUILD_TESTING=ON
# QEMU notes something of every page that is mapped: what a test reserves beyond this the host must refuse.
(ulimit -v 33554432 && run_tests aarch64 --parallel "$(job_count)" -R '^test_')

# A path that runs a program of that build, also where the kernel cannot start it by itself.
for name in aspaced aspacectl; do
    printf '#!/bin/sh\nexec qemu-aarch64-static %s "$@"\n' "$PWD/build/aarch64/bin/$name" >"build/aarch64/$name"
    chmod +x "build/aarch64/$name"
done
ASPACED=$PWD/build/aarch64/aspaced
ASPACECTL=$PWD/build/aarch64/aspacectl
ASPACE_LIVE=0
export ASPACED ASPACECTL ASPACE_LIVE
for suite in live protocol methods machine transactions snapshot clone tables events inject; do
    say "system test $suite"
    python3 -B "tests/system/test_$suite.py" || die "system test $suite failed"
done
