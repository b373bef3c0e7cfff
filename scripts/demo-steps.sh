#!/bin/sh
# The demonstration's steps, for `aspacectl run -- sh scripts/demo-steps.sh`, which sets ASPACED_SOCKET: see demo.sh.
# Every step prints its command and what it answers. Any unexpected status ends the script with a failure.
set -eu

: "${ASPACED_SOCKET:?run this under: aspacectl run -- sh $0}"

target=
victim=
heard=
cleanup() {
    [ -z "$target" ] || kill "$target" 2>/dev/null || :
    [ -z "$victim" ] || kill "$victim" 2>/dev/null || :
    [ -z "$heard" ] || rm -f "$heard"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

title() {
    printf '\n# %s\n' "$*"
}

# step COMMAND...: shows it, runs it; it must succeed.
step() {
    printf '$ %s\n' "$*"
    "$@"
}

# refused COMMAND...: the same, but the daemon must refuse it (exit status 1).
refused() {
    printf '$ %s\n' "$*"
    status=0
    "$@" 2>&1 || status=$?
    if [ "$status" -ne 1 ]; then
        echo "expected a refusal (exit status 1), got exit status $status" >&2
        exit 1
    fi
    echo "(exit status 1, as it should be)"
}

# at START OFFSET: their sum, as an address.
at() {
    printf '0x%x' "$(($1 + $2))"
}

title 'A real process of our own'
sleep 600 &
target=$!
# It is a copy of this shell until it has replaced its image.
tries=0
while [ "$(cat "/proc/$target/comm")" != sleep ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || {
        echo "process $target never became sleep" >&2
        exit 1
    }
    sleep 0.05
done
printf '$ %s\n' "head -n 3 /proc/$target/maps"
head -n 3 "/proc/$target/maps"

title 'Its address space, imported into a simulated one'
step aspacectl create demo
step aspacectl import demo "$target"
step aspacectl areas demo
step aspacectl info demo

title 'A new area, where there is room'
step aspacectl free demo 1M
printf '$ %s\n' 'aspacectl --json map demo any 1M rw- --tag scratch'
reply=$(aspacectl --json map demo any 1M rw- --tag scratch)
printf '%s\n' "$reply"
start=$(printf '%s\n' "$reply" | sed -n 's/^{"start":"\(0x[0-9a-f]*\)".*/\1/p')
[ -n "$start" ] || {
    echo 'no start in that reply' >&2
    exit 1
}

title 'Part of it read-only, then split and shrunk'
step aspacectl protect demo "$(at "$start" 0x10000)" 64K r--
step aspacectl split demo "$(at "$start" 0x80000)"
step aspacectl shrink demo "$(at "$start" 0x80000)" 256K --right
step aspacectl find demo "$(at "$start" 0x80000)"

title 'Memory: written, read back, and the page walked as the hardware would'
step aspacectl write demo "$start" --hex 68656c6c6f2c20706167657321
step aspacectl read demo "$start" 13
step aspacectl walk demo "$start"
step aspacectl access demo "$start" write
step aspacectl access demo "$(at "$start" 0x10000)" write

title 'A refusal: something lies there already'
refused aspacectl map demo "$(at "$start" 0x8000)" 64K rw-

title 'Areas against page tables against frames'
step aspacectl check demo
step aspacectl destroy demo

if ! aspacectl call daemon.info | grep -q '"ptrace"'; then
    title 'The act with a live process is left out: this daemon was built without them'
    exit 0
fi
: "${COUNTER:?the path of examples/counter is wanted for the live act}"

# heard PATTERN: waits until the victim has said it, and shows the line.
hear() {
    tries=0
    while ! grep -m 1 "$1" "$heard"; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || {
            echo "the victim never said \"$1\"" >&2
            exit 1
        }
        sleep 0.05
    done
}

title 'And a live one: a program of ours that counts in a page of its own'
heard=$(mktemp)
"$COUNTER" 60 >"$heard" &
victim=$!
printf '$ %s\n' 'examples/counter &'
hear page
page=$(sed -n 's/^page //p' "$heard")
step aspacectl create live --pid "$victim"
step aspacectl areas live
step aspacectl find live "$page"

title 'Its page is taken from it while it runs; it notices at its next write'
step aspacectl protect live "$page" 4K r--
hear SIGSEGV

title 'And it is given back: the program goes on where it was'
step aspacectl protect live "$page" 4K rw-
hear 'writing again'
step aspacectl read live "$page" 4

title 'Memory in another process: what VirtualAllocEx does elsewhere'
printf '$ %s\n' 'aspacectl --json map live any 64K rw- --tag ours'
reply=$(aspacectl --json map live any 64K rw- --tag ours)
printf '%s\n' "$reply"
start=$(printf '%s\n' "$reply" | sed -n 's/^{"start":"\(0x[0-9a-f]*\)".*/\1/p')
step aspacectl write live "$start" 'hello from outside'
printf '$ %s\n' "grep ^0*${start#0x}- /proc/$victim/maps"
grep "^0*${start#0x}-" "/proc/$victim/maps"
step aspacectl unmap live "$start" 64K
step aspacectl destroy live
kill -0 "$victim"
echo "the program runs on, process $victim"
