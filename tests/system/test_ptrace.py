"""Spaces over live processes, through the socket. The target is a Python program of ours that does as it is told, so that
what the daemon says can be compared with what the target and the kernel say."""
import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import harness
from harness import (ALREADY_EXISTS, ASPACECTL, BAD_STATE, BUSY, CONFLICT, DENIED, INVALID_PARAM, INVALID_PARAMS, NO_MEMORY,
                     NOT_FOUND, PAGE, PATIENCE, UNSUPPORTED, Daemon, Peer, b64, hexa)

TARGET_GONE = 9
PLACE = 0x10_0000_0000        # where the tests map: nothing else is there
TOP = 1 << 47

PUPPET = r"""
import ctypes, os, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
def call(f, *a):
    r = f(*a)
    return -ctypes.get_errno() if r in (None, -1, 2**64 - 1) else r
def map_at(at, size, prot=3): return call(libc.mmap, at, size, prot, 0x32, -1, 0)
def unmap(at, size): return call(libc.munmap, at, size)
def protect(at, size, prot): return call(libc.mprotect, at, size, prot)
def get(at, size): return ctypes.string_at(at, size)
def put(at, data): ctypes.memmove(at, data, len(data))
def seal(at, size): return call(libc.syscall, ctypes.c_long(462), ctypes.c_void_p(at), ctypes.c_size_t(size), ctypes.c_long(0))
def spin(n):
    for i in range(n):
        threading.Thread(target=lambda: time.sleep(1000), daemon=True).start()
print("ready", flush=True)
def serve():
    for line in sys.stdin:
        print(repr(eval(line)), flush=True)
    os._exit(0)
def behead(): # goes on in another thread, while the first one ends
    threading.Thread(target=serve).start()
    print("0", flush=True)
    libc.syscall(60, 0)
serve()
"""


class Puppet:
    """A target: say(expression) is evaluated there."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-B", "-c", PUPPET], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, encoding="utf-8")
        self.pid = self.process.pid
        assert self.process.stdout.readline() == "ready\n"
        self.say("0")

    def say(self, expression):
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the target has died: %r" % self.process.wait(PATIENCE)
        return eval(line)

    def maps(self):
        """[(start, end, flags, offset, path)] as the kernel tells them, without what no area shows."""
        rows = []
        with open("/proc/%d/maps" % self.pid, encoding="utf-8") as file:
            for line in file:
                part = line.rstrip("\n").split(None, 5)
                start, end = (int(x, 16) for x in part[0].split("-"))
                if start >= TOP:
                    continue
                flags = part[1][:3] + (",shared" if part[1][3] == "s" else "")
                rows.append((start, end, flags, int(part[2], 16), part[5] if len(part) > 5 else ""))
        return rows

    def rests(self):
        """Whether every thread of its own waits where it will stay: for a line, or in time.sleep()."""
        for tid in os.listdir("/proc/%d/task" % self.pid):
            folder = "/proc/%d/task/%s/" % (self.pid, tid)
            with open(folder + "comm", encoding="utf-8") as comm, open(folder + "syscall", encoding="ascii") as call:
                # read, select, nanosleep, clock_nanosleep, pselect6
                if comm.read() != "aspaced-agent\n" and call.read().split()[0] not in ("0", "23", "35", "230", "270"):
                    return False
        return True

    def status(self, name):
        with open("/proc/%d/status" % self.pid, encoding="utf-8") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return line.split(":", 1)[1].strip()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def joined(rows):
    """Neighbours alike are one: an mprotect that fails for want of mappings may leave a border where it had begun."""
    after = []
    for row in rows:
        if after and not row[4] and after[-1][1] == row[0] and after[-1][2:] == row[2:]:
            after[-1] = (after[-1][0],) + row[1:]
        else:
            after.append(row)
    return after


def state_of(pid):
    with open("/proc/%d/stat" % pid, encoding="utf-8") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


def at(page):
    return PLACE + page * PAGE


class Live(harness.Case):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon().start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def setUp(self):
        self.peer = Peer(self.daemon.path)
        self.addCleanup(self.peer.close)
        self.puppet = self.new_puppet()
        self.space = self.attach(self.puppet.pid)

    def new_puppet(self):
        puppet = Puppet()
        self.addCleanup(puppet.kill)
        return puppet

    serial = 0

    def attach(self, pid, **more):
        Live.serial += 1
        name = "live-%d" % Live.serial
        self.peer.call("space.create", name=name, pid=pid, **more)
        self.addCleanup(lambda: self.peer.ask("space.destroy", {"space": name}))
        return name

    def call(self, method, **params):
        return self.peer.call(method, space=self.space, **params)

    def refused(self, code, method, **params):
        with self.assertRaises(harness.Refused) as caught:
            self.call(method, **params)
        self.assertError(caught.exception.error, code)
        return caught.exception.error

    def map(self, page, pages, flags="rw-", **more):
        return self.call("area.map", start=hexa(at(page)), size=hexa(pages * PAGE), flags=flags, **more)

    def areas(self, low=0, high=TOP):
        areas = self.call("area.list", start=hexa(low), end=hexa(high), limit=10000)["areas"]
        return [(int(a["start"], 16), int(a["end"], 16), a["flags"]) for a in areas]

    def ours(self):
        return self.areas(PLACE, at(4096))

    def kernel(self):
        """The kernel's rows where the tests map."""
        return [row[:3] for row in self.puppet.maps() if PLACE <= row[0] < at(4096)]


class Looking(Live):
    def test_the_areas_are_what_the_kernel_says(self):
        areas = self.call("area.list", limit=10000)["areas"]
        rows = self.puppet.maps()
        self.assertEqual([(int(a["start"], 16), int(a["end"], 16), a["flags"]) for a in areas], [r[:3] for r in rows])
        for area, row in zip(areas, rows):
            path = area.get("path", "")
            if path != "[aspaced]":
                self.assertEqual(path, row[4])
            if area["backing"] == "file":
                self.assertEqual(int(area["offset"], 16), row[3])
                self.assertTrue(path.startswith("/"), area)
        kinds = {a["backing"]: a for a in areas}
        self.assertLessEqual({"anon", "file", "heap", "stack", "special"}, set(kinds))
        self.assertIn("[vdso]", {a.get("path") for a in areas if a["backing"] == "special"})

    def test_the_space_tells_its_process(self):
        info = self.call("space.info")
        self.assertEqual((info["backend"], info["pid"]), ("ptrace", self.puppet.pid))
        self.assertNotIn("arch", info)
        self.assertEqual(info["areas"], len(self.puppet.maps()))
        self.assertGreater(int(info["resident"], 16), 0)
        self.assertIn("ptrace", self.peer.call("daemon.info")["backends"])

    def test_an_address_finds_its_area_or_the_next(self):
        self.puppet.say("map_at(%d, 8192)" % at(10))
        self.assertEqual(self.call("area.find", addr=hexa(at(11) + 5))["area"]["start"], hexa(at(10)))
        missed = self.call("area.find", addr=hexa(at(2)))
        self.assertIsNone(missed["area"])
        self.assertEqual(missed["next"]["start"], hexa(at(10)))

    def test_bytes_are_read_and_written_whatever_the_flags_are(self):
        self.map(0, 2)
        self.puppet.say("put(%d, b'hello')" % at(0))
        self.assertEqual(self.call("memory.read", addr=hexa(at(0)), size=5)["data"], b64(b"hello"))
        self.call("area.protect", start=hexa(at(0)), size=PAGE, flags="---")
        self.assertEqual(self.call("memory.read", addr=hexa(at(0)), size=5)["data"], b64(b"hello"))
        self.call("memory.write", addr=hexa(at(1) - 2), hex="01020304")
        self.assertEqual(self.puppet.say("get(%d, 2)" % at(1)), b"\3\4")
        self.refused(NOT_FOUND, "memory.write", addr=hexa(at(2) - 2), hex="05060708")
        self.assertEqual(self.puppet.say("get(%d, 2)" % (at(2) - 2)), b"\0\0")

    def test_an_access_is_answered_without_being_made(self):
        self.map(0, 2)
        ask = lambda page, kind: self.call("memory.access", addr=hexa(at(page)), kind=kind)
        self.assertEqual(ask(0, "read")["outcome"], "filled")
        self.puppet.say("put(%d, b'x')" % at(0))
        self.assertEqual(ask(0, "write")["outcome"], "hit")
        fault = ask(0, "exec")["fault"]
        self.assertEqual((fault["reason"], fault["code"], fault["area"]["start"]), ("protection", 21, hexa(at(0))))
        fault = ask(5, "write")["fault"]
        self.assertEqual((fault["reason"], fault["code"], fault["area"]), ("unmapped", 6, None))
        error = self.refused(UNSUPPORTED, "page.walk", addr=hexa(at(0)))
        self.assertIn("ptrace", error["message"])

    def test_a_check_finds_nothing(self):
        self.map(0, 3)
        self.assertEqual(self.call("space.check"), {"problems": [], "ok": True})


class Editing(Live):
    def test_a_mapping_appears_where_it_is_asked_for(self):
        reply = self.map(0, 4, "r--", tag="mine")
        self.assertEqual(reply["area"], {"start": hexa(at(0)), "end": hexa(at(4)), "size": "0x4000", "flags": "r--",
                                         "backing": "anon", "tag": "mine"})
        self.assertEqual(self.kernel(), [(at(0), at(4), "r--")])
        self.assertEqual(self.ours(), self.kernel())

    def test_a_mapping_is_placed_where_the_target_has_room(self):
        reply = self.call("area.map", size="64K", flags="rw-", within=[hexa(PLACE), hexa(at(4096))])
        self.assertEqual(self.kernel(), [(int(reply["start"], 16), int(reply["start"], 16) + 65536, "rw-")])
        other = self.call("area.map", size="64K", flags="rw-")
        start = int(other["start"], 16)
        self.assertGreaterEqual(start, 65536)
        # The kernel may have joined it with a neighbour.
        self.assertTrue([row for row in self.puppet.maps() if row[0] <= start and start + 65536 <= row[1] and row[2] == "rw-"],
                        self.puppet.maps())

    def test_what_is_placed_leaves_room_for_our_own_pages_of_other_spaces(self):
        for _ in range(80):
            reply = self.call("area.map", size="64K", flags="r--")
            self.assertGreaterEqual(int(reply["start"], 16), 4 << 20)
        other = self.attach(self.puppet.pid)
        self.peer.call("area.map", space=other, size="4K", flags="rw-")
        self.call("space.clear")

    def test_an_overlap_is_refused_or_replaced(self):
        self.map(0, 4)
        self.puppet.say("put(%d, b'left')" % at(0))
        error = self.refused(ALREADY_EXISTS, "area.map", start=hexa(at(2)), size="4K", flags="r--")
        self.assertEqual(error["data"]["conflict"]["start"], hexa(at(0)))
        self.map(2, 1, "r--", overlap="replace")
        self.assertEqual(self.kernel(), [(at(0), at(2), "rw-"), (at(2), at(3), "r--"), (at(3), at(4), "rw-")])
        self.assertEqual(self.ours(), self.kernel())
        self.assertEqual(self.puppet.say("get(%d, 4)" % at(0)), b"left")

    def test_flags_change_in_the_middle(self):
        self.map(0, 5)
        self.assertEqual(self.call("area.protect", start=hexa(at(1)), size=3 * PAGE, flags="-w")["changed"], 1)
        self.assertEqual(self.kernel(), [(at(0), at(1), "rw-"), (at(1), at(4), "r--"), (at(4), at(5), "rw-")])
        self.assertEqual(self.ours(), self.kernel())
        self.assertEqual(self.call("area.protect", start=hexa(at(0)), size=5 * PAGE, flags="rw-")["changed"], 1)
        self.assertEqual(self.kernel(), [(at(0), at(5), "rw-")])

    def test_unmapping_shrinking_and_splitting(self):
        self.map(0, 8)
        self.call("area.shrink", start=hexa(at(0)), new_size=6 * PAGE, side="right")
        self.call("area.shrink", start=hexa(at(0)), new_size=4 * PAGE, side="left")
        self.assertEqual(self.kernel(), [(at(2), at(6), "rw-")])
        split = self.call("area.split", at=hexa(at(4)))
        self.assertEqual(split["right"]["start"], hexa(at(4)))
        self.assertEqual(self.kernel(), [(at(2), at(6), "rw-")])
        self.assertEqual(self.ours(), [(at(2), at(4), "rw-"), (at(4), at(6), "rw-")])
        self.assertEqual(self.call("area.merge", start=hexa(at(0)), size=8 * PAGE)["merged"], 1)
        self.assertEqual(self.ours(), self.kernel())
        gone = self.call("area.unmap", start=hexa(at(0)), size=8 * PAGE)
        self.assertEqual((gone["unmapped"], gone["removed"]), ("0x4000", 1))
        self.assertEqual(self.kernel(), [])

    def test_a_move_takes_the_contents_along(self):
        self.map(0, 3)
        self.puppet.say("put(%d, b'moves')" % at(1))
        moved = self.call("area.move", start=hexa(at(0)), new_start=hexa(at(10)), new_size=5 * PAGE)
        self.assertEqual((moved["area"]["start"], moved["area"]["size"]), (hexa(at(10)), "0x5000"))
        self.assertEqual(self.kernel(), [(at(10), at(15), "rw-")])
        self.assertEqual(self.puppet.say("get(%d, 5)" % at(11)), b"moves")
        self.call("area.move", start=hexa(at(10)), new_size=2 * PAGE)
        self.call("area.move", start=hexa(at(10)), new_size=4 * PAGE)
        self.assertEqual(self.kernel(), [(at(10), at(14), "rw-")])
        self.assertEqual(self.puppet.say("get(%d, 5)" % at(11)), b"moves")
        self.assertEqual(self.ours(), self.kernel())

    def test_clear_takes_away_what_was_made_and_nothing_else(self):
        before = self.puppet.maps()
        self.map(0, 4)
        self.map(8, 1, "r--")
        self.call("area.split", at=hexa(at(2)))
        self.puppet.say("map_at(%d, 4096)" % at(20))
        self.call("area.protect", start=hexa(at(3)), size=PAGE, flags="r--")
        self.assertEqual(self.call("space.clear")["removed"], 4)
        self.assertEqual(self.kernel(), [(at(20), at(21), "rw-")])
        self.puppet.say("unmap(%d, 4096)" % at(20))
        self.assertEqual([row for row in self.puppet.maps() if row[4] != "[heap]"],
                         [row for row in before if row[4] != "[heap]"])

    def test_a_file_is_mapped_by_the_targets_own_rules(self):
        with tempfile.NamedTemporaryFile(prefix="aspace-file-") as file:
            file.write(b"a" * PAGE + b"b" * PAGE + b"c" * PAGE)
            file.flush()
            self.puppet.say("os.chdir(%r)" % os.path.dirname(file.name))
            reply = self.map(0, 2, "r--", path=os.path.basename(file.name), offset="4K", tag="the file")
            self.assertEqual((reply["area"]["backing"], reply["area"]["path"], reply["area"]["offset"]),
                             ("file", file.name, "0x1000"))
            self.assertEqual(self.puppet.say("get(%d, 2)" % (at(1) - 1)), b"bc")
            generation = self.call("space.info")["generation"]
            area = self.call("area.find", addr=hexa(at(1)))["area"]
            self.assertEqual((area["tag"], area["path"]), ("the file", file.name))
            self.assertEqual(self.call("space.info")["generation"], generation)
        error = self.refused(NOT_FOUND, "area.map", start=hexa(at(8)), size="4K", flags="r--", path="/no/such/file")
        self.assertEqual(error["data"]["param"], "path")
        self.refused(INVALID_PARAMS, "area.map", size="4K", flags="r--", offset="4K")
        self.assertEqual(len(os.listdir("/proc/%d/fd" % self.puppet.pid)), 3)

    def test_a_mapped_file_keeps_its_tag_whatever_its_name_and_when_it_is_unlinked(self):
        with tempfile.TemporaryDirectory(prefix="aspace-files-") as folder:
            for name in ("plain", "new\nline", "back\\slash"):
                path = os.path.join(folder, name)
                with open(path, "wb") as file:
                    file.write(b"x" * PAGE)
                self.map(0, 1, "r--", path=path, tag="kept")
                shown = path.replace("\n", "\\012")  # as the kernel's own list has it
                generation = self.call("space.info")["generation"]
                for area in (self.call("area.find", addr=hexa(at(0)))["area"],
                             self.call("area.list", start=hexa(PLACE), end=hexa(at(4096)))["areas"][0]):
                    self.assertEqual((area["path"], area["tag"]), (shown, "kept"))
                self.assertEqual(self.call("space.info")["generation"], generation)
                os.unlink(path)
                area = self.call("area.find", addr=hexa(at(0)))["area"]
                self.assertEqual((area["path"], area["tag"]), (shown + " (deleted)", "kept"))
                self.assertEqual(self.call("space.clear")["removed"], 1)
                self.assertEqual(self.kernel(), [])

    def test_a_path_too_long_to_be_asked_for_is_read_all_the_same(self):
        with tempfile.TemporaryDirectory(prefix="aspace-deep-") as folder:
            self.puppet.say("os.chdir(%r)" % folder)
            self.puppet.say("[(os.mkdir('d' * 200), os.chdir('d' * 200)) for i in range(30)] and 0")
            self.puppet.say("open('f', 'wb').write(b'x' * 4096)")
            self.assertEqual(self.puppet.say("call(libc.mmap, %d, 4096, 1, 0x12, os.open('f', 0), 0)" % at(0)), at(0))
            self.assertEqual(self.call("area.find", addr=hexa(at(0)))["area"]["size"], "0x1000")
            self.call("area.protect", start=hexa(at(0)), size=PAGE, flags="---")
            self.assertEqual(self.ours(), [(at(0), at(1), "---")])

    def test_huge_pages_are_moved_as_wholes(self):
        with open("/proc/sys/vm/nr_hugepages", encoding="ascii") as file:
            before = file.read()
        def reserve(count):
            with open("/proc/sys/vm/nr_hugepages", "w", encoding="ascii") as file:
                file.write(count)
        try:
            reserve("4")
        except OSError as error:
            self.skipTest("no huge pages may be reserved: %s" % error)
        self.addCleanup(reserve, before)
        if self.puppet.say("call(libc.mmap, %d, 2 << 20, 3, 0x40032, -1, 0)" % at(512)) != at(512):
            self.skipTest("the machine has no huge pages left")
        self.call("area.split", at=hexa(at(513)))
        error = self.refused(BAD_STATE, "area.move", start=hexa(at(512)), new_start=hexa(at(2048)))
        self.assertIn("huge", error["message"])
        self.assertEqual(self.kernel(), [(at(512), at(1024), "rw-")])
        self.refused(BAD_STATE, "space.apply", ops=[
            {"method": "area.unmap", "params": {"start": hexa(at(512)), "size": PAGE}},
            {"method": "area.map", "params": {"start": hexa(at(0)), "size": PAGE, "flags": "r--"}}])
        self.assertEqual(self.kernel(), [(at(512), at(1024), "rw-")])
        self.call("area.unmap", start=hexa(at(512)), size="2M")
        self.assertEqual(self.kernel(), [])

    def test_our_pages_of_another_space_are_left_alone_too(self):
        other = self.attach(self.puppet.pid)
        self.map(0, 1)
        self.peer.call("area.map", space=other, start=hexa(at(2)), size=PAGE, flags="rw-")
        for space in (self.space, other):
            areas = self.peer.call("area.list", space=space, end=hexa(1 << 22), limit=100)["areas"]
            own = [a for a in areas if a.get("path") == "[aspaced]"]
            self.assertEqual(len(own), 4, areas)
            for area in own:
                error = self.peer.ask("area.protect", {"space": space, "start": area["start"], "size": area["size"],
                                                       "flags": "---"})["error"]
                self.assertError(error, DENIED)
        self.map(4, 1)
        self.assertEqual(self.puppet.say("1 + 1"), 2)

    def test_a_target_that_forbids_our_pages_lives_on(self):
        self.map(0, 1)
        areas = self.call("area.list", end=hexa(1 << 22), limit=100)["areas"]
        code, data = [int(a["start"], 16) for a in areas if a.get("path") == "[aspaced]"]
        self.puppet.say("protect(%d, 4096, 1), protect(%d, 4096 * 6, 1)" % (code, data))
        error = self.refused(BUSY, "area.map", start=hexa(at(2)), size=PAGE, flags="rw-")
        self.assertIn("try again", error["data"]["hint"])
        self.map(2, 1)
        self.puppet.say("[protect(a, 4096 * 6, 1) for a in range(%d, %d, 4096) if a %% 65536 == 4096]" % (1 << 17, data))
        self.call("space.apply", ops=[{"method": "area.map", "params": {"start": hexa(at(10 + 2 * i)), "size": PAGE,
                                                                         "flags": "rw-"}} for i in range(20)])
        self.assertEqual(len(self.kernel()), 22)
        self.assertEqual(self.puppet.say("1 + 1"), 2)

    def test_a_target_that_forbids_our_code_lives_on_when_many_edits_come_at_once(self):
        self.map(0, 1)
        code = [int(a["start"], 16) for a in self.call("area.list", end=hexa(1 << 22))["areas"]
                if a.get("path") == "[aspaced]" and "x" in a["flags"]][0]
        self.puppet.say("protect(%d, 4096, 1)" % code)
        ops = [{"method": "area.map", "params": {"start": hexa(at(10 + 2 * i)), "size": PAGE, "flags": "rw-"}}
               for i in range(20)]
        self.refused(BUSY, "space.apply", ops=ops)
        self.assertEqual(len(self.kernel()), 1)
        self.call("space.apply", ops=ops)
        self.assertEqual(len(self.kernel()), 21)
        self.assertEqual(self.puppet.say("1 + 1"), 2)

    def test_what_a_live_process_cannot_have_is_unsupported(self):
        self.refused(UNSUPPORTED, "area.map", size="4K", flags="rw-,kernel")
        self.refused(UNSUPPORTED, "area.map", size="4K", flags="rw-", backing="eager")
        self.map(0, 1)
        self.refused(UNSUPPORTED, "area.protect", start=hexa(at(0)), size="4K", flags="+global")

    def test_what_the_kernel_and_the_threads_need_is_left_alone(self):
        areas = self.call("area.list", limit=10000)["areas"]
        vdso = [a for a in areas if a.get("path") == "[vdso]"][0]
        self.refused(DENIED, "area.protect", start=vdso["start"], size=vdso["size"], flags="rw-")
        self.refused(DENIED, "area.unmap", start=vdso["start"], size=vdso["size"])
        stack = [a for a in areas if a["backing"] == "stack"][0]
        error = self.refused(DENIED, "area.unmap", start=stack["start"], size=stack["size"])
        self.assertIn("stack pointer", error["message"])
        own = [a for a in self.call("area.list", limit=10000)["areas"] if a.get("path") == "[aspaced]"]
        self.assertTrue(1 <= sum(int(a["size"], 16) for a in own) // PAGE <= 16, own)
        self.refused(DENIED, "area.unmap", start=own[0]["start"], size=own[0]["size"])
        self.assertEqual(self.puppet.say("1 + 1"), 2)

    def test_the_kernels_refusals_come_with_a_hint(self):
        self.map(0, 3)
        if self.puppet.say("seal(%d, 4096)" % at(1)) == 0:
            before = self.puppet.maps()
            error = self.refused(DENIED, "area.protect", start=hexa(at(0)), size=3 * PAGE, flags="r--")
            self.assertIn("mseal", error["data"]["hint"])
            self.assertEqual(self.puppet.maps(), before)  # the pages before the seal are as they were
            self.refused(DENIED, "area.unmap", start=hexa(at(0)), size=3 * PAGE)
            self.assertEqual(self.puppet.maps(), before)
        error = self.refused(NO_MEMORY, "area.map", start=hexa(at(8)), size="50T", flags="rw-")
        self.assertIn("RLIMIT_AS", error["data"]["hint"])

    def test_merge_auto_joins_what_is_alike(self):
        self.space = self.attach(self.new_puppet().pid, merge="auto")
        self.map(0, 1)
        self.map(1, 1)
        self.assertEqual(self.ours(), [(at(0), at(2), "rw-")])


class Together(Live):
    def ops(self, *ops, **more):
        return self.call("space.apply", ops=[{"method": method, "params": params} for method, params in ops], **more)

    def test_an_apply_is_one_generation_and_all_of_it(self):
        self.map(0, 8)
        self.puppet.say("put(%d, b'kept')" % at(6))
        before = self.call("space.info")["generation"]
        reply = self.ops(("area.unmap", {"start": hexa(at(0)), "size": 2 * PAGE}),
                         ("area.protect", {"start": hexa(at(4)), "size": PAGE, "flags": "r--"}),
                         ("area.map", {"start": hexa(at(1)), "size": PAGE, "flags": "r-x"}),
                         ("area.move", {"start": hexa(at(5)), "new_start": hexa(at(20))}))
        self.assertEqual(reply["generation"], before + 1)
        self.assertEqual(self.kernel(), [(at(1), at(2), "r-x"), (at(2), at(4), "rw-"), (at(4), at(5), "r--"),
                                         (at(20), at(23), "rw-")])
        self.assertEqual(self.ours(), self.kernel())
        self.assertEqual(self.puppet.say("get(%d, 4)" % at(21)), b"kept")

    def test_what_the_kernel_refuses_at_the_end_is_undone_from_the_start(self):
        self.map(0, 4)
        self.map(8, 1)
        self.map(30, 2)
        self.puppet.say("put(%d, b'first'), put(%d, b'moved')" % (at(1), at(30)))
        if self.puppet.say("seal(%d, 4096)" % at(8)) != 0:
            self.skipTest("the kernel has no mseal: " + os.uname().release)
        before = self.puppet.maps()
        generation = self.call("space.info")["generation"]
        with self.assertRaises(harness.Refused) as caught:
            self.ops(("area.unmap", {"start": hexa(at(1)), "size": 2 * PAGE}),
                     ("area.map", {"start": hexa(at(1)), "size": PAGE, "flags": "r-x"}),
                     ("area.protect", {"start": hexa(at(0)), "size": PAGE, "flags": "r--"}),
                     ("area.move", {"start": hexa(at(30)), "new_start": hexa(at(40))}),
                     ("area.protect", {"start": hexa(at(8)), "size": PAGE, "flags": "r--"}))
        self.assertError(caught.exception.error, DENIED)
        self.assertIn("seal", caught.exception.data["hint"])
        self.assertEqual(self.puppet.maps(), before)
        self.assertEqual(self.call("space.info")["generation"], generation)
        self.assertEqual(self.puppet.say("get(%d, 5)" % at(1)), b"first")
        self.assertEqual(self.puppet.say("get(%d, 5)" % at(30)), b"moved")
        self.assertEqual(self.call("space.check")["problems"], [])

    def test_what_comes_to_no_end_in_time_is_undone_from_the_start(self):
        size = 2 << 30
        self.map(0, 1)
        self.call("area.map", start=hexa(at(16)), size=hexa(size), flags="rw-")
        self.puppet.say("put(%d, b'first')" % at(0))
        # MADV_NOHUGEPAGE, MADV_POPULATE_READ: half a million entries for the page of zeros, so that 8000 changes take
        # far longer than the deadline on any machine, and no memory.
        for advice in (15, 22):
            self.puppet.say("libc.madvise(ctypes.c_void_p(%d), ctypes.c_size_t(%d), %d)" % (at(16), size, advice))
        before = self.puppet.maps()
        generation = self.call("space.info")["generation"]
        with self.assertRaises(harness.Refused) as caught:
            self.ops(("area.unmap", {"start": hexa(at(0)), "size": PAGE}),
                     *[("area.protect", {"start": hexa(at(16)), "size": size, "flags": flags})
                       for _ in range(4000) for flags in ("r--", "rw-")])
        self.assertError(caught.exception.error, harness.TIMEOUT)
        self.assertEqual(self.puppet.maps(), before)
        self.assertEqual(self.call("space.info")["generation"], generation)
        self.assertEqual(self.puppet.say("get(%d, 5)" % at(0)), b"first")
        self.map(2, 1)

    def test_near_the_limit_of_mappings_an_apply_is_all_or_nothing_too(self):
        with open("/proc/sys/vm/max_map_count", encoding="ascii") as file:
            most = int(file.read())
        if most > 200000:
            self.skipTest("vm.max_map_count is %d here" % most)
        for page in (0, 8, 16, 24):
            self.map(page, 3)
            self.puppet.say("put(%d, b'kept')" % at(page + 1))
        self.map(40, 40)
        self.puppet.say("[map_at(%d + 2 * 4096 * i, 4096) for i in range(%d)][-1]" % (at(4096), most))
        outcomes = set()
        for left in (4, 6, 7, 8, 9, 11, 24):  # mappings that fit still
            self.puppet.say("[unmap(%d + 2 * 4096 * i, 4096) for i in range(%d)][-1]" % (at(4096), left))
            before = joined(self.puppet.maps())
            reply = self.peer.ask("space.apply", {"space": self.space, "ops": [
                {"method": "area.unmap", "params": {"start": hexa(at(1)), "size": PAGE}},
                {"method": "area.unmap", "params": {"start": hexa(at(9)), "size": PAGE}},
                {"method": "area.move", "params": {"start": hexa(at(16)), "new_start": hexa(at(30))}},
                {"method": "area.unmap", "params": {"start": hexa(at(25)), "size": PAGE}},
                *[{"method": "area.protect", "params": {"start": hexa(at(41 + 2 * i)), "size": PAGE, "flags": "r--"}}
                  for i in range(15)]]})
            self.assertError(reply.get("error"), NO_MEMORY)
            outcomes.add(reply["error"]["message"].split()[3])
            self.assertTrue(joined(self.puppet.maps()) == before, "something was left behind with %d left" % left)
            for page in (0, 8, 16, 24):
                self.assertEqual(self.puppet.say("get(%d, 4)" % at(page + 1)), b"kept")
        self.assertIn("mremap", outcomes)
        self.assertIn("mprotect", outcomes)

    def test_a_dry_run_changes_nothing(self):
        self.map(0, 4)
        before = self.puppet.maps()
        reply = self.ops(("area.unmap", {"start": hexa(at(1)), "size": PAGE}), dry_run=True)
        self.assertEqual((reply["would"]["split"], reply["would"]["areas"]), (2, 1))
        self.assertEqual(self.puppet.maps(), before)
        self.assertEqual(self.puppet.say("1 + 1"), 2)

    def test_256_edits_are_made_in_one_stop(self):
        self.ops(*[("area.map", {"start": hexa(at(2 * i)), "size": PAGE, "flags": "rw-"}) for i in range(256)])
        self.assertEqual(len(self.kernel()), 256)
        self.ops(*[("area.unmap", {"start": hexa(at(2 * i)), "size": PAGE}) for i in range(256)])
        self.assertEqual(self.kernel(), [])

    def test_edits_by_tag(self):
        for page in (0, 4, 8):
            self.map(page, 1, tag="t")
        self.map(2, 1)
        self.assertEqual(self.call("area.protect", tag="t", flags="r--")["changed"], 3)
        self.assertEqual(self.call("area.unmap", tag="t")["removed"], 3)
        self.assertEqual(self.kernel(), [(at(2), at(3), "rw-")])


class Drift(Live):
    def test_what_the_target_does_itself_is_seen_at_the_next_request(self):
        before = self.call("space.info")["generation"]
        self.puppet.say("map_at(%d, 16384)" % at(0))
        self.assertEqual(self.ours(), [(at(0), at(4), "rw-")])
        after = self.call("space.info")["generation"]
        self.assertGreater(after, before)
        self.puppet.say("protect(%d, 4096, 1)" % at(1))
        self.assertEqual(self.call("area.find", addr=hexa(at(1)))["area"]["flags"], "r--")
        self.puppet.say("unmap(%d, 4096)" % at(3))
        self.assertEqual(self.ours(), self.kernel())
        self.assertEqual(self.call("space.sync")["areas"], len(self.puppet.maps()))

    def test_tags_and_splits_outlive_what_the_target_does_elsewhere(self):
        self.map(0, 4, tag="t")
        self.call("area.split", at=hexa(at(2)))
        self.puppet.say("map_at(%d, 4096)" % at(10))
        self.puppet.say("protect(%d, 4096, 1)" % at(3))
        areas = self.call("area.list", start=hexa(PLACE), end=hexa(at(4096)))["areas"]
        self.assertEqual([(a["start"], a.get("tag")) for a in areas],
                         [(hexa(at(0)), "t"), (hexa(at(2)), "t"), (hexa(at(3)), "t"), (hexa(at(10)), None)])

    def test_an_edit_that_met_drift_is_stopped_by_if_generation(self):
        generation = self.call("space.info")["generation"]
        self.puppet.say("map_at(%d, 4096)" % at(0))
        self.refused(CONFLICT, "area.unmap", start=hexa(at(0)), size=PAGE, if_generation=generation)
        self.assertEqual(len(self.kernel()), 1)
        with self.assertRaises(harness.Refused) as caught:
            self.call("space.apply", if_generation=generation,
                      ops=[{"method": "area.unmap", "params": {"start": hexa(at(0)), "size": PAGE}}])
        self.assertError(caught.exception.error, CONFLICT)
        self.assertEqual(self.puppet.say("2 + 2"), 4)  # it is not left stopped

    def test_an_exec_is_target_gone_until_the_space_is_synced(self):
        self.map(0, 1)
        self.puppet.process.stdin.write("os.execv(sys.executable, [sys.executable, '-c', "
                                        "'print(7, flush=True); input(); print(8, flush=True); input()'])\n")
        self.puppet.process.stdin.flush()
        self.assertEqual(self.puppet.process.stdout.readline(), "7\n")
        error = self.refused(TARGET_GONE, "area.list")
        self.assertIn("space.sync", error["data"]["hint"])
        self.call("space.sync")
        self.assertEqual(self.ours(), [])
        self.map(0, 1)
        self.assertEqual(len(self.kernel()), 1)
        self.puppet.process.stdin.write("\n")
        self.puppet.process.stdin.flush()
        self.assertEqual(self.puppet.process.stdout.readline(), "8\n")

    def test_a_target_that_has_exited_is_gone(self):
        self.map(0, 1)
        self.puppet.process.kill()
        self.eventually(lambda: self.puppet.status("State")[0] == "Z", "a zombie")
        self.refused(TARGET_GONE, "area.list")
        self.puppet.process.wait()
        self.refused(TARGET_GONE, "area.map", size="4K", flags="rw-")
        self.refused(TARGET_GONE, "space.sync")
        self.call("space.destroy")


class Coming(Live):
    def test_a_target_that_takes_long_to_exit_has_not_executed_another_program(self):
        for _ in range(4):
            puppet = self.new_puppet()
            space = self.attach(puppet.pid)
            puppet.say("map_at(%d, 200 << 20) and [put(a, b'x') for a in range(%d, %d, 4096)] and 0" %
                       (PLACE, PLACE, PLACE + (200 << 20)))
            os.kill(puppet.pid, signal.SIGKILL)
            messages = []

            def seen_to_exit():
                error = self.peer.ask("area.find", {"space": space, "addr": hexa(PLACE)}).get("error")
                messages.append(error["message"] if error else "")
                return "exited" in messages[-1]
            self.eventually(lambda: any(seen_to_exit() for _ in range(50)), "the target's end")
            self.assertFalse([m for m in messages if "exec" in m], messages)

    def test_targets_that_cannot_be_had_are_refused_with_the_reason(self):
        def refused(code, pid):
            reply = self.peer.ask("space.create", {"name": "no", "pid": pid})
            self.assertError(reply.get("error"), code)
            return reply["error"]["message"]
        refused(harness.UNSUPPORTED, self.daemon.process.pid)
        self.assertIn("kernel", refused(harness.UNSUPPORTED, 2))
        refused(INVALID_PARAM, 1 << 30)
        zombie = subprocess.Popen(["true"])
        self.eventually(lambda: state_of(zombie.pid) == "Z", "a zombie")
        refused(TARGET_GONE, zombie.pid)
        zombie.wait()
        refused(INVALID_PARAM, zombie.pid)

    def test_a_target_that_is_traced_already_is_busy(self):
        other = self.new_puppet()
        libc = __import__("ctypes").CDLL(None)
        self.assertEqual(libc.ptrace(0x4206, other.pid, 0, 0), 0)  # PTRACE_SEIZE
        reply = self.peer.ask("space.create", {"name": "no", "pid": other.pid})
        self.assertError(reply.get("error"), BUSY)
        self.assertIn(str(os.getpid()), reply["error"]["message"])

    def test_a_target_with_a_filter_is_refused_or_its_filter_sleeps(self):
        # A filter that refuses mmap (9) with EPERM and allows all else.
        other = self.new_puppet()
        other.say("exec(%r, globals())" % """
import struct
def bpf(*code): return b"".join(struct.pack("HBBI", *one) for one in code)
program = ctypes.create_string_buffer(bpf((0x20, 0, 0, 0), (0x15, 0, 1, 9), (0x06, 0, 0, 0x00050001),
                                          (0x06, 0, 0, 0x7fff0000)))
fprog = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(program)))
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, fprog, 0, 0) == 0
""")
        self.assertEqual(other.say("map_at(%d, 4096)" % at(0)), -1)
        reply = self.peer.ask("space.create", {"name": "no", "pid": other.pid})
        self.assertError(reply.get("error"), UNSUPPORTED)
        self.space = self.attach(other.pid, seccomp="suspend")
        self.map(0, 1)
        other.say("put(%d, b'x')" % at(0))
        self.assertEqual(other.say("map_at(%d, 4096)" % at(2)), -1)  # the filter is awake again

    def test_nonsense_is_refused_by_its_name(self):
        for params, param in (({"pid": 1, "command": ["x"]}, "pid"), ({"backend": "ptrace"}, "pid"),
                              ({"pid": 1, "ram": "1M"}, "ram"), ({"pid": 1, "keep": True}, "keep"),
                              ({"keep": True}, "keep"), ({"command": []}, "command"), ({"command": [1]}, "command"),
                              ({"command": "x"}, "command"), ({"pid": 1, "backend": "sim"}, "backend")):
            reply = self.peer.ask("space.create", dict(params, name="no"))
            self.assertError(reply.get("error"), INVALID_PARAMS)
            self.assertEqual(reply["error"]["data"].get("param"), param, params)
        self.assertError(self.peer.ask("space.create", {"name": "no", "command": ["/no/such/program"]})["error"],
                         INVALID_PARAM)
        self.assertError(self.peer.ask("space.create", {"name": "no", "pid": 0})["error"], INVALID_PARAM)

    def test_a_started_program_waits_for_resume_and_dies_with_its_space(self):
        with tempfile.TemporaryDirectory(prefix="aspace-test-") as folder:
            mark = os.path.join(folder, "mark")
            made = self.peer.call("space.create", name="child",
                                  command=["sh", "-c", "echo here > \"$0\"; exec sleep 1000", mark])
            self.space = "child"
            self.assertGreater(made["areas"], 0)
            reply = self.map(0, 2)
            self.assertEqual(reply["area"]["flags"], "rw-")
            time.sleep(0.2)
            self.assertFalse(os.path.exists(mark))
            self.call("space.resume")
            self.eventually(lambda: os.path.exists(mark), "that the program runs")
            pid = made["pid"]
            os.kill(pid, 0)
            self.call("space.destroy")
            self.eventually(lambda: not os.path.exists("/proc/%d" % pid), "the program's end")

    def test_a_kept_program_outlives_its_space(self):
        made = self.peer.call("space.create", name="kept", command=["sleep", "1000"], keep=True)
        self.addCleanup(os.kill, made["pid"], signal.SIGKILL)
        self.peer.call("space.resume", space="kept")
        self.peer.call("space.destroy", space="kept")
        self.eventually(lambda: state_of(made["pid"]) == "S", "that it sleeps")


class Going(Live):
    def test_a_kept_program_is_reaped_when_it_ends(self):
        pid = self.peer.call("space.create", name="brief", command=["cat", "/dev/null"], keep=True)["pid"]
        self.peer.call("space.destroy", space="brief")
        self.eventually(lambda: not os.path.exists("/proc/%d" % pid), "no zombie is left")

    def test_after_destroy_no_trace_is_left(self):
        other = self.new_puppet()
        other.say("spin(3)")
        other.say("os.getpid()")
        self.eventually(other.rests, "threads at rest")
        before = (other.maps(), other.status("SigBlk"), other.status("SigCgt"), other.status("TracerPid"),
                  other.status("Threads"), sorted(os.listdir("/proc/%d/fd" % other.pid)))
        space = self.attach(other.pid)
        self.peer.call("area.map", space=space, start=hexa(at(0)), size="4K", flags="rw-")
        self.peer.call("area.unmap", space=space, start=hexa(at(0)), size="4K")
        self.peer.call("space.destroy", space=space)
        after = (other.maps(), other.status("SigBlk"), other.status("SigCgt"), other.status("TracerPid"),
                 other.status("Threads"), sorted(os.listdir("/proc/%d/fd" % other.pid)))
        self.assertEqual(before, after)

    def test_a_target_outlives_a_daemon_that_is_killed_and_is_cleaned_by_the_next(self):
        target = self.new_puppet()
        target.say("os.getpid()")
        before = target.maps()
        with tempfile.TemporaryDirectory(prefix="aspace-test-") as folder:
            for round_ in range(5):
                daemon = Daemon(path=os.path.join(folder, "s")).start()
                with Peer(daemon.path) as peer:
                    peer.call("space.create", name="x", pid=target.pid)
                    peer.send("".join(harness.request_text("area.map", {"space": "x", "size": "4K", "flags": "r--"}) + "\n"
                                      for _ in range(50)))
                    for _ in range(round_ * 9):
                        peer.line()
                daemon.kill()
                self.assertEqual(target.say("%d * 2" % round_), round_ * 2)
            with Daemon(path=os.path.join(folder, "s2")) as daemon, Peer(daemon.path) as peer:
                peer.call("space.create", name="x", pid=target.pid)
                for area in peer.call("area.list", space="x", limit=10000)["areas"]:
                    start = int(area["start"], 16)
                    if area["backing"] == "anon" and area["flags"] == "r--" and \
                            not any(row[0] <= start < row[1] for row in before):
                        peer.call("area.unmap", space="x", start=area["start"], size=area["size"])
                peer.call("space.destroy", space="x")
            self.assertEqual(target.maps(), before)
            self.assertEqual(target.say("6 * 7"), 42)

    def test_the_daemons_end_leaves_no_trace_either(self):
        target = self.new_puppet()
        target.say("os.getpid()")
        before = target.maps()
        with Daemon() as daemon, Peer(daemon.path) as peer:
            peer.call("space.create", name="x", pid=target.pid)
            peer.call("area.list", space="x")
            made = peer.call("space.create", name="y", command=["sleep", "1000"])
        self.assertEqual(target.maps(), before)
        self.eventually(lambda: not os.path.exists("/proc/%d" % made["pid"]), "the started program's end")


class Agent(Live):
    def switches(self, puppet):
        """How often its threads, but ours, have been switched away: none runs, so who stops one counts it up."""
        total = 0
        for tid in os.listdir("/proc/%d/task" % puppet.pid):
            with open("/proc/%d/task/%s/status" % (puppet.pid, tid), encoding="utf-8") as file:
                lines = dict(line.split(":", 1) for line in file)
            if lines["Name"].strip() != "aspaced-agent":
                total += int(lines["voluntary_ctxt_switches"]) + int(lines["nonvoluntary_ctxt_switches"])
        return total

    def settled(self, puppet):
        self.eventually(puppet.rests, "threads at rest")
        return self.switches(puppet)

    def edit(self, space):
        for _ in range(20):
            self.peer.call("area.map", space=space, start=hexa(at(0)), size=hexa(4 * PAGE), flags="rw-")
            self.peer.call("area.protect", space=space, start=hexa(at(1)), size=hexa(PAGE), flags="r--")
            self.peer.call("area.unmap", space=space, start=hexa(at(0)), size=hexa(4 * PAGE))

    def test_single_edits_stop_no_thread_of_the_target(self):
        puppet = self.new_puppet()
        puppet.say("spin(3)")
        space = self.attach(puppet.pid, agent=True)
        told = self.peer.call("space.info", space=space)
        self.assertTrue(told["agent"])
        self.assertLessEqual(set(told), set(self.peer.call("rpc.discover")["components"]["schemas"]["Space"]["properties"]))
        before = self.settled(puppet)
        self.edit(space)
        self.assertEqual(self.switches(puppet), before)
        self.assertEqual(puppet.say("2 * 3"), 6)
        plain = self.attach(puppet.pid)
        self.assertNotIn("agent", self.peer.call("space.info", space=plain))
        before = self.settled(puppet)
        self.edit(plain)
        self.assertGreater(self.switches(puppet), before)

    def test_transactions_and_questions_work_beside_it(self):
        puppet = self.new_puppet()
        space = self.attach(puppet.pid, agent=True)
        for i in range(3):
            self.edit(space)
            self.peer.call("space.apply", space=space, ops=[
                {"method": "area.map", "params": {"start": hexa(at(2 * k)), "size": PAGE, "flags": "rw-"}} for k in range(20)])
            self.assertTrue(self.peer.call("space.check", space=space)["ok"])
            self.peer.call("space.clear", space=space)
        self.assertEqual(puppet.say("4 + 4"), 8)

    def test_the_page_under_a_waiting_threads_stack_pointer_is_left_alone(self):
        puppet = self.new_puppet()
        space = self.attach(puppet.pid, agent=True)
        self.eventually(puppet.rests, "threads at rest")
        with open("/proc/%d/syscall" % puppet.pid, encoding="ascii") as file:
            page = int(file.read().split()[-2], 16) & ~(PAGE - 1)
        with self.assertRaises(harness.Refused) as caught:
            self.peer.call("area.unmap", space=space, start=hexa(page), size=hexa(PAGE))
        self.assertError(caught.exception.error, DENIED)
        self.assertEqual(puppet.say("5 + 4"), 9)

    def test_it_ends_with_its_space_and_with_the_daemon(self):
        puppet = self.new_puppet()
        puppet.say("os.getpid()")
        before = puppet.maps(), puppet.status("Threads")
        with tempfile.TemporaryDirectory(prefix="aspace-test-") as folder:
            for end in ("destroy", "stop", "kill"):
                daemon = Daemon(path=os.path.join(folder, end)).start()
                with Peer(daemon.path) as peer:
                    peer.call("space.create", name="x", pid=puppet.pid, agent=True)
                    self.assertEqual(puppet.status("Threads"), "2")
                    if end == "destroy":
                        peer.call("space.destroy", space="x")
                        self.assertEqual((puppet.maps(), puppet.status("Threads")), before)
                if end == "kill":
                    daemon.kill()
                else:
                    daemon.stop()
                self.eventually(lambda: puppet.status("Threads") == "1", "the agent's end")
                self.assertEqual(puppet.say("1 + 1"), 2)
        self.peer.call("space.create", name="next", pid=puppet.pid)  # unmaps what the killed one left
        self.peer.call("space.destroy", space="next")
        self.assertEqual((puppet.maps(), puppet.status("Threads")), before)

    def test_it_goes_with_live_spaces_alone(self):
        reply = self.peer.ask("space.create", {"name": "s", "agent": True})
        self.assertError(reply["error"], INVALID_PARAMS)


class Many(Live):
    def test_64_live_spaces_at_once(self):
        puppets = [self.new_puppet() for _ in range(16)]
        names = []
        for i in range(64):
            if i < 16:
                pid = puppets[i].pid
                names.append(self.attach(pid))
            else:
                name = "child-%d" % i
                self.peer.call("space.create", name=name, command=["sleep", "1000"])
                self.addCleanup(lambda name=name: self.peer.ask("space.destroy", {"space": name}))
                names.append(name)
        requests = [("area.map", {"space": name, "start": hexa(at(i)), "size": PAGE, "flags": "rw-"})
                    for i in range(3) for name in names]
        for reply in self.peer.pipeline(requests):
            self.assertIn("result", reply)
        for puppet in puppets:
            self.assertIn((at(0), at(3)), [row[:2] for row in puppet.maps()])
            self.assertEqual(puppet.say("3 + 4"), 7)

    def test_a_target_with_threads_is_edited_as_one(self):
        self.puppet.say("spin(16)")
        self.map(0, 4)
        self.call("space.apply", ops=[{"method": "area.unmap", "params": {"start": hexa(at(i)), "size": PAGE}}
                                      for i in (0, 2)])
        self.assertEqual(self.kernel(), [(at(1), at(2), "rw-"), (at(3), at(4), "rw-")])
        self.assertEqual(self.puppet.say("5 + 5"), 10)

    def test_a_target_whose_first_thread_has_ended_is_seen_and_edited_whole(self):
        for early in (False, True):
            with self.subTest(early=early):
                puppet = self.new_puppet()
                space = None if early else self.attach(puppet.pid)
                puppet.say("behead()")
                self.eventually(lambda: puppet.status("State").startswith("Z"), "the first thread's end")
                self.space = space or self.attach(puppet.pid)
                self.map(0, 4)
                self.map(4, 1, "r--", path="/etc/services")
                puppet.say("put(%d, b'deep')" % at(1))
                listed = self.call("area.list", limit=10000)["areas"]
                self.assertGreater(len(listed), 20)
                self.assertIn((hexa(at(0)), hexa(at(4))), [(a["start"], a["end"]) for a in listed])
                self.assertIn("/etc/services", [a.get("path") for a in listed])
                self.assertGreater(int(self.call("space.info")["resident"], 16), 100 * PAGE)
                self.assertEqual(self.call("memory.access", addr=hexa(at(1)), kind="read")["outcome"], "hit")
                self.assertEqual(self.call("memory.access", addr=hexa(at(2)), kind="read")["outcome"], "filled")
                self.call("space.apply", ops=[{"method": "area.unmap", "params": {"start": hexa(at(i)), "size": PAGE}}
                                              for i in (0, 2)])
                self.assertTrue(self.call("space.check")["ok"])
                self.assertEqual(puppet.say("get(%d, 4)" % at(1)), b"deep")

    def test_a_target_at_the_limit_of_mappings_is_looked_at_and_told_why_no_more_fits(self):
        with open("/proc/sys/vm/max_map_count", encoding="ascii") as file:
            most = int(file.read())
        if most > 200000:
            self.skipTest("vm.max_map_count is %d here" % most)
        made = self.puppet.say("[map_at(%d + 2 * 4096 * i, 4096) for i in range(%d)][-1]" % (PLACE, most))
        self.assertLess(made, 0)  # the last one is refused
        self.assertGreaterEqual(self.call("space.info")["areas"], most - 2)
        for i in range(100):  # the kernel's own bookkeeping leaves room for a few
            reply = self.peer.ask("area.map", {"space": self.space, "start": hexa(PLACE - (2 + 2 * i) * PAGE),
                                               "size": PAGE, "flags": "r-x"})
            if "error" in reply:
                break
        self.assertError(reply.get("error"), NO_MEMORY)
        self.assertIn("max_map_count", reply["error"]["data"]["hint"])
        self.call("area.unmap", start=hexa(at(0)), size=PAGE)
        self.map(0, 1, "r-x")
        fresh = self.new_puppet()
        fresh.say("[map_at(%d + 2 * 4096 * i, 4096) for i in range(%d)][-1]" % (PLACE, most))
        reply = self.peer.ask("space.create", {"name": "full", "pid": fresh.pid})
        if "error" in reply:  # not even the trampoline has room
            self.assertError(reply["error"], NO_MEMORY)
            self.assertIn("max_map_count", reply["error"]["data"]["hint"])
        else:
            self.peer.call("space.destroy", space="full")
        self.assertEqual(fresh.say("1 + 2"), 3)


STORM = """
import mmap, random, threading
wrong, counts = [], [0] * 8
def work(k):
    while True:
        m = mmap.mmap(-1, random.randint(1, 8) * 4096)
        m[0] = k
        if m[0] != k:
            wrong.append(k)
        m.close()
        counts[k] += 1
for k in range(8):
    threading.Thread(target=work, args=(k,), daemon=True).start()
"""


class Storm(Live):
    def test_a_target_whose_threads_map_and_unmap_all_the_time_is_edited_without_harm(self):
        self.puppet.say("exec(%r, globals())" % STORM)
        for step in range(100):
            self.map(step % 16, 2, "rw-", overlap="replace")
            self.call("area.protect", start=hexa(at(step % 16)), size=PAGE, flags="r--")
            self.call("space.apply", ops=[
                {"method": "area.unmap", "params": {"start": hexa(at(step % 16)), "size": PAGE}},
                {"method": "area.map", "params": {"start": hexa(at(40)), "size": PAGE, "flags": "rw-",
                                                  "overlap": "replace"}}])
            self.call("area.list")
        self.assertEqual(self.call("space.check")["problems"], [])
        before = self.puppet.say("sum(counts)")
        self.eventually(lambda: self.puppet.say("sum(counts)") > before, "the threads go on")
        self.assertEqual(self.puppet.say("wrong"), [])


class Stuck(Live):
    def test_a_target_that_cannot_be_stopped_holds_up_nobody_and_is_had_again_later(self):
        target = subprocess.Popen([os.environ["VFORK_PARENT"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  encoding="utf-8")
        self.addCleanup(target.stdout.close)
        self.addCleanup(target.stdin.close)
        self.addCleanup(target.wait)
        self.addCleanup(target.kill)
        self.assertEqual(target.stdout.readline(), "ready\n")
        self.space = self.attach(target.pid)
        self.map(0, 1)
        target.stdin.write("4000\n")
        target.stdin.flush()
        self.eventually(lambda: state_of(target.pid) == "D", "state D")
        self.peer.send(harness.request_text("area.map", {"space": self.space, "start": hexa(at(4)), "size": PAGE,
                                                         "flags": "r--"}, "stuck") + "\n")
        other = Peer(self.daemon.path)
        self.addCleanup(other.close)
        for _ in range(2):
            other.call("daemon.ping")
        self.assertTrue(self.peer.quiet(0), "the edit of a stuck target was answered before two pings")
        reply = self.peer.reply()
        self.assertEqual(reply["id"], "stuck")
        self.assertError(reply["error"], harness.TIMEOUT)
        self.assertEqual(self.areas(at(0), at(8)), [(at(0), at(1), "rw-")])  # it can still be looked at
        self.assertEqual(target.stdout.readline(), "back\n")
        self.map(4, 1)
        self.assertEqual(self.areas(at(0), at(8)), [(at(0), at(1), "rw-"), (at(4), at(5), "rw-")])
        target.stdin.write("1\n")
        target.stdin.flush()
        self.assertEqual(target.stdout.readline(), "back\n")


class CommandLine(Live):
    def ctl(self, *words, status=0, cwd=None):
        done = subprocess.run([ASPACECTL, "--socket", self.daemon.path, *words], stdin=subprocess.DEVNULL, cwd=cwd,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", timeout=PATIENCE)
        self.assertEqual(done.returncode, status, done)
        return done.stdout + done.stderr

    def test_a_space_is_made_of_a_process_and_shown_with_its_paths(self):
        pid = str(self.new_puppet().pid)
        out = self.ctl("create", "cli", "--pid", pid)
        self.assertRegex(self.ctl("spaces"), r"(?m)^cli +ptrace +%s " % pid)
        self.assertIn("ptrace", out)
        table = self.ctl("areas", "cli")
        self.assertIn("PATH", table.splitlines()[0])
        self.assertIn("[stack]", table)
        self.assertIn("libc", table)
        self.assertIn("[heap]", self.ctl("find", "cli", [line for line in table.splitlines() if "[heap]" in line][0].split()[0]))
        self.ctl("map", "cli", "any", "64K", "rw-", "--tag", "t")
        self.ctl("sync", "cli")
        self.ctl("destroy", "cli")

    def test_a_command_is_started_held_and_let_go(self):
        out = json.loads(self.ctl("--json", "create", "cmd", "--", "sh", "-c", "exit 3"))
        self.assertEqual(out["backend"], "ptrace")
        self.ctl("map", "cmd", hexa(at(0)), "4K", "rw-")
        self.ctl("resume", "cmd")
        self.eventually(lambda: "TargetGone" in self.ctl("info", "cmd", status=1) if not self.alive("cmd") else False,
                        "the end of the command")
        self.ctl("destroy", "cmd")

    def alive(self, name):
        return "error" not in self.peer.ask("space.info", {"space": name})

    def test_a_program_named_by_a_relative_path_is_meant_from_where_aspacectl_runs(self):
        with tempfile.TemporaryDirectory(prefix="aspace-test-") as folder:
            program = os.path.join(os.path.realpath(folder), "program")
            shutil.copy(shutil.which("sleep"), program)
            out = json.loads(self.ctl("--json", "create", "rel", "--", "./program", "1000", cwd=folder))
            self.assertEqual(os.readlink("/proc/%d/exe" % out["pid"]), program)
            self.ctl("destroy", "rel")

    def test_a_command_that_is_missing_is_a_usage_error(self):
        self.assertIn("wants a command", self.ctl("create", "x", "--", status=2))
        self.assertIn("InvalidParam", self.ctl("create", "x", "--", "/no/such/program", status=1))


if __name__ == "__main__":
    harness.main()
