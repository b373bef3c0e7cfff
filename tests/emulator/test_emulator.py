"""An MMU that nobody here wrote agrees: QEMU's system emulator boots on exported page tables, does thousands of accesses,
and each of them ends as memory.access and page.walk said."""
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import harness
from harness import PAGE, hexa

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = int(os.environ.get("ASPACE_SEED", random.randrange(1 << 32)))
SAMPLES = int(os.environ.get("ASPACE_SAMPLES", "4000"))
READ, WRITE, EXEC = KINDS = ("read", "write", "exec")
M = 1 << 20
G = 1 << 30


def copy_sparse(source, to, offset, size):
    """The file again, beginning at `offset` of a new file of `size` bytes; holes stay holes."""
    with open(source, "rb") as old, open(to, "wb") as new:
        new.truncate(size)
        end = 0
        while True:
            try:
                start = os.lseek(old.fileno(), end, os.SEEK_DATA)
            except OSError: # no more data
                return
            end = os.lseek(old.fileno(), start, os.SEEK_HOLE)
            for at in range(start, end, M):
                os.pwrite(new.fileno(), os.pread(old.fileno(), min(M, end - at), at), offset + at)


class Emulator(harness.DaemonCase):
    options = ("--max-ram", "8G", "--max-areas", "100000")
    arch = None
    ram_base = 0
    ram_file = 0 # the physical address that the emulator's RAM, a file, begins at
    ram = G
    base, half = 0, None # the space's lowest address, and the bits of one in its half of what the architecture translates
    samples = SAMPLES
    cloned = False # another space has its pages as well, so that the first write to each faults
    stamped = 0xc3, 8 # the code at each address that comes back, and by how much the address beside it is shifted

    @classmethod
    def setUpClass(cls):
        if cls.arch is None:
            raise unittest.SkipTest("the base of the others")
        missing = [tool for tool in (cls.emulator, "clang", "ld.lld") if not shutil.which(tool)]
        if missing:
            print("NOT RUN: %s for want of %s" % (cls.__name__, ", ".join(missing)), file=sys.stderr)
            raise unittest.SkipTest("NOT RUN for want of " + ", ".join(missing))
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.said = None
        print("ASPACE_SEED=%d" % SEED, file=sys.stderr)
        self.random = random.Random(SEED)
        self.folder = tempfile.mkdtemp(prefix="aspace-emulator-")
        self.addCleanup(shutil.rmtree, self.folder)

    def stamp(self, addr):
        """What lies at an address: it tells where it is, and comes back when it is executed."""
        code, shift = self.stamped
        return (addr << shift | code) & (1 << 64) - 1

    def in_folder(self, name):
        return os.path.join(self.folder, name)

    def assemble(self, source, base, *options):
        """The source as a flat binary that lies at `base`."""
        made, flat = self.in_folder("firmware.o"), self.in_folder("firmware.bin")
        subprocess.run(["clang", "-target", *options, "-c", os.path.join(HERE, source), "-o", made], check=True)
        subprocess.run(["ld.lld", "--oformat", "binary", "-Ttext=%#x" % base, "-e", "_start", made, "-o", flat], check=True)
        with open(flat, "rb") as file:
            return file.read()

    # ---- a space with something of everything ----

    def make_empty(self):
        """The space, in the lower half unless there is a base."""
        within = {"range": [hexa(self.base), hexa(self.base + (1 << self.half) - PAGE)]} if self.base else {}
        self.create(arch=self.arch, ram=hexa(self.ram), ram_base=hexa(self.ram_base), **within)

    def flags(self):
        flags = self.random.choice(["r--", "rw-", "r-x", "rwx", "--x", "-w-", "---", "rw-", "rwx"])
        for word, chance in (("kernel", 0.4), ("global", 0.2), ("uncached", 0.1), ("device", 0.1)):
            if self.random.random() < chance and not (word == "device" and "uncached" in flags):
                flags += "," + word
        return flags

    def make_areas(self, starts, count=150):
        """Areas of each backing and page size around `starts`; fixed addresses lie in the highest quarter of RAM."""
        for _ in range(3 * count): # some find no place
            start = self.base + self.random.choice(starts) + self.random.randrange(0, 512) * PAGE
            size = self.random.randrange(1, 40) * PAGE
            more = {"backing": self.random.choice(["eager", "eager", "lazy", "linear"])}
            if self.random.random() < 0.2 and more["backing"] != "lazy":
                start, size = start & -2 * M, 2 * M * self.random.randrange(1, 3)
                more["page"] = self.random.choice(["2M", "auto"])
            if more["backing"] == "linear":
                more["pa"] = hexa(self.ram_base + self.ram * 3 // 4 + self.random.randrange(0, 60) * 2 * M +
                                  (start & 2 * M - 1 if "page" in more else self.random.randrange(512) * PAGE))
            self.peer.ask("area.map", dict(more, space=self.space, start=hexa(start), size=hexa(size),
                                           flags=self.flags()))
        for _ in range(count // 3): # pieces of large pages, and entries that were another's
            area = self.random.choice(self.on("area.list")["areas"])
            at = int(area["start"], 16) + self.random.randrange(int(area["size"], 16) // PAGE) * PAGE
            if self.reserved(at):
                continue
            if self.random.random() < 0.5:
                self.on("area.protect", start=hexa(at), size=hexa(PAGE), flags=self.flags())
            else:
                self.on("area.unmap", start=hexa(at), size=hexa(PAGE))
        self.make_large_areas(12)

    def make_large_areas(self, count):
        """Pages of 2 MiB; and of 1 GiB, in each of which RAM's highest quarter lies. Some of those are broken there."""
        for i in range(count):
            self.on("area.map", start=hexa(self.base + 32 * G + i * 4 * M), size="2M", flags=self.flags(),
                    backing="eager", page="2M")
            huge = self.base + 64 * G + i * 2 * G
            self.on("area.map", start=hexa(huge), size="1G", flags=self.flags(), backing="linear", page="1G",
                    pa=hexa(self.ram_base & -G))
            if i % 3 == 2:
                self.on("area.protect", start=hexa(huge + self.ram_base % G + self.ram * 7 // 8), size=hexa(PAGE),
                        flags=self.flags())

    def in_quarter(self, area):
        """The part of an area that leads to RAM's highest quarter if it is a linear one; else all of it."""
        low, high = int(area["start"], 16), int(area["end"], 16)
        if "pa" not in area:
            return low, high
        at = low - int(area["pa"], 16) + self.ram_base # where RAM would begin
        return max(low, at + self.ram * 3 // 4), min(high, at + self.ram)

    def reserved(self, addr):
        return False

    # ---- what is to be tried ----

    def choose(self):
        """Addresses of eight bytes each, in areas and beside them."""
        areas = [area for area in self.on("area.list")["areas"] if not self.reserved(int(area["start"], 16))]
        chosen = []
        while len(chosen) < self.samples:
            area = self.random.choice(areas)
            low, high = self.in_quarter(area)
            dice = self.random.random()
            if dice < 0.03:
                addr = self.random.choice([self.untranslated(), self.in_other_half()])
            elif dice < 0.15:
                addr = self.random.choice([int(area["start"], 16) - PAGE, int(area["end"], 16)])
            elif low >= high:
                continue
            else:
                addr = low + self.random.randrange((high - low) // PAGE) * PAGE
            addr = (addr & -PAGE) + self.random.randrange(8, 500) * 8
            if addr is not None and not self.reserved(addr):
                chosen.append((addr & (1 << 64) - 1, self.random.choice(KINDS), self.random.choice(["user", "kernel"])))
        return chosen

    def in_other_half(self):
        """An address that is like one of the space's, but for the bits that tell the halves apart."""
        low = self.random.randrange(1 << self.half)
        return low if self.base else (1 << 64) - (1 << self.half) + low

    def walk_all(self, addresses):
        replies = self.peer.pipeline([("page.walk", {"space": self.space, "addr": hexa(a)}) for a in addresses])
        return [reply.get("result") for reply in replies]

    def stamp_all(self, chosen):
        """Every byte to be read or called says where it lies; lazy pages without a frame stay without."""
        requests = []
        for (addr, _, _), walk in zip(chosen, self.walk_all([a for a, _, _ in chosen])):
            leaf = walk and walk["levels"][-1]
            if not leaf or int(leaf["entry"], 16) == 0:
                continue
            pa = self.physical(walk, addr)
            if self.ram_base <= pa and pa + 8 <= self.ram_base + self.ram:
                requests.append(("memory.write", {"space": self.space, "addr": hexa(addr),
                                                  "hex": struct.pack("<Q", self.stamp(pa)).hex()}))
        for reply in self.peer.pipeline(requests):
            self.assertIn("result", reply)

    def physical(self, walk, addr):
        """Also of an entry that is not present and keeps its frame."""
        if walk["pa"] is not None:
            return int(walk["pa"], 16)
        leaf = walk["levels"][-1]
        size = PAGE << 9 * (leaf["level"] - 1)
        return (self.frame(int(leaf["entry"], 16)) & -size) | (addr & size - 1)

    def predict(self, chosen):
        """What memory.access says of each, in order. A CPU that has the tables as they are fills and copies nothing: an
        access that would is refused here by an injected fault, and is one to a page that is not present, or read-only."""
        self.on("inject.set", op="frame", every=1, count=1 << 40)
        walks = self.walk_all([a for a, _, _ in chosen])
        predicted = []
        for (addr, kind, mode), walk, reply in zip(chosen, walks, self.peer.pipeline(
                [("memory.access", {"space": self.space, "addr": hexa(a), "kind": k, "mode": m}) for a, k, m in chosen])):
            if "error" in reply:
                self.assertIn("injected", reply["error"]["message"])
                shared = walk["pa"] is not None
                code = self.read_only_code if shared else self.empty_code
                predicted.append(("fault", code(walk["levels"][-1]["level"], kind, mode), addr,
                                  "shared" if shared else "not-present"))
                continue
            got = reply["result"]
            if got["outcome"] == "fault":
                predicted.append(("fault", got["fault"]["code"], int(got["fault"]["addr"], 16), got["fault"]["reason"]))
            else:
                predicted.append((got["outcome"], int(got["pa"], 16)))
        self.on("inject.clear")
        return predicted

    # ---- the comparison ----

    def compare(self, chosen, predicted, seen):
        """`seen` is (vector or cause, code, value) for each."""
        self.assertEqual(len(seen), len(chosen), [hex(x) for x in seen[-1]] if seen else "nothing")
        content = {}
        hits = faults = 0
        self.assertEqual(any(told[-1] == "shared" for told in predicted), self.cloned)
        for sample, told, (vector, code, value) in zip(chosen, predicted, seen):
            addr, kind, mode = sample
            what = "%#x %s %s: told %s, seen %#x %#x %#x" % (*sample, told, vector, code, value)
            if told[0] == "hit":
                hits += 1
                self.assertEqual(vector, 0, what)
                if kind == READ:
                    self.assertEqual(value, content.get(told[1], self.stamp(told[1])), what)
                elif kind == WRITE:
                    content[told[1]] = self.stamp(addr)
            else:
                faults += 1
                self.compare_fault(told, vector, code, value, what)
        for pa, value in content.items():
            self.assertEqual(self.in_ram(pa, 8), struct.pack("<Q", value), hexa(pa))
        print("%s: %d accesses: %d hits, %d faults, all alike" % (self.id(), len(chosen), hits, faults), file=sys.stderr)
        self.assertGreater(hits, len(chosen) // 10)
        self.assertGreater(faults, len(chosen) // 10)

    def in_ram(self, pa, size):
        with open(self.in_folder("ram"), "rb") as file:
            file.seek(pa - self.ram_file)
            return file.read(size)

    def compare_entries(self, chosen, predicted):
        """The accessed and dirty bits that the emulator left in the entries of hits are those of the simulator."""
        hits = [sample[0] for sample, told in zip(chosen, predicted) if told[0] == "hit"]
        walks = self.walk_all(hits)
        self.assertEqual({walk["page_size"] for walk in walks}, {hexa(PAGE), hexa(2 * M), hexa(G)})
        told = {(int(level["table"], 16) + 8 * level["index"], level["entry"]) for walk in walks for level in walk["levels"]}
        for at, entry in told:
            self.assertEqual(hexa(*struct.unpack("<Q", self.in_ram(at, 8))), entry, "the entry at %#x" % at)

    # ---- the emulator ----

    def usable(self, chosen):
        """Those that the emulator's machine can do."""
        return chosen

    def own_again(self):
        """What the firmware writes to gets frames that no clone has."""

    def table_of(self, chosen):
        """The accesses as the firmware reads them."""
        return b"".join(struct.pack("<2Q", addr, KINDS.index(kind) | (4 if mode == "user" else 0))
                        for addr, kind, mode in chosen)

    def memory(self):
        """Bytes of the emulator's RAM: the space's, and at least 2 MiB on both sides for what the machine puts there."""
        return self.ram + (0 if self.ram_file == 0 else 4 * M)

    def run_emulator(self, *options):
        """Its exit status."""
        done = subprocess.run(
            [self.emulator, "-accel", "tcg", "-m", str(self.memory() // M), "-object",
             "memory-backend-file,id=ram,size=%d,share=on,mem-path=%s" % (self.memory(), self.in_folder("ram")),
             "-nodefaults", "-display", "none", "-no-reboot", *options],
            stdin=subprocess.DEVNULL, timeout=120, capture_output=True)
        self.said = done.stderr
        return done.returncode

    def read_out(self):
        """(vector or cause, code, value) for each access."""
        with open(self.in_folder("out"), "rb") as file:
            return list(struct.iter_unpack("<3Q", file.read()))

    def test_every_access_ends_as_the_simulator_said(self):
        self.make_space()
        chosen = self.usable(self.choose())
        self.assertGreater(len(chosen), self.samples * 9 // 10)
        self.stamp_all(chosen)
        if self.cloned:
            self.call("space.clone", space=self.space, name="clone")
            self.addCleanup(self.forget, "clone")
            self.own_again()
        exported = self.on("page.export", path=self.in_folder("exported"))
        self.assertEqual((exported["arch"], exported["ram_base"], exported["ram"]),
                         (self.arch, hexa(self.ram_base), hexa(self.ram)))
        predicted = self.predict(chosen)
        seen = self.boot(int(exported["root"], 16), chosen)
        self.compare(chosen, predicted, seen)
        self.compare_entries(chosen, predicted)


class X8664(Emulator):
    emulator = "qemu-system-x86_64"
    arch, half = "x86_64", 47
    cr4, BOOT = 0xa0, 0x5000 # PAE, PGE; the firmware's own root, from CODE on
    starts = [0x20000000, 0x7fff00000000, 0x5555_4000_0000, G * 512 - 2 * M]
    ROM, CODE, HIGHER = 0xfffe0000, 0xffff0000, 1 << 32
    STACKS = 0x10000000

    def reserved(self, addr):
        addr -= self.base
        return 0 <= addr < 0x10010000 or self.ROM - PAGE <= addr < 0x200000000

    def untranslated(self):
        return self.random.choice([1 << 47, (1 << 64) - (1 << 47) - PAGE, 0xdeadbeef << 32])

    def frame(self, entry):
        return entry & 0x000ffffffffff000

    def empty_code(self, level, kind, mode):
        return (mode == "user") << 2 | (kind == WRITE) << 1 | (kind == EXEC) << 4

    def read_only_code(self, level, kind, mode):
        return self.empty_code(level, kind, mode) | 1

    def compare_fault(self, told, vector, code, value, what):
        if told[3] == "noncanonical":
            self.assertEqual((vector, code), (13, told[1]), what)
        else:
            self.assertEqual((vector, code, value), (14, told[1], told[2]), what)

    def make_space(self):
        self.make_empty()
        self.map_at(self.ROM, 2 * 0x10000, "rwx,kernel", backing="linear", pa=hexa(self.ROM))
        self.map_at(self.CODE + 0x2000 + self.HIGHER, PAGE, "r-x", backing="linear", pa=hexa(self.CODE + 0x2000))
        self.map_at(self.STACKS, PAGE, "rw-,kernel", backing="eager")
        self.map_at(self.STACKS + 2 * PAGE, PAGE, "rw-", backing="eager")
        for page in range(256): # the ROM's copy below 1 MiB hides RAM, which these have: the lowest frames come first
            self.map_at(0x8000000 + 2 * page * PAGE, PAGE, "r--", backing="eager")
        self.make_areas(self.starts)

    def map_at(self, start, size, flags, **more):
        self.on("area.map", start=hexa(self.base + start), size=hexa(size), flags=flags, **more)

    def own_again(self):
        for addr, mode in (self.STACKS, "kernel"), (self.STACKS + 2 * PAGE, "user"):
            self.assertEqual(self.on("memory.access", addr=hexa(self.base + addr), kind=WRITE, mode=mode)["outcome"], "copied")

    def hidden(self, walk):
        """Whether the copy of the ROM below 1 MiB lies over something that the walk uses."""
        at = [int(level["table"], 16) for level in walk["levels"]] + [int(walk["pa"] or "0", 16)]
        return any(0xe0000 <= pa < 0x100000 for pa in at)

    def boot(self, root, chosen):
        code = self.assemble("firmware_x86_64.S", self.CODE, "x86_64-none-elf", "-DTABLE=%#x" % self.ROM,
                             "-DBASE=%#x" % self.base)
        os.rename(self.in_folder("exported"), self.in_folder("ram"))
        table = struct.pack("<4Q", root, self.cr4, len(chosen), self.CODE + self.BOOT) + self.table_of(chosen)
        self.assertLessEqual(len(table), 0x10000)
        with open(self.in_folder("rom"), "wb") as file:
            file.write(table.ljust(0x10000, b"\0") + code)
        self.assertEqual(self.run_emulator(
            "-M", "microvm,memory-backend=ram,pit=off,pic=off,rtc=off", "-cpu", "max,la57=on", "-bios", self.in_folder("rom"),
            "-chardev", "file,id=out,path=" + self.in_folder("out"), "-device", "isa-debugcon,iobase=0xe9,chardev=out",
            "-device", "isa-debug-exit,iobase=0xf4") & 1, 1, self.said)
        return self.read_out()

    def usable(self, chosen):
        return [sample for sample, walk in zip(chosen, self.walk_all([a for a, _, _ in chosen]))
                if walk is None or not self.hidden(walk)]


class X8664Upper(X8664):
    base, samples = -1 << 47 & (1 << 64) - 1, SAMPLES // 4
    cloned = True


class X8664La57(X8664):
    arch, half = "x86_64-la57", 56
    cr4, BOOT = 0x10a0, 0x6000
    starts = X8664.starts + [1 << 47, (1 << 56) - 4 * M]

    def untranslated(self):
        return self.random.choice([1 << 56, (1 << 64) - (1 << 56) - PAGE, 0xdeadbeef << 32])


class X8664La57Upper(X8664La57):
    base, samples = -1 << 56 & (1 << 64) - 1, SAMPLES // 4
    cloned = True


class Virt(Emulator):
    """QEMU's `virt` machines: flash from FLASH on has the firmware, and TABLE from it the accesses; results come over the
    serial line."""
    TABLE = 0x10000

    def boot(self, root, chosen):
        copy_sparse(self.in_folder("exported"), self.in_folder("ram"), self.ram_base - self.ram_file, self.memory())
        code = self.assemble(self.source, self.FLASH, *self.target, "-DTABLE=%#x" % (self.FLASH + self.TABLE))
        self.assertLessEqual(len(code), self.TABLE)
        with open(self.in_folder("flash"), "wb") as file:
            file.write(code.ljust(self.TABLE, b"\0") + struct.pack("<2Q", root, len(chosen)) + self.table_of(chosen))
            file.truncate(32 * M) # the size of the riscv machine's
        self.assertEqual(self.run_emulator("-M", "virt,memory-backend=ram", "-serial", "file:" + self.in_folder("out"),
                                           *self.machine()), 0, self.said)
        return self.read_out()


class Aarch64(Virt):
    emulator, source, target = "qemu-system-aarch64", "firmware_aarch64.S", ["aarch64-none-elf"]
    arch, half = "aarch64", 48
    ram_file, ram_base = G, G + 2 * M # before it the machine leaves its device tree
    stamped = 0xd4000001, 32 # SVC
    starts = [0x20000000, 0x7fff00000000, 0x5555_4000_0000, (1 << 48) - 4 * M, G * 512 - 2 * M]
    FLASH, UART, USER, HIGHER = 0, 0x09000000, 0x1000, 1 << 32

    def machine(self):
        return ["-cpu", "max", "-bios", self.in_folder("flash")]

    def reserved(self, addr):
        return addr < 0x10000000 or self.HIGHER - PAGE <= addr < self.HIGHER + 0x10000000

    def untranslated(self):
        return self.random.choice([1 << 48, (1 << 64) - (1 << 48) - PAGE, 0xffff << 48, 0xdeadbeef << 32])

    def frame(self, entry):
        return entry & 0x0000fffffffff000

    def empty_code(self, level, kind, mode):
        """ESR_EL1: EC, IL, WnR, and a translation fault of the level where the walk ended."""
        return ((0x20 if kind == EXEC else 0x24) + (mode == "kernel")) << 26 | 1 << 25 | (kind == WRITE) << 6 | 4 + 4 - level

    def read_only_code(self, level, kind, mode):
        """The same, a permission fault."""
        return self.empty_code(level, kind, mode) + 8

    def compare_fault(self, told, vector, code, value, what):
        self.assertEqual((vector, code, value), (told[1] >> 26, told[1], told[2]), what)

    def make_space(self):
        self.make_empty()
        self.on("area.map", start=hexa(self.FLASH), size="2M", flags="r-x,kernel", backing="linear", pa=hexa(self.FLASH))
        self.on("area.map", start=hexa(self.UART), size="4K", flags="rw-,kernel,device", backing="linear", pa=hexa(self.UART))
        self.on("area.map", start=hexa(self.HIGHER + self.USER), size="4K", flags="r-x", backing="linear", pa=hexa(self.USER))
        self.make_areas(self.starts)


class Aarch64Cloned(Aarch64):
    samples = SAMPLES // 4
    cloned = True


class Riscv(Virt):
    emulator, source = "qemu-system-riscv64", "firmware_riscv64.S"
    target = ["riscv64-none-elf", "-march=rv64imac", "-mabi=lp64"]
    ram_file = ram_base = 2 * G
    ram = G // 2 # the machine leaves its device tree in the last 2 MiB of its own
    stamped = 0x73, 32 # ECALL
    FLASH = 0x20000000
    CAUSES = {EXEC: 12, READ: 13, WRITE: 15}

    def machine(self):
        return ["-cpu", "rv64,svpbmt=on", "-bios", "none", "-drive",
                "if=pflash,unit=0,format=raw,readonly=on,file=" + self.in_folder("flash")]

    def untranslated(self):
        return self.random.choice([1 << self.half, (1 << 64) - (1 << self.half) - PAGE, 0xdeadbeef << 32, 0xffff << 48])

    def frame(self, entry):
        return (entry & 0x003ffffffffffc00) << 2

    def empty_code(self, level, kind, mode):
        return self.CAUSES[kind]

    read_only_code = empty_code

    def compare_fault(self, told, vector, code, value, what):
        self.assertEqual((vector, code, value), (1, told[1], told[2]), what)

    def make_space(self):
        self.make_empty()
        self.make_areas([0x400000, 0x40000000 - 2 * M, (1 << self.half) - 4 * M, 0x1555 << (self.half - 13)])


class RiscvSv39(Riscv):
    arch, half = "riscv-sv39", 38


class RiscvSv39Upper(RiscvSv39):
    base, samples = -1 << 38 & (1 << 64) - 1, SAMPLES // 4
    cloned = True


class RiscvSv48(Riscv):
    arch, half = "riscv-sv48", 47


class RiscvSv48Upper(RiscvSv48):
    base, samples = -1 << 47 & (1 << 64) - 1, SAMPLES // 4
    cloned = True


class RiscvSv57(Riscv):
    arch, half = "riscv-sv57", 56


class RiscvSv57Upper(RiscvSv57):
    base, samples = -1 << 56 & (1 << 64) - 1, SAMPLES // 4
    cloned = True


if __name__ == "__main__":
    harness.main()
