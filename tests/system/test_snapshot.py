"""Snapshots and differences, through the socket and through aspacectl."""
import json
import os
import random
import subprocess
import threading

import harness
from harness import (ALREADY_EXISTS, ASPACECTL, CONFLICT, INVALID_PARAM, INVALID_PARAMS, NOT_FOUND, NO_MEMORY,
                     PATIENCE, UNSUPPORTED, Daemon, Peer, hexa, request_text)

PAGE = 0x1000
BASE = 0x400000


def piece(area):
    return (int(area["start"], 16), int(area["end"], 16), area["flags"], area["backing"], area.get("tag")) if area else None


def told(difference):
    return difference["kind"], piece(difference.get("before")), piece(difference.get("after"))


def pages_of(areas):
    """Each page's flags, backing and tag."""
    return {page: (area["flags"], area["backing"], area.get("tag"))
            for area in areas for page in range(int(area["start"], 16), int(area["end"], 16), PAGE)}


def follow(pages, events):
    """What docs/protocol.md says that one does with events: before goes, after comes."""
    for event in events:
        if event["kind"] in ("area.split", "area.merged"):
            continue
        for page in pages_of([event["before"]] if "before" in event else []):
            del pages[page]
        pages.update(pages_of([event["after"]] if "after" in event else []))
    return pages


class SnapshotCase(harness.DaemonCase):
    def map(self, start, pages, flags="rw-", backing="eager", **more):
        return self.on("area.map", start=hexa(start), size=hexa(pages * PAGE), flags=flags, backing=backing, **more)

    def write(self, addr, text):
        self.on("memory.write", addr=hexa(addr), hex=text)

    def byte(self, addr):
        return self.on("memory.read", addr=hexa(addr), size=1)["data"]

    def diff(self, other=None, **more):
        return self.on("space.diff", other=other or self.space + "@one", **more)


class Snapshots(SnapshotCase):
    def test_going_back_brings_areas_and_bytes_and_raises_the_generation(self):
        self.create(ram="64M", tag="mine")
        self.map(BASE, 256, tag="heap")
        self.write(BASE, "11")
        before = self.areas()
        generation = self.on("space.info")["generation"]
        self.assertEqual(self.on("space.snapshot", name="one"), {"generation": generation})
        self.assertEqual(self.on("space.info")["snapshots"], 1)
        self.on("area.unmap", start=hexa(BASE + 16 * PAGE), size="64K")
        self.on("area.protect", start=hexa(BASE), size="4K", flags="r--")
        self.map(0x900000, 4, tag="other")
        self.write(BASE, "22")
        now = self.on("space.info")["generation"]
        self.assertEqual(self.on("space.restore", name="one"), {"generation": now + 1})
        self.assertEqual(self.areas(), before)
        self.assertEqual(self.byte(BASE), harness.b64(b"\x11"))
        self.assertEqual(self.diff(), {"areas": [], "pages_written": 0, "written": [], "next": None})
        self.assertEqual(self.on("space.check"), {"ok": True, "problems": []})
        self.assertEqual(self.on("space.info")["tag"], "mine")

    def test_a_space_lists_its_snapshots_as_they_were_and_forgets_what_is_dropped(self):
        self.create(ram="64M")
        self.assertEqual(self.on("space.snapshots"), {"snapshots": []})
        self.on("space.snapshot", name="empty")
        self.map(BASE, 16)
        self.on("space.snapshot", name="b.2")
        self.on("space.clear")
        self.assertEqual(self.on("space.snapshots")["snapshots"], [
            {"name": "empty", "generation": 0, "areas": 0, "mapped": "0x0", "resident": "0x0"},
            {"name": "b.2", "generation": 1, "areas": 1, "mapped": "0x10000", "resident": "0x10000"}])
        self.assertEqual(self.on("space.drop", name="empty"), {})
        self.assertEqual([one["name"] for one in self.on("space.snapshots")["snapshots"]], ["b.2"])
        self.refused(NOT_FOUND, "space.drop", space=self.space, name="empty")
        self.on("space.drop", name="b.2")
        self.assertNotIn("snapshots", self.on("space.info"))

    def test_what_is_refused_changes_nothing(self):
        self.create(ram="64M")
        self.map(BASE, 16)
        self.on("space.snapshot", name="one")
        self.refused_unchanged(ALREADY_EXISTS, "space.snapshot", name="one")
        self.refused_unchanged(NOT_FOUND, "space.restore", name="two")
        self.refused_unchanged(INVALID_PARAMS, "space.snapshot", name="no/name")
        for method in ("space.snapshot", "space.restore"):
            self.refused_unchanged(CONFLICT, method, name="one", if_generation=7)
        for other, code in ((self.space + "@two", NOT_FOUND), ("nobody", NOT_FOUND), ("nobody@one", NOT_FOUND),
                            ("@one", INVALID_PARAMS), (self.space + "@", INVALID_PARAMS), ("a@b@c", INVALID_PARAMS),
                            ("a b", INVALID_PARAMS), ("x" * 65, INVALID_PARAMS), ("a@" + "x" * 65, INVALID_PARAMS),
                            ("", INVALID_PARAMS), ("@", INVALID_PARAMS)):
            with self.subTest(other=other):
                error = self.refused(code, "space.diff", space=self.space, other=other)
                self.assertEqual(error["data"]["param"], "other")
        error = self.refused(NOT_FOUND, "space.diff", space=self.space, other="one")
        self.assertIn("SPACE@SNAPSHOT", error["data"]["hint"])
        self.refused(INVALID_PARAM, "space.diff", space=self.space, other=self.space, limit=0)
        self.refused(INVALID_PARAM, "space.diff", space=self.space, other=self.space, start="0x2000", end="0x1000")
        self.assertEqual(self.diff(self.space)["areas"], [])

    def test_frames_that_are_not_had_leave_all_as_it_was(self):
        self.create(ram="64M")
        self.map(BASE, 600)
        self.on("space.snapshot", name="kept")
        self.write(BASE, "55")
        for method, name in (("space.snapshot", "one"), ("space.restore", "kept")):
            for nth in range(1, 6): # root, two tables, two of the lowest level
                with self.subTest(method=method, nth=nth):
                    self.on("inject.set", op="frame", nth=nth, error="NoMemory")
                    before = self.call("daemon.stats")["frames"]
                    self.refused_unchanged(NO_MEMORY, method, name=name)
                    self.assertEqual(self.call("daemon.stats")["frames"], before)
                    self.assertEqual(self.byte(BASE), harness.b64(b"\x55"))
                    self.on("inject.clear")
        self.on("inject.set", op="frame", nth=7)
        self.on("space.restore", name="kept")
        self.assertEqual(self.byte(BASE), harness.b64(b"\0"))
        self.assertEqual(self.on("space.check"), {"ok": True, "problems": []})

    def test_frames_are_counted_and_given_back(self):
        self.create(ram="64M")
        before = self.call("daemon.stats")["frames"]
        self.map(BASE, 256)
        one = self.call("daemon.stats")["frames"]
        self.on("space.snapshot", name="one")
        two = self.call("daemon.stats")["frames"]
        tables = one["tables"] - before["tables"] + 1 # and the root
        self.assertEqual(two["shared"] - before["shared"], 256)
        self.assertEqual(two["data"] - one["data"], 256)
        self.assertEqual(two["tables"] - one["tables"], tables)
        self.assertEqual(two["used"] - one["used"], tables)
        self.assertEqual(two["total"], one["total"])
        self.on("space.drop", name="one")
        self.assertEqual(self.call("daemon.stats")["frames"], one)
        self.on("space.snapshot", name="one")
        self.on("space.destroy")
        after = self.call("daemon.stats")["frames"]
        self.assertEqual((after["used"], after["data"]), (before["used"] - 1, before["data"]))

    def test_clones_have_none_of_the_snapshots_and_all_end_in_any_order(self):
        for order in ((0, 1), (1, 0)):
            self.create(ram="64M")
            self.map(BASE, 64)
            self.write(BASE, "01")
            self.on("space.snapshot", name="one")
            other = self.space + "-clone"
            self.on("space.clone", name=other)
            self.assertEqual(self.call("space.snapshots", space=other), {"snapshots": []})
            self.call("space.snapshot", space=other, name="one")
            self.call("memory.write", space=other, addr=hexa(BASE), hex="02")
            self.write(BASE + PAGE, "03")
            self.assertEqual(self.diff(other)["written"], [[hexa(BASE), hexa(BASE + 2 * PAGE)]])
            self.assertEqual(self.diff(other + "@one")["written"], [[hexa(BASE + PAGE), hexa(BASE + 2 * PAGE)]])
            names = [self.space, other]
            self.call("space.destroy", space=names[order[0]])
            left = names[order[1]]
            self.assertEqual(self.call("space.check", space=left), {"ok": True, "problems": []})
            self.call("space.restore", space=left, name="one")
            self.assertEqual(self.call("memory.read", space=left, addr=hexa(BASE), size=1)["data"], harness.b64(b"\x01"))
            self.assertEqual(self.call("space.check", space=left), {"ok": True, "problems": []})
            self.call("space.destroy", space=left)

    @harness.live
    def test_a_live_space_says_that_it_has_none(self):
        self.call("space.create", name=self.space, command=["/bin/sleep", "600"])
        self.addCleanup(self.forget, self.space)
        simulated = self.space + "-sim"
        self.call("space.create", name=simulated)
        self.addCleanup(self.forget, simulated)
        self.refused(UNSUPPORTED, "space.snapshot", space=self.space, name="one")
        self.refused(UNSUPPORTED, "space.restore", space=self.space, name="one")
        self.refused(NOT_FOUND, "space.drop", space=self.space, name="one")
        self.assertEqual(self.on("space.snapshots"), {"snapshots": []})
        self.refused(UNSUPPORTED, "space.diff", space=self.space, other=simulated)
        self.refused(UNSUPPORTED, "space.diff", space=simulated, other=self.space)

    def test_there_are_no_more_than_the_limit(self):
        with Daemon("--max-snapshots", "2") as daemon, Peer(daemon.path) as peer:
            self.assertEqual(peer.call("daemon.info")["limits"]["max_snapshots"], 2)
            peer.call("space.create", name="s")
            peer.call("space.snapshot", space="s", name="a")
            peer.call("space.snapshot", space="s", name="b")
            error = peer.ask("space.snapshot", {"space": "s", "name": "c"})["error"]
            self.assertError(error, NO_MEMORY)
            self.assertIn("--max-snapshots", error["data"]["hint"])
            peer.call("space.drop", space="s", name="a")
            peer.call("space.snapshot", space="s", name="c")


class Differences(SnapshotCase):
    def test_areas_are_told_as_the_events_that_would_make_them(self):
        self.create(ram="64M")
        self.map(0x100000, 4)
        self.map(0x200000, 4, tag="a")
        self.map(0x300000, 4)
        self.map(0x400000, 4)
        self.map(0x500000, 4)
        self.on("space.snapshot", name="one")
        self.on("area.unmap", start="0x100000", size="4K")
        self.map(0x200000, 4, tag="b", overlap="replace")
        self.on("area.protect", start="0x301000", size="4K", flags="r-x")
        self.on("area.split", at="0x402000")
        self.map(0x600000, 1, backing="lazy")
        self.assertEqual([told(one) for one in self.diff()["areas"]], [
            ("area.unmapped", (0x100000, 0x101000, "rw-", "eager", None), None),
            ("area.unmapped", (0x200000, 0x204000, "rw-", "eager", "a"), None),
            ("area.mapped", None, (0x200000, 0x204000, "rw-", "eager", "b")),
            ("area.protected", (0x301000, 0x302000, "rw-", "eager", None), (0x301000, 0x302000, "r-x", "eager", None)),
            ("area.split", (0x400000, 0x404000, "rw-", "eager", None), (0x400000, 0x402000, "rw-", "eager", None)),
            ("area.mapped", None, (0x600000, 0x601000, "rw-", "lazy", None))])

    def test_pages_are_those_written_to_or_those_whose_bytes_differ(self):
        self.create(ram="64M")
        self.map(BASE, 16)
        self.write(BASE, "07")
        self.on("space.snapshot", name="one")
        self.write(BASE, "07")
        self.on("memory.access", addr=hexa(BASE + PAGE), kind="write")
        self.write(BASE + 3 * PAGE, "09")
        written = self.diff()
        self.assertEqual((written["pages_written"], written["written"]),
                         (3, [[hexa(BASE), hexa(BASE + 2 * PAGE)], [hexa(BASE + 3 * PAGE), hexa(BASE + 4 * PAGE)]]))
        self.assertEqual(self.diff(compare="bytes")["written"], [[hexa(BASE + 3 * PAGE), hexa(BASE + 4 * PAGE)]])
        window = self.diff(start=hexa(BASE + PAGE), end=hexa(BASE + 3 * PAGE))
        self.assertEqual((window["written"], window["next"]), ([[hexa(BASE + PAGE), hexa(BASE + 2 * PAGE)]], None))

    def test_spaces_of_different_machines_are_compared_by_bytes_if_they_are_alike(self):
        self.create(ram="64M")
        self.map(BASE, 16)
        for name, arch in (("-twin", "x86_64"), ("-arm", "aarch64")):
            self.call("space.create", name=self.space + name, arch=arch, ram="32M")
            self.addCleanup(self.forget, self.space + name)
        self.call("area.map", space=self.space + "-twin", start=hexa(BASE), size="64K", flags="rw-", backing="eager")
        self.assertEqual(self.diff(self.space + "-twin"), {"areas": [], "pages_written": 0, "written": [], "next": None})
        self.write(BASE + PAGE, "01")
        self.assertEqual(self.diff(self.space + "-twin")["pages_written"], 1)
        self.refused(UNSUPPORTED, "space.diff", space=self.space, other=self.space + "-arm")

    def test_a_cursor_gets_all_of_it(self):
        self.create(ram="64M")
        self.map(BASE, 512)
        self.on("space.snapshot", name="one")
        for i in range(0, 100, 2):
            self.write(BASE + i * PAGE, "01")
        for i in range(200, 300, 2):
            self.on("area.protect", start=hexa(BASE + i * PAGE), size="4K", flags="r--")
        whole = self.diff()
        start, areas, runs, pages = 0, [], [], 0
        while start is not None:
            part = self.diff(limit=7, start=start)
            self.assertLessEqual(max(len(part["areas"]), len(part["written"])), 7)
            areas += part["areas"]
            runs += part["written"]
            pages += part["pages_written"]
            start = part["next"]
        self.assertEqual((areas, runs, pages), (whole["areas"], whole["written"], whole["pages_written"]))
        self.assertEqual((len(areas), pages), (50, 50))

    def test_two_spaces_compared_both_ways_while_they_work_are_answered(self):
        """Long requests on both, whose queues each comparison stands in."""
        self.create(ram="256M")
        other = self.space + "-other"
        self.call("space.create", name=other, ram="256M")
        self.addCleanup(self.forget, other)
        names = [self.space, other]
        for name in names:
            self.call("area.map", space=name, start=hexa(BASE), size="64M", flags="rw-", backing="eager")
            self.call("space.snapshot", space=name, name="one")
        peers = [self.open() for _ in range(4)]
        for i in range(6):
            for k, peer in enumerate(peers):
                space, against = names[k % 2], names[(k + 1) % 2] + ("@one" if i % 2 else "")
                for method, params in (("area.protect", {"start": hexa(BASE), "size": "64M", "flags": "r--" if i % 2 else "rw-"}),
                                       ("space.diff", {"other": against}), ("space.restore", {"name": "one"})):
                    peer.send(request_text(method, dict(params, space=space)) + "\n")
            self.call("space.list")
            self.call("daemon.stats")
            for peer in peers:
                for _ in range(3):
                    self.assertIn("result", peer.reply())
        for name in names:
            self.assertEqual(self.call("space.check", space=name), {"ok": True, "problems": []})

    def test_a_space_that_ends_before_the_comparison_is_not_found(self):
        self.create(ram="64M")
        other = self.space + "-other"
        self.call("space.create", name=other, ram="64M")
        self.call("area.map", space=other, start=hexa(BASE), size="32M", flags="rw-", backing="eager")
        peer = self.open()
        peer.send(request_text("space.destroy", {"space": other}) + "\n" +
                  request_text("space.diff", {"space": self.space, "other": other}) + "\n")
        replies = [peer.reply(), peer.reply()]
        self.assertEqual(sum("result" in one for one in replies), 1)
        error = [one for one in replies if "error" in one][0]["error"]
        self.assertError(error, NOT_FOUND)
        self.assertEqual(error["data"]["param"], "other")


class Events(SnapshotCase):
    def events(self, peer, count):
        found = []
        while len(found) < count:
            message = json.loads(peer.line())
            if message.get("method") == "event":
                found.append(message["params"])
        return found

    def test_going_back_tells_what_changed_and_keeping_tells_nothing(self):
        self.create(ram="64M")
        ear = self.open()
        ear.call("events.subscribe", spaces=[self.space])
        self.map(BASE, 16, tag="a")
        self.on("space.snapshot", name="one")
        self.on("area.unmap", start=hexa(BASE), size="4K")
        self.map(0x900000, 1, tag="b")
        generation = self.on("space.restore", name="one")["generation"]
        events = self.events(ear, 6)
        self.assertEqual([told(one) for one in events[3:]], [
            ("area.mapped", None, (BASE, BASE + PAGE, "rw-", "eager", "a")),
            ("area.merged", (BASE + PAGE, BASE + 16 * PAGE, "rw-", "eager", "a"), (BASE, BASE + 16 * PAGE, "rw-", "eager", "a")),
            ("area.unmapped", (0x900000, 0x901000, "rw-", "eager", "b"), None)])
        self.assertEqual({one["generation"] for one in events[3:]}, {generation})
        self.assertTrue(ear.quiet())

    def test_who_follows_events_has_every_page_right_after_any_restores(self):
        seed = int(os.environ.get("ASPACE_SEED", random.randrange(1 << 30)))
        print("seed %d (ASPACE_SEED repeats it)" % seed)
        chance = random.Random(seed)
        for merge in ("off", "auto"):
            self.create(ram="64M", merge=merge)
            ear = self.open()
            ear.call("events.subscribe", spaces=[self.space])
            pages, kept = {}, []
            for _ in range(60):
                start, size = BASE + chance.randrange(40) * PAGE, hexa(PAGE * chance.randrange(1, 12))
                what = chance.randrange(6)
                if what == 0 and len(kept) < 4:
                    kept.append("s%d" % len(kept))
                    self.on("space.snapshot", name=kept[-1])
                elif what == 1 and kept:
                    self.on("space.restore", name=chance.choice(kept))
                elif what == 2:
                    self.on("area.unmap", start=hexa(start), size=size)
                elif what == 3:
                    self.on("area.protect", start=hexa(start), size=size, flags=chance.choice(("r--", "rw-")))
                else:
                    self.on("area.map", start=hexa(start), size=size, flags="rw-", overlap="replace",
                            tag=chance.choice("abc"), backing=chance.choice(("lazy", "eager")))
            last = self.on("area.map", start="0x10000000", size="4K", flags="rw-")["generation"]
            while True:
                event = self.events(ear, 1)[0]
                follow(pages, [event])
                if event["generation"] == last:
                    break
            self.assertEqual(pages, pages_of(self.on("area.list")["areas"]))
            self.on("space.destroy")


class Verbs(SnapshotCase):
    def ctl(self, *arguments):
        return subprocess.run([ASPACECTL, "--socket", self.daemon.path, *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE, encoding="utf-8")

    def good(self, *arguments):
        result = self.ctl(*arguments)
        self.assertEqual((result.returncode, result.stderr), (0, ""), result)
        return result.stdout

    def test_a_life_with_snapshots(self):
        self.create(ram="64M")
        self.map(BASE, 16, tag="a")
        self.assertEqual(self.good("snapshot", self.space, "one"), "kept %s@one, generation 1\n" % self.space)
        self.write(BASE + PAGE, "01")
        self.on("area.protect", start=hexa(BASE), size="4K", flags="r--")
        self.assertEqual(self.good("snapshots", self.space).splitlines(), [
            "NAME  GENERATION  AREAS  MAPPED  RESIDENT", "one            1      1  64 KiB    64 KiB"])
        self.assertEqual(self.good("diff", self.space, self.space + "@one").splitlines(), [
            "area.protected  0x400000-0x401000 rw- eager a -> 0x400000-0x401000 r-- eager a",
            "written         0x401000-0x402000",
            "1 difference of areas, 1 page written"])
        self.assertEqual(self.good("diff", self.space, self.space + "@one", "--start", "0x402000", "--compare", "bytes"),
                         "0 differences of areas, 0 pages written\n")
        self.assertEqual(self.good("restore", self.space, "one"), "%s is as one again, generation 3\n" % self.space)
        self.assertEqual(json.loads(self.good("--json", "diff", self.space, self.space + "@one")), self.diff())
        self.assertEqual(self.good("drop", self.space, "one"), "dropped %s@one\n" % self.space)
        result = self.ctl("restore", self.space, "one")
        self.assertEqual(result.returncode, 1)
        self.assertIn("NotFound", result.stderr)
        self.assertIn("hint: ", result.stderr)

    def test_where_there_is_more_the_place_to_go_on_is_said(self):
        self.create(ram="64M")
        self.map(BASE, 16)
        self.on("space.snapshot", name="one")
        for i in range(0, 10, 2):
            self.write(BASE + i * PAGE, "01")
        self.assertIn("go on with --start 0x404000\n", self.good("diff", self.space, self.space + "@one", "--limit", "2"))


class Relatives(SnapshotCase):
    """Spaces that share frames, made, changed, compared and ended by several peers at once."""

    NAMES = ["relative-%d" % n for n in range(4)]
    KEPT = ["a", "b"]

    def request(self, dice):
        space, other, kept = dice.choice(self.NAMES), dice.choice(self.NAMES), dice.choice(self.KEPT)
        where = {"space": space, "start": hexa(BASE + dice.randrange(3000) * PAGE),
                 "size": hexa(dice.choice((1, 7, 600, 5000)) * PAGE)}
        return dice.choice((
            ("space.create", {"name": space, "ram": "64M"}), ("space.clone", {"space": space, "name": other}),
            ("space.destroy", {"space": space}), ("space.snapshot", {"space": space, "name": kept}),
            ("space.restore", {"space": space, "name": kept}), ("space.restore", {"space": space, "name": kept}),
            ("space.drop", {"space": space, "name": kept}), ("space.diff", {"space": space, "other": other}),
            ("space.diff", {"space": space, "other": other + "@" + kept}), ("space.list", {}),
            ("area.map", dict(where, flags="rw-", backing="eager", overlap="replace")), ("area.unmap", where),
            ("area.protect", dict(where, flags=dice.choice(("r--", "rw-")), holes="skip")),
            ("memory.write", {"space": space, "addr": where["start"], "hex": "aa"}), ("space.info", {"space": space}),
            ("page.dump", {"space": space, "limit": 50})))

    def test_peers_that_do_everything_at_once_leave_every_space_sound(self):
        seed = int(os.environ.get("ASPACE_SEED", random.randrange(1 << 32)))
        print("ASPACE_SEED=%d" % seed, flush=True)
        answered = []

        def work(number):
            dice = random.Random(seed + number)
            with Peer(self.daemon.path) as peer:
                for _ in range(20):
                    requests = [self.request(dice) for _ in range(20)]
                    answered.extend(zip(requests, peer.pipeline(requests)))
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(answered), 4 * 20 * 20)
        self.assertEqual([one for one in answered if one[1].get("error", {}).get("code", 0) < 0], [])
        for name in self.NAMES:
            if "result" in self.peer.ask("space.info", {"space": name}):
                self.assertEqual(self.peer.call("space.check", space=name)["problems"], [])
                self.peer.call("space.destroy", space=name)
        self.assertEqual(self.peer.call("daemon.stats")["frames"]["total"], 0)


if __name__ == "__main__":
    harness.main()
