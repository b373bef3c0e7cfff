#!/bin/sh
# make.sh TEMPLATE VERSION PROGRAM...: the manual page on standard output. What the program's own help says is taken from it, so that
# it is written once: a line @HELP@ of the template becomes `PROGRAM --help`, @VERBS@ a subsection for each verb of
# `PROGRAM help`. PROGRAM may have an emulator before it.
set -eu
template=$1
version=$2
shift 2

# As it stands, whatever is in it.
verbatim() {
    echo .nf
    sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^[.']/\\\\\&&/"
    echo .fi
}

verbs() {
    "$@" help | awk '/^Verbs/ { inside = 1; next } inside && !NF { exit } inside { print $1 }'
}

while IFS= read -r line; do
    case $line in
    @HELP@)
        "$@" --help | verbatim
        ;;
    @VERBS@)
        for verb in $(verbs "$@"); do
            printf '.SS %s\n' "$verb"
            "$@" help "$verb" | verbatim
        done
        ;;
    *)
        printf '%s\n' "$line" | sed "s/@VERSION@/$version/"
        ;;
    esac
done <"$template"
