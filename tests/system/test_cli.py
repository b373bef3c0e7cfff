"""aspacectl: every verb, its exit status, its words for bad input, and --json to the byte."""
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

import harness
from harness import ASPACECTL, PATIENCE, Peer, request_text

DONE, REFUSED, USAGE, NO_DAEMON, TIMED_OUT = 0, 1, 2, 3, 4

MAPS = """\
00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/dbus-daemon
00651000-00652000 r--p 00051000 08:02 173521      /usr/bin/dbus-daemon
00652000-00655000 rw-p 00052000 08:02 173521      /usr/bin/dbus-daemon
00e03000-00e24000 rw-p 00000000 00:00 0           [heap]
35b1800000-35b1820000 rw-s 00000000 08:02 135522  /dev/shm/a file with blanks
7ffc00000000-7ffc00021000 ---p 00000000 00:00 0
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0   [vsyscall]
"""


class CtlCase(harness.DaemonCase):
    def ctl(self, *arguments, stdin="", socket_path=None, **more):
        """The finished aspacectl, its output as text."""
        path = self.daemon.path if socket_path is None else socket_path
        return subprocess.run([ASPACECTL, "--socket", path, *[str(one) for one in arguments]],
                              input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE * 2,
                              encoding="utf-8", **more)

    def good(self, *arguments, **more):
        result = self.ctl(*arguments, **more)
        self.assertEqual((result.returncode, result.stderr), (DONE, ""), result)
        return result.stdout

    def bad(self, status, *arguments, **more):
        """stderr of what must end with that status, and print nothing else."""
        result = self.ctl(*arguments, **more)
        self.assertEqual(result.returncode, status, result)
        self.assertTrue(result.stderr.startswith("aspacectl: "), result.stderr)
        self.assertEqual(result.stdout, "")
        return result.stderr

    def result_bytes(self, method, **params):
        """The bytes of a result as the daemon sends them."""
        text = request_text(method, params)
        self.peer.send(text + "\n")
        line = self.peer.line()
        head = b'{"jsonrpc":"2.0","id":1,"result":'
        self.assertTrue(line.startswith(head), line)
        return line[len(head):-1].decode()


class Verbs(CtlCase):
    def test_a_whole_life_of_a_space(self):
        name = self.space
        self.good("create", name, "--ram", "16M")
        self.addCleanup(self.forget, name)
        self.assertIn(name, self.good("spaces"))
        self.assertIn(name, self.good("info", name))
        self.good("map", name, "0x10000", "64K", "rw-", "--tag", "mine")
        areas = self.good("areas", name)
        self.assertIn("10000", areas)
        self.assertIn("rw-", areas)
        self.assertIn("mine", areas)
        self.assertIn("64", areas)
        self.good("protect", name, "0x12000", "8K", "r--")
        self.good("protect", name, "0x12000", "8K", "-r")
        self.good("split", name, "0x18000")
        self.good("shrink", name, "0x18000", "16K", "--right")
        self.good("shrink", name, "0x18000", "4K", "--left")
        self.assertEqual(self.areas(), [(0x10000, 0x12000, "rw-"), (0x12000, 0x14000, "---"),
                                        (0x14000, 0x18000, "rw-"), (0x1b000, 0x1c000, "rw-")])
        self.good("merge", name, "0x10000", "64K")
        self.assertIn("10000", self.good("find", name, "0x10000"))
        self.good("find", name, "0x90000")
        self.assertIn("0x1c000", self.good("free", name, "1M"))
        self.good("overlaps", name, "0x10000", "4K")
        self.good("access", name, "0x10000", "write")
        self.good("walk", name, "0x10000")
        self.good("write", name, "0x10000", "--hex", "68656c6c6f")
        self.assertRegex(self.good("read", name, "0x10000", "5"), "(?i)hello|68 ?65 ?6c ?6c ?6f|aGVsbG8=")
        self.good("check", name)
        self.good("unmap", name, "0x10000", "8K")
        self.assertEqual(self.areas()[0][0], 0x12000)
        self.good("clear", name)
        self.assertEqual(self.areas(), [])
        self.good("destroy", name)
        self.assertNotIn(name, self.good("spaces"))

    @harness.live
    def test_verbs_that_tell_of_a_space_print_a_table(self):
        with tempfile.TemporaryDirectory(prefix="aspace-cli-") as folder:
            self.good("create", self.space)
            for verb in (("info", self.space), ("clone", self.space, self.space + "-clone"),
                         ("export", self.space, os.path.join(folder, "image")),
                         ("create", self.space + "-live", "--", "sleep", "1000"), ("sync", self.space + "-live"),
                         ("resume", self.space + "-live")):
                self.assertRegex(self.good(*verb), r"\A(\w+ +\S.*\n)+\Z", verb)
            self.good("destroy", self.space + "-live")

    def test_map_any_lets_the_daemon_place_it(self):
        self.create()
        self.assertIn("0x1000", self.good("map", self.space, "any", "4K", "rw-"))
        self.good("map", self.space, "any", "4K", "rw-", "--policy", "top")
        self.assertEqual(self.areas()[1][1], 0x800000000000)

    def test_map_replace_replaces(self):
        self.create()
        self.good("map", self.space, "0x10000", "16K", "rw-")
        self.bad(REFUSED, "map", self.space, "0x11000", "4K", "r--")
        self.good("map", self.space, "0x11000", "4K", "r--", "--replace")
        self.assertEqual(len(self.areas()), 3)

    def test_map_takes_backings_and_physical_addresses(self):
        self.create()
        self.good("map", self.space, "0x10000", "16K", "rw-", "--backing", "linear", "--pa", "0x4000")
        self.assertEqual(self.on("area.list")["areas"][0]["pa"], "0x4000")
        self.assertIn("0x4000", self.good("areas", self.space))

    def test_create_takes_its_options(self):
        self.good("create", self.space, "--backend", "sim", "--arch", "x86_64", "--range", "0x10000-0x20000", "--ram",
                  "1M", "--merge", "auto")
        self.addCleanup(self.forget, self.space)
        info = self.on("space.info")
        self.assertEqual((info["range"], info["merge"]), (["0x10000", "0x20000"], "auto"))

    def test_ping_stats_discover_print_something(self):
        self.good("ping")
        self.assertIn("connections", self.good("stats"))
        self.assertIn("space.create", self.good("discover"))

    def test_large_counts_are_printed_to_the_last_digit(self):
        limits = self.peer.call("daemon.info")["limits"]
        self.assertEqual(limits["max_user_areas"], 2 ** 52)
        self.assertRegex(self.good("daemon"), r"(?m)^ +max_user_areas +%d$" % 2 ** 52)

    def test_walk_shows_every_level(self):
        self.create()
        self.on("area.map", start=0x10000, size=4096, flags="rw-", backing="eager")
        shown = self.good("walk", self.space, "0x10000")
        pa = self.on("page.walk", addr=0x10000)["pa"]
        self.assertIn(pa[2:], shown)

    def test_inject_makes_a_verb_fail_and_uninject_ends_it(self):
        self.create()
        self.assertEqual(self.good("inject", self.space, "map"), "fault 1\n")
        self.assertIn("injected fault 1 (map)", self.bad(REFUSED, "map", self.space, "0x10000", "4K", "rw-"))
        self.good("map", self.space, "0x10000", "4K", "rw-")
        self.assertEqual(self.good("inject", self.space, "unmap", "--every", "2", "--count", "100", "--error",
                                   "NoMemory", "--within", "0x10000-0x20000"), "fault 2\n")
        self.assertEqual(self.good("faults", self.space).splitlines(), [
            "ID  OP     WHEN     WITHIN           ERROR     COUNT  SEEN  FIRED",
            " 1  map    nth 1                     BadState      1     2      1",
            " 2  unmap  every 2  0x10000-0x20000  NoMemory    100     0      0"])
        self.good("map", self.space, "0x10000", "4K", "rw-", "--replace")
        self.assertTrue(self.bad(REFUSED, "unmap", self.space, "0x10000", "4K").startswith("aspacectl: NoMemory: "))
        self.assertEqual(self.good("uninject", self.space, "--id", "2"), "cleared 1 fault\n")
        self.good("inject", self.space, "protect", "--nth", "3")
        self.assertEqual(self.good("uninject", self.space), "cleared 2 faults\n")
        self.assertEqual(len(self.good("faults", self.space).splitlines()), 1)

    def test_inject_refuses_bad_input(self):
        self.create()
        name = self.space
        for words in (["inject"], ["inject", name], ["inject", name, "split"], ["inject", name, "map", "2"],
                      ["inject", name, "map", "--nth"], ["inject", name, "map", "--nth", "x"],
                      ["inject", name, "map", "--nth", "-1"], ["inject", name, "map", "--within", "0x1000"],
                      ["inject", name, "map", "--error", "ParseError"], ["inject", name, "map", "--what", "1"],
                      ["uninject"], ["uninject", name, "1"], ["uninject", name, "--id", "all"], ["faults"],
                      ["faults", name, name]):
            with self.subTest(words=words):
                self.bad(USAGE, *words)
        for words in (["inject", name, "map", "--nth", "0"], ["inject", name, "map", "--count", "0"],
                      ["inject", name, "map", "--nth", "1", "--every", "2"], ["inject", "nobody", "map"],
                      ["inject", name, "map", "--within", "0x1001-0x3000"], ["uninject", name, "--id", "1"],
                      ["uninject", "nobody"], ["faults", "nobody"]):
            with self.subTest(words=words):
                self.bad(REFUSED, *words)
        self.assertEqual(self.on("inject.list"), {"faults": []})

    def test_access_shows_the_outcome(self):
        self.create()
        self.on("area.map", start=0x10000, size=4096, flags="r--")
        self.assertIn("filled", self.good("access", self.space, "0x10000", "read"))
        self.assertIn("hit", self.good("access", self.space, "0x10000", "read"))
        result = self.ctl("access", self.space, "0x10000", "write")
        self.assertIn("fault", result.stdout)

    def test_shutdown_ends_the_daemon(self):
        with harness.Daemon() as other:
            self.good("shutdown", socket_path=other.path)
            self.assertEqual(other.wait(), 0)

    def test_the_socket_in_the_environment_is_used(self):
        result = subprocess.run([ASPACECTL, "ping"], env=dict(os.environ, ASPACED_SOCKET=self.daemon.path),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                timeout=PATIENCE)
        self.assertEqual((result.returncode, result.stderr), (0, b""))

    def test_an_option_may_stand_before_or_after_the_verb(self):
        self.create()
        self.assertEqual(self.good("--json", "info", self.space), self.good("info", self.space, "--json"))

    def test_the_areas_table_gives_sizes_in_binary_units_and_lines_up(self):
        self.create()
        self.on("area.map", start=0x10000, size="12K", flags="rw-")
        self.on("area.map", start=0x7f0000000000, size="3M", flags="r-x,kernel", tag="code")
        lines = self.good("areas", self.space).splitlines()
        text = "\n".join(lines)
        self.assertRegex(text, r"12 ?K")
        self.assertRegex(text, r"3(\.0)? ?M")
        rows = [line for line in lines if "rw-" in line or "r-x" in line]
        self.assertEqual(len(rows), 2)
        self.assertEqual(rows[0].index("rw-"), rows[1].index("r-x"))
        for line in lines:
            self.assertEqual(line, line.rstrip(), "blanks at the end of a line")

    def test_an_areas_tag_cannot_write_to_the_terminal(self):
        self.create()
        self.on("area.map", start=0x10000, size="12K", flags="rw-", tag="a\x1b[31mred\nb\x07")
        shown = self.good("areas", self.space)
        self.assertNotIn("\x1b", shown)
        self.assertNotIn("\x07", shown)


class Json(CtlCase):
    def test_json_is_the_result_to_the_byte(self):
        self.create()
        self.on("area.map", start=0x10000, size="64K", flags="rw-", backing="eager", tag="caf\u00e9 \"q\" \\ /")
        self.on("area.map", start=0x40000, size="64K", flags="r--")
        name = self.space
        for method, arguments, params in (
                ("space.info", ("info", name), {"space": name}),
                ("area.list", ("areas", name), {"space": name}),
                ("space.list", ("spaces",), None),
                ("space.check", ("check", name), {"space": name}),
                ("area.find", ("find", name, "0x10000"), {"space": name, "addr": "0x10000"}),
                ("area.find", ("find", name, "0x90000"), {"space": name, "addr": "0x90000"}),
                ("area.find_free", ("free", name, "1M"), {"space": name, "size": "1M"}),
                ("area.overlaps", ("overlaps", name, "0x10000", "4K"), {"space": name, "start": 0x10000, "size": "4K"}),
                ("page.walk", ("walk", name, "0x10000"), {"space": name, "addr": 0x10000}),
                ("memory.read", ("read", name, "0x10000", "16"), {"space": name, "addr": 0x10000, "size": 16}),
                ("daemon.ping", ("ping",), None),
                ("rpc.discover", ("discover",), None)):
            with self.subTest(method=method):
                self.assertEqual(self.good("--json", *arguments), self.result_bytes(method, **(params or {})) + "\n")

    def test_json_of_an_edit_is_the_result_object(self):
        self.create()
        shown = self.good("--json", "map", self.space, "0x10000", "64K", "rw-")
        self.assertEqual(json.loads(shown), {
            "start": "0x10000", "generation": 1,
            "area": {"start": "0x10000", "end": "0x20000", "size": "0x10000", "flags": "rw-", "backing": "lazy"}})
        self.assertEqual(shown.count("\n"), 1)
        for arguments in (("protect", self.space, "0x11000", "4K", "r--"), ("split", self.space, "0x18000"),
                          ("shrink", self.space, "0x18000", "4K", "--left"), ("merge", self.space, "0x10000", "64K"),
                          ("unmap", self.space, "0x10000", "4K"), ("write", self.space, "0x11000", "--hex", "00"),
                          ("access", self.space, "0x11000", "read"), ("stats",), ("clear", self.space),
                          ("destroy", self.space)):
            with self.subTest(arguments=arguments):
                shown = self.good("--json", *arguments)
                self.assertIsInstance(json.loads(shown), dict)
                self.assertEqual(shown.count("\n"), 1)

    def test_json_leaves_errors_on_stderr(self):
        result = self.ctl("--json", "info", "nobody")
        self.assertEqual((result.returncode, result.stdout), (REFUSED, ""))
        self.assertIn("NotFound", result.stderr)

    def test_areas_prints_all_of_more_than_one_page(self):
        self.create()
        count = 12345
        self.peer.pipeline([("area.map", {"space": self.space, "start": 0x10000 + n * 0x2000, "size": 0x1000,
                                          "flags": "rw-"}) for n in range(count)])
        shown = self.good("areas", self.space)
        self.assertEqual(len([line for line in shown.splitlines() if "rw-" in line]), count)


class Refusals(CtlCase):
    def test_a_refusal_ends_with_1_and_names_its_error(self):
        self.create()
        self.on("area.map", start=0x10000, size="64K", flags="rw-")
        name = self.space
        for error, arguments in (
                ("AlreadyExists", ("map", name, "0x10000", "4K", "rw-")),
                ("AlreadyExists", ("create", name)),
                ("NotFound", ("info", "nobody")),
                ("NotFound", ("destroy", "nobody")),
                ("NotFound", ("free", name, "256T")),
                ("NotFound", ("shrink", name, "0x11000", "4K", "--left")),
                ("NotFound", ("read", name, "0x90000", "4")),
                ("InvalidParam", ("map", name, "0x10001", "4K", "rw-")),
                ("InvalidParam", ("split", name, "0x10000")),
                ("Conflict", ("unmap", name, "0x10000", "4K", "--if-generation", "77"))):
            with self.subTest(arguments=arguments):
                message = self.bad(REFUSED, *arguments)
                self.assertTrue(message.startswith("aspacectl: %s: " % error), message)

    def test_the_hint_is_printed(self):
        with Peer(self.daemon.path) as peer:
            error = peer.ask("no.such")["error"]
        message = self.bad(REFUSED, "call", "no.such")
        if "hint" in error["data"]:
            self.assertIn(error["data"]["hint"], message)

    def test_bad_input_ends_with_2_or_1_before_anything_is_changed(self):
        self.create()
        name = self.space
        before = self.on("space.info")
        for arguments in ((), ("nonsense",), ("map",), ("map", name), ("map", name, "0x1000"),
                          ("map", name, "0x1000", "4K"), ("map", name, "0x1000", "4K", "rw-", "more"),
                          ("map", name, "0x1000", "4K", "rw-", "--nonsense"),
                          ("map", name, "0x1000", "4K", "rw-", "--tag"), ("info",), ("info", name, "more"),
                          ("shrink", name, "0x1000", "4K", "--up"), ("shrink", name, "0x1000", "4K"),
                          ("shrink", name, "0x1000", "4K", "--left", "--right"),
                          ("create",), ("call",), ("import", name), ("import",), ("run",), ("run", "--"),
                          ("help", "nonsense"), ("--timeout", "x", "ping"), ("--timeout", "-1", "ping"),
                          ("--timeout",), ("--nonsense", "ping"), ("ping", "more"),
                          ("create", name, "--range", "5"), ("spaces", "x")):
            with self.subTest(arguments=arguments):
                message = self.bad(USAGE, *arguments)
                self.assertRegex(message, "help|usage|wants")
        for arguments in (("map", name, "zero", "4K", "rw-"), ("map", name, "0x1000", "many", "rw-"),
                          ("map", name, "0x1000", "4K", "rwq"), ("map", name, "-1", "4K", "rw-"),
                          ("info", ".bad"), ("access", name, "0x1000", "peek"),
                          ("map", name, "0x1000", "4K", "rw-", "--policy", "worst"),
                          ("write", name, "0x1000", "--hex", "xyz")):
            with self.subTest(arguments=arguments):
                result = self.ctl(*arguments)
                self.assertIn(result.returncode, (REFUSED, USAGE), result)
                self.assertTrue(result.stderr.startswith("aspacectl: "), result)
                self.assertEqual(result.stdout, "")
        self.assertEqual(self.on("space.info"), before)

    def test_a_verb_that_is_nearly_right_is_an_error(self):
        for verb in ("inf", "MAP", "area.map", "--help-me"):
            with self.subTest(verb=verb):
                self.bad(USAGE, verb)

    def test_no_daemon_ends_with_3(self):
        with tempfile.TemporaryDirectory() as folder:
            message = self.bad(NO_DAEMON, "ping", socket_path=os.path.join(folder, "none"))
            self.assertIn("none", message)
            stale = os.path.join(folder, "stale")
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(stale)
            self.bad(NO_DAEMON, "ping", socket_path=stale)
            self.bad(NO_DAEMON, "batch", socket_path=stale)
            self.bad(NO_DAEMON, "import", "x", str(os.getpid()), socket_path=stale)

    def test_a_path_that_is_no_socket_is_said_to_be_none(self):
        for path in ("/etc/passwd", "/tmp"):
            said = self.bad(NO_DAEMON, "ping", socket_path=path)
            self.assertEqual(said, "aspacectl: %s is no socket\n" % path)

    def test_a_socket_path_that_is_too_long_is_an_error(self):
        result = self.ctl("ping", socket_path="/tmp/" + "x" * 200)
        self.assertIn(result.returncode, (USAGE, NO_DAEMON))
        self.assertTrue(result.stderr.startswith("aspacectl: "))

    def other_daemon(self, behave):
        """A socket whose every connection is given to `behave`."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "s")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self.addCleanup(listener.close)

        def serve():
            try:
                while True:
                    behave(listener.accept()[0])
            except OSError:
                pass

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        # Ended before the close, or it might accept on whatever gets the descriptor's number next.
        self.addCleanup(server.join, PATIENCE)
        self.addCleanup(listener.shutdown, socket.SHUT_RDWR)
        return path

    def test_a_connection_that_is_lost_ends_with_3(self):
        def close(connection):
            connection.recv(1000)
            connection.close()

        path = self.other_daemon(close)
        for arguments in (("ping",), ("info", "a"), ("call", "daemon.ping"), ("areas", "a")):
            with self.subTest(arguments=arguments):
                self.bad(NO_DAEMON, *arguments, socket_path=path)

    def test_a_timeout_ends_with_4(self):
        kept = []
        path = self.other_daemon(kept.append)
        for arguments in (("ping",), ("info", "a"), ("call", "daemon.ping"), ("areas", "a")):
            with self.subTest(arguments=arguments):
                began = time.monotonic()
                self.bad(TIMED_OUT, "--timeout", "1", *arguments, socket_path=path)
                self.assertLess(time.monotonic() - began, PATIENCE)
        self.assertEqual(len(kept), 4)

    def test_a_peer_that_speaks_nonsense_ends_with_3(self):
        def answer(connection):
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        self.bad(NO_DAEMON, "ping", socket_path=self.other_daemon(answer))

    def test_output_that_cannot_be_written_is_an_error(self):
        self.create()
        for arguments in (("spaces",), ("--json", "spaces"), ("help",), ("discover",), ("--version",),
                          ("call", "daemon.info")):
            with self.subTest(arguments=arguments), open("/dev/full", "w", encoding="ascii") as full:
                result = subprocess.run([ASPACECTL, "--socket", self.daemon.path, *arguments], stdout=full,
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=PATIENCE,
                                        encoding="utf-8")
                self.assertNotEqual(result.returncode, DONE)
                self.assertTrue(result.stderr.startswith("aspacectl: "), result)

    def test_an_edit_whose_output_cannot_be_written_is_said_to_be_made(self):
        name = self.create()["name"]
        for arguments, made in ((("map", name, "0x1000", "4K", "rw-"), True), (("help",), False)):
            with self.subTest(arguments=arguments), open("/dev/full", "w", encoding="ascii") as full:
                result = subprocess.run([ASPACECTL, "--socket", self.daemon.path, *arguments], stdout=full,
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=PATIENCE,
                                        encoding="utf-8")
                self.assertEqual(result.returncode, REFUSED)
                self.assertEqual("the daemon has done what it was asked" in result.stderr, made, result.stderr)
        self.assertIn("0x1000", self.good("areas", name))

    def test_batch_output_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            result = subprocess.run([ASPACECTL, "--socket", self.daemon.path, "batch"], stdout=full,
                                    input=request_text("daemon.ping") + "\n", stderr=subprocess.PIPE, timeout=PATIENCE,
                                    encoding="utf-8")
        self.assertNotEqual(result.returncode, DONE)
        self.assertTrue(result.stderr.startswith("aspacectl: "), result)


class Import(CtlCase):
    WANTED = [(0x400000, 0x452000, "r-x"), (0x651000, 0x652000, "r--"), (0x652000, 0x655000, "rw-"),
              (0xe03000, 0xe24000, "rw-"), (0x35b1800000, 0x35b1820000, "rw-,shared"),
              (0x7ffc00000000, 0x7ffc00021000, "---")]

    def check_import(self, result):
        self.assertEqual(result.returncode, DONE, result)
        self.assertIn("vsyscall", result.stdout + result.stderr)
        self.assertEqual(self.areas(), self.WANTED)
        self.check()

    def test_import_from_a_file(self):
        self.create()
        with tempfile.NamedTemporaryFile("w", suffix=".maps") as file:
            file.write(MAPS)
            file.flush()
            self.check_import(self.ctl("import", self.space, file.name))

    def test_import_from_stdin(self):
        self.create()
        self.check_import(self.ctl("import", self.space, "-", stdin=MAPS))

    def test_import_of_a_live_process_makes_its_very_areas(self):
        self.create()
        process = subprocess.Popen(["sleep", "600"])
        try:
            self.eventually(lambda: open("/proc/%d/comm" % process.pid).read() == "sleep\n", "sleep running")
            # asleep, so the loader has made the last of its mappings
            self.eventually(lambda: open("/proc/%d/stat" % process.pid).read().split()[2] == "S", "sleep sleeping")
            result = self.ctl("import", self.space, process.pid)
            self.assertEqual(result.returncode, DONE, result)
            with open("/proc/%d/maps" % process.pid, encoding="utf-8") as file:
                wanted = []
                for line in file:
                    start, end, permissions = re.match(r"([0-9a-f]+)-([0-9a-f]+) (....)", line).groups()
                    if int(end, 16) <= 0x800000000000:
                        wanted.append((int(start, 16), int(end, 16),
                                       permissions[:3] + (",shared" if permissions[3] == "s" else "")))
            self.assertEqual(self.areas(), wanted)
            self.check()
        finally:
            process.kill()
            process.wait()

    def test_import_of_bad_text_is_refused_with_its_line(self):
        for text in ("nonsense\n", MAPS.replace("00651000-00652000", "00651000-xyz"), "1000-2000\n", "1000-2000 rwzp 0 0 0\n", "1000-2000 rw-p\n",
                     "2000-1000 rw-p 00000000 00:00 0\n"):
            with self.subTest(text=text[:20]):
                self.forget(self.space)
                self.create()
                result = self.ctl("import", self.space, "-", stdin=text)
                self.assertIn(result.returncode, (REFUSED, USAGE), result)
                self.assertTrue(result.stderr.startswith("aspacectl: "), result)
                self.assertEqual(self.areas(), [], "a bad text left areas behind")
                self.forget(self.space)
                self.assertNotEqual(self.ctl("import", self.space, "-", stdin=text).returncode, DONE)
                self.refused(harness.NOT_FOUND, "space.info", space=self.space)

    def test_import_of_what_is_not_there_is_an_error(self):
        self.create()
        for source in ("/no/such/file", "4194305", "0", "-5"):
            with self.subTest(source=source):
                result = self.ctl("import", self.space, source)
                self.assertIn(result.returncode, (REFUSED, USAGE), result)
                self.assertTrue(result.stderr.startswith("aspacectl: "), result)

    def test_import_makes_the_space_if_there_is_none(self):
        self.addCleanup(self.forget, self.space)
        self.check_import(self.ctl("import", self.space, "-", stdin=MAPS))

    def test_import_over_an_area_that_is_there_is_refused(self):
        self.create()
        self.on("area.map", start=0x653000, size=4096, flags="r--")
        result = self.ctl("import", self.space, "-", stdin=MAPS)
        said = result.stderr
        self.assertEqual((result.returncode, result.stdout), (REFUSED, ""))
        self.assertIn("AlreadyExists", said)
        self.assertIn("row: standard input line 3, 0x652000-0x655000 rw- /usr/bin/dbus-daemon\n", said)
        self.assertIn("nothing was imported; %s is as before\n" % self.space, said)
        self.assertEqual(self.areas(), [(0x653000, 0x654000, "r--")])

    def test_import_is_one_edit(self):
        self.create()
        before = self.on("space.info")["generation"]
        self.check_import(self.ctl("import", self.space, "-", stdin=MAPS))
        self.assertEqual(self.on("space.info")["generation"], before + 1)

    def test_import_says_what_lies_partly_outside_the_space(self):
        self.addCleanup(self.forget, self.space)
        self.call("space.create", name=self.space, range=[0x652000, 0x20000000])
        said = self.ctl("import", self.space, "-", stdin=MAPS + "1fffe000-20001000 r--p 00000000 00:00 0\n").stderr
        self.assertIn("skipped 0x1fffe000-0x20001000: it lies partly outside the space, 0x652000-0x20000000\n", said)
        self.assertIn("skipped 0x651000-0x652000 /usr/bin/dbus-daemon: it lies outside the space,", said)
        self.assertEqual(self.areas(), self.WANTED[2:4])

    def test_import_says_that_a_pathname_is_cut(self):
        self.create()
        row = "00400000-00401000 r-xp 00000000 08:02 1 /%s\n" % ("x" * 1022)
        self.assertEqual(self.ctl("import", self.space, "-", stdin=row).stderr, "")
        result = self.ctl("import", self.space, "-", stdin=row.replace("0040", "0050").replace("/x", "/yx"))
        self.assertIn("standard input line 1: of a pathname of more than 1023 bytes the end became the tag\n", result.stderr)
        self.assertEqual([area["tag"] for area in self.on("area.list")["areas"]], ["/" + "x" * 1022, "y" + "x" * 1022])

    def test_import_of_an_empty_text_makes_nothing(self):
        self.create()
        result = self.ctl("import", self.space, "-", stdin="")
        self.assertIn(result.returncode, (DONE, REFUSED, USAGE))
        self.assertEqual(self.areas(), [])


class ImportInParts(CtlCase):
    """A daemon whose messages hold only a few rows."""
    options = ("--max-message", 1024)
    ROWS = [(i * 0x3000, i * 0x3000 + 0x1000, "rw-") for i in range(1, 101)]

    def text(self):
        return "".join("%x-%x rw-p 00000000 00:00 0\n" % row[:2] for row in self.ROWS)

    def test_import_of_more_than_a_message_makes_all_rows(self):
        self.create()
        self.good("import", self.space, "-", stdin=self.text())
        self.assertEqual(self.areas(), self.ROWS)

    def test_import_that_is_refused_in_a_later_part_leaves_the_space_as_before(self):
        self.create()
        for start, end, flags in (self.ROWS[90], (0x2000, 0x3000, "r-x")):
            self.on("area.map", start=start, size=end - start, flags=flags)
        before = self.areas()
        said = self.bad(REFUSED, "import", self.space, "-", stdin=self.text())
        self.assertIn("row: standard input line 91, ", said)
        self.assertIn("nothing was imported; %s is as before\n" % self.space, said)
        self.assertEqual(self.areas(), before)


class Call(CtlCase):
    def test_call_prints_the_raw_result(self):
        self.create()
        self.assertEqual(json.loads(self.good("call", "space.info", json.dumps({"space": self.space}))),
                         self.on("space.info"))
        self.assertEqual(self.good("call", "daemon.ping").strip(), "{}")
        self.assertEqual(self.good("--json", "call", "space.info", '["%s"]' % self.space),
                         self.result_bytes("space.info", space=self.space) + "\n")

    def test_call_reads_its_params_from_stdin(self):
        self.create()
        self.assertEqual(json.loads(self.good("call", "space.info", "-", stdin='{"space":\n "%s"}\n' % self.space)),
                         self.on("space.info"))

    def test_call_with_bad_json_is_an_error(self):
        for params in ("{", "5", '"a"', "{} {}", "", "{'a':1}", '{"a":1,}'):
            with self.subTest(params=params):
                result = self.ctl("call", "daemon.ping", params)
                self.assertIn(result.returncode, (REFUSED, USAGE), result)
                self.assertTrue(result.stderr.startswith("aspacectl: "), result)

    def test_call_of_an_unknown_method_is_refused_by_the_daemon(self):
        self.assertIn("MethodNotFound", self.bad(REFUSED, "call", "no.such"))


class Batch(CtlCase):
    def maps(self, count):
        return "".join(request_text("area.map", {"space": self.space, "start": 0x10000 + n * 0x2000, "size": 0x1000,
                                                 "flags": "rw-"}, n) + "\n" for n in range(count))

    def test_batch_of_twenty_thousand_areas(self):
        self.create()
        count = 20000
        result = self.ctl("batch", stdin=self.maps(count))
        self.assertEqual((result.returncode, result.stderr), (DONE, ""))
        replies = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual(sorted(reply["id"] for reply in replies), list(range(count)))
        self.assertTrue(all("result" in reply for reply in replies))
        self.assertEqual(self.on("space.info")["areas"], count)
        self.check()

    def test_batch_from_a_file(self):
        self.create()
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(self.maps(10))
            file.flush()
            self.assertEqual(len(self.good("batch", file.name).splitlines()), 10)
        self.assertEqual(self.on("space.info")["areas"], 10)

    def test_batch_ends_with_1_if_a_reply_was_an_error_and_carries_on_after_it(self):
        self.create()
        result = self.ctl("batch", stdin=self.maps(2) + self.maps(3))
        self.assertEqual(result.returncode, REFUSED)
        self.assertEqual([("result" in json.loads(line)) for line in result.stdout.splitlines()],
                         [True, True, False, False, True])

    def test_batch_gives_ids_back_as_they_were(self):
        shown = self.good("batch", stdin='{"jsonrpc":"2.0","id":9007199254740993,"method":"daemon.ping"}\n'
                                         '{"jsonrpc":"2.0","id":"\\u0041","method":"daemon.ping"}\n')
        self.assertEqual(shown, '{"jsonrpc":"2.0","id":9007199254740993,"result":{}}\n'
                                '{"jsonrpc":"2.0","id":"\\u0041","result":{}}\n')

    def test_batch_does_not_wait_for_answers_to_notifications(self):
        shown = self.good("batch", stdin='{"jsonrpc":"2.0","method":"daemon.ping"}\n\n' + request_text("daemon.ping"))
        self.assertEqual(len(shown.splitlines()), 1)

    def test_batch_of_nothing_does_nothing(self):
        self.assertEqual(self.good("batch", stdin=""), "")
        self.assertEqual(self.good("batch", stdin="\n\n"), "")

    def test_batch_of_garbage_ends_with_1(self):
        result = self.ctl("batch", stdin=request_text("daemon.ping") + "\n{garbage\n")
        self.assertEqual(result.returncode, REFUSED, result)

    def test_batch_of_a_missing_file_is_an_error(self):
        result = self.ctl("batch", "/no/such/file")
        self.assertIn(result.returncode, (REFUSED, USAGE))
        self.assertIn("/no/such/file", result.stderr)


class Run(harness.Case):
    def run_ctl(self, *arguments, **more):
        return subprocess.run([ASPACECTL, "run", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=PATIENCE, encoding="utf-8", **more)

    def alive(self, pid):
        try:
            with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
                return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return False

    REPORT = '"$1" --json call daemon.info; echo "$ASPACED_SOCKET"; '

    def shell(self, script):
        return ("--", "sh", "-c", self.REPORT + script, "sh", ASPACECTL)

    def check_gone(self, output):
        info, path = output.splitlines()[:2]
        pid = json.loads(info)["pid"]
        self.eventually(lambda: not self.alive(pid), "the private daemon gone")
        self.assertFalse(os.path.exists(path), "the socket is left behind")
        self.assertFalse(os.path.exists(os.path.dirname(path)) and os.path.dirname(path) not in ("/tmp", "/run"),
                         "the folder of the socket is left behind")

    def test_run_gives_a_private_daemon_that_is_gone_when_the_command_ends(self):
        result = self.run_ctl(*self.shell("true"))
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.check_gone(result.stdout)

    def test_run_passes_the_commands_exit_status(self):
        for status in (0, 1, 3, 42, 255):
            with self.subTest(status=status):
                self.assertEqual(self.run_ctl("--", "sh", "-c", "exit %d" % status).returncode, status)

    def test_run_says_that_a_signal_ended_the_command(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(signal=number):
                result = self.run_ctl(*self.shell("kill -%d $$" % number))
                self.assertIn(result.returncode, (128 + number, -number))
                self.check_gone(result.stdout)

    def test_run_that_is_itself_ended_by_a_signal_leaves_nothing_behind(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(signal=number):
                process = subprocess.Popen([ASPACECTL, "run", *self.shell("echo $$; exec sleep 600")],
                                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8")
                try:
                    output = "".join(process.stdout.readline() for _ in range(3))
                    child = int(output.splitlines()[2])
                    process.send_signal(number)
                    self.assertNotEqual(process.wait(PATIENCE), 0)
                    self.eventually(lambda: not self.alive(child), "the command gone")
                    self.check_gone(output)
                finally:
                    process.kill()
                    process.wait()
                    process.stdout.close()

    def test_run_of_a_command_that_is_not_there_is_an_error(self):
        result = self.run_ctl("--", "/no/such/command")
        self.assertEqual(result.returncode, 127, result)
        self.assertIn("/no/such/command", result.stderr)

    def test_run_passes_options_to_the_daemon(self):
        result = self.run_ctl("--max-spaces", "7", *self.shell("true"))
        self.assertEqual(result.returncode, 0, result)
        self.assertIn(7, json.loads(result.stdout.splitlines()[0])["limits"].values())

    def test_run_with_an_option_that_the_daemon_refuses_is_an_error(self):
        result = self.run_ctl("--max-spaces", "none", "--", "true")
        self.assertIn(result.returncode, (1, 2, 3), result)
        self.assertTrue(result.stderr)

    def test_two_runs_at_once_have_daemons_of_their_own(self):
        processes = [subprocess.Popen([ASPACECTL, "run", *self.shell("sleep 0.5")], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, encoding="utf-8") for _ in range(4)]
        outputs = [process.communicate(timeout=PATIENCE)[0] for process in processes]
        self.assertEqual([process.returncode for process in processes], [0] * 4)
        self.assertEqual(len({output.splitlines()[1] for output in outputs}), 4)

    def test_a_run_in_a_run_works(self):
        result = self.run_ctl("--", ASPACECTL, "run", "--", ASPACECTL, "ping")
        self.assertEqual(result.returncode, 0, result)


class Help(CtlCase):
    def test_help_names_every_verb_and_needs_no_daemon(self):
        result = self.ctl("help", socket_path="/no/such/socket")
        self.assertEqual((result.returncode, result.stderr), (DONE, ""))
        for verb in ("create", "destroy", "clear", "info", "areas", "check", "spaces", "map", "unmap", "protect",
                     "shrink", "split", "merge", "find", "free", "overlaps", "walk", "access", "read", "write",
                     "import", "call", "batch", "discover", "ping", "stats", "shutdown", "run"):
            self.assertRegex(result.stdout, r"(?m)^\s*(aspacectl )?%s\b" % verb)
        self.assertEqual(self.ctl("--help", socket_path="/no/such/socket").stdout, result.stdout)

    def test_help_of_a_verb_names_its_params_and_options(self):
        shown = self.good("help", "map")
        for word in ("SIZE", "FLAGS", "--replace", "--backing", "--tag", "--align", "--policy"):
            self.assertIn(word, shown)
        shown = self.good("help", "shrink")
        self.assertIn("--left", shown)
        self.assertIn("--right", shown)

    def usage(self, verb):
        return re.sub(r"\s+", " ", self.good("help", verb).split("usage: ")[1].split("\n\n")[0])

    def test_the_usage_line_names_each_word_apart_and_what_may_stand_for_it(self):
        self.assertEqual(self.usage("clone"), "aspacectl clone NAME NEW [--tag TEXT]")
        self.assertEqual(self.usage("drop"), "aspacectl drop NAME SNAPSHOT")
        self.assertTrue(self.usage("unmap").startswith("aspacectl unmap NAME { START SIZE | --tag TEXT } ["))
        self.assertTrue(self.usage("protect").startswith("aspacectl protect NAME { START SIZE | --tag TEXT } FLAGS ["))

    def test_what_a_verb_takes_is_told_in_lines_of_a_width_that_a_terminal_has(self):
        for verb in ("create", "map", "diff", "access"):
            for line in self.good("help", verb).split("The method is")[0].splitlines():
                self.assertLessEqual(len(line), 100, line)

    def test_a_command_after_two_dashes_ends_the_usage_line(self):
        self.assertTrue(self.usage("create").endswith("[-- COMMAND...]"), self.usage("create"))

    def test_version_is_the_daemons(self):
        version = self.call("daemon.info")["version"]
        self.assertIn(version, self.good("--version"))


if __name__ == "__main__":
    harness.main()
