"""Who may connect and what they may do: peers that are other users, limits of one user."""
import grp
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness
from harness import PAGE, Daemon, Refused

STRANGER, GUEST, READER = 40001, 40002, 40003       # users that nobody else is
FRIENDS, READERS, OTHERS = 41001, 41002, 41003      # and groups

# Becomes somebody else (by itself: where the interpreter lies need not be open to everybody) and connects.
BECOME = """
import os, socket, sys
path, uid, gid, *groups = sys.argv[1:]
os.setgroups([int(group) for group in groups])
os.setgid(int(gid))
os.setuid(int(uid))
peer = socket.socket(socket.AF_UNIX)
peer.connect("\\0" + path[1:] if path[0] == "@" else path)
"""
# Then writes its standard input, and prints all that comes back.
TALK = BECOME + """
peer.settimeout(30)
try:
    peer.sendall(sys.stdin.buffer.read())
    peer.shutdown(socket.SHUT_WR)
except OSError:
    pass
while True:
    got = peer.recv(65536)
    if not got:
        break
    sys.stdout.buffer.write(got)
"""


def become(program, daemon, text, uid, gid, groups):
    return subprocess.run([sys.executable, "-c", program, daemon.path, str(uid), str(gid), *map(str, groups)],
                          input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=harness.PATIENCE)


def request(method, request_id=1, **params):
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}) + "\n"


@unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
class Others(harness.Case):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="aspace-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        os.chmod(self.folder, 0o711)

    def daemon(self, *options, path=None):
        daemon = Daemon(*options, path=path or os.path.join(self.folder, "s")).start()
        self.addCleanup(daemon.stop)
        return daemon

    def talk(self, daemon, text, uid, gid=OTHERS, groups=()):
        """All replies that a process of that user and those groups gets."""
        done = become(TALK, daemon, text, uid, gid, groups)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def ask(self, daemon, method, uid, gid=OTHERS, groups=(), **params):
        replies = self.talk(daemon, request(method, **params), uid, gid, groups)
        self.assertEqual(len(replies), 1, replies)
        return replies[0]

    def assertDenied(self, reply):
        self.assertIn("error", reply)
        self.assertError(reply["error"], harness.DENIED)
        self.assertIn("hint", reply["error"]["data"])

    def assertPong(self, reply):
        self.assertEqual(reply.get("result"), {}, reply)

    def test_a_stranger_is_denied_even_when_the_mode_lets_anybody_connect(self):
        daemon = self.daemon("--mode", "0666")
        reply = self.ask(daemon, "daemon.ping", STRANGER)
        self.assertDenied(reply)
        self.assertIsNone(reply["id"])
        self.assertIn(str(STRANGER), reply["error"]["message"])

    def test_the_mode_alone_keeps_a_stranger_out_too(self):
        daemon = self.daemon("--allow-uid", STRANGER, "--mode", "0600")
        done = become(TALK, daemon, "", STRANGER, OTHERS, ())
        self.assertIn(b"PermissionError", done.stderr)

    def test_refused_peers_are_counted_apart_from_full_ones(self):
        daemon = self.daemon("--mode", "0666")
        for _ in range(3):
            self.ask(daemon, "daemon.ping", STRANGER)
        with harness.Peer(daemon.path) as peer:
            connections = peer.call("daemon.stats")["connections"]
        self.assertEqual((connections["denied"], connections["refused"]), (3, 3))

    def test_a_user_is_let_in_by_number_and_others_still_are_not(self):
        daemon = self.daemon("--allow-uid", GUEST, "--allow-uid", READER)
        self.assertPong(self.ask(daemon, "daemon.ping", GUEST))
        self.assertPong(self.ask(daemon, "daemon.ping", READER))
        self.assertDenied(self.ask(daemon, "daemon.ping", STRANGER))
        self.assertIn("result", self.ask(daemon, "space.create", GUEST, name="mine"))

    def test_a_user_is_let_in_by_name(self):
        import pwd
        nobody = pwd.getpwnam("nobody")
        daemon = self.daemon("--allow-uid", "nobody")
        self.assertPong(self.ask(daemon, "daemon.ping", nobody.pw_uid))

    def test_a_group_is_let_in_whether_it_is_the_first_or_a_supplementary_one(self):
        daemon = self.daemon("--allow-gid", FRIENDS)
        self.assertPong(self.ask(daemon, "daemon.ping", GUEST, gid=FRIENDS))
        self.assertPong(self.ask(daemon, "daemon.ping", GUEST, groups=(OTHERS, FRIENDS)))
        self.assertDenied(self.ask(daemon, "daemon.ping", GUEST, groups=(OTHERS,)))

    def test_a_group_is_let_in_by_name(self):
        group = grp.getgrgid(os.getgid() or 0)
        other = next(each for each in grp.getgrall() if each.gr_gid not in (0, group.gr_gid))
        daemon = self.daemon("--allow-gid", other.gr_name)
        self.assertPong(self.ask(daemon, "daemon.ping", GUEST, groups=(other.gr_gid,)))

    def test_the_last_of_very_many_groups_counts(self):
        daemon = self.daemon("--allow-gid", FRIENDS)
        many = tuple(range(50000, 50400))
        self.assertDenied(self.ask(daemon, "daemon.ping", GUEST, groups=many))
        self.assertPong(self.ask(daemon, "daemon.ping", GUEST, groups=many + (FRIENDS,)))

    def test_a_reader_may_look_and_not_touch(self):
        daemon = self.daemon("--read-only-gid", READERS)
        with harness.Peer(daemon.path) as owner:
            owner.call("space.create", name="s")
            owner.call("area.map", space="s", start=hex(PAGE), size=hex(PAGE), flags="rw-")
            owner.call("memory.write", space="s", addr=hex(PAGE), hex="41")
            document = owner.call("rpc.discover")
            before = owner.call("space.info", space="s"), owner.call("daemon.stats")["frames"]
            looks = {
                "daemon.info": {}, "daemon.stats": {}, "rpc.discover": {}, "space.list": {},
                "space.info": {"space": "s"}, "space.check": {"space": "s"}, "area.list": {"space": "s"},
                "area.find": {"space": "s", "addr": hex(PAGE)}, "page.walk": {"space": "s", "addr": hex(PAGE)},
                "memory.read": {"space": "s", "addr": hex(PAGE), "size": 1}, "inject.list": {"space": "s"},
                "space.snapshots": {"space": "s"}, "space.diff": {"space": "s", "other": "s"},
            }
            for method, params in looks.items():
                with self.subTest(method=method):
                    self.assertIn("result", self.ask(daemon, method, READER, groups=(READERS,), **params))
            touches = {
                "space.create": {"name": "t"}, "space.destroy": {"space": "s"}, "space.clear": {"space": "s"},
                "space.apply": {"space": "s", "ops": [], "dry_run": True}, "daemon.shutdown": {},
                "area.map": {"space": "s", "size": hex(PAGE), "flags": "r--"},
                "area.unmap": {"space": "s", "start": hex(PAGE), "size": hex(PAGE)},
                "area.protect": {"space": "s", "start": hex(PAGE), "size": hex(PAGE), "flags": "r--"},
                "memory.write": {"space": "s", "addr": hex(PAGE), "hex": "42"},
                "memory.access": {"space": "s", "addr": hex(PAGE), "kind": "read"},
                "inject.set": {"space": "s", "op": "map"}, "inject.clear": {"space": "s"},
            }
            known = {method["name"] for method in document["methods"]}
            for method in ("page.export", "space.clone", "space.snapshot", "space.restore", "space.drop", "space.resume"):
                if method in known:
                    touches[method] = {}
            for method, params in touches.items():
                with self.subTest(method=method):
                    reply = self.ask(daemon, method, READER, groups=(READERS,), **params)
                    self.assertDenied(reply)
                    self.assertEqual(reply["id"], 1)
            self.assertEqual((owner.call("space.info", space="s"), owner.call("daemon.stats")["frames"]), before)
            self.assertEqual([s["name"] for s in owner.call("space.list")["spaces"]], ["s"])

    def test_a_reader_may_not_touch_in_a_batch_or_a_notification_either(self):
        daemon = self.daemon("--read-only-gid", READERS)
        create = json.loads(request("space.create", name="t"))
        quiet = dict(create)
        del quiet["id"]
        text = json.dumps([create, json.loads(request("daemon.ping", 2)), quiet]) + "\n" + json.dumps(quiet) + "\n"
        replies = self.talk(daemon, text, READER, groups=(READERS,))
        self.assertEqual(len(replies), 1, replies)
        self.assertDenied(replies[0][0])
        self.assertPong(replies[0][1])
        with harness.Peer(daemon.path) as owner:
            self.assertEqual(owner.call("space.list"), {"spaces": []})

    def test_a_reader_that_leaves_at_once_has_touched_nothing(self):
        daemon = self.daemon("--read-only-gid", READERS)
        with harness.Peer(daemon.path) as owner:
            owner.call("space.create", name="s", ram="256M")
            text = "".join(request("area.map", i, space="s", size="0x1000000", flags="rw-", backing="eager")
                           for i in range(20))
            hasty = BECOME + "peer.sendall(sys.stdin.buffer.read())\n"
            self.assertEqual(become(hasty, daemon, text, READER, READERS, ()).returncode, 0)
            self.eventually(lambda: owner.call("daemon.stats")["methods"].get("area.map", {}).get("errors") == 20,
                            "all are refused")
            self.assertEqual(owner.call("space.info", space="s")["areas"], 0)

    @harness.live
    def test_a_guest_can_neither_make_nor_see_into_a_live_space(self):
        daemon = self.daemon("--allow-uid", GUEST, "--read-only-gid", READERS)
        target = subprocess.Popen(["sleep", "600"])
        self.addCleanup(target.wait)
        self.addCleanup(target.kill)
        with harness.Peer(daemon.path) as owner:
            for params in ({"pid": target.pid}, {"command": ["/bin/touch", os.path.join(self.folder, "made")]}):
                self.assertDenied(self.ask(daemon, "space.create", GUEST, name="t", backend="ptrace", **params))
            self.assertFalse(os.path.exists(os.path.join(self.folder, "made")))
            owner.call("space.create", name="live", backend="ptrace", pid=target.pid)
            for method, params in (("area.list", {}), ("memory.read", {"addr": hex(PAGE), "size": 1}),
                                   ("space.info", {}), ("space.destroy", {}),
                                   ("area.map", {"size": hex(PAGE), "flags": "rw-"})):
                with self.subTest(method=method):
                    self.assertDenied(self.ask(daemon, method, GUEST, space="live", **params))
                    self.assertDenied(self.ask(daemon, method, READER, groups=(READERS,), space="live", **params))
            self.assertTrue(owner.call("area.list", space="live")["areas"])
            owner.call("space.destroy", space="live")

    def test_who_is_a_reader_and_a_friend_may_touch(self):
        daemon = self.daemon("--read-only-gid", READERS, "--allow-gid", FRIENDS, "--allow-uid", GUEST)
        self.assertIn("result", self.ask(daemon, "space.create", READER, groups=(READERS, FRIENDS), name="a"))
        self.assertIn("result", self.ask(daemon, "space.create", GUEST, groups=(READERS,), name="b"))
        self.assertDenied(self.ask(daemon, "space.create", READER, groups=(READERS,), name="c"))

    def test_the_default_folder_lets_those_in_who_are_let_in(self):
        daemon = self.daemon("--allow-uid", GUEST, path=os.path.join(self.folder, "new", "s"))
        self.assertPong(self.ask(daemon, "daemon.ping", GUEST))
        self.assertEqual(os.stat(os.path.join(self.folder, "new")).st_mode & 0o777, 0o711)

    def test_one_users_connections_do_not_take_anothers(self):
        daemon = self.daemon("--allow-uid", GUEST, "--max-user-connections", 2)
        with harness.Peer(daemon.path) as one, harness.Peer(daemon.path) as two, harness.Peer(daemon.path) as three:
            self.assertEqual((one.call("daemon.ping"), two.call("daemon.ping")), ({}, {}))
            refused = three.reply()
            self.assertError(refused["error"], harness.BUSY)
            self.assertIn("--max-user-connections", refused["error"]["message"])
            self.assertPong(self.ask(daemon, "daemon.ping", GUEST))
            two.close()
            three.close()

            def again():
                with harness.Peer(daemon.path) as peer:
                    try:
                        peer.send(request("daemon.ping"))
                        return "result" in peer.reply()
                    except OSError:     # it is closed already
                        return False
            self.eventually(again, "a closed connection's place is used again")

    def test_one_users_spaces_do_not_take_anothers(self):
        daemon = self.daemon("--allow-uid", GUEST, "--max-user-spaces", 2)
        with harness.Peer(daemon.path) as owner:
            owner.call("space.create", name="a")
            owner.call("space.create", name="b")
            with self.assertRaises(Refused) as refused:
                owner.call("space.create", name="c")
            self.assertEqual(refused.exception.code, harness.BUSY)
            self.assertIn("--max-user-spaces", refused.exception.data["hint"])
            self.assertIn("result", self.ask(daemon, "space.create", GUEST, name="theirs"))
            owner.call("space.destroy", space="a")
            owner.call("space.create", name="c")

    def test_one_users_areas_do_not_take_anothers(self):
        daemon = self.daemon("--allow-uid", GUEST, "--max-user-areas", 5)
        with harness.Peer(daemon.path) as owner:
            def mapped(space, page):
                reply = owner.ask("area.map", {"space": space, "start": page << 13, "size": 4096, "flags": "rw-"})
                if "error" in reply:
                    self.assertError(reply["error"], harness.NO_MEMORY)
                    self.assertIn("--max-user-areas", reply["error"]["data"]["hint"])
                return "result" in reply

            def areas():
                return sum(space["areas"] for space in owner.call("space.list")["spaces"] if space["name"] in "abc")

            for name in "ab":
                owner.call("space.create", name=name)
            self.assertEqual([mapped("a", page) for page in (1, 2, 3)], [True] * 3)
            self.assertEqual([mapped("b", page) for page in (1, 2, 3)], [True, True, False])
            self.assertEqual(mapped("a", 4), False)
            owner.call("area.map", space="a", start=1 << 13, size=4096, flags="r--", overlap="replace")
            self.assertError(owner.ask("space.clone", {"space": "a", "name": "c"})["error"], harness.NO_MEMORY)
            ops = [{"method": "area.map", "params": {"start": page << 13, "size": 4096, "flags": "rw-"}} for page in (5, 6)]
            owner.call("area.unmap", space="b", start=1 << 13, size=4096)
            self.assertError(owner.ask("space.apply", {"space": "b", "ops": ops})["error"], harness.NO_MEMORY)
            self.assertEqual(areas(), 4)
            self.assertIn("result", self.ask(daemon, "space.create", GUEST, name="theirs"))
            for page in range(5):
                self.assertIn("result", self.ask(daemon, "area.map", GUEST, space="theirs", start=page << 13, size=4096,
                                                 flags="rw-"))
            owner.call("space.snapshot", space="a", name="three")
            owner.call("area.unmap", space="a", start=0, size="1M")
            self.assertEqual([mapped("b", page) for page in (3, 4, 5, 6)], [True] * 4)
            self.assertError(owner.ask("space.restore", {"space": "a", "name": "three"})["error"], harness.NO_MEMORY)
            owner.call("area.unmap", space="b", start=3 << 13, size="1M")
            owner.call("space.restore", space="a", name="three")
            self.assertEqual(areas(), 4)

    def test_one_users_requests_do_not_take_anothers(self):
        daemon = self.daemon("--allow-uid", GUEST, "--max-user-inflight", 3)
        self.check_held(daemon, {"gone": True})

    def test_one_users_bytes_do_not_take_anothers(self):
        daemon = self.daemon("--allow-uid", GUEST, "--max-user-pending", 4096)
        self.check_held(daemon, {"area": "0x" + "0" * 1500 + "1000"})

    def check_held(self, daemon, wait):
        """Three waits on three connections are all that there may be: a fourth connection is not read from until one of
        them ends, here because its peer has left."""
        with harness.Peer(daemon.path) as owner:
            owner.call("space.create", name="s")
        waiting = [harness.Peer(daemon.path) for _ in range(3)]
        for number, peer in enumerate(waiting):
            peer.send(request("daemon.wait", space="s", **wait))
            self.eventually(lambda: self.in_flight(daemon) > number, "it waits")
        with harness.Peer(daemon.path) as late:
            late.send(request("daemon.ping"))
            self.assertTrue(late.quiet(0.3))
            self.assertPong(self.ask(daemon, "daemon.ping", GUEST))
            waiting.pop().close()
            self.assertPong(late.reply())
        for peer in waiting:
            peer.close()

    def in_flight(self, daemon):
        return self.ask(daemon, "daemon.stats", GUEST)["result"]["queues"]["waiting"]

    def test_a_peer_that_leaves_while_it_is_not_read_from_is_forgotten(self):
        daemon = self.daemon("--max-inflight", 2)
        with harness.Peer(daemon.path) as other:
            other.call("space.create", name="s")
            gone = harness.Peer(daemon.path)
            gone.send(request("daemon.wait", space="s", gone=True) * 3)
            self.eventually(lambda: other.call("daemon.stats")["queues"]["waiting"] == 2, "two of the three are waiting")
            gone.close()
            self.eventually(lambda: other.call("daemon.stats")["connections"]["open"] == 1, "the daemon sees it leave")

    def test_one_users_ram_does_not_take_anothers(self):
        daemon = self.daemon("--allow-uid", GUEST, "--max-user-ram", "64M")
        with harness.Peer(daemon.path) as owner:
            owner.call("space.create", name="a", ram="40M")
            with self.assertRaises(Refused) as refused:
                owner.call("space.create", name="b", ram="40M")
            self.assertEqual(refused.exception.code, harness.NO_MEMORY)
            self.assertEqual(refused.exception.data["param"], "ram")
            owner.call("space.create", name="b", ram="24M")
            self.assertIn("result", self.ask(daemon, "space.create", GUEST, name="c", ram="64M"))

    def test_ram_that_clones_share_counts_once_for_each_user_who_has_one(self):
        daemon = self.daemon("--allow-uid", GUEST, "--max-user-ram", "64M")
        with harness.Peer(daemon.path) as owner:
            owner.call("space.create", name="m", ram="40M")
            for name in ("l", "n"): # one's own clones cost nothing more
                owner.call("space.clone", space="m", name=name)
            for name in ("a", "z"): # before and after it by name: it stays the owner's, and is the guest's as well
                self.assertIn("result", self.ask(daemon, "space.clone", GUEST, space="m", name=name))
            with self.assertRaises(Refused):
                owner.call("space.create", name="b", ram="40M")
            self.assertError(self.ask(daemon, "space.create", GUEST, name="c", ram="40M")["error"], harness.NO_MEMORY)
            owner.call("space.create", name="b", ram="24M")
            refused = self.ask(daemon, "space.clone", GUEST, space="b", name="c")
            self.assertIn("result", refused) # 40M and 24M
            owner.call("space.destroy", space="b")
            owner.call("space.create", name="b", ram="24M")
            refused = self.ask(daemon, "space.clone", GUEST, space="b", name="d")
            self.assertError(refused["error"], harness.NO_MEMORY)
            self.assertEqual(refused["error"]["data"]["param"], "space")
            for name in ("l", "m", "n"):
                owner.call("space.destroy", space=name)
            owner.call("space.create", name="m", ram="40M")
            self.assertError(self.ask(daemon, "space.create", GUEST, name="e", ram="4K")["error"], harness.NO_MEMORY)
            for name in ("a", "z", "c"):
                self.assertIn("result", self.ask(daemon, "space.destroy", GUEST, space=name))
            self.assertIn("result", self.ask(daemon, "space.create", GUEST, name="e", ram="64M"))


class Options(harness.Case):
    def test_users_and_groups_that_do_not_exist_are_usage_errors(self):
        for option in ("--allow-uid", "--allow-gid", "--read-only-gid"):
            for value in ("no-such-one-here", "", "-1", "4294967295", "99999999999"):
                with self.subTest(option=option, value=value):
                    done = subprocess.run([harness.ASPACED, option, value], stdout=subprocess.PIPE,
                                          stderr=subprocess.PIPE, timeout=harness.PATIENCE)
                    self.assertEqual(done.returncode, 2)
                    self.assertIn(option.encode(), done.stderr)

    def test_every_limit_is_shown_by_its_option(self):
        with Daemon() as daemon, harness.Peer(daemon.path) as peer:
            limits = peer.call("daemon.info")["limits"]
        shown = subprocess.run([harness.ASPACED, "--help"], stdout=subprocess.PIPE, encoding="utf-8").stdout
        for name in limits:
            self.assertIn("--%s N" % name.replace("_", "-"), shown)


if __name__ == "__main__":
    harness.main()
