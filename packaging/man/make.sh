#!/bin/sh
# make.sh TEMPLATE PROGRAM [VERSION]: the manual page on standard output. What the program's own help says is taken from it, so that
# it is written once: a line @HELP@ of the template becomes `PROGRAM --help`, @VERBS@ a subsection for each verb of
# `PROGRAM help`.
set -eu
template=$1
program=$2
version=$3

# As it stands, whatever is in it.
verbatim() {
    echo .nf
    sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^[.']/\\\\\&&/"
    echo .fi
}

verbs() {
    "$program" help | awk '/^Verbs/ { inside = 1; next } inside && !NF { exit } inside { print $1 }'
}

while IFS= read -r line; do
    case $line in
    @HELP@)
        "$program" --help | verbatim
        ;;
    @VERBS@)
        for verb in $(verbs); do
            printf '.SS %s\n' "$verb"
            "$program" help "$verb" | verbatim
        done
        ;;
    *)
        printf '%s\n' "$line" | sed "s/@VERSION@/$version/"
        ;;
    esac
done <"$template"
