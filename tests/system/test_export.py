"""page.export: the file that it makes, and when it makes none."""
import os
import resource
import shutil
import stat
import struct
import subprocess
import tempfile
import unittest

import harness
from harness import PAGE, hexa


class Export(harness.DaemonCase):
    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp(prefix="aspace-export-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, "ram")

    def test_the_file_has_ram_at_its_physical_addresses_and_the_root_leads_to_the_bytes(self):
        self.create(ram="64M")
        self.on("area.map", start="0x400000", size="0x3000", flags="rw-", backing="eager")
        self.on("memory.write", addr="0x401008", hex="11223344")
        pa = int(self.on("page.walk", addr="0x401008")["pa"], 16)
        got = self.on("page.export", path=self.path)
        self.assertEqual((got["arch"], got["ram"]), ("x86_64", hexa(64 << 20)))
        with open(self.path, "rb") as file:
            ram = file.read()
        self.assertEqual(len(ram), 64 << 20)
        self.assertEqual(ram[pa:pa + 4].hex(), "11223344")
        table = int(got["root"], 16)
        for shift in (39, 30, 21, 12):
            entry, = struct.unpack_from("<Q", ram, table + (0x401008 >> shift & 511) * 8)
            table = entry & 0x000ffffffffff000
        self.assertEqual(table | 8, pa)

    def test_with_a_ram_base_offsets_are_physical_addresses_less_it(self):
        base = 0x80201000
        self.create(ram="64M", ram_base=hexa(base), arch="riscv-sv39")
        self.on("area.map", start="0x400000", size="0x3000", flags="rw-", backing="eager")
        self.on("memory.write", addr="0x401008", hex="11223344")
        pa = int(self.on("memory.access", addr="0x401008", kind="read")["pa"], 16)
        self.assertEqual(int(self.on("page.walk", addr="0x401008")["pa"], 16), pa)
        got = self.on("page.export", path=self.path)
        self.assertEqual((got["ram"], got["ram_base"]), (hexa(64 << 20), hexa(base)))
        with open(self.path, "rb") as file:
            ram = file.read()
        self.assertEqual(len(ram), 64 << 20)
        self.assertEqual(ram[pa - base:pa - base + 4].hex(), "11223344")
        table = int(got["root"], 16) % (1 << 44) << 12
        for shift in (30, 21, 12):
            entry, = struct.unpack_from("<Q", ram, table - base + (0x401008 >> shift & 511) * 8)
            table = (entry & 0x003ffffffffffc00) << 2
        self.assertEqual(table | 8, pa)

    def test_a_ram_base_that_cannot_be_is_refused(self):
        for base in (1, 0x40000800, 1 << 44, (1 << 64) - PAGE):
            error = self.refused(harness.INVALID_PARAM, "space.create", name=self.space, ram_base=hexa(base))
            self.assertEqual(error["data"]["param"], "ram_base")
        self.refused(harness.INVALID_PARAMS, "space.create", name=self.space, command=["/bin/true"], ram_base="0x1000")

    def test_only_frames_that_hold_something_take_room(self):
        self.create(ram="1G")
        self.on("area.map", start="0x400000", size="512M", flags="rw-", backing="eager")
        got = self.on("page.export", path=self.path)
        info = os.stat(self.path)
        self.assertEqual(info.st_size, 1 << 30)
        self.assertLess(info.st_blocks * 512, 4 << 20)
        self.assertEqual(stat.S_IMODE(info.st_mode), 0o600)
        self.assertLessEqual(got["frames"], 256 + 10)

    def test_nothing_is_ever_written_over(self):
        self.create(ram="1M")
        with open(self.path, "w", encoding="ascii") as file:
            file.write("mine")
        error = self.refused_unchanged(harness.ALREADY_EXISTS, "page.export", path=self.path)
        self.assertEqual(error["data"]["param"], "path")
        with open(self.path, encoding="ascii") as file:
            self.assertEqual(file.read(), "mine")
        link = os.path.join(self.folder, "link")
        os.symlink(os.path.join(self.folder, "elsewhere"), link)
        self.refused_unchanged(harness.ALREADY_EXISTS, "page.export", path=link)
        self.assertEqual(sorted(os.listdir(self.folder)), ["link", "ram"])

    def test_paths_that_lead_nowhere_are_refused(self):
        self.create(ram="1M")
        error = self.refused_unchanged(harness.INVALID_PARAM, "page.export", path="ram")
        self.assertIn("absolute", error["message"])
        self.refused_unchanged(harness.NOT_FOUND, "page.export", path=os.path.join(self.folder, "no", "ram"))

    def test_aspacectl_means_a_relative_path_from_where_it_runs(self):
        self.create(ram="1M")
        for path in ("ram", "./other"):
            done = subprocess.run([harness.ASPACECTL, "--socket", self.daemon.path, "export", self.space, path],
                                  cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=harness.PATIENCE, encoding="utf-8")
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertEqual(os.path.getsize(os.path.join(self.folder, path)), 1 << 20)

    def test_a_file_that_cannot_be_written_whole_is_removed(self):
        self.create(ram="64M")
        self.on("area.map", start="0x400000", size="8M", flags="rw-", backing="eager")
        limits = resource.prlimit(self.daemon.process.pid, resource.RLIMIT_FSIZE)
        for most in (PAGE, 32 << 20):
            resource.prlimit(self.daemon.process.pid, resource.RLIMIT_FSIZE, (most, limits[1]))
            try:
                error = self.refused_unchanged(harness.BAD_STATE, "page.export", path=self.path)
            finally:
                resource.prlimit(self.daemon.process.pid, resource.RLIMIT_FSIZE, limits)
            self.assertEqual(error["data"]["param"], "path")
            self.assertEqual(os.listdir(self.folder), [])
        self.on("page.export", path=self.path)


@unittest.skipUnless(os.geteuid() == 0, "only root can be someone else")
class OtherUser(harness.DaemonCase):
    options = ("--allow-uid", "65534")

    def test_a_peer_of_another_user_makes_no_file(self):
        self.create(ram="1M")
        os.chmod(os.path.dirname(self.daemon.path), 0o755)
        path = os.path.join(tempfile.gettempdir(), "aspace-export-%d" % os.getpid())
        os.seteuid(65534)
        try:
            other = harness.Peer(self.daemon.path)
        finally:
            os.seteuid(0)
        with other:
            reply = other.ask("page.export", {"space": self.space, "path": path})
        self.assertError(reply["error"], harness.DENIED)
        self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
    harness.main()
