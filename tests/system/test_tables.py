"""page.dump and `aspacectl tables`: the whole tree, in pieces of any size, is what page.walk says of every page."""
import os
import random
import subprocess
import sys

import harness
from harness import ASPACECTL, INVALID_PARAM, NOT_FOUND, PAGE, PATIENCE, UNSUPPORTED, hexa

SEED = int(os.environ.get("ASPACE_SEED", random.randrange(1 << 32)))
LEVELS = {"x86_64": ["PML4", "PDPT", "PD", "PT"], "x86_64-la57": ["PML5", "PML4", "PDPT", "PD", "PT"],
          "aarch64": ["L0", "L1", "L2", "L3"], "riscv-sv39": ["VPN2", "VPN1", "VPN0"],
          "riscv-sv48": ["VPN3", "VPN2", "VPN1", "VPN0"], "riscv-sv57": ["VPN4", "VPN3", "VPN2", "VPN1", "VPN0"]}
M = 1 << 20


def number(text):
    return int(text, 16)


class Tables(harness.DaemonCase):
    def setUp(self):
        super().setUp()
        print("ASPACE_SEED=%d" % SEED, file=sys.stderr)
        self.random = random.Random(SEED)

    def flags(self):
        return self.random.choice(["r--", "rw-", "r-x", "rwx", "---", "rw-,kernel", "rw-,global", "rw-,device"])

    def fill(self, arch, low=0):
        """Areas of all kinds in a few places, edited and touched."""
        self.create(arch=arch, ram="64M", ram_base=self.random.choice(["0", "0x40000000", "0x80201000"]), range=[hexa(low), hexa(low + (1 << 38))])
        bases = [low + 0x400000, low + 0x3fe00000, low + (1 << 37), low + (1 << 38) - 8 * M]
        for _ in range(60):
            start = self.random.choice(bases) + self.random.randrange(1024) * PAGE
            size = self.random.randrange(1, 30) * PAGE
            more = {"backing": self.random.choice(["eager", "lazy", "linear"])}
            if self.random.random() < 0.2:
                start, size, more["page"] = start & -2 * M, 2 * M, self.random.choice(["2M", "auto"])
            if more["backing"] == "linear":
                more["pa"] = hexa(self.random.randrange(100) * 2 * M + (start & 2 * M - 1))
            self.peer.ask("area.map", dict(more, space=self.space, start=hexa(start), size=hexa(size), flags=self.flags()))
        for area in self.on("area.list")["areas"]:
            at = number(area["start"]) + self.random.randrange(number(area["size"]) // PAGE) * PAGE
            self.peer.ask("memory.access", {"space": self.space, "addr": hexa(at), "kind": self.random.choice(["read", "write"])})
            if self.random.random() < 0.3:
                self.peer.ask("area.protect", {"space": self.space, "start": hexa(at), "size": "4K", "flags": self.flags()})
            elif self.random.random() < 0.2:
                self.peer.ask("area.unmap", {"space": self.space, "start": hexa(at), "size": "4K"})

    def dump(self, limit=None, start=None):
        """All entries once, page by page; each page is a tree by itself and moves on."""
        entries, given = {}, {} if limit is None else {"limit": limit}
        while True:
            got = self.on("page.dump", **given, **({} if start is None else {"start": hexa(start)}))
            roots = {entry["table"] for entry in got["entries"][:1]}
            tables = set(roots)
            counted = 0
            for entry in got["entries"]:
                self.assertIn(entry["table"], tables)
                self.assertGreater(number(entry["start"]) + number(entry["size"]), start or 0)
                if not entry["leaf"]:
                    tables.add(entry["pa"])
                counted += entry["leaf"] or number(entry["start"]) > (start or 0)
                key = (entry["table"], entry["index"])
                self.assertEqual(entries.setdefault(key, entry), entry)
            self.assertLessEqual(counted, limit or 1000)
            if got["next"] is None:
                return list(entries.values())
            self.assertEqual(counted, limit or 1000)
            self.assertGreater(number(got["next"]), start or 0)
            start = number(got["next"])

    def step(self, arch, level):
        """By how much the entries of neighbours that follow each other differ."""
        return (1 << 10 if arch.startswith("riscv") else PAGE) << 9 * (level - 1)

    def leaves_by_dump(self, arch, entries):
        """{address of each entry: what page.walk says of it}, for leaves."""
        found = {}
        for entry in entries:
            self.assertEqual(entry["name"], LEVELS[arch][-entry["level"]])
            size = number(entry["size"]) // entry["count"]
            self.assertEqual(size, PAGE << 9 * (entry["level"] - 1))
            self.assertTrue(entry["leaf"] or entry["count"] == 1)
            for i in range(entry["count"] if entry["leaf"] else 0):
                key = number(entry["start"]) + i * size
                self.assertNotIn(key, found)
                found[key] = {"level": entry["level"], "table": entry["table"], "index": entry["index"] + i,
                              "entry": hexa(number(entry["entry"]) + i * self.step(arch, entry["level"])),
                              "flags": entry["flags"], "present": entry["present"], "leaf": True,
                              "pa": hexa(number(entry["pa"]) + i * size)}
        return found

    def leaves_by_walk(self):
        """The same, by walking to every page of every area."""
        pages = [at for start, end, _ in self.areas() for at in range(start, end, PAGE)]
        found = {}
        for at, reply in zip(pages, self.peer.pipeline([("page.walk", {"space": self.space, "addr": hexa(at)}) for at in pages])):
            leaf = reply["result"]["levels"][-1]
            if number(leaf["entry"]) == 0:
                continue
            size = PAGE << 9 * (leaf["level"] - 1)
            found[at & -size] = dict(leaf, pa=reply["result"]["pa"] if at % size == 0 else None)
        return found

    def compare(self, by_dump, by_walk):
        self.assertEqual(sorted(map(hexa, by_dump)), sorted(map(hexa, by_walk)))
        for at, told in by_walk.items():
            dumped = dict(by_dump[at])
            pa = dumped.pop("pa")
            walked = told.pop("pa")
            self.assertEqual(dumped, told, hexa(at))
            if walked is not None:
                self.assertEqual(pa, walked, hexa(at))

    def test_every_entry_is_what_a_walk_to_its_page_says(self):
        for arch in LEVELS:
            with self.subTest(arch=arch):
                self.forget(self.space)
                self.fill(arch)
                entries = self.dump()
                self.compare(self.leaves_by_dump(arch, entries), self.leaves_by_walk())

    def test_the_upper_half_has_its_own_addresses(self):
        self.fill("x86_64", low=0xffff900000000000)
        self.compare(self.leaves_by_dump("x86_64", self.dump()), self.leaves_by_walk())

    def test_pieces_of_any_size_make_the_same_whole(self):
        self.fill("x86_64")
        whole = self.dump(limit=10000)
        self.assertGreater(len(whole), 40)
        for limit in (1, 2, 3, 7, 50):
            self.assertEqual(self.dump(limit=limit), whole)

    def test_a_start_leaves_out_what_ends_before_it(self):
        self.fill("x86_64")
        whole = self.dump(limit=10000)
        for start in (0, 0x400123, 0x3fe00000, 1 << 37, (1 << 38) - PAGE, 1 << 38, 1 << 47, 0xffff800000000000):
            tail = self.dump(limit=10, start=start)
            told = {(e["table"], e["index"] + i) for e in tail for i in range(e["count"])}
            self.assertEqual(told, {(e["table"], e["index"] + i) for e in whole for i in range(e["count"])
                                    if number(e["start"]) + number(e["size"]) // e["count"] * (i + 1) > start})

    def test_a_gigabyte_of_pages_is_two_entries_a_table(self):
        self.create(ram="2G")
        self.on("area.map", start="0x40000000", size="1G", flags="rw-", backing="eager")
        entries = self.dump(limit=10000)
        self.assertEqual(len(entries), 2 + 512 + 512)
        self.assertEqual(sum(e["count"] for e in entries if e["leaf"]), 1 << 18)

    def test_an_empty_space_has_no_entries(self):
        self.create()
        self.assertEqual(self.on("page.dump"), {"entries": [], "next": None})

    @harness.live
    def test_what_is_wrong_is_refused(self):
        self.create()
        for limit in (0, 10001):
            self.assertEqual(self.refused(INVALID_PARAM, "page.dump", space=self.space, limit=limit)["data"]["param"], "limit")
        self.refused(NOT_FOUND, "page.dump", space="nobody")
        live = self.call("space.create", name=self.space + "-live", command=["/bin/true"])
        self.addCleanup(self.forget, live["name"])
        self.refused(UNSUPPORTED, "page.dump", space=live["name"])

    # ---- aspacectl ----

    def ctl(self, *arguments):
        done = subprocess.run([ASPACECTL, "--socket", self.daemon.path, *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=PATIENCE, encoding="utf-8")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def rows(self, text):
        """[[cell, …], …] of the rows; the first cell keeps its indentation."""
        lines = text.splitlines()
        self.assertEqual(lines[0].split(), ["ENTRY", "START", "END", "SIZE", "PHYSICAL", "COUNT", "BITS"])
        self.assertTrue(lines[-1].startswith("total: "))
        return [[line[:len(line) - len(line.lstrip())]] + line.split() for line in lines[1:-1]], lines[-1]

    def test_the_tree_folds_what_goes_on_from_table_to_table(self):
        self.create(ram="4G")
        self.on("area.map", start="0x40000000", size="2G", flags="rw-", backing="linear", pa="0x40000000")
        self.on("area.map", start="0xc0000000", size="4M", flags="r-x,kernel", backing="linear", pa="0", page="2M")
        rows, total = self.rows(self.ctl("tables", self.space))
        self.assertEqual([row[:2] for row in rows], [["", "PML4[0]"], ["  ", "PDPT[1..2]"], ["    ", "PD[0..511]"],
                                                     ["      ", "PT[0..511]"], ["  ", "PDPT[3]"], ["    ", "PD[0..1]"]])
        self.assertEqual([row[2:4] for row in rows[1:4]], [["0x40000000", "0xc0000000"]] * 3)
        self.assertEqual(rows[2][7:], "1024 tables P RW US".split())
        self.assertEqual(rows[3][6:], "0x40000000 524288 x 4 KiB P RW US XD linear".split())
        self.assertEqual(rows[5][6:], "0x0 2 x 2 MiB P PS linear".split())
        self.assertEqual(total, "total: 1028 tables below the root, 524290 leaves of 2.0 GiB")

    def test_a_page_that_differs_stands_alone(self):
        self.create(ram="64M")
        self.on("area.map", start="0", size="8M", flags="rw-", backing="linear", pa="0x1000000")
        self.on("area.protect", start="0x301000", size="4K", flags="r--")
        rows, _ = self.rows(self.ctl("tables", self.space))
        self.assertEqual([row[1] for row in rows], ["PML4[0]", "PDPT[0]", "PD[0..1]", "PT[0..256]", "PT[257]", "PT[258..511]",
                                                    "PD[2..3]", "PT[0..511]"])
        self.assertEqual(rows[4][2:], "0x301000 0x302000 4 KiB 0x1301000 1 x 4 KiB P US XD linear".split())

    def test_the_tree_is_the_whole_dump_however_many_replies_it_takes(self):
        self.fill("x86_64")
        for page in range(12000): # more runs than a reply has
            self.peer.ask("area.map", {"space": self.space, "start": hexa((1 << 36) + page * 2 * PAGE), "size": "4K",
                                       "flags": "rw-", "backing": "linear", "pa": "0x1000"})
        entries = self.dump(limit=10000)
        leaves = [e for e in entries if e["leaf"]]
        self.assertGreater(len(leaves), 10000)
        rows, total = self.rows(self.ctl("tables", self.space))
        self.assertTrue(total.startswith("total: %d tables below the root, %d leaves of " % (
            len(entries) - len(leaves), sum(e["count"] for e in leaves))), total)
        told = [(number(row[2]), number(row[3])) for row in rows if "x" in row]
        self.assertEqual(sum(end - start for start, end in told), sum(number(e["size"]) for e in leaves))
        self.assertEqual(told, sorted(told))

    def test_a_line_goes_on_from_reply_to_reply(self):
        self.create(ram="64M")
        self.on("area.map", start="0x0", size="12G", flags="rw-", backing="linear", pa="0x0") # 12288 entries
        lines = self.ctl("tables", self.space).splitlines()
        self.assertEqual(len(lines), 6)
        bits = lines[0].index("BITS")
        self.assertEqual([line[bits:] for line in lines[1:5]], ["P RW US"] * 3 + ["P RW US XD linear"])
        self.assertIn("3145728 x 4 KiB", lines[4])

    def test_a_limit_and_a_start_show_a_part(self):
        self.create(ram="64M")
        self.on("area.map", start="0", size="8M", flags="rw-", backing="eager")
        part = self.ctl("tables", self.space, "--start", "0x400000", "--limit", "1")
        self.assertTrue(part.endswith("; there is more from 0x600000 on\n"), part)
        self.assertEqual(self.rows(part)[0][-1][2:4], ["0x400000", "0x600000"])
        self.assertEqual(self.ctl("--json", "tables", self.space, "--limit", "1").strip(),
                         self.ctl("call", "page.dump", '{"space":"%s","limit":1}' % self.space).strip())


if __name__ == "__main__":
    harness.main()
