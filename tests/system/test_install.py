"""The installed tree, moved after it was installed: the client library as a program outside finds it."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import harness
from harness import ASPACECTL, PATIENCE, SOURCE_DIR

PROGRAM = os.path.join(SOURCE_DIR, "tests", "system", "client_program.c")
CMAKE, CC, BUILD_DIR = os.environ["CMAKE"], os.environ["CC"], os.environ["BUILD_DIR"]
FLAGS = os.environ["LIBRARY_FLAGS"].split()  # a library with sanitizers wants them of the program, too

# Names that the library has inside, and a program may have as well.
OWN_NAMES = """
int json_string = 1, frame_init = 2, number_parse = 3, methods = 4;
"""

LISTS = """
cmake_minimum_required(VERSION 3.25)
project(outside C)
find_package(aspace-client %s REQUIRED)
add_executable(outside %s)
target_link_libraries(outside PRIVATE aspace::client)
"""


def run(*command, **more):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=10 * PATIENCE, encoding="utf-8", **more)
    assert done.returncode == 0, "%s: %s" % (" ".join(command), done.stdout)
    return done.stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="aspace-install-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        run(CMAKE, "--install", BUILD_DIR, "--prefix", os.path.join(cls.folder, "first"))
        cls.prefix = os.path.join(cls.folder, "moved")
        os.rename(os.path.join(cls.folder, "first"), cls.prefix)

    def found(self, name):
        for folder, _, names in os.walk(self.prefix):
            if name in names:
                return os.path.join(folder, name)
        self.fail("%s is not installed" % name)

    def version(self):
        return re.search(r'define ASPACE_VERSION +"(.+)"', self.header("version.h"))[1]

    def header(self, name):
        with open(self.found(name), encoding="utf-8") as file:
            return file.read()

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_a_program_is_built_with_what_pkg_config_says_and_runs(self):
        environment = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(self.found("aspace-client.pc")))
        flags = run("pkg-config", "--cflags", "--libs", "aspace-client", env=environment).split()
        self.assertEqual(run("pkg-config", "--modversion", "aspace-client", env=environment).strip(), self.version())
        program = os.path.join(self.folder, "outside")
        run(CC, *FLAGS, PROGRAM, self.file("names.c", OWN_NAMES), *flags, "-o", program)
        run(ASPACECTL, "run", "--", program)

    def test_a_program_is_built_with_cmakes_package_and_runs(self):
        source = os.path.join(self.folder, "package")
        os.mkdir(source)
        self.file("package/CMakeLists.txt", LISTS % (self.version(), PROGRAM))
        run(CMAKE, "-S", source, "-B", source, "-DCMAKE_PREFIX_PATH=" + self.prefix, "-DCMAKE_C_COMPILER=" + CC,
            "-DCMAKE_C_FLAGS=" + " ".join(FLAGS))
        run(CMAKE, "--build", source)
        run(ASPACECTL, "run", "--", os.path.join(source, "outside"))

    def test_the_library_has_no_names_but_those_of_its_header(self):
        functions = re.sub(r"(?m)^typedef .*$", "", self.header("client.h"))
        declared = set(re.findall(r"\b(aspace_\w+)\(", functions))
        listed = run("nm", "--extern-only", "--defined-only", self.found("libaspace-client.a"))
        self.assertEqual(set(re.findall(r"(?m) [A-Z] (\w+)$", listed)), declared)


if __name__ == "__main__":
    harness.main()
