# What the scripts here share: to be sourced by a POSIX shell, with `set -e` on or off.
# shellcheck shell=sh

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "$(basename "$0"): $*"
    exit 1
}

# have_package NAME: is it there, for this machine's architecture or that of NAME:ARCHITECTURE? A tool of that name on
# the PATH is as good as its package.
have_package() {
    case $1 in
    lib* | build-essential) ;;
    *) command -v "$1" >/dev/null 2>&1 && return 0 ;;
    esac
    case $1 in
    *:*) wanted=${1#*:} ;;
    *) wanted=$(dpkg --print-architecture) ;;
    esac
    dpkg-query -W -f '${Status} ${Architecture}\n' "$1" 2>/dev/null | grep -q " ok installed \($wanted\|all\)\$"
}

# need_packages NAME...: installs those that are missing, and touches nothing when none is.
need_packages() {
    missing=
    if ! command -v dpkg-query >/dev/null 2>&1; then
        for name in "$@"; do
            case $name in
            lib*-dev) ;; # CMake says it if it is not there
            *) command -v "$name" >/dev/null 2>&1 || missing="$missing $name" ;;
            esac
        done
        [ -z "$missing" ] || die "this is no Debian system, so please install these yourself:$missing" \
            "(and the development files of libuv, cJSON and cmocka)"
        return 0
    fi
    for name in "$@"; do
        have_package "$name" || missing="$missing $name"
    done
    [ -n "$missing" ] || return 0

    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1; then
        as_root=sudo
    else
        die "these packages are missing, and only root can install them:$missing"
    fi
    say "installing:$missing"
    # Word splitting is meant: no package name holds a blank.
    $as_root apt-get update -q </dev/null >&2 || die "apt-get update failed; needed:$missing"
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing </dev/null >&2 ||
        die "apt-get could not install:$missing"
}

# What every build needs, and what the tests need beside it.
BUILD_PACKAGES='gcc make libc6-dev cmake pkg-config libuv1-dev libcjson-dev'
TEST_PACKAGES='libcmocka-dev libsystemd-dev libseccomp-dev python3 python3-prometheus-client'

job_count() {
    getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2
}

# build PRESET [CMAKE OPTION...]: configures and builds it, quietly unless it fails.
build() {
    preset=$1
    shift
    say "building preset $preset"
    mkdir -p build
    if ! { cmake --preset "$preset" "$@" && cmake --build "build/$preset" --parallel "$(job_count)"; } \
        >"build/$preset.log" 2>&1 </dev/null; then
        cat "build/$preset.log" >&2
        die "the build of preset $preset failed"
    fi
}

# tests_of LOG: how many tests ctest ran and how many failed, from "96% tests passed, 2 tests failed out of 50".
tests_of() {
    sed -n 's/.*tests passed, \([0-9]*\) tests\{0,1\} failed out of \([0-9]*\).*/\2 \1/p' "$1" | tail -n 1
}

# run_tests PRESET [CTEST OPTION...]: its tests; the last line is "N passed, N failed", and the status is 0 only if all
# passed. A test that failed beside others gets a second run alone: if it passes then, it counts as passed and is named
# as unstable, so that a busy machine fails no change and nobody can overlook the test.
run_tests() {
    preset=$1
    shift
    log=build/$preset-tests.log
    again=build/$preset-again.log
    { ctest --preset "$preset" --output-on-failure "$@" </dev/null 2>&1 || :; } | tee "$log"
    ran=$(tests_of "$log")
    total=${ran% *}
    failed=${ran#* }
    if [ "${failed:-0}" != 0 ]; then
        say 'once more, alone, what failed:'
        { ctest --preset "$preset" --output-on-failure --rerun-failed </dev/null 2>&1 || :; } | tee "$again"
        sed -n 's/.* Test *#[0-9]*: \([^ ]*\) .*Passed.*/UNSTABLE: \1 failed beside other tests and passed alone/p' "$again"
        ran=$(tests_of "$again")
        failed=${ran#* }
        failed=${failed:-$total}
    fi
    echo "$((${total:-0} - ${failed:-0})) passed, ${failed:-0} failed"
    [ "${total:-0}" != 0 ] && [ "${failed:-1}" = 0 ]
}
