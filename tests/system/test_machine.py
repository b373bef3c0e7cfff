"""The simulated machine through the socket: every architecture, pages of every size, faults and accesses. Entries and codes
are worked out by hand from the manuals; tests/unit/sim says which and where."""
import harness
from harness import INVALID_PARAM, NO_MEMORY, PAGE, b64, hexa

M2 = 0x200000
G1 = 0x40000000

# name: levels, the end of the default range, the code of a user's read and write where nothing is, of a write where
# only reading is allowed, the leaf of a rw- page of 4K and 2M at physical address `pa`
ARCHS = {
    "x86_64": (4, 1 << 47, 4, 6, 7, lambda pa: 1 << 63 | pa | 0x7, lambda pa: 1 << 63 | pa | 0x87),
    "x86_64-la57": (5, 1 << 56, 4, 6, 7, lambda pa: 1 << 63 | pa | 0x7, lambda pa: 1 << 63 | pa | 0x87),
    "aarch64": (4, 1 << 48, 0x92000000 | 4, 0x92000000 | 0x44, 0x92000000 | 0x4f,
                lambda pa: 0x0068000000000bc3 | pa, lambda pa: 0x0068000000000bc1 | pa),
    "riscv-sv39": (3, 1 << 38, 13, 15, 15, lambda pa: pa >> 2 | 0x17, lambda pa: pa >> 2 | 0x17),
    "riscv-sv48": (4, 1 << 47, 13, 15, 15, lambda pa: pa >> 2 | 0x17, lambda pa: pa >> 2 | 0x17),
    "riscv-sv57": (5, 1 << 56, 13, 15, 15, lambda pa: pa >> 2 | 0x17, lambda pa: pa >> 2 | 0x17),
}


class Architectures(harness.DaemonCase):
    def each(self):
        for arch, row in ARCHS.items():
            with self.subTest(arch=arch):
                self.forget(self.space)
                space = self.create(arch=arch, ram="16M")
                self.assertEqual(space["arch"], arch)
                yield row
                self.check()

    def test_the_default_range_is_the_lower_half(self):
        for levels, end, *_ in self.each():
            self.assertEqual(self.on("space.info")["range"], ["0x0", hexa(end)])
            self.on("area.map", start=hexa(end - PAGE), size=PAGE, flags="rw-")
            walk = self.on("page.walk", addr=hexa(end - 1))
            self.assertEqual(walk["levels"][0]["level"], levels)
            self.assertEqual(walk["page_size"], "0x1000")
            self.refused(INVALID_PARAM, "page.walk", space=self.space, addr=hexa(end))

    def test_a_range_that_is_not_translated_is_refused_with_what_is(self):
        for arch, (_, end, *_) in ARCHS.items():
            error = self.refused(INVALID_PARAM, "space.create", name="never", arch=arch, range=["0x0", hexa(end + PAGE)])
            self.assertEqual(error["data"]["param"], "range")
            self.assertIn(hexa(end), error["message"])

    def test_the_upper_half_is_there_but_for_ttbr0(self):
        for arch, (_, end, *_) in ARCHS.items():
            self.forget(self.space)
            bounds = [hexa(2**64 - end), hexa(2**64 - PAGE)]
            if arch == "aarch64":
                self.refused(INVALID_PARAM, "space.create", name="never", arch=arch, range=bounds)
                continue
            self.create(arch=arch, range=bounds)
            self.on("area.map", start=bounds[0], size=PAGE, flags="rw-,kernel", backing="eager")
            self.assertIsNotNone(self.on("page.walk", addr=bounds[0])["pa"])
            self.check()

    def test_entries_are_the_architectures(self):
        for levels, _, _, _, _, small, large in self.each():
            self.on("area.map", start=G1, size=PAGE, flags="rw-", backing="linear", pa=0x345000)
            self.on("area.map", start=2 * G1, size=M2, flags="rw-", backing="linear", pa=3 * M2, page="2M")
            for addr, pa, size, entry in ((G1 + 5, 0x345005, PAGE, small(0x345000)),
                                          (2 * G1 + 0x12345, 3 * M2 + 0x12345, M2, large(3 * M2))):
                walk = self.on("page.walk", addr=addr)
                leaf = walk["levels"][-1]
                self.assertEqual((walk["pa"], walk["page_size"]), (hexa(pa), hexa(size)))
                self.assertEqual(len(walk["levels"]), levels - (size == M2))
                self.assertTrue(leaf["leaf"] and leaf["present"])
                self.assertEqual(leaf["flags"], "rw-")
                # without the bit of software that marks a fixed address, 8, 9 or 56
                self.assertEqual(int(leaf["entry"], 16) & ~(1 << 56 | 0x300) | entry & 0x300, entry)

    def test_fault_codes_are_the_architectures(self):
        for _, _, read, write, protection, *_ in self.each():
            for kind, code in (("read", read), ("write", write)):
                fault = self.on("memory.access", addr=G1, kind=kind)["fault"]
                self.assertEqual((fault["reason"], fault["code"], fault["area"]), ("unmapped", code, None))
            self.on("area.map", start=G1, size=PAGE, flags="r--", backing="eager")
            fault = self.on("memory.access", addr=G1 + 8, kind="write")["fault"]
            self.assertEqual((fault["reason"], fault["code"]), ("protection", protection))
            self.assertEqual((fault["addr"], fault["area"]["start"]), (hexa(G1 + 8), hexa(G1)))


class LargePages(Architectures):
    def test_a_large_page_is_filled_broken_moved_and_keeps_its_bytes(self):
        for _ in self.each():
            self.on("area.map", start=M2, size=2 * M2, flags="rw-", page="2M")
            self.on("memory.write", addr=M2 + 0x5ffe, hex="01020304")
            self.assertEqual(self.on("page.walk", addr=M2)["page_size"], hexa(M2))
            self.assertEqual(self.call("daemon.stats")["frames"]["data"], 512)
            self.on("area.unmap", start=M2 + 0x8000, size=PAGE)
            self.assertEqual(self.on("page.walk", addr=M2)["page_size"], hexa(PAGE))
            self.assertEqual(self.call("daemon.stats")["frames"]["data"], 511)
            self.on("area.move", start=M2, new_start=G1 + 0x3000)
            self.assertEqual(self.on("memory.read", addr=G1 + 0x8ffe, size=4)["data"], b64(bytes([1, 2, 3, 4])))
            self.check()

    def test_a_placement_is_aligned_to_the_page(self):
        self.create()
        for page, size in (("2M", M2), ("1G", G1)):
            start = int(self.on("area.map", size=2 * size, flags="rw-", page=page)["start"], 16)
            self.assertEqual(start % size, 0)
            start = int(self.on("area.map", size=size, flags="rw-", page=page, align=PAGE)["start"], 16)
            self.assertEqual(start % size, 0)

    def placed(self, size, **more):
        start = int(self.on("area.map", size=size, flags="rw-", page="auto", **more)["start"], 16)
        return start, int(self.on("page.walk", addr=start)["page_size"], 16)

    def test_auto_is_placed_where_large_pages_fit_if_there_is_room(self):
        self.create()
        self.on("area.map", size=PAGE, flags="rw-")
        self.assertEqual(self.placed(M2 + PAGE, backing="eager"), (M2, M2))
        self.assertEqual(self.placed(2 * G1, backing="linear", pa=G1), (G1, G1))
        self.assertEqual(self.placed(M2 - 2 * PAGE, backing="eager"), (2 * PAGE, PAGE))
        start, page = self.placed(2 * M2, backing="linear", pa=PAGE) # no large page can lead there
        self.assertEqual((start % M2 == 0, page), (False, PAGE))
        start, page = self.placed(M2, backing="eager", align=PAGE) # who says how it is aligned has it so
        self.assertEqual((start % M2 == 0, page), (False, PAGE))
        start, page = self.placed(M2, backing="eager", within=[4 * G1 + PAGE, 4 * G1 + M2 + PAGE])
        self.assertEqual((start, page), (4 * G1 + PAGE, PAGE))
        self.check()

    def test_what_is_no_multiple_of_the_page_is_refused(self):
        self.create()
        for param, named in (("start", {"start": M2 + PAGE, "size": M2}), ("size", {"start": M2, "size": M2 + PAGE}),
                             ("size", {"size": PAGE}),
                             ("pa", {"start": M2, "size": M2, "backing": "linear", "pa": PAGE})):
            error = self.refused_unchanged(INVALID_PARAM, "area.map", flags="rw-", page="2M", **named)
            self.assertEqual(error["data"]["param"], param)
            self.assertIn("page=auto", error["data"]["hint"])
            self.on("area.map", flags="rw-", page="auto", **named)
            self.on("space.clear")

    def test_large_pages_are_no_advice_for_what_is_no_multiple_of_4_kib(self):
        self.create()
        for named in ({"size": PAGE + 1}, {"start": 1, "size": PAGE}, {"size": 5, "page": "auto"}):
            error = self.refused_unchanged(INVALID_PARAM, "area.map", flags="rw-", **named)
            self.assertNotIn("hint", error["data"])

    def test_an_eager_large_page_without_room_is_refused_and_auto_is_not(self):
        self.create(ram="4M")
        self.on("area.map", start=M2, size="2M", flags="rw-", backing="eager", page="auto")
        error = self.refused_unchanged(NO_MEMORY, "area.map", start=2 * M2, size="2M", flags="rw-", backing="eager", page="2M")
        self.assertIn("page=auto", error["data"]["hint"])

    def test_a_gigabyte_breaks_in_a_transaction_and_a_dry_run_leaves_it(self):
        self.create(ram="1M")
        self.on("area.map", start=G1, size=G1, flags="rw-", backing="linear", pa=G1, page="1G")
        ops = [{"method": "area.split", "params": {"at": G1 + 0x5000}},
               {"method": "area.protect", "params": {"start": G1 + 0x5000, "size": PAGE, "flags": "r--"}},
               {"method": "area.shrink", "params": {"start": G1, "new_size": PAGE, "side": "right"}}]
        self.on("space.apply", ops=ops, dry_run=True)
        self.assertEqual(self.on("page.walk", addr=G1)["page_size"], hexa(G1))
        self.on("space.apply", ops=ops)
        self.assertEqual(self.on("page.walk", addr=G1)["page_size"], hexa(PAGE))
        self.assertEqual(self.on("page.walk", addr=G1 + M2)["page_size"], hexa(M2))
        self.check()


class Accesses(harness.DaemonCase):
    def test_more_than_a_page_only_asks(self):
        self.create()
        self.on("area.map", start=M2, size=M2, flags="rw-")
        self.on("area.map", start=2 * M2, size=M2, flags="r--")
        before = self.state()
        self.assertEqual(self.on("memory.access", addr=M2 + 1, kind="read", size=2 * M2 - 1), {"outcome": "hit"})
        fault = self.on("memory.access", addr=M2 + 1, kind="write", size=2 * M2 - 1)["fault"]
        self.assertEqual((fault["reason"], fault["addr"], fault["code"]), ("protection", hexa(2 * M2), 6))
        fault = self.on("memory.access", addr=M2 + 1, kind="read", size=2 * M2)["fault"]
        self.assertEqual((fault["reason"], fault["addr"], fault["area"]), ("unmapped", hexa(3 * M2), None))
        fault = self.on("memory.access", addr=hexa((1 << 47) - 1), kind="read", size=2 * PAGE)["fault"]
        self.assertEqual((fault["reason"], fault["addr"]), ("unmapped", hexa((1 << 47) - 1)))
        self.assertEqual(self.state(), before)

    def test_an_access_over_the_border_of_pages_is_two(self):
        self.create()
        self.on("area.map", start=M2, size=PAGE, flags="rw-")
        self.assertEqual(self.on("memory.access", addr=M2 + 0xffc, kind="write", size=4)["outcome"], "filled")
        fault = self.on("memory.access", addr=M2 + 0xffd, kind="write", size=4)["fault"]
        self.assertEqual((fault["addr"], fault["reason"]), (hexa(M2 + PAGE), "unmapped"))
        self.on("area.map", start=M2 + PAGE, size=PAGE, flags="rw-")
        self.assertEqual(self.on("memory.access", addr=M2 + 0xffd, kind="write", size=4)["outcome"], "filled")
        self.assertEqual(self.on("memory.access", addr=M2 + 0xffd, kind="write", size=4)["outcome"], "hit")


if __name__ == "__main__":
    harness.main()
