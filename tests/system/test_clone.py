"""space.clone through the socket."""
import harness


class Clone(harness.DaemonCase):
    def setUp(self):
        super().setUp()
        self.other = self.space + "-clone"

    def test_a_clone_has_the_contents_and_goes_its_own_way(self):
        self.create(ram="64M")
        self.on("area.map", start="0x400000", size="1M", flags="rw-", backing="eager", tag="heap")
        self.on("memory.write", addr="0x401000", hex="11")
        made = self.on("space.clone", name=self.other, tag="second")
        self.addCleanup(self.forget, self.other)
        self.assertEqual((made["name"], made["areas"], made["mapped"], made["tag"]), (self.other, 1, "0x100000", "second"))
        self.assertEqual(self.call("area.list", space=self.other), self.on("area.list"))
        self.assertEqual(self.call("memory.access", space=self.other, addr="0x401000", kind="write")["outcome"], "copied")
        self.call("memory.write", space=self.other, addr="0x401000", hex="22")
        self.assertEqual(self.on("memory.read", addr="0x401000", size=1), {"data": harness.b64(b"\x11")})
        self.on("space.destroy")
        self.assertEqual(self.call("memory.read", space=self.other, addr="0x401000", size=1), {"data": harness.b64(b"\x22")})
        self.assertEqual(self.call("space.check", space=self.other), {"ok": True, "problems": []})

    def test_frames_are_counted_once_however_many_clones_have_them(self):
        before = self.call("daemon.stats")["frames"]
        self.create(ram="64M")
        self.on("area.map", start="0x400000", size="1M", flags="rw-", backing="eager")
        one = self.call("daemon.stats")["frames"]
        for i in range(3):
            self.on("space.clone", name=self.other + str(i))
            self.addCleanup(self.forget, self.other + str(i))
        many = self.call("daemon.stats")["frames"]
        self.assertEqual(many["total"], one["total"])
        self.assertEqual(many["shared"] - before["shared"], 256)
        self.assertEqual(many["used"] - one["used"], 3 * (one["tables"] - before["tables"]))

    def test_a_name_that_is_taken_is_refused_and_nothing_is_made(self):
        self.create(ram="1M")
        self.refused_unchanged(harness.ALREADY_EXISTS, "space.clone", name=self.space)
        self.refused(harness.NOT_FOUND, "space.clone", space="nobody", name=self.other)

    def test_clones_of_one_space_work_side_by_side(self):
        self.create(ram="256M")
        self.on("area.map", start="0x400000", size="64M", flags="rw-", backing="eager")
        names = [self.other + str(i) for i in range(4)]
        for name in names:
            self.on("space.clone", name=name)
            self.addCleanup(self.forget, name)
        peers = [self.open() for _ in names]
        for _ in range(5): # long requests, which workers do, beside short ones
            for name, peer in zip(names, peers):
                peer.send(harness.request_text("area.protect", {"space": name, "start": "0x400000", "size": "64M",
                                                                "flags": "r--"}) + "\n")
                peer.send(harness.request_text("area.protect", {"space": name, "start": "0x400000", "size": "64M",
                                                                "flags": "rw-"}) + "\n")
                peer.send(harness.request_text("memory.write", {"space": name, "addr": "0x500000", "hex": "77"}) + "\n")
            self.call("space.list")
            for peer in peers:
                for _ in range(3):
                    self.assertIn("result", peer.reply())
        for name in names:
            self.assertEqual(self.call("space.check", space=name), {"ok": True, "problems": []})
        self.assertEqual(self.on("memory.read", addr="0x500000", size=1), {"data": harness.b64(b"\0")})


if __name__ == "__main__":
    harness.main()
