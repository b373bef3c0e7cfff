"""Programs in managed runtimes (collectors, compilers, signals of their own), which check themselves, are edited by several
peers at once and come to no harm. CPython always; the others, `RUNTIMES=all`, where they are installed: it is said which
are not. ASPACE_SEED and ASPACE_STEPS repeat or lengthen a run."""
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading

import harness
from harness import ALREADY_EXISTS, PAGE, PATIENCE, Daemon, Peer, Refused, b64, hexa

PLACE = 0x10_0000_0000        # where the edits are made: nothing else is there
APART = 0x1_0000_0000         # of each peer's own
PAGES = 512
PEERS = 3
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "runtimes")


class Editor:
    """One peer's edits, in memory of its own."""

    def __init__(self, path, index, seed):
        self.peer = Peer(path)
        self.base = PLACE + index * APART
        self.random = random.Random(seed * PEERS + index)
        self.trouble = None

    def call(self, method, **params):
        return self.peer.call(method, space="live", **params)

    def flags(self):
        return self.random.choice(("r--", "rw-", "---"))

    def page(self, index):
        return hexa(self.base + index * PAGE)

    def edit_singly(self):
        data = self.random.randbytes(300)
        self.call("memory.write", addr=hexa(self.base + 100), data=b64(data))
        assert self.call("memory.read", addr=hexa(self.base + 100), size=300)["data"] == b64(data)
        for _ in range(20):
            self.call("area.protect", start=self.page(self.random.randrange(PAGES)), size=PAGE, flags=self.flags())

    def edit_together(self):
        self.call("space.apply", ops=[{"method": "area.protect",
                                       "params": {"start": self.page(i), "size": PAGE, "flags": "r--"}}
                                      for i in range(0, PAGES, 2)])
        areas = self.call("area.list", start=self.page(0), end=self.page(PAGES))["areas"]
        assert len(areas) == PAGES, len(areas)

    def edit_in_vain(self):
        before = self.call("area.list", start=self.page(0), end=self.page(PAGES))["areas"]
        ops = [{"method": "area.unmap", "params": {"start": self.page(0), "size": 4 * PAGE}},
               {"method": "area.protect", "params": {"start": self.page(8), "size": PAGE, "flags": "r--"}},
               {"method": "area.map", "params": {"start": self.page(16), "size": PAGE, "flags": "rw-"}}]
        try:
            self.call("space.apply", ops=ops)
            raise AssertionError("a page was mapped twice")
        except Refused as refused:
            assert refused.code == ALREADY_EXISTS, refused
        assert self.call("area.list", start=self.page(0), end=self.page(PAGES))["areas"] == before

    def move(self):
        self.call("area.move", start=self.page(0), new_start=self.page(2 * PAGES))
        self.call("area.split", at=self.page(2 * PAGES + 8))
        self.call("area.unmap", start=self.page(2 * PAGES), size=PAGES * PAGE)

    def run(self, steps):
        try:
            for _ in range(steps):
                self.call("area.map", start=self.page(0), size=PAGES * PAGE, flags="rw-", overlap="replace")
                self.random.choice((self.edit_singly, self.edit_together, self.edit_in_vain, self.move))()
                self.call("area.unmap", start=self.page(0), size=PAGES * PAGE)
        except BaseException as error:
            self.trouble = error
        finally:
            self.peer.close()


class Case(harness.Case):
    def setUp(self):
        self.daemon = Daemon().start()
        self.addCleanup(self.daemon.kill)
        self.seed = int(os.environ.get("ASPACE_SEED") or random.SystemRandom().randrange(1 << 32))
        self.steps = int(os.environ.get("ASPACE_STEPS") or 40)

    def edit(self, *command):
        print("seed %d (ASPACE_SEED repeats it)" % self.seed, file=sys.stderr)
        target = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        self.addCleanup(target.communicate)
        self.addCleanup(target.kill)
        self.assertEqual(target.stdout.readline(), "ready\n")
        with Peer(self.daemon.path) as peer:
            peer.call("space.create", name="live", pid=target.pid)
            editors = [Editor(self.daemon.path, index, self.seed) for index in range(PEERS)]
            threads = [threading.Thread(target=editor.run, args=(self.steps,)) for editor in editors]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual([editor.trouble for editor in editors], [None] * PEERS)
            self.assertIsNone(target.poll(), "it ended while it was edited")
            self.assertEqual(peer.call("space.check", space="live")["problems"], [])
            peer.call("space.destroy", space="live")
        out, _ = target.communicate("", timeout=PATIENCE)
        self.assertEqual((out, target.returncode), ("whole\n", 0))
        self.daemon.stop()


class CPython(Case):
    def test_cpython_comes_to_no_harm(self):
        self.edit(sys.executable, "-B", os.path.join(FOLDER, "check.py"))


class Others(Case):
    def tool(self, name):
        if not shutil.which(name):
            print("not run, for %s is not installed: %s" % (name, self.id()), file=sys.stderr)
            self.skipTest("no %s" % name)
        return name

    def test_go_comes_to_no_harm(self):
        folder = tempfile.mkdtemp(prefix="aspace-test-")
        self.addCleanup(shutil.rmtree, folder)
        program = os.path.join(folder, "check")
        subprocess.run([self.tool("go"), "build", "-o", program, os.path.join(FOLDER, "check.go")], check=True)
        self.edit(program)

    def test_node_comes_to_no_harm(self):
        self.edit(self.tool("node"), os.path.join(FOLDER, "check.js"))

    def test_java_comes_to_no_harm(self):
        self.tool("javac")
        self.edit("java", "-Xmx256m", os.path.join(FOLDER, "Check.java"))


if os.environ.get("RUNTIMES") != "all":
    del Others


if __name__ == "__main__":
    harness.main()
