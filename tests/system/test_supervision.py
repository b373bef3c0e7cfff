"""A daemon that somebody keeps running: its logs, the service manager, and what it does when the system gives it no more."""
import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

import harness
from harness import ASPACECTL, ASPACED, PAGE, PATIENCE, Daemon, Peer, Refused

HELP = subprocess.run([ASPACED, "--help"], stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout
HAS_SANDBOX = "(seccomp)" in HELP
HAS_SYSTEMD = "libsystemd" in subprocess.run(["ldd", ASPACED], stdout=subprocess.PIPE, encoding="utf-8").stdout


class FolderCase(harness.Case):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="aspace-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def daemon(self, *options, path=None):
        daemon = Daemon(*options, path=path or self.path("s")).start()
        self.addCleanup(daemon.stop)
        return daemon

    def peer(self, daemon):
        peer = Peer(daemon.path)
        self.addCleanup(peer.close)
        return peer

    def lines(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            text = file.read()
        self.assertTrue(text == "" or text.endswith("\n"), text[-200:])
        return text.splitlines()

    def audit_lines(self, count, name="audit"):
        """All records of the audit log, once there are that many."""
        self.eventually(lambda: len(self.lines(name)) >= count, "%d lines in the audit log" % count)
        return [json.loads(line) for line in self.lines(name)]


class Audit(FolderCase):
    def test_every_call_that_changes_something_has_its_line_in_order(self):
        peer = self.peer(self.daemon("--audit", self.path("audit")))
        peer.call("space.create", name="s", tag="caf\u00e9")
        peer.call("daemon.ping")
        peer.call("area.map", space="s", start=hex(PAGE), size=hex(PAGE), flags="rw-")
        peer.call("area.list", space="s")
        with self.assertRaises(Refused):
            peer.call("area.map", space="s", start=hex(PAGE), size=hex(PAGE), flags="rw-")
        peer.call("memory.write", space="s", addr=hex(PAGE), hex="00ff")
        peer.call("space.destroy", space="s")
        records = self.audit_lines(5)
        self.assertEqual([(r["method"], r["outcome"]) for r in records],
                         [("space.create", "ok"), ("area.map", "ok"), ("area.map", "AlreadyExists"),
                          ("memory.write", "ok"), ("space.destroy", "ok")])
        self.assertEqual(records[0]["params"], {"name": "s", "tag": "caf\u00e9"})
        self.assertEqual([r.get("generation") for r in records], [0, 1, 1, 1, None])
        self.assertIn("message", records[2])
        for record in records:
            self.assertEqual(record["peer"], {"uid": os.getuid(), "gid": os.getgid(), "pid": os.getpid()})
            self.assertRegex(record["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
            self.assertGreater(record["ns"], 0)

    def test_a_call_of_a_batch_or_without_an_id_or_on_a_worker_has_its_line_too(self):
        peer = self.peer(self.daemon("--audit", self.path("audit")))
        peer.send(json.dumps({"jsonrpc": "2.0", "method": "space.create", "params": {"name": "s", "ram": "1G"}}) + "\n")
        peer.send(json.dumps([{"jsonrpc": "2.0", "id": i, "method": "area.map",
                               "params": ["s", "0x4000000", "rw-"] if i else
                               {"space": "s", "size": "0x4000000", "flags": "rw-", "backing": "eager"}}
                              for i in range(2)]) + "\n")
        self.assertEqual(len(peer.reply()), 2)
        records = self.audit_lines(3)
        self.assertEqual([r["method"] for r in records], ["space.create", "area.map", "area.map"])
        self.assertEqual({r["outcome"] for r in records}, {"ok"})
        self.assertEqual(records[2]["params"], ["s", "0x4000000", "rw-"])

    def test_a_call_that_makes_a_file_has_its_line(self):
        peer = self.peer(self.daemon("--audit", self.path("audit")))
        peer.call("space.create", name="s", ram="1M")
        peer.call("page.export", space="s", path=self.path("ram"))
        record = self.audit_lines(2)[1]
        self.assertEqual((record["method"], record["params"]["path"]), ("page.export", self.path("ram")))

    def test_line_ends_between_the_params_do_not_end_the_line(self):
        peer = self.peer(self.daemon("--audit", self.path("audit")))
        peer.send(harness.header_framed('{"jsonrpc":"2.0","id":1,"method":"space.create","params":{\r\n\t"name":\n"s"}}'))
        peer.message()
        self.assertEqual(self.audit_lines(1)[0]["params"], {"name": "s"})

    def test_long_params_are_left_out_and_said_so(self):
        peer = self.peer(self.daemon("--audit", self.path("audit")))
        peer.call("space.create", name="s")
        with self.assertRaises(Refused):
            peer.call("memory.write", space="s", addr="0x0", hex="00" * 100000)
        record = self.audit_lines(2)[1]
        self.assertNotIn("params", record)
        self.assertGreater(record["params_size"], 200000)

    def test_the_file_is_for_its_owner_alone_and_lines_are_added_to_what_is_there(self):
        for name in ("a", "b"):
            daemon = Daemon("--audit", self.path("audit"), path=self.path("s")).start()
            with Peer(daemon.path) as peer:
                peer.call("space.create", name=name)
            daemon.stop()
        self.assertEqual([json.loads(line)["params"]["name"] for line in self.lines("audit")], ["a", "b"])
        self.assertEqual(os.stat(self.path("audit")).st_mode & 0o777, 0o600)

    def test_all_lines_are_written_before_the_daemon_ends(self):
        daemon = Daemon("--audit", self.path("audit"), path=self.path("s")).start()
        with Peer(daemon.path) as peer:
            peer.call("space.create", name="s")
            peer.pipeline([("inject.clear", {"space": "s"})] * 2000)
        daemon.stop()
        self.assertEqual(len(self.lines("audit")), 2001)

    def test_sighup_opens_the_logs_again(self):
        daemon = self.daemon("--audit", self.path("audit"), "--log-file", self.path("log"))
        peer = self.peer(daemon)
        peer.call("space.create", name="a")
        self.audit_lines(1)
        for name in ("audit", "log"):
            os.rename(self.path(name), self.path(name + ".1"))
        daemon.send_signal(signal.SIGHUP)
        self.eventually(lambda: os.path.exists(self.path("audit")) and os.path.exists(self.path("log")), "both anew")
        peer.call("space.create", name="b")
        self.assertEqual([r["params"]["name"] for r in self.audit_lines(1)], ["b"])
        self.assertEqual([r["params"]["name"] for r in self.audit_lines(1, "audit.1")], ["a"])
        self.assertTrue(any("SIGHUP" in line for line in self.lines("log")), self.lines("log"))
        self.assertTrue(any("listens on" in line for line in self.lines("log.1")))

    def test_a_file_that_cannot_be_opened_again_is_said_and_the_old_one_written(self):
        os.mkdir(self.path("d"))
        daemon = self.daemon("--audit", self.path("d/audit"))
        peer = self.peer(daemon)
        with open(self.path("d/audit"), "rb") as old:
            shutil.rmtree(self.path("d"))
            daemon.send_signal(signal.SIGHUP)
            self.eventually(lambda: "cannot open the audit log" in daemon.stderr(), "it says so")
            peer.call("space.create", name="a")
            self.eventually(lambda: b"space.create" in (old.seek(0), old.read())[1], "the line in the old file")

    def test_a_file_that_cannot_be_made_keeps_the_daemon_from_starting(self):
        for option in ("--audit", "--log-file"):
            done = subprocess.run([ASPACED, "--socket", self.path("s"), option, "/proc/no/such"],
                                  stderr=subprocess.PIPE, encoding="utf-8", timeout=PATIENCE)
            self.assertEqual(done.returncode, 1)
            self.assertIn("/proc/no/such", done.stderr)
            self.assertFalse(os.path.exists(self.path("s")))
            self.assertFalse(os.path.exists(self.path("s.lock")))

    def test_a_full_disk_is_said_once_and_counted_and_nobody_is_refused(self):
        daemon = self.daemon("--audit", "/dev/full")
        peer = self.peer(daemon)
        peer.call("space.create", name="s")
        for _ in range(50):
            peer.call("inject.clear", space="s")
        self.eventually(lambda: peer.call("daemon.stats")["audit"] == {"lines": 0, "lost": 51}, "all 51 counted")
        self.eventually(lambda: "No space left on device" in daemon.stderr(), "it says so")
        self.assertEqual(daemon.stderr().count("No space left on device"), 1, daemon.stderr())

    @unittest.skipUnless(os.geteuid() == 0, "only root can mount a disk to fill")
    def test_when_a_full_disk_has_room_again_whole_lines_follow_whole_lines(self):
        disk = self.path("disk")
        os.mkdir(disk)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], stderr=subprocess.PIPE)
        if mounted.returncode:
            self.skipTest("no mount here: %s" % mounted.stderr)
        self.addCleanup(subprocess.run, ["umount", "-l", disk])
        daemon = self.daemon("--audit", self.path("disk/audit"))
        peer = self.peer(daemon)
        peer.call("space.create", name="s")
        sent = 1

        def fill():
            nonlocal sent
            peer.call("inject.clear", space="s")
            sent += 1
            return peer.call("daemon.stats")["audit"]["lost"] >= 20
        self.eventually(fill, "the disk full")
        self.eventually(lambda: "No space left on device" in daemon.stderr(), "it says so")
        self.assertEqual(daemon.stderr().count("No space left on device"), 1)
        self.eventually(lambda: sum(peer.call("daemon.stats")["audit"].values()) == sent, "every line written or lost")
        stats = peer.call("daemon.stats")["audit"]
        said = sum(json.loads(line).get("lost", 0) for line in self.lines("disk/audit"))    # it is short, and may fit
        os.truncate(self.path("disk/audit"), 0)
        peer.call("space.create", name="after")
        records = self.audit_lines(2, "disk/audit")
        self.assertEqual(records[0]["lost"] + said, stats["lost"])
        self.assertEqual(records[1]["params"], {"name": "after"})
        self.eventually(lambda: "%d lines were lost" % stats["lost"] in daemon.stderr(), "it says how many")

    def test_a_log_that_nobody_takes_holds_up_nobody(self):
        os.mkfifo(self.path("audit"))
        reader = os.open(self.path("audit"), os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        daemon = self.daemon("--audit", self.path("audit"))
        peer = self.peer(daemon)
        peer.call("space.create", name="s")
        peer.pipeline([("inject.clear", {"space": "s"})] * 4000)      # far more than a pipe holds
        peer.close()

        def drain():
            try:
                while os.read(reader, 1 << 16):
                    pass
            except BlockingIOError:
                pass
            with Peer(daemon.path) as other:
                return other.call("daemon.stats")["audit"]["lines"] == 4001
        self.eventually(drain, "every line read")


def openmetrics_python():
    """An interpreter that has the reference parser (Debian: python3-prometheus-client), or None."""
    for python in (sys.executable, "/usr/bin/python3"):
        if os.path.exists(python) and subprocess.run([python, "-c", "import prometheus_client.openmetrics.parser"],
                                                     stderr=subprocess.DEVNULL).returncode == 0:
            return python
    return None


class Stats(FolderCase):
    PARSE = ("import json, sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as read\n"
             "print(json.dumps([[f.name, f.type, [[s.name, s.labels, s.value] for s in f.samples]]"
             " for f in read(sys.stdin.read())]))")

    def openmetrics(self, daemon):
        done = subprocess.run([ASPACECTL, "--socket", daemon.path, "stats", "--openmetrics"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=PATIENCE, encoding="utf-8")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    @unittest.skipUnless(openmetrics_python(), "there is no python3-prometheus-client")
    def test_a_parser_that_is_not_ours_reads_the_counters_as_they_are(self):
        daemon = self.daemon("--audit", self.path("audit"))
        peer = self.peer(daemon)
        peer.call("space.create", name="s", ram="1M")
        for _ in range(7):
            peer.call("area.map", space="s", size=hex(PAGE), flags="rw-", backing="eager")
        with self.assertRaises(Refused):
            peer.call("area.map", space="s", start="0x1", size=hex(PAGE), flags="rw-")
        self.audit_lines(9)
        done = subprocess.run([openmetrics_python(), "-c", self.PARSE], input=self.openmetrics(daemon),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
        self.assertEqual(done.returncode, 0, done.stderr)
        families = json.loads(done.stdout)
        samples = {(name, json.dumps(labels, sort_keys=True)): value
                   for _, _, list_of in families for name, labels, value in list_of}

        def value(name, **labels):
            return samples["aspaced_" + name, json.dumps(labels, sort_keys=True)]
        self.assertEqual(value("request_duration_seconds_count", method="area.map"), 8)
        self.assertEqual(value("request_errors_total", method="area.map"), 1)
        self.assertGreater(value("request_duration_seconds_sum", method="area.map"), 0)
        self.assertLessEqual(value("request_duration_seconds", method="area.map", quantile="0.5"),
                             value("request_duration_seconds", method="area.map", quantile="0.999"))
        self.assertEqual((value("spaces"), value("areas"), value("audit_lines_total")), (1, 7, 9))
        self.assertEqual(value("frames", kind="total"), 256)
        self.assertEqual(value("connections_open"), 2)
        self.assertEqual(value("queues_requests"), 0)
        self.assertEqual({kind for name, kind, _ in families if name == "aspaced_request_duration_seconds"}, {"summary"})

    def test_bytes_are_counted_as_they_cross_the_socket(self):
        peer = self.peer(self.daemon())
        text = harness.request_text("daemon.ping") + "\n"
        before = peer.call("daemon.stats")["bytes"]
        sent = 0
        for _ in range(3):
            peer.send(text)
            sent += len(peer.line()) + 1
        after = peer.call("daemon.stats")["bytes"]
        self.assertGreaterEqual(after["received"] - before["received"], 3 * len(text))
        self.assertLess(after["received"] - before["received"], 3 * len(text) + 200)
        self.assertGreaterEqual(after["sent"] - before["sent"], sent)
        self.assertLess(after["sent"] - before["sent"], sent + 5000)

    def test_requests_that_run_beside_the_loop_are_counted_while_they_do(self):
        daemon = self.daemon()
        peer = self.peer(daemon)
        peer.call("space.create", name="s", ram="4G")
        # All in one piece: the loop hears of the end of none of them before it has served the last.
        peer.send("".join(harness.request_text("area.map", {"space": "s", "size": "0x20000000", "flags": "rw-",
                                                            "backing": "eager"}, i) + "\n" for i in range(4)) +
                  harness.request_text("daemon.stats", None, "stats") + "\n")
        stats = peer.reply()
        self.assertEqual(stats["id"], "stats")
        self.assertEqual(stats["result"]["queues"], {"spaces": 1, "requests": 4, "waiting": 0})
        for _ in range(4):
            self.assertIn("result", peer.reply())
        self.assertEqual(peer.call("daemon.stats")["queues"], {"spaces": 0, "requests": 0, "waiting": 0})

    def test_two_forms_at_once_are_a_usage_error(self):
        daemon = self.daemon()
        done = subprocess.run([ASPACECTL, "--socket", daemon.path, "--json", "stats", "--openmetrics"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (2, b""))


class Log(FolderCase):
    def test_lines_have_priorities_when_standard_error_is_a_journal(self):
        with open(self.path("err"), "wb") as errors:
            st = os.fstat(errors.fileno())
            for stream, begin in (("%d:%d" % (st.st_dev, st.st_ino), "<6>version"), ("1:2", "aspaced: version"),
                                  ("nonsense", "aspaced: version")):
                with self.subTest(stream=stream):
                    errors.truncate(0)
                    errors.seek(0)
                    process = subprocess.Popen([ASPACED, "--socket", self.path("s")], stderr=errors,
                                               env=dict(os.environ, JOURNAL_STREAM=stream))
                    self.eventually(lambda: os.path.getsize(self.path("err")), "a line")
                    process.terminate()
                    self.assertEqual(process.wait(PATIENCE), 0)
                    with open(self.path("err"), encoding="utf-8") as file:
                        self.assertTrue(file.read().lstrip("\0").startswith(begin))

    def test_lines_in_a_file_have_the_time_and_none_go_to_standard_error(self):
        daemon = Daemon("--log-file", self.path("log"), path=self.path("s")).start()
        self.assertEqual(daemon.stderr(), "")
        daemon.stop()
        for line in self.lines("log"):
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z aspaced\[\d+\]: \S")


class Sockets(FolderCase):
    def test_an_abstract_socket_needs_no_file_and_the_client_finds_it(self):
        name = "@aspace-test-%d" % os.getpid()
        process = subprocess.Popen([ASPACED, "--socket", name], stderr=subprocess.PIPE, cwd=self.folder,
                                   encoding="utf-8")
        try:
            self.assertIn(name, process.stderr.readline())
            self.assertEqual(os.listdir(self.folder), [])
            for how in (["--socket", name, "ping"], ["ping"]):
                done = subprocess.run([ASPACECTL, *how], env=dict(os.environ, ASPACED_SOCKET=name),
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
                self.assertEqual(done.returncode, 0, done.stdout)
            second = subprocess.run([ASPACED, "--socket", name], stderr=subprocess.PIPE, encoding="utf-8",
                                    timeout=PATIENCE)
            self.assertEqual(second.returncode, 1)
            self.assertIn(name, second.stderr)
        finally:
            process.terminate()
            self.assertEqual(process.wait(PATIENCE), 0)
            process.stderr.close()

    def listener(self, path):
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(path)
        return listener

    def start_on(self, fd):
        return subprocess.Popen([ASPACED, "--listen-fd", str(fd)], pass_fds=[fd], stderr=subprocess.PIPE)

    def test_an_inherited_socket_is_served_and_left_in_place(self):
        listener = self.listener(self.path("given"))
        listener.listen()
        process = self.start_on(listener.fileno())
        try:
            with Peer(self.path("given")) as peer:        # may wait in the backlog
                self.assertEqual(peer.call("daemon.ping"), {})
        finally:
            process.terminate()
            self.assertEqual(process.wait(PATIENCE), 0)
            self.assertIn(self.path("given").encode(), process.stderr.read())
            process.stderr.close()
        self.assertTrue(os.path.exists(self.path("given")))

    def test_what_is_no_listening_unix_socket_is_refused(self):
        udp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        deaf = self.listener(self.path("deaf"))
        read_end, write_end = os.pipe()
        self.addCleanup(udp.close)
        self.addCleanup(os.close, read_end)
        self.addCleanup(os.close, write_end)
        for fd in (udp.fileno(), deaf.fileno(), read_end):
            process = self.start_on(fd)
            self.assertEqual(process.wait(PATIENCE), 1)
            self.assertIn(b"descriptor %d" % fd, process.stderr.read())
            process.stderr.close()


@unittest.skipUnless(HAS_SYSTEMD, "this aspaced was built without libsystemd")
class Systemd(FolderCase):
    def manager(self):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.bind(self.path("notify"))
        listener.settimeout(PATIENCE)
        return listener

    def start(self, *options, **more):
        process = subprocess.Popen([ASPACED, "--socket", self.path("s"), *options], stderr=subprocess.DEVNULL,
                                   env=dict(os.environ, NOTIFY_SOCKET=self.path("notify"), **more))
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def heard(self, manager, word):
        """The datagram that says it; others are passed over."""
        while True:
            said = manager.recv(4096).decode().splitlines()
            if word in said:
                return said

    def check(self, *options):
        manager = self.manager()
        process = self.start(*options)
        self.assertIn("MAINPID=%d" % process.pid, self.heard(manager, "READY=1"))
        with Peer(self.path("s")) as peer:
            peer.call("daemon.ping")
        process.send_signal(signal.SIGHUP)
        reloading = self.heard(manager, "RELOADING=1")
        self.assertTrue(any(line.startswith("MONOTONIC_USEC=") for line in reloading))
        self.heard(manager, "READY=1")
        process.terminate()
        self.heard(manager, "STOPPING=1")
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_it_is_told_of_the_beginning_a_reload_and_the_end(self):
        self.check()

    @unittest.skipUnless(HAS_SANDBOX, "this aspaced was built without libseccomp")
    def test_it_is_told_from_inside_the_sandbox_too(self):
        with no_leak_check():
            self.check("--sandbox")

    def test_the_watchdog_is_fed_in_time(self):
        manager = self.manager()
        began = time.monotonic()
        self.start(WATCHDOG_USEC="200000")
        for _ in range(6):
            self.heard(manager, "WATCHDOG=1")
        self.assertGreater(time.monotonic() - began, 0.2, "the manager is flooded")

    @unittest.skipUnless(shutil.which("systemd-socket-activate"), "there is no systemd-socket-activate")
    def test_a_socket_of_the_manager_is_taken_over_at_the_first_connection(self):
        process = subprocess.Popen(["systemd-socket-activate", "-l", self.path("act"), ASPACED],
                                   stderr=subprocess.PIPE)
        try:
            self.eventually(lambda: os.path.exists(self.path("act")), "the manager's socket")
            with Peer(self.path("act")) as peer:
                self.assertEqual(peer.call("daemon.info")["pid"], process.pid)
        finally:
            process.terminate()
            self.assertEqual(process.wait(PATIENCE), 0)
            process.stderr.close()
        self.assertTrue(os.path.exists(self.path("act")))


class Scarcity(FolderCase):
    def start_with_few_descriptors(self, few):
        """Some more than it has open when one is connected. The limit and the process."""
        with Daemon(path=self.path("s")) as daemon, Peer(daemon.path) as peer:
            peer.call("daemon.ping")
            limit = len(os.listdir("/proc/%d/fd" % daemon.process.pid)) + few
        errors = open(self.path("err"), "w+b")
        self.addCleanup(errors.close)
        process = subprocess.Popen(["sh", "-c", "ulimit -n %d; exec \"$@\"" % limit, "sh", ASPACED, "--socket",
                                    self.path("t")], stderr=errors)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.eventually(lambda: os.path.exists(self.path("t")) and os.path.getsize(self.path("err")), "it listens")
        return limit, process

    def start_with_soft_limit(self, soft):
        process = subprocess.Popen(["sh", "-c", "ulimit -Sn %d; exec \"$@\"" % soft, "sh", ASPACED, "--socket", self.path("t")],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.eventually(lambda: os.path.exists(self.path("t")), "it listens")
        return process

    def test_the_soft_limit_of_descriptors_is_raised(self):
        process = self.start_with_soft_limit(100)
        self.eventually(lambda: resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[0] > 100, "it is raised")
        limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        self.assertEqual(limits[0], limits[1])

    @harness.live
    def test_a_program_that_is_started_has_the_soft_limit_that_was(self):
        self.start_with_soft_limit(100)
        with Peer(self.path("t")) as peer:
            pid = peer.call("space.create", name="s", command=["/bin/sleep", "60"])["pid"]
            soft = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
            peer.call("space.destroy", space="s") # and with it the program
            self.assertEqual(soft, 100)

    @harness.live
    def test_spaces_leave_the_descriptors_that_their_work_needs(self):
        limit, process = self.start_with_few_descriptors(40)
        target = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(target.wait)
        self.addCleanup(target.kill)
        with Peer(self.path("t")) as peer:
            made = 0
            with self.assertRaises(Refused) as caught:
                for made in range(40):
                    peer.call("space.create", name="s%d" % made, pid=target.pid)
            self.assertError(caught.exception.error, harness.BUSY)
            self.assertIn("descriptors", caught.exception.message)
            self.assertGreater(made, 0)
            self.assertLessEqual(len(os.listdir("/proc/%d/fd" % process.pid)), limit - 16)
            peer.call("space.apply", space="s0", ops=[{"method": "area.map", "params": {"size": PAGE, "flags": "rw-"}},
                                                      {"method": "area.map", "params": {"size": PAGE, "flags": "r--"}}])
            peer.call("space.destroy", space="s0")
            peer.call("space.create", name="again", pid=target.pid)

    def test_at_the_limit_of_descriptors_it_says_so_refuses_and_recovers(self):
        limit, process = self.start_with_few_descriptors(40)
        first = Peer(self.path("t"))
        self.addCleanup(first.close)
        first.call("space.create", name="s")
        peers = [Peer(self.path("t")) for _ in range(14)]
        refused = 0
        for other in peers:
            other.send(harness.request_text("daemon.ping") + "\n")
            reply = other.reply()
            if "error" in reply:
                self.assertError(reply["error"], harness.BUSY)
                self.assertIn("descriptors", reply["error"]["message"])
                refused += 1
        self.assertGreater(refused, 0)
        self.assertLess(refused, 14)
        first.call("area.map", space="s", size=hex(PAGE), flags="rw-")
        crowd = [Peer(self.path("t")) for _ in range(100)] # who do not close
        for other in crowd:
            self.assertError(other.reply()["error"], harness.BUSY)
        self.assertLessEqual(len(os.listdir("/proc/%d/fd" % process.pid)), limit - 8) # those closed at once are for the work
        for other in peers + crowd:
            other.close()

        def served_again():
            with Peer(self.path("t")) as other:
                other.send(harness.request_text("daemon.ping") + "\n")
                return "result" in other.reply()
        self.eventually(served_again, "new connections are served again")
        with open(self.path("err"), encoding="utf-8") as file:
            self.assertIn("descriptors is nearly reached", file.read())
        process.terminate()
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_a_socket_folder_that_is_removed_is_said_once_and_those_connected_are_served_on(self):
        os.mkdir(self.path("d"))
        daemon = self.daemon(path=self.path("d/s"))
        peer = self.peer(daemon)
        peer.call("space.create", name="s")
        shutil.rmtree(self.path("d"))
        for _ in range(3):
            daemon.send_signal(signal.SIGHUP)
            peer.call("daemon.ping")
        self.eventually(lambda: "was removed or replaced" in daemon.stderr(), "it says so")
        time.sleep(0.2)
        self.assertEqual(daemon.stderr().count("was removed or replaced"), 1)
        self.assertEqual(peer.call("area.map", space="s", size=hex(PAGE), flags="rw-")["generation"], 1)

    def test_who_has_lost_its_folder_takes_nothing_from_who_has_it_now(self):
        os.mkdir(self.path("d"))
        first = self.daemon(path=self.path("d/s"))
        shutil.rmtree(self.path("d"))
        os.mkdir(self.path("d"))
        second = self.daemon(path=self.path("d/s"))
        first.send_signal(signal.SIGTERM)
        self.assertEqual(first.wait(), 0)
        self.assertEqual(sorted(os.listdir(self.path("d"))), ["s", "s.lock"])
        self.assertEqual(self.peer(second).call("daemon.ping"), {})

    def test_it_notices_by_itself_that_its_socket_is_gone(self):
        daemon = self.daemon()
        os.unlink(self.path("s"))
        self.eventually(lambda: "was removed or replaced" in daemon.stderr(), "it says so")

    @unittest.skipUnless(os.geteuid() == 0, "only root can become a user with no processes")
    @harness.live
    def test_when_no_process_can_be_started_the_request_is_refused_and_nobody_else(self):
        uid = 40100
        os.chown(self.folder, uid, uid)
        program = self.path("aspaced")
        shutil.copy(ASPACED, program)
        os.chmod(program, 0o755)
        errors = open(self.path("err"), "w+b")
        self.addCleanup(errors.close)
        process = subprocess.Popen([program, "--socket", self.path("s")], user=uid, group=uid, extra_groups=[],
                                   stderr=errors, cwd="/")
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.eventually(lambda: os.path.exists(self.path("s")) and os.path.getsize(self.path("err")), "it listens")

        def limit(count):       # as that user: root needs a capability for it that a container may lack
            subprocess.run(["prlimit", "--pid", str(process.pid), "--nproc=%d:" % count], user=uid, group=uid,
                           extra_groups=[], check=True)
        with Peer(self.path("s")) as peer:
            peer.call("space.create", name="a", backend="ptrace", command=["/bin/sleep", "600"])
            peer.call("space.destroy", space="a")
            threads = len(os.listdir("/proc/%d/task" % process.pid))
            limit(1)
            with self.assertRaises(Refused) as refused:
                peer.call("space.create", name="b", backend="ptrace", command=["/bin/sleep", "600"])
            self.assertTrue(refused.exception.message)
            self.assertEqual(peer.call("space.list"), {"spaces": []})
            peer.call("space.create", name="c")
            mapped = peer.call("area.map", space="c", size="0x4000000", flags="rw-", backing="eager")
            self.assertEqual(mapped["generation"], 1)
            self.assertLessEqual(len(os.listdir("/proc/%d/task" % process.pid)), threads + 1)
            limit(4096)
            peer.call("space.create", name="b", backend="ptrace", command=["/bin/sleep", "600"])
            peer.call("space.destroy", space="b")
        process.terminate()
        self.assertEqual(process.wait(PATIENCE), 0)


@contextlib.contextmanager
def no_leak_check():
    """The leak checker traces the process that it checks, and the sandbox is against tracing."""
    with unittest.mock.patch.dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"):
        yield


@unittest.skipUnless(HAS_SANDBOX, "this aspaced was built without libseccomp")
class Sandbox(FolderCase):
    def daemon(self, *options):
        with no_leak_check():
            return super().daemon("--sandbox", *options)

    def test_everything_but_live_processes_works_inside(self):
        daemon = self.daemon("--audit", self.path("audit"), "--log-file", self.path("log"))
        peer = self.peer(daemon)
        with open("/proc/%d/status" % daemon.process.pid, encoding="ascii") as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        peer.call("space.create", name="s", ram="1G")
        peer.call("area.map", space="s", start="0x10000000", size="0x8000000", flags="rw-", backing="eager")
        peer.call("memory.write", space="s", addr="0x10000000", hex="c0ffee")
        self.assertEqual(peer.call("memory.read", space="s", addr="0x10000000", size=3)["data"], "wP/u")
        self.assertTrue(peer.call("space.check", space="s")["ok"])
        daemon.send_signal(signal.SIGHUP)
        self.eventually(lambda: any("SIGHUP" in line for line in self.lines("log")), "the logs opened again")
        peer.call("space.destroy", space="s")
        self.audit_lines(4)

    def test_live_processes_are_denied_with_a_hint(self):
        peer = self.peer(self.daemon())
        for params in ({"pid": os.getpid()}, {"command": ["/bin/true"]}):
            with self.assertRaises(Refused) as refused:
                peer.call("space.create", name="s", backend="ptrace", **params)
            self.assertError(refused.exception.error, harness.DENIED)
            self.assertIn("--sandbox", refused.exception.data["hint"])
        self.assertEqual(peer.call("daemon.info")["backends"], ["sim"])


class Options(harness.Case):
    @unittest.skipIf(HAS_SANDBOX, "this aspaced was built with libseccomp")
    def test_without_libseccomp_a_sandbox_is_refused(self):
        done = subprocess.run([ASPACED, "--sandbox"], stderr=subprocess.PIPE, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"libseccomp", done.stderr)


if __name__ == "__main__":
    harness.main()
