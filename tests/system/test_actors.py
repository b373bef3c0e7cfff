"""Spaces as actors: long requests hold up nobody but their own space, whose requests keep their order."""
import json
import signal

import harness
from harness import ALREADY_EXISTS, NOT_FOUND, Daemon, Peer, header_framed

# Long enough to be seen at work in every build, small enough for a simulated RAM that costs only its tables.
LONG = "8G"
LONG_BYTES = 8 << 30
RAM = "9G"
START = 1 << 40


def text(request_id, method, **params):
    request = {"jsonrpc": "2.0", "method": method, "params": params}
    if request_id is not None:
        request["id"] = request_id
    return request


def long_map(request_id, space):
    return text(request_id, "area.map", space=space, start=harness.hexa(START), size=LONG, flags="rw-",
                backing="eager")


def lines(*requests):
    return "".join(json.dumps(request) + "\n" for request in requests)


class Actors(harness.Case):
    options = ()

    def setUp(self):
        self.daemon = Daemon(*self.options).start()
        self.addCleanup(self.daemon.kill)
        self.peers = []
        self.peer = self.new_peer()
        for name in ("long", "other"):
            self.peer.call("space.create", name=name, ram=RAM)

    def new_peer(self):
        peer = Peer(self.daemon.path)
        self.addCleanup(peer.close)
        return peer

    def end(self):
        self.daemon.stop()


class Order(Actors):
    def test_others_are_served_while_a_long_request_runs(self):
        """A batch is answered when all of it is done. However fast that is: one twice as long takes twice as long."""
        other = self.new_peer()
        rounds, between = 8, False
        while not between and rounds < 1000:
            rounds *= 2
            self.peer.send(lines([request for i in range(rounds) for request in (
                long_map(2 * i, "long"),
                text(2 * i + 1, "area.unmap", space="long", start=harness.hexa(START), size=LONG))]))
            other.call("daemon.ping")
            other.call("area.find", space="other", addr="0x1000")
            between = self.peer.quiet(0)
            self.assertEqual([reply["id"] for reply in self.peer.reply()], list(range(2 * rounds)))
        self.assertTrue(between, "two short requests were answered after %d long ones" % (2 * rounds))
        self.end()

    def test_a_reply_for_another_space_overtakes_a_long_one(self):
        self.peer.send(lines(long_map(1, "long"), text(2, "area.find", space="other", addr=0)))
        self.assertEqual([self.peer.reply()["id"] for _ in range(2)], [2, 1])
        self.end()

    def test_requests_to_one_space_keep_their_order_over_its_end_and_its_new_life(self):
        self.peer.send(lines(
            long_map(1, "long"),
            text(2, "area.find", space="long", addr=harness.hexa(START)),
            text(3, "area.protect", space="long", start=harness.hexa(START), size=LONG, flags="r--"),
            text(4, "area.list", space="long"),
            text(5, "space.destroy", space="long"),
            text(6, "space.info", space="long"),
            text(7, "space.create", name="long", ram="1M"),
            text(8, "space.info", space="long"),
            text(9, "space.create", name="long")))
        replies = [self.peer.reply() for _ in range(9)]
        self.assertEqual([reply["id"] for reply in replies], list(range(1, 10)))
        self.assertEqual(replies[1]["result"]["area"]["flags"], "rw-")
        self.assertEqual([area["flags"] for area in replies[3]["result"]["areas"]], ["r--"])
        self.assertError(replies[5]["error"], NOT_FOUND)
        self.assertEqual(replies[7]["result"]["areas"], 0)
        self.assertError(replies[8]["error"], ALREADY_EXISTS)
        self.end()

    def test_a_batch_is_answered_in_its_order_whatever_takes_longer(self):
        batch = [text(1, "daemon.ping"), {"x": 1}, long_map(2, "long"), text(3, "daemon.ping"),
                 text(None, "area.map", space="other", start="0x1000", size="4K", flags="r--"), {"id": 9},
                 text(4, "area.find", space="other", addr="0x1000"), text(5, "no.such"),
                 text(6, "area.find", space="long", addr=harness.hexa(START)), text(7, "area.find", space="none", addr=0)]
        self.peer.send(lines(batch))
        reply = self.peer.reply()
        self.assertEqual([one["id"] for one in reply], [1, None, 2, 3, 9, 4, 5, 6, 7])
        self.assertEqual(reply[5]["result"]["area"]["start"], "0x1000")
        self.assertEqual(reply[7]["result"]["area"]["size"], harness.hexa(LONG_BYTES))
        self.assertError(reply[8]["error"], NOT_FOUND)
        self.end()

    def test_a_batch_of_notifications_that_take_long_is_never_answered(self):
        self.peer.send(lines([dict(long_map(None, "long"))], text(1, "space.info", space="long")))
        reply = self.peer.reply()
        self.assertEqual((reply["id"], reply["result"]["areas"]), (1, 1))
        self.assertTrue(self.peer.quiet())
        self.end()

    def test_long_replies_keep_the_header_framing(self):
        peer = self.new_peer()
        peer.send(b"".join(header_framed(json.dumps(request)) for request in
                           [long_map(1, "long"), text(2, "area.find", space="other", addr=0),
                            text(3, "area.find", space="long", addr=0)]))
        self.assertEqual([json.loads(peer.message())["id"] for _ in range(3)], [2, 1, 3])
        self.end()

    def test_a_space_that_is_at_work_is_listed_as_it_was_before(self):
        self.peer.call("area.map", space="long", start="0x1000", size="4K", flags="r--")
        self.peer.send(lines(long_map(1, "long"), text(2, "space.list"), text(3, "daemon.stats")))
        replies = [self.peer.reply() for _ in range(3)]
        self.assertEqual([reply["id"] for reply in replies], [2, 3, 1])
        seen = {space["name"]: space for space in replies[0]["result"]["spaces"]}
        self.assertEqual((seen["long"]["areas"], seen["long"]["mapped"]), (1, "0x1000"))
        self.assertEqual(replies[1]["result"]["areas"], 1)
        self.assertEqual(self.peer.call("space.info", space="long")["areas"], 2)
        self.end()


class Ends(Actors):
    def test_what_a_peer_asked_for_happens_although_it_leaves(self):
        peer = self.new_peer()
        peer.send(lines(long_map(1, "long"), text(2, "area.split", space="long", at=harness.hexa(START + 4096))))
        self.assertIn("result", self.peer.ask("daemon.ping"))
        peer.close()
        self.eventually(lambda: self.peer.call("space.info", space="long")["areas"] == 2, "both edits")
        self.assertEqual(self.peer.call("space.check", space="long")["problems"], [])
        self.end()

    def test_a_transaction_goes_on_while_its_peer_leaves(self):
        long = {key: value for key, value in long_map(None, "long")["params"].items() if key != "space"}
        ops = [{"method": "area.map", "params": long}] + [
            {"method": "area.split", "params": {"at": harness.hexa(START + page * 4096)}} for page in range(1, 500)]
        peer = self.new_peer()
        peer.send(lines(text(1, "space.apply", space="long", ops=ops), text(2, "daemon.ping")))
        self.assertEqual(peer.reply()["id"], 2)
        peer.close()
        self.eventually(lambda: self.peer.call("space.info", space="long")["areas"] == 500, "all of it")
        self.end()

    def test_a_peer_that_ends_its_side_gets_every_reply(self):
        self.peer.send(lines(long_map(1, "long"), text(2, "area.find", space="long", addr=0)))
        self.peer.half_close()
        replies = [json.loads(line) for line in self.peer.rest().splitlines()]
        self.assertEqual([reply["id"] for reply in replies], [1, 2])
        self.end()

    def test_a_shutdown_waits_for_long_requests_and_their_replies(self):
        self.peer.send(lines(long_map(1, "long"), text(2, "daemon.shutdown")))
        replies = [json.loads(line) for line in self.peer.rest().splitlines()]
        self.assertEqual([reply["id"] for reply in replies], [2, 1])
        self.assertEqual(self.daemon.wait(), 0)
        self.daemon.check_errors()

    def test_a_signal_lets_long_requests_end(self):
        self.peer.send(lines(long_map(1, "long"), text(2, "daemon.ping")))
        self.assertEqual(self.peer.reply()["id"], 2)
        self.daemon.send_signal(signal.SIGTERM)
        self.assertEqual([json.loads(line)["id"] for line in self.peer.rest().splitlines()], [1])
        self.end()


class Limit(Actors):
    options = ("--max-inflight", "2")

    def test_past_the_limit_in_flight_a_peer_is_not_read_from_and_loses_nothing(self):
        peer = self.new_peer()
        spaces = ["s%d" % i for i in range(8)]
        for name in spaces:
            self.peer.call("space.create", name=name, ram="256M")
        requests = [text(i, "area.map", space=name, start=harness.hexa(START), size="64M", flags="rw-",
                         backing="eager") for i, name in enumerate(spaces)]
        peer.send(lines(*requests))
        self.assertEqual({peer.reply()["id"] for _ in spaces}, set(range(8)))
        self.assertEqual(peer.call("daemon.info")["limits"]["max_inflight"], 2)
        self.end()


if __name__ == "__main__":
    harness.main()
