"""Events, the monitor and waiting, through the socket and through aspacectl."""
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import termios
import time

import harness
from harness import (ASPACECTL, BAD_STATE, BUSY, INVALID_PARAM, INVALID_PARAMS, NOT_FOUND, PATIENCE, TIMEOUT, Daemon, Peer,
                     Refused, header_framed, hexa, request_text)

PAGE = 0x1000
TARGET_GONE = 9
KINDS = {"space.created", "space.destroyed", "area.mapped", "area.unmapped", "area.protected", "area.moved", "area.split",
         "area.merged", "drift", "target.exec", "target.exit"}


class Listener(Peer):
    """A peer that takes notifications; replies to its own calls may come between them."""

    def __init__(self, path):
        super().__init__(path)
        self.notifications = []

    def reply(self):
        while True:
            message = super().reply()
            if isinstance(message, list) or "id" in message:
                return message
            self.notifications.append(message)

    def next(self):
        """(method, params) of the next notification."""
        if not self.notifications:
            message = json.loads(self.line())
            assert "id" not in message, message
            self.notifications.append(message)
        message = self.notifications.pop(0)
        assert set(message) == {"jsonrpc", "method", "params"} and message["jsonrpc"] == "2.0", message
        return message["method"], message["params"]

    def event(self):
        method, params = self.next()
        assert method == "event", (method, params)
        return params

    def events(self, count):
        return [self.event() for _ in range(count)]

    def silent(self, seconds=0.2):
        return not self.notifications and self.quiet(seconds)


def piece(area):
    return (int(area["start"], 16), int(area["end"], 16), area["flags"], area.get("tag")) if area else None


def told(event):
    return event["kind"], piece(event.get("before")), piece(event.get("after"))


class EventsCase(harness.DaemonCase):
    def listener(self, daemon=None):
        peer = Listener((daemon or self.daemon).path)
        self.addCleanup(peer.close)
        return peer

    def private(self, *options):
        daemon = Daemon(*options).start()
        self.addCleanup(daemon.kill)
        return daemon


class Kinds(EventsCase):
    def setUp(self):
        super().setUp()
        self.ear = self.listener()
        self.subscribed = self.ear.call("events.subscribe", spaces=[self.space])

    def expect(self, *wanted):
        """The next events, in order, all of one generation (the space's)."""
        events = self.ear.events(len(wanted))
        self.assertEqual([told(event) for event in events], list(wanted))
        generation = self.on("space.info")["generation"]
        for event in events:
            self.assertEqual((event["space"], event["generation"]), (self.space, generation))
            self.assertEqual(event["subscription"], self.subscribed["subscription"])

    def test_a_space_is_created_and_destroyed(self):
        self.create()
        self.expect(("space.created", None, None))
        self.on("area.map", start=PAGE, size="4K", flags="rw-")
        self.expect(("area.mapped", None, (PAGE, 2 * PAGE, "rw-", None)))
        self.on("space.destroy")
        event = self.ear.event()
        self.assertEqual((event["kind"], event["space"], event["generation"]), ("space.destroyed", self.space, 1))
        self.assertTrue(self.ear.silent())

    def test_each_edit_tells_its_pieces(self):
        self.create()
        self.ear.event()
        self.on("area.map", start=0x10000, size="64K", flags="rw-", tag="heap")
        self.expect(("area.mapped", None, (0x10000, 0x20000, "rw-", "heap")))
        self.on("area.protect", start=0x12000, size="8K", flags="r--")
        self.expect(("area.protected", (0x12000, 0x14000, "rw-", "heap"), (0x12000, 0x14000, "r--", "heap")))
        self.on("area.unmap", start=0x11000, size="8K")
        self.expect(("area.unmapped", (0x11000, 0x12000, "rw-", "heap"), None),
                    ("area.unmapped", (0x12000, 0x13000, "r--", "heap"), None))
        self.on("area.split", at=0x18000)
        self.expect(("area.split", (0x14000, 0x20000, "rw-", "heap"), (0x14000, 0x18000, "rw-", "heap")))
        self.on("area.merge", start=0x14000, size=0xc000)
        self.expect(("area.merged", (0x18000, 0x20000, "rw-", "heap"), (0x14000, 0x20000, "rw-", "heap")))
        self.on("area.move", start=0x14000, new_start=0x100000, new_size=0xe000)
        self.expect(("area.moved", (0x14000, 0x20000, "rw-", "heap"), (0x100000, 0x10c000, "rw-", "heap")),
                    ("area.mapped", None, (0x10c000, 0x10e000, "rw-", "heap")))
        self.on("area.shrink", start=0x100000, new_size="4K", side="right")
        self.expect(("area.unmapped", (0x101000, 0x10e000, "rw-", "heap"), None))
        self.on("area.map", start=0x10000, size="4K", flags="r-x", overlap="replace", tag="a\"b\\\u00e9")
        self.expect(("area.unmapped", (0x10000, 0x11000, "rw-", "heap"), None),
                    ("area.mapped", None, (0x10000, 0x11000, "r-x", "a\"b\\\u00e9")))
        self.on("space.clear")
        self.expect(("area.unmapped", (0x10000, 0x11000, "r-x", "a\"b\\\u00e9"), None),
                    ("area.unmapped", (0x13000, 0x14000, "r--", "heap"), None),
                    ("area.unmapped", (0x100000, 0x101000, "rw-", "heap"), None))

    def test_a_transaction_is_told_whole_and_a_refused_one_or_a_dry_run_not_at_all(self):
        self.create()
        self.ear.event()
        ops = [{"method": "area.map", "params": {"start": PAGE, "size": "4K", "flags": "rw-"}},
               {"method": "area.protect", "params": {"start": PAGE, "size": "4K", "flags": "r--"}}]
        bad = ops + [{"method": "area.split", "params": {"at": 0x900000}}]
        self.refused(NOT_FOUND, "space.apply", space=self.space, ops=bad)
        self.on("space.apply", ops=ops, dry_run=True)
        self.refused(INVALID_PARAM, "area.map", space=self.space, start=1, size="4K", flags="rw-")
        self.on("inject.set", op="map", nth=1)
        self.refused(BAD_STATE, "space.apply", space=self.space, ops=ops)
        self.on("space.apply", ops=ops)
        self.expect(("area.mapped", None, (PAGE, 2 * PAGE, "rw-", None)),
                    ("area.protected", (PAGE, 2 * PAGE, "rw-", None), (PAGE, 2 * PAGE, "r--", None)))
        self.assertTrue(self.ear.silent())

    def test_an_edit_that_changes_nothing_and_looking_are_silent(self):
        self.create()
        self.ear.event()
        self.on("area.unmap", start=PAGE, size="64K")
        self.on("area.find", addr=PAGE)
        self.on("area.list")
        self.on("space.check")
        self.assertTrue(self.ear.silent())

    def test_a_mirror_made_of_events_is_what_area_list_says(self):
        seed = int(os.environ.get("ASPACE_SEED", "0")) or random.randrange(1 << 30)
        dice = random.Random(seed)
        self.create(merge=dice.choice(["off", "auto"]))
        mirror = {}
        made = 0
        for _ in range(300):
            start, size = dice.randrange(1, 60) * PAGE, dice.randrange(1, 9) * PAGE
            method, more = dice.choice([("area.map", {"size": size, "flags": dice.choice(["rw-", "r--"]), "overlap": "replace"}),
                                        ("area.map", {"size": size, "flags": "r-x", "tag": "t"}),
                                        ("area.unmap", {"size": size}), ("area.protect", {"size": size, "flags": "+x"}),
                                        ("area.move", {"new_start": dice.randrange(1, 60) * PAGE, "overlap": "replace"})])
            made += "result" in self.peer.ask(method, dict(more, space=self.space, start=start))
        self.ear.call("daemon.ping")
        self.assertGreater(made, 100)
        while not self.ear.silent(0.1):
            event = self.ear.event()
            for name in ("before", "after"):
                if name not in event:
                    continue
                start, end, flags, tag = piece(event[name])
                for page in range(start, end, PAGE):
                    if name == "before":
                        self.assertEqual(mirror.pop(page, None), (flags, tag), "seed %d" % seed)
                    else:
                        self.assertNotIn(page, mirror, "seed %d" % seed)
                        mirror[page] = (flags, tag)
        real = {page: (area["flags"], area.get("tag")) for area in self.on("area.list")["areas"]
                for page in range(int(area["start"], 16), int(area["end"], 16), PAGE)}
        self.assertEqual(mirror, real, "seed %d" % seed)


class Filters(EventsCase):
    def test_spaces_and_kinds_choose_and_each_subscription_is_told_for_itself(self):
        ear = self.listener()
        other = self.space + "-other"
        wide = ear.call("events.subscribe", spaces=[self.space, other])["subscription"]
        narrow = ear.call("events.subscribe", spaces=[other, "never"], kinds=["area.unmapped", "space.destroyed"])["subscription"]
        self.create()
        self.call("space.create", name=other)
        self.on("area.map", start=PAGE, size="4K", flags="rw-")
        self.call("area.map", space=other, start=PAGE, size="4K", flags="rw-")
        self.call("space.clear", space=other)
        self.call("space.destroy", space=other)
        events = ear.events(8)
        self.assertEqual([(e["space"], e["kind"]) for e in events if e["subscription"] == wide],
                         [(self.space, "space.created"), (other, "space.created"), (self.space, "area.mapped"),
                          (other, "area.mapped"), (other, "area.unmapped"), (other, "space.destroyed")])
        self.assertEqual([(e["space"], e["kind"]) for e in events if e["subscription"] == narrow],
                         [(other, "area.unmapped"), (other, "space.destroyed")])
        self.assertTrue(ear.silent())

    def test_an_ended_subscription_is_silent(self):
        ear = self.listener()
        first = ear.call("events.subscribe", spaces=[self.space])["subscription"]
        second = ear.call("events.subscribe", spaces=[self.space])["subscription"]
        self.assertEqual(ear.call("events.unsubscribe", subscription=first), {"ended": 1})
        self.create()
        self.assertEqual(ear.event()["subscription"], second)
        with self.assertRaises(Refused) as refused:
            ear.call("events.unsubscribe", subscription=first)
        self.assertEqual(refused.exception.code, NOT_FOUND)
        self.assertEqual(ear.call("events.unsubscribe"), {"ended": 1})
        self.assertEqual(ear.call("events.unsubscribe"), {"ended": 0})
        self.on("area.map", start=PAGE, size="4K", flags="rw-")
        self.assertTrue(ear.silent())

    def test_another_connection_cannot_end_it(self):
        ear = self.listener()
        mine = ear.call("events.subscribe", spaces=[self.space])["subscription"]
        self.refused(NOT_FOUND, "events.unsubscribe", subscription=mine)
        self.create()
        self.assertEqual(ear.event()["kind"], "space.created")

    def test_filters_that_cannot_be_are_refused(self):
        for params in ({"kinds": ["area.maped"]}, {"kinds": []}, {"kinds": "drift"}, {"spaces": []}, {"spaces": ["a", "-b"]},
                       {"spaces": "a"}, {"spaces": [1]}, {"since": -1}, {"since": "x"}, {"space": "a"}):
            with self.subTest(params=params):
                self.refused(INVALID_PARAMS, "events.subscribe", params)
        self.assertEqual(self.refused(INVALID_PARAM, "events.subscribe", since=1 << 40)["data"]["param"], "since")

    def test_a_connection_has_so_many_subscriptions_and_no_more(self):
        daemon = self.private("--max-subscriptions", 2)
        ear = self.listener(daemon)
        for _ in range(2):
            ear.call("events.subscribe")
        self.assertError(ear.ask("events.subscribe")["error"], BUSY)
        self.assertIn("result", self.listener(daemon).ask("events.subscribe"))
        ear.call("events.unsubscribe", subscription=1)
        ear.call("events.subscribe")
        self.assertEqual(ear.call("daemon.info")["limits"]["max_subscriptions"], 2)
        daemon.stop()

    def test_discover_lists_every_notification_and_kind(self):
        document = self.call("rpc.discover")
        listed = {n["name"]: n["params"] for n in document["x-notifications"]}
        self.assertEqual(set(listed), {"event", "events.lost", "monitor", "monitor.lost"})
        self.assertEqual(set(listed["event"]["required"]), {"subscription", "seq", "space", "kind", "generation"})
        subscribe = next(m for m in document["methods"] if m["name"] == "events.subscribe")
        kinds = next(p for p in subscribe["params"] if p["name"] == "kinds")["schema"]["items"]["enum"]
        self.assertEqual(set(kinds), KINDS)


class Since(EventsCase):
    def maps(self, peer, first, count):
        peer.pipeline([("area.map", {"space": "s", "start": (first + i) * PAGE, "size": PAGE, "flags": "rw-"})
                       for i in range(count)])

    def test_who_comes_back_goes_on_where_it_was(self):
        daemon = self.private()
        peer, ear = self.listener(daemon), self.listener(daemon)
        self.assertEqual(ear.call("events.subscribe")["seq"], 0)
        peer.call("space.create", name="s")
        self.maps(peer, 1, 3)
        last = ear.events(4)[-1]["seq"]
        self.assertEqual(last, 4)
        ear.close()
        self.maps(peer, 4, 5)
        again = self.listener(daemon)
        result = again.call("events.subscribe", since=last)
        self.assertEqual(result, {"subscription": 2, "seq": 9})
        self.assertEqual([event["seq"] for event in again.events(5)], [5, 6, 7, 8, 9])
        self.maps(peer, 9, 1)
        self.assertEqual(again.event()["seq"], 10)
        daemon.stop()

    def test_what_is_no_longer_kept_is_said(self):
        daemon = self.private("--max-events", 8)
        peer = self.listener(daemon)
        self.listener(daemon).call("events.subscribe", kinds=["drift"])
        peer.call("space.create", name="s")
        self.maps(peer, 1, 29)
        ear = self.listener(daemon)
        self.assertEqual(ear.call("events.subscribe", since=10), {"subscription": 2, "seq": 30, "lost": 12})
        self.assertEqual([event["seq"] for event in ear.events(8)], list(range(23, 31)))
        full = self.listener(daemon)
        self.assertEqual(full.call("events.subscribe", since=22), {"subscription": 3, "seq": 30})
        self.assertEqual(len(full.events(8)), 8)
        self.assertEqual(full.call("events.subscribe", since=30), {"subscription": 4, "seq": 30})
        self.assertTrue(full.silent())
        daemon.stop()

    def test_large_events_are_bounded_by_their_bytes(self):
        daemon = self.private("--max-events", 64)
        peer = self.listener(daemon)
        self.listener(daemon).call("events.subscribe", kinds=["drift"])
        peer.call("space.create", name="s")
        for i in range(100):
            peer.call("area.map", space="s", start=(i + 1) * PAGE, size=PAGE, flags="rw-", tag="\x01" * 1000)
        ear = self.listener(daemon)
        result = ear.call("events.subscribe", since=0)
        kept = result["seq"] - result["lost"]
        self.assertTrue(5 <= kept <= 12, result) # 64 KiB, 6 KB an event
        self.assertEqual(ear.events(kept)[-1]["after"]["tag"], "\x01" * 1000)
        daemon.stop()


class Slow(EventsCase):
    def test_a_subscriber_that_does_not_read_loses_events_and_is_told_how_many(self):
        daemon = self.private("--max-events", 1000, "--max-pending", 65536)
        peer, slow, fast = self.listener(daemon), self.listener(daemon), self.listener(daemon)
        slow.call("events.subscribe", kinds=["area.mapped"])
        fast.call("events.subscribe", kinds=["space.destroyed"])
        peer.call("space.create", name="s")
        total = 12000
        peer.pipeline([("area.map", {"space": "s", "start": (i + 1) * PAGE, "size": PAGE, "flags": "rw-"})
                       for i in range(total)])
        self.assertTrue(fast.silent(0))
        seen, lost, last, told_lost = 0, 0, 0, 0
        while seen + lost < total:
            method, params = slow.next()
            if method == "event":
                self.assertEqual(params["seq"], last + 1 if last else params["seq"])
                last = params["seq"]
                seen += 1
            else:
                self.assertEqual((method, set(params)), ("events.lost", {"subscription", "lost"}))
                lost += params["lost"]
                last += params["lost"]
                told_lost += 1
        self.assertEqual(seen + lost, total)
        self.assertGreater(lost, 0)
        self.assertGreaterEqual(seen, 1000)
        peer.call("area.map", space="s", start=(total + 1) * PAGE, size=PAGE, flags="rw-")
        self.assertEqual(slow.event()["after"]["start"], hexa((total + 1) * PAGE))
        daemon.stop()

    def test_a_client_that_asks_and_does_not_read_is_closed_and_the_log_says_why(self):
        daemon = self.private("--max-unsent", 65536)
        peer = Peer(daemon.path)
        self.addCleanup(peer.close)
        requests = "".join(request_text("rpc.discover", request_id=i) + "\n" for i in range(60))
        peer.send(requests)
        self.eventually(lambda: "--max-unsent" in daemon.stderr(), "a line in the log")
        self.assertRegex(daemon.stderr(), r"connection 1 \(process %d, user %d\) is closed" % (os.getpid(), os.getuid()))
        with Peer(daemon.path) as other:
            self.eventually(lambda: other.call("daemon.stats")["connections"]["open"] == 1, "one connection left")
        daemon.stop()

    def test_a_slow_reader_that_goes_on_gets_every_reply(self):
        daemon = self.private("--max-pending", 65536)
        peer = Peer(daemon.path)
        self.addCleanup(peer.close)
        self.call("daemon.ping")
        pid = os.fork()
        if pid == 0:
            try:
                peer.send("".join(request_text("rpc.discover", request_id=i) + "\n" for i in range(200)))
            finally:
                os._exit(0)
        time.sleep(0.3)
        self.assertEqual([peer.reply()["id"] for _ in range(200)], list(range(200)))
        os.waitpid(pid, 0)
        daemon.stop()


class Many(EventsCase):
    def test_two_hundred_subscribers_all_hear_everything_in_order(self):
        daemon = self.private()
        peer = self.listener(daemon)
        peer.call("space.create", name="s")
        ears = [self.listener(daemon) for _ in range(200)]
        for ear in ears:
            ear.call("events.subscribe", spaces=["s"])
        peer.pipeline([("area.map", {"space": "s", "start": (i + 1) * PAGE, "size": PAGE, "flags": "rw-"})
                       for i in range(100)])
        for ear in ears:
            self.assertEqual([event["seq"] for event in ear.events(100)], list(range(1, 101)))
        for ear in ears[::2]:
            ear.close()
        peer.call("space.clear", space="s")
        for ear in ears[1::2]:
            self.assertEqual({event["kind"] for event in ear.events(100)}, {"area.unmapped"})
        daemon.stop()

    def test_events_in_header_framing(self):
        peer = Peer(self.daemon.path)
        self.addCleanup(peer.close)
        peer.send(header_framed(request_text("events.subscribe", {"spaces": [self.space]})))
        self.assertIn("result", json.loads(peer.message()))
        self.create()
        event = json.loads(peer.message())
        self.assertEqual((event["method"], event["params"]["kind"]), ("event", "space.created"))

    def test_a_batch_is_one_reply_and_its_events_come_behind_it(self):
        ear = self.listener()
        batch = [json.loads(request_text(method, params, i)) for i, (method, params) in enumerate([
            ("events.subscribe", {"spaces": [self.space]}), ("space.create", {"name": self.space}),
            ("area.map", {"space": self.space, "start": PAGE, "size": PAGE, "flags": "rw-"}),
            ("space.destroy", {"space": self.space})])]
        ear.send(json.dumps(batch) + "\n")
        reply = json.loads(ear.line())
        self.assertEqual([one["id"] for one in reply], [0, 1, 2, 3])
        self.assertEqual([event["kind"] for event in ear.events(3)], ["space.created", "area.mapped", "space.destroyed"])


class Workers(EventsCase):
    """Long requests run beside the loop; what they tell is the same."""

    def test_a_long_request_tells_its_events_when_it_is_done(self):
        ear = self.listener()
        self.create(ram="3G")
        ear.call("events.subscribe", spaces=[self.space])
        self.on("area.map", start=1 << 30, size="1G", flags="rw-", backing="eager")
        self.on("area.protect", start=1 << 30, size="1G", flags="r--")
        self.on("space.clear")
        self.assertEqual([told(event) for event in ear.events(3)], [
            ("area.mapped", None, (1 << 30, 2 << 30, "rw-", None)),
            ("area.protected", (1 << 30, 2 << 30, "rw-", None), (1 << 30, 2 << 30, "r--", None)),
            ("area.unmapped", (1 << 30, 2 << 30, "r--", None), None)])

    def test_spaces_side_by_side_keep_their_own_order(self):
        ear = self.listener()
        names = ["%s-%d" % (self.space, i) for i in range(4)]
        for name in names:
            self.call("space.create", name=name, ram="256M")
            self.addCleanup(self.forget, name)
        ear.call("events.subscribe", spaces=names)
        requests = []
        for step in range(6):
            for name in names:
                method = ("area.map", {"start": 1 << 30, "size": "64M", "flags": "rw-", "backing": "eager"}) if step % 2 == 0 else (
                    "space.clear", {})
                requests.append((method[0], dict(method[1], space=name)))
        for reply in self.peer.pipeline(requests):
            self.assertIn("result", reply)
        events = ear.events(24)
        self.assertEqual([event["seq"] for event in events], list(range(events[0]["seq"], events[0]["seq"] + 24)))
        for name in names:
            mine = [(event["kind"], event["generation"]) for event in events if event["space"] == name]
            self.assertEqual(mine, [(["area.mapped", "area.unmapped"][i % 2], i + 1) for i in range(6)])

    def test_an_edit_of_more_pieces_than_are_kept_is_made_and_the_rest_is_lost(self):
        daemon = self.private("--max-events", 100)
        peer, ear = self.listener(daemon), self.listener(daemon)
        peer.call("space.create", name="s")
        peer.pipeline([("area.map", {"space": "s", "start": (2 * i + 1) * PAGE, "size": PAGE, "flags": "rw-"})
                       for i in range(5000)])
        ear.call("events.subscribe")
        self.assertEqual(peer.call("space.clear", space="s")["removed"], 5000)
        seen = lost = 0
        while seen + lost < 5000:
            method, params = ear.next()
            seen += method == "event"
            lost += params["lost"] if method == "events.lost" else 0
        self.assertEqual(seen + lost, 5000)
        self.assertGreaterEqual(lost, 4900)
        peer.call("area.map", space="s", start=PAGE, size=PAGE, flags="rw-")
        self.assertEqual(ear.event()["seq"], 5001)
        daemon.stop()


TARGET = """
import mmap, os, sys
print(flush=True)
held = []
for line in sys.stdin:
    word = line.strip()
    if word == "map":
        held.append(mmap.mmap(-1, 1 << 20))
        held[-1][0] = 1
    elif word == "exec":
        os.execv("/bin/cat", ["cat"])
    print(flush=True)
"""


class Live(EventsCase):
    def target(self):
        process = subprocess.Popen([sys.executable, "-c", TARGET], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        process.stdout.readline()
        return process

    def order(self, process, word):
        process.stdin.write(word.encode() + b"\n")
        process.stdin.flush()
        process.stdout.readline()

    @harness.live
    def test_drift_exec_and_exit_are_told_when_a_request_meets_them(self):
        process = self.target()
        self.call("space.create", name=self.space, pid=process.pid)
        self.addCleanup(self.forget, self.space)
        ear = self.listener()
        ear.call("events.subscribe", spaces=[self.space])
        self.order(process, "map")
        before = {piece(area) for area in self.areas_of()}
        events = []
        while not ear.silent():
            events.append(ear.event())
        self.assertTrue(events)
        self.assertEqual({event["kind"] for event in events}, {"drift"})
        self.assertEqual(len({event["generation"] for event in events}), 1)
        after = {piece(event["after"]) for event in events if "after" in event}
        self.assertLessEqual(after, before)
        self.assertTrue(any(end - start >= 1 << 20 and flags.startswith("rw-") for start, end, flags, _ in after), after)

        found = self.on("area.map", size="64K", flags="rw-", backing="anon")
        event = ear.event()
        self.assertEqual((event["kind"], event["after"]["start"]), ("area.mapped", found["start"]))

        process.stdin.write(b"exec\n")
        process.stdin.flush()
        def executed():
            return os.readlink("/proc/%d/exe" % process.pid).endswith("cat")
        self.eventually(executed, "cat runs")
        self.on("space.sync")
        kinds = [ear.event()["kind"]]
        while not ear.silent():
            kinds.append(ear.event()["kind"])
        self.assertEqual((kinds[0], set(kinds[1:])), ("target.exec", {"drift"}))

        process.kill()
        process.wait()
        self.refused(TARGET_GONE, "area.list", space=self.space)
        self.refused(TARGET_GONE, "area.list", space=self.space)
        self.assertEqual(ear.event()["kind"], "target.exit")
        self.assertTrue(ear.silent())

    def areas_of(self):
        return self.on("area.list", limit=10000)["areas"]


class Wait(EventsCase):
    def setUp(self):
        super().setUp()
        self.create()
        self.waiter = self.listener()

    def ask(self, request_id=1, **params):
        self.waiter.send(request_text("daemon.wait", dict(params, space=params.pop("space", self.space)), request_id) + "\n")

    def waits(self):
        """It is not answered, while others are."""
        self.assertIn("result", self.peer.ask("daemon.ping"))
        return self.waiter.quiet(0.1)

    def answer(self):
        return self.waiter.reply()

    def map(self, start=PAGE):
        return self.on("area.map", start=start, size=PAGE, flags="rw-")

    def test_for_a_generation(self):
        self.ask(generation=2)
        self.map(PAGE)
        self.assertTrue(self.waits())
        self.map(2 * PAGE)
        self.assertEqual(self.answer()["result"], {"generation": 2})
        self.ask(generation=1)
        self.assertEqual(self.answer()["result"], {"generation": 2})

    def test_for_an_area_to_come_and_to_go(self):
        self.ask(area=hexa(PAGE + 5))
        self.map(8 * PAGE)
        self.assertTrue(self.waits())
        self.map(PAGE)
        self.assertEqual(self.answer()["result"], {"generation": 2})
        self.ask(area=hexa(PAGE), gone=True)
        self.on("area.unmap", start=8 * PAGE, size=PAGE)
        self.assertTrue(self.waits())
        self.on("area.unmap", start=PAGE, size=PAGE)
        self.assertEqual(self.answer()["result"], {"generation": 4})
        self.ask(area="0xffffffffffffffff", gone=True)
        self.assertEqual(self.answer()["result"], {"generation": 4})

    def test_for_the_end_of_the_space(self):
        self.map()
        self.ask(1, gone=True)
        self.ask(2, gone=True, area=PAGE)
        self.ask(3, generation=9)
        self.ask(4, area=hexa(99 * PAGE))
        self.assertTrue(self.waits())
        self.on("space.destroy")
        replies = {reply["id"]: reply for reply in (self.answer() for _ in range(4))}
        self.assertEqual(replies[1]["result"], {"generation": 1})
        self.assertEqual(replies[2]["result"], {"generation": 1})
        self.assertError(replies[3]["error"], NOT_FOUND)
        self.assertError(replies[4]["error"], NOT_FOUND)
        self.ask(gone=True)
        self.assertEqual(self.answer()["result"], {})
        self.ask(generation=0)
        self.assertError(self.answer()["error"], NOT_FOUND)

    def test_no_longer_than_the_timeout(self):
        for timeout in (0, 1, 200):
            began = time.monotonic()
            self.ask(generation=5, timeout_ms=timeout)
            self.assertError(self.answer()["error"], TIMEOUT)
            self.assertGreaterEqual(time.monotonic() - began, timeout / 1000)
        began = time.monotonic()
        self.ask(1, generation=1, timeout_ms=1 << 53)
        self.ask(2, generation=5, timeout_ms=400)
        self.ask(3, generation=5, timeout_ms=100)
        for _ in range(2):      # in their order, but for a daemon that could not run meanwhile
            number = self.answer()["id"]
            self.assertGreaterEqual(time.monotonic() - began, {2: 0.4, 3: 0.1}[number])
        self.map()
        self.assertEqual(self.answer()["result"], {"generation": 1})

    def test_one_thing_is_waited_for(self):
        for params in ({}, {"generation": 1, "area": 0}, {"generation": 1, "gone": True}, {"gone": False},
                       {"generation": -1}, {"area": "x"}, {"gone": 1, "area": 0}):
            with self.subTest(params=params):
                self.ask(**params)
                self.assertError(self.answer()["error"], INVALID_PARAMS)

    def test_it_holds_up_nobody_not_even_its_own_connection(self):
        self.ask("w", generation=1)
        self.assertEqual(self.waiter.ask("daemon.ping")["result"], {})
        self.assertEqual(self.waiter.call("space.info", space=self.space)["generation"], 0)
        self.assertTrue(self.waiter.quiet(0.1))
        self.waiter.send(request_text("area.map", {"space": self.space, "start": PAGE, "size": PAGE, "flags": "rw-"}, "m") + "\n")
        self.assertEqual([self.answer()["id"] for _ in range(2)], ["m", "w"])

    def test_it_waits_for_the_requests_before_it(self):
        name = self.space + "-late"
        self.addCleanup(self.forget, name)
        self.waiter.send("".join(text + "\n" for text in [
            request_text("space.create", {"name": name, "ram": "1G"}, 1),
            request_text("area.map", {"space": name, "start": 1 << 30, "size": "512M", "flags": "rw-", "backing": "eager"}, 2),
            request_text("daemon.wait", {"space": name, "generation": 1, "timeout_ms": 0}, 3)]))
        replies = [self.answer() for _ in range(3)]
        self.assertEqual([reply["id"] for reply in replies], [1, 2, 3])
        self.assertEqual(replies[2]["result"], {"generation": 1})

    def test_in_a_batch_it_may_wait_for_what_stands_behind_it(self):
        batch = [json.loads(request_text("daemon.wait", {"space": self.space, "generation": 1}, 1)),
                 json.loads(request_text("area.map", {"space": self.space, "start": PAGE, "size": PAGE, "flags": "rw-"}, 2)),
                 json.loads(request_text("daemon.wait", {"space": self.space, "area": PAGE}, 3))]
        self.waiter.send(json.dumps(batch) + "\n")
        self.assertEqual([one["id"] for one in self.answer()], [1, 2, 3])

    def test_a_notification_that_waits_is_not_answered(self):
        self.waiter.send(json.dumps({"jsonrpc": "2.0", "method": "daemon.wait",
                                     "params": {"space": self.space, "generation": 1}}) + "\n")
        self.map()
        self.assertTrue(self.waits())

    def test_it_ends_with_its_connection(self):
        daemon = self.private()
        peer, full, half, both = (self.listener(daemon) for _ in range(4))
        peer.call("space.create", name="s")
        for waiter, generation in ((full, 99), (half, 1), (both, 99)):
            waiter.send(request_text("daemon.wait", {"space": "s", "generation": generation}) + "\n")
        for waiter in (half, both):
            waiter.half_close()
        self.eventually(lambda: peer.call("daemon.stats")["queues"]["waiting"] == 3, "three are waiting")
        full.close()
        both.close()
        self.eventually(lambda: peer.call("daemon.stats")["connections"]["open"] == 2, "two are gone")
        self.assertEqual(peer.call("daemon.stats")["queues"]["waiting"], 1)
        peer.call("area.map", space="s", start=PAGE, size=PAGE, flags="rw-")
        self.assertEqual(json.loads(half.rest())["result"], {"generation": 1})
        daemon.stop()

    def test_many_wait_at_once(self):
        daemon = self.private("--max-inflight", 1000)
        peer = self.listener(daemon)
        peer.call("space.create", name="s")
        waiters = [self.listener(daemon) for _ in range(10)]
        for waiter in waiters:
            waiter.send("".join(request_text("daemon.wait", {"space": "s", "generation": i % 5 + 1}, i) + "\n" for i in range(100)))
            waiter.call("daemon.ping")
        for generation in range(1, 6):
            peer.call("area.map", space="s", start=generation * PAGE, size=PAGE, flags="rw-")
            for waiter in waiters:
                replies = [waiter.reply() for _ in range(20)]
                self.assertEqual({reply["id"] % 5 + 1 for reply in replies}, {generation})
        daemon.stop()

    def test_a_shutdown_answers_who_waits(self):
        for how in ("signal", "method"):
            daemon = self.private()
            peer, waiter = self.listener(daemon), self.listener(daemon)
            peer.call("space.create", name="s")
            waiter.send(request_text("daemon.wait", {"space": "s", "gone": True}) + "\n")
            waiter.call("daemon.ping", None)
            if how == "signal":
                daemon.send_signal(signal.SIGTERM)
            else:
                peer.call("daemon.shutdown")
            self.assertError(json.loads(waiter.line())["error"], BAD_STATE)
            self.assertEqual(waiter.rest(), b"")
            self.assertEqual(daemon.wait(), 0)
            daemon.check_errors()


class Monitor(EventsCase):
    def monitored(self, ear):
        method, params = ear.next()
        self.assertEqual(method, "monitor")
        return params

    def test_every_request_served_is_told(self):
        ear = self.listener()
        ear.call("monitor.start")
        self.assertEqual(self.monitored(ear)["method"], "monitor.start")
        self.create(tag="x")
        made = self.monitored(ear)
        self.assertEqual((made["method"], made["params"], made["ok"]), ("space.create", {"name": self.space, "tag": "x"}, True))
        self.assertEqual((made["peer"]["pid"], made["peer"]["uid"]), (os.getpid(), os.getuid()))
        self.assertGreater(made["ns"], 0)
        self.refused(NOT_FOUND, "area.shrink", [self.space, 0, "4K", "left"])
        refused = self.monitored(ear)
        self.assertEqual((refused["ok"], refused["error"], refused["params"]), (False, "NotFound", [self.space, 0, "4K", "left"]))
        self.refused(harness.METHOD_NOT_FOUND, "no.such")
        unknown = self.monitored(ear)
        self.assertEqual((unknown["method"], unknown["ok"], unknown["error"]), ("no.such", False, "MethodNotFound"))
        self.assertNotIn("params", unknown)
        self.assertEqual(unknown["peer"], made["peer"])
        ear.call("monitor.stop")
        self.call("daemon.ping")
        self.assertTrue(ear.silent())

    def test_the_filter_is_how_methods_begin_and_a_second_start_changes_it(self):
        ear = self.listener()
        ear.call("monitor.start", filter="area.")
        self.create()
        self.on("area.map", start=PAGE, size=PAGE, flags="rw-")
        self.call("daemon.ping")
        self.assertEqual(self.monitored(ear)["method"], "area.map")
        ear.call("monitor.start", filter="daemon.ping")
        self.on("area.list")
        self.call("daemon.ping")
        self.assertEqual(self.monitored(ear)["method"], "daemon.ping")
        self.assertTrue(ear.silent())

    def test_params_are_told_on_one_line_and_only_short_ones(self):
        ear = self.listener()
        ear.call("monitor.start", filter="daemon.p")
        spaced = Peer(self.daemon.path)
        self.addCleanup(spaced.close)
        spaced.send(header_framed('{"jsonrpc": "2.0", "id": 1, "method": "daemon.ping",\n "params": { "a b" :\n [ 1 ,\t"c \\" \\\\" ] } }'))
        spaced.message()
        self.assertEqual(self.monitored(ear)["params"], {"a b": [1, "c \" \\"]})
        self.peer.ask("daemon.ping", {"long": "x" * 2000})
        long = self.monitored(ear)
        self.assertNotIn("params", long)
        self.assertEqual(long["params_size"], len(json.dumps({"long": "x" * 2000})))

    def test_a_batch_and_a_long_request_are_told_each(self):
        self.create(ram="1G")
        ear = self.listener()
        ear.call("monitor.start")
        ear.next()
        batch = [json.loads(request_text("daemon.ping", None, 1)),
                 json.loads(request_text("area.map", {"space": self.space, "start": 1 << 30, "size": "512M", "flags": "rw-",
                                                      "backing": "eager"}, 2))]
        self.peer.send(json.dumps(batch) + "\n")
        self.assertEqual([self.monitored(ear)["method"] for _ in range(2)], ["daemon.ping", "area.map"])
        self.assertEqual(len(self.peer.reply()), 2)

    def test_a_monitor_that_does_not_read_loses_requests_and_is_told_how_many(self):
        daemon = self.private("--max-events", 500, "--max-pending", 32768)
        ear, peer = self.listener(daemon), self.listener(daemon)
        ear.call("monitor.start", filter="daemon.ping")
        peer.pipeline([("daemon.ping", {}) for i in range(10000)])
        seen = lost = 0
        while seen + lost < 10000:
            method, params = ear.next()
            seen += method == "monitor"
            lost += params["lost"] if method == "monitor.lost" else 0
        self.assertEqual(seen + lost, 10000)
        self.assertGreater(lost, 0)
        daemon.stop()


class CommandLine(EventsCase):
    def start(self, *words):
        process = subprocess.Popen([ASPACECTL, "--socket", self.daemon.path, *words], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def run_ctl(self, *words):
        return subprocess.run([ASPACECTL, "--socket", self.daemon.path, *words], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE, encoding="utf-8")

    def subscribed(self, method, count=1):
        self.eventually(lambda: self.call("daemon.stats")["methods"].get(method, {}).get("requests", 0) >= count, method)

    def requests(self, method):
        return self.call("daemon.stats")["methods"].get(method, {}).get("requests", 0)

    def test_watch_prints_events_until_ctrl_c(self):
        count = self.requests("events.subscribe")
        people = self.start("watch", self.space)
        programs = self.start("--json", "watch", self.space, "--kind", "area.mapped")
        self.subscribed("events.subscribe", count + 2)
        self.create()
        self.on("area.map", start=PAGE, size="8K", flags="rw-", tag="my tag")
        self.assertRegex(people.stdout.readline(), r"^ *\d+ +%s +space\.created +0$" % self.space)
        self.assertRegex(people.stdout.readline(), r"area\.mapped +1 +0x1000-0x3000 rw- lazy my tag$")
        message = json.loads(programs.stdout.readline())
        self.assertEqual((message["jsonrpc"], message["method"], message["params"]["kind"]), ("2.0", "event", "area.mapped"))
        for process in (people, programs):
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(PATIENCE), 0)
            self.assertEqual(process.stderr.read(), "")
        seq = message["params"]["seq"]
        again = self.start("watch", "--since", str(seq - 1), self.space)
        self.assertIn("area.mapped", again.stdout.readline())
        again.terminate()
        self.assertEqual(again.wait(PATIENCE), 0)

    def test_nothing_that_another_peer_says_can_write_to_the_terminal(self):
        counts = self.requests("events.subscribe"), self.requests("monitor.start")
        watch = self.start("watch", self.space)
        monitor = self.start("monitor")
        self.subscribed("events.subscribe", counts[0] + 1)
        self.subscribed("monitor.start", counts[1] + 1)
        hostile = "\x1b[2J\x9b2J\x07"
        self.create()
        self.on("space.snapshot", name="before")
        self.on("area.map", start=PAGE, size="8K", flags="---", tag=hostile)
        self.refused(harness.METHOD_NOT_FOUND, hostile)
        shown = [watch.stdout.readline() for _ in range(2)]
        while "MethodNotFound" not in shown[-1]:
            shown.append(monitor.stdout.readline())
        shown += [self.run_ctl(*words).stdout for words in (("diff", self.space, self.space + "@before"),
                                                            ("access", self.space, "0x1000", "read"),
                                                            ("find", self.space, "0x1000"))]
        for text in shown:
            self.assertNotRegex(text, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")
        self.assertTrue(all("033[2J" in text for text in shown[1:2] + shown[-3:]), shown)
        for process in (watch, monitor):
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(PATIENCE), 0)

    def test_watch_ends_when_nobody_reads_it_any_more(self):
        count = self.requests("events.subscribe")
        process = subprocess.Popen([ASPACECTL, "--socket", self.daemon.path, "watch", self.space],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        self.subscribed("events.subscribe", count + 1)
        process.stdout.close()
        self.assertEqual(process.wait(PATIENCE), 1)

    def test_monitor_that_is_stuck_in_its_output_is_ended_by_ctrl_c(self):
        count = self.requests("monitor.start")
        process = self.start("monitor")
        self.subscribed("monitor.start", count + 1)
        waiting = [bytearray(4), bytearray(4)]

        def is_stuck():
            waiting.append(bytearray(4))
            for _ in range(500):
                self.call("daemon.ping")
            fcntl.ioctl(process.stdout, termios.FIONREAD, waiting[-1])
            return waiting[-1] == waiting[-2] != waiting[0]

        self.eventually(is_stuck, "output that gets no further")

        def ended():
            process.send_signal(signal.SIGINT)
            return process.poll() is not None

        self.eventually(ended, "an end")
        self.assertIn(process.returncode, (0, -signal.SIGINT))

    def test_watch_says_what_it_cannot_do(self):
        for words in (["--kind", "area.maped"], ["--kind"], ["--since", "x"], ["--nonsense"]):
            done = self.run_ctl("watch", *words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)
            self.assertTrue(done.stderr.startswith("aspacectl: "), done.stderr)
        self.assertEqual(self.run_ctl("watch", "--since", "99999999").returncode, 1)
        self.assertEqual(self.run_ctl("monitor", "a", "b").returncode, 2)

    def test_monitor_prints_requests_and_a_lost_connection_is_status_3(self):
        daemon = self.private()
        process = subprocess.Popen([ASPACECTL, "--socket", daemon.path, "monitor", "area."], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, encoding="utf-8")
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        with Peer(daemon.path) as peer:
            self.eventually(lambda: "monitor.start" in peer.call("daemon.stats")["methods"], "it monitors")
            peer.call("space.create", name="s")
            peer.ask("area.map", {"space": "s", "start": "0x1000", "size": "4K", "flags": "rw-"})
            peer.ask("area.map", {"space": "s", "start": "0x1000", "size": "4K", "flags": "rw-"})
        self.assertRegex(process.stdout.readline(), r"pid %d .* ms  ok +area\.map +\{.*\"0x1000\"" % os.getpid())
        self.assertRegex(process.stdout.readline(), r" AlreadyExists +area\.map ")
        daemon.stop()
        self.assertEqual(process.wait(PATIENCE), 3)
        self.assertIn("was lost", process.stderr.read())

    def test_wait_in_all_forms(self):
        self.create()
        self.on("area.map", start=PAGE, size=PAGE, flags="rw-")
        done = self.run_ctl("wait", self.space, "--generation", "1")
        self.assertEqual((done.returncode, done.stdout), (0, "%s is at generation 1\n" % self.space))
        self.assertEqual(self.run_ctl("wait", self.space, "--area", "0x1000").returncode, 0)
        late = self.run_ctl("wait", self.space, "--area", "0x1000", "--gone", "--timeout-ms", "50")
        self.assertEqual((late.returncode, late.stdout), (4, ""))
        self.assertIn("Timeout", late.stderr)
        self.assertEqual(self.run_ctl("--timeout", "0.1", "wait", self.space, "--generation", "7").returncode, 4)
        self.assertEqual(self.run_ctl("wait", self.space).returncode, 1)
        self.assertEqual(json.loads(self.run_ctl("--json", "wait", self.space, "--generation", "0").stdout), {"generation": 1})
        waiting = self.start("wait", self.space, "--gone")
        self.eventually(lambda: waiting.poll() is not None or self.call("daemon.stats")["connections"]["open"] >= 2, "it waits")
        self.on("space.destroy")
        self.assertEqual(waiting.wait(PATIENCE), 0)
        self.assertEqual(waiting.stdout.read(), "%s is gone\n" % self.space)


if __name__ == "__main__":
    harness.main()
