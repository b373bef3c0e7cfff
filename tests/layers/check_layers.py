#!/usr/bin/env python3
"""Fails on an include that the layers forbid: check_layers.py [--self-test] [ROOT]

A file includes only its own layer and those above it; quotes hold "layer/file.h" and nothing else; every header has a
guard named after its path. With --self-test forbidden things are planted in a copy, and each must be found.
"""
import os
import re
import shutil
import sys
import tempfile

# Folder: its name in includes. The longest folder that a path starts with is its layer.
FOLDERS = {
    "include/aspace": "aspace",
    "daemon/base": "base",
    "proto": "proto",
    "daemon/core": "core",
    "daemon/rpc": "rpc",
    "daemon/net": "net",
    "daemon": "daemon",
    "client": "client",
    "client/ctl": "ctl",
}
BACKENDS = "daemon/backend"

C_HEADERS = {
    "assert.h", "ctype.h", "errno.h", "float.h", "inttypes.h", "iso646.h", "limits.h", "math.h", "stdalign.h",
    "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "stdnoreturn.h", "string.h",
}
PURE = {"aspace", "proto", "core"}        # C's own headers and nothing of the system
UV = {"net", "daemon"}                    # who may include uv.h
CJSON = {"client", "ctl"}                 # who may include cJSON

INCLUDE = re.compile(r"^[ \t]*(?:#|%:|\?\?=)[ \t]*(?:include|include_next|import)\b[ \t]*(.*?)[ \t]*$", re.MULTILINE)
QUOTED = re.compile(r"[a-z][a-z0-9_]*/[a-z0-9_]+\.h")


def layers_of(root):
    """{layer: set of layers whose headers it may include} and {folder: layer}, with the backends that are there."""
    folders = dict(FOLDERS)
    backends = set()
    where = os.path.join(root, BACKENDS)
    if os.path.isdir(where):
        for name in sorted(os.listdir(where)):
            if os.path.isdir(os.path.join(where, name)):
                folders[BACKENDS + "/" + name] = name
                backends.add(name)
    house = {"aspace", "base"}
    allowed = {
        "aspace": {"aspace"},
        "base": house,
        "proto": house | {"proto"},
        "core": house | {"core"},
        "rpc": house | {"proto", "core", "rpc"} | backends,
        "net": house | {"proto", "core", "rpc", "net"} | backends,
        "daemon": house | {"proto", "core", "rpc", "net", "daemon"} | backends,
        "client": house | {"proto", "client"},
        "ctl": house | {"proto", "ctl"},
    }
    for name in backends:
        allowed[name] = house | {"core", name}
    return allowed, folders


def strip_comments(text):
    """Comments become blanks and newlines stay, so line numbers stay right; strings are kept whole."""
    pattern = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.DOTALL)

    def blank(match):
        found = match.group(0)
        return found if found[0] in "\"'" else re.sub(r"[^\n]", " ", found)

    return pattern.sub(blank, text.replace("\\\n", ""))


def source_files(root, folders):
    tops = sorted({folder.split("/")[0] for folder in folders})
    for top in tops:
        for folder, subfolders, names in os.walk(os.path.join(root, top)):
            subfolders.sort()
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def layer_of(path, folders):
    fitting = [folder for folder in folders if path.startswith(folder + "/")]
    folder = max(fitting, key=len, default=None)
    return folder, folders.get(folder)


def guard_problem(path, folder, layer, text):
    rest = path[len(folder) + 1:]
    guard = re.sub(r"[^A-Z0-9]", "_", (layer + "/" + rest).upper())
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if len(lines) < 3 or lines[0] != "#ifndef " + guard or lines[1] != "#define " + guard \
            or not lines[-1].startswith("#endif"):
        return "the guard must be %s, around all of the header" % guard
    return None


def include_problem(argument, layer, allowed, folders, root):
    if argument.startswith("<"):
        name = argument[1:argument.find(">")]
        if name.split("/")[0] in allowed and "/" in name:
            return "<%s> is ours: use quotes" % name
        if name == "uv.h" or name.startswith("uv/"):
            return None if layer in UV else "%s must not know libuv" % layer
        if name.lower().endswith("cjson.h") or "cjson/" in name.lower():
            return None if layer in CJSON else "%s must not know cJSON" % layer
        if layer in PURE and name not in C_HEADERS:
            return "%s may include C's own headers only, not <%s>" % (layer, name)
        return None
    if not argument.startswith('"'):
        return "an include must name its file, not %s" % (argument or "nothing")
    name = argument[1:argument.find('"', 1)]
    if not QUOTED.fullmatch(name):
        return '"%s" is not of the form "layer/file.h"' % name
    other = name.split("/")[0]
    if other not in allowed:
        return '"%s" names no layer' % name
    if other not in allowed[layer]:
        return '%s must not include %s ("%s")' % (layer, other, name)
    folder = next(folder for folder, its_layer in folders.items() if its_layer == other)
    if not os.path.isfile(os.path.join(root, folder, name.split("/")[1])):
        return '"%s" is not there' % name
    return None


def check(root):
    """A list of "path:line: problem"."""
    allowed, folders = layers_of(root)
    problems = []
    count = 0
    for path in source_files(root, folders):
        count += 1
        folder, layer = layer_of(path, folders)
        if layer is None:
            problems.append("%s:1: in no layer" % path)
            continue
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = strip_comments(file.read())
        for match in INCLUDE.finditer(text):
            problem = include_problem(match.group(1), layer, allowed, folders, root)
            if problem:
                problems.append("%s:%d: %s" % (path, text.count("\n", 0, match.start()) + 1, problem))
        if path.endswith(".h"):
            problem = guard_problem(path, folder, layer, text)
            if problem:
                problems.append("%s:1: %s" % (path, problem))
    if count == 0:
        problems.append("%s: no source files" % root)
    return problems


# What is planted: file, its text what the finding must say.
PLANTS = [
    ("daemon/core/planted.c", '#include "proto/json.h"\n', "core must not include proto"),
    ("daemon/core/planted.c", '#include <uv.h>\n', "core must not know libuv"),
    ("daemon/core/planted.c", '#include <cjson/cJSON.h>\n', "core must not know cJSON"),
    ("daemon/core/planted.c", '#include <sys/mman.h>\n', "C's own headers only"),
    ("daemon/core/planted.c", '#  include <unistd.h> /* no */\n', "C's own headers only"),
    ("daemon/core/planted.c", '/* a */ #include <time.h>\n', "C's own headers only"),
    ("daemon/core/planted.c", '#inc\\\nlude <poll.h>\n', "C's own headers only"),
    ("daemon/core/planted.c", '#include \\\n <poll.h>\n', "C's own headers only"),
    ("daemon/core/planted.c", '#include "core/../../proto/json.h"\n', 'of the form'),
    ("daemon/core/planted.c", '#include "../base/refusal.h"\n', 'of the form'),
    ("daemon/core/planted.c", '#include "range.h"\n', 'of the form'),
    ("daemon/core/planted.c", '#include "core/missing_file.h"\n', 'is not there'),
    ("daemon/core/planted.c", '#define H "proto/json.h"\n#include H\n', 'must name its file'),
    ("daemon/core/planted.c", '#include <proto/json.h>\n', 'is ours'),
    ("daemon/core/planted.h", '#ifndef WRONG_H\n#define WRONG_H\n#endif\n', 'guard must be CORE_PLANTED_H'),
    ("daemon/core/planted.h", 'int x;\n', 'guard must be CORE_PLANTED_H'),
    ("proto/planted.c", '#include "core/area.h"\n', "proto must not include core"),
    ("proto/planted.c", '#include <sys/socket.h>\n', "C's own headers only"),
    ("proto/planted.c", '#include <cjson/cJSON.h>\n', "proto must not know cJSON"),
    ("include/aspace/planted.c", '#include "base/refusal.h"\n', "aspace must not include base"),
    ("daemon/base/planted.c", '#include "core/area.h"\n', "base must not include core"),
    ("daemon/base/planted.c", '#include <uv.h>\n', "base must not know libuv"),
    ("daemon/backend/sim/planted.c", '#include "proto/json.h"\n', "sim must not include proto"),
    ("daemon/backend/sim/planted.c", '#include <uv.h>\n', "sim must not know libuv"),
    ("daemon/backend/other/planted.c", '#include "sim/sim.h"\n', "other must not include sim"),
    ("daemon/rpc/planted.c", '#include <uv.h>\n', "rpc must not know libuv"),
    ("daemon/net/planted.c", '#include "daemon/planted.h"\n', "net must not include daemon"),
    ("daemon/planted.c", '#include "client/planted.h"\n', "daemon must not include client"),
    ("client/planted.c", '#include "core/area.h"\n', "client must not include core"),
    ("client/ctl/planted.c", '#include "core/area.h"\n', "ctl must not include core"),
    ("client/ctl/planted.c", '#include "client/planted.h"\n', "ctl must not include client"),
]

# What must not be found.
FINE = [
    ("daemon/core/planted.c", '/* #include "proto/json.h" */\n// #include <uv.h>\n'),
    ("daemon/core/planted.c", 'const char *s = "\\n#include <uv.h>";\n#include <stdint.h>\n#include "core/range.h"\n'),
    ("daemon/net/planted.c", '#include <uv.h>\n#include "proto/json.h"\n#include "core/range.h"\n'),
    ("client/ctl/planted.c", '#include <cjson/cJSON.h>\n#include "aspace/client.h"\n#include "proto/methods.h"\n'),
    ("daemon/core/planted.h", '/* About. */\n#ifndef CORE_PLANTED_H\n#define CORE_PLANTED_H\n\n#endif\n'),
]


def copy_tree(root, target):
    for top in ("include", "proto", "daemon", "client"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            there = os.path.join(target, os.path.relpath(folder, root))
            os.makedirs(there, exist_ok=True)
            for name in names:
                if name.endswith((".c", ".h")):
                    shutil.copy(os.path.join(folder, name), there)


def planted(root, copy, path, text):
    """The findings of `copy` with `text` at `path`; the copy is then as it was."""
    where = os.path.join(copy, path)
    made = not os.path.isdir(os.path.dirname(where))
    os.makedirs(os.path.dirname(where), exist_ok=True)
    with open(where, "w", encoding="utf-8") as file:
        file.write(text)
    found = check(copy)
    os.remove(where)
    if made:
        os.rmdir(os.path.dirname(where))
    return found


def self_test(root):
    failures = []
    with tempfile.TemporaryDirectory() as copy:
        copy_tree(root, copy)
        if check(copy):
            return ["the copy of a good tree is found bad: " + check(copy)[0]]
        for path, text, wanted in PLANTS:
            found = planted(root, copy, path, text)
            if not any(line.startswith(path + ":") and wanted in line for line in found):
                failures.append("planted %r in %s, wanted %r, found %r" % (text, path, wanted, found))
        for path, text in FINE:
            found = planted(root, copy, path, text)
            if found:
                failures.append("%r in %s is fine, but found %r" % (text, path, found))
    return failures


def main(arguments):
    with_self_test = "--self-test" in arguments
    rest = [argument for argument in arguments if argument != "--self-test"]
    root = os.path.abspath(rest[0]) if rest else os.path.dirname(os.path.dirname(os.path.dirname(
        os.path.abspath(__file__))))
    problems = check(root)
    if not problems and with_self_test:
        problems = ["self-test: " + failure for failure in self_test(root)]
    for problem in problems:
        print(problem)
    if not problems:
        print("every include keeps to its layer")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
