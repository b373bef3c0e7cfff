"""The daemon as a process: its socket, its options, its end, and peers that behave badly."""
import json
import os
import random
import select
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time

import harness
from harness import ASPACED, PATIENCE, Daemon, Peer, header_framed, request_text

PING = request_text("daemon.ping") + "\n"


def run_aspaced(*arguments, env=None, **more):
    return subprocess.run([ASPACED, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=PATIENCE, env=env, encoding="utf-8", **more)


class FolderCase(harness.Case):
    """A folder of its own, and daemons that are stopped at the end whatever happens."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="aspace-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, "s")

    def daemon(self, *options, path=None):
        daemon = Daemon(*options, path=path or self.path)
        self.addCleanup(daemon.kill)
        return daemon.start()

    def peer(self, path=None):
        peer = Peer(path or self.path)
        self.addCleanup(peer.close)
        return peer


class Socket(FolderCase):
    def test_a_second_daemon_on_the_same_socket_says_so_and_ends_with_1(self):
        first = self.daemon()
        second = run_aspaced("--socket", self.path)
        self.assertEqual(second.returncode, 1, second)
        self.assertIn(self.path, second.stderr)
        self.assertEqual(self.peer().call("daemon.info")["pid"], first.process.pid)
        first.stop()

    def test_of_many_daemons_started_at_once_exactly_one_serves(self):
        started = [subprocess.Popen([ASPACED, "--socket", self.path], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(8)]
        try:
            self.eventually(lambda: sum(one.poll() is None for one in started) == 1, "one daemon left")
            left = [one for one in started if one.poll() is None][0]
            self.assertEqual([one.returncode for one in started if one is not left], [1] * 7)

            def connects():     # it is bound first, and listens then
                try:
                    return self.peer()
                except (FileNotFoundError, ConnectionRefusedError):
                    return None
            self.eventually(connects, "the socket")
            self.assertEqual(self.peer().call("daemon.info")["pid"], left.pid)
        finally:
            for one in started:
                one.kill()
                one.wait()

    def test_a_stale_socket_is_replaced(self):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(self.path)
        daemon = self.daemon()
        self.assertEqual(self.peer().call("daemon.ping"), {})
        daemon.stop()

    def test_a_killed_daemon_can_be_started_again(self):
        first = self.daemon()
        first.send_signal(signal.SIGKILL)
        first.process.wait()
        self.assertTrue(os.path.exists(self.path))
        second = self.daemon()
        self.assertEqual(self.peer().call("daemon.info")["pid"], second.process.pid)
        second.stop()
        self.assertFalse(os.path.exists(self.path))

    def test_what_is_no_socket_is_never_deleted(self):
        with open(self.path, "w", encoding="ascii") as file:
            file.write("precious")
        result = run_aspaced("--socket", self.path)
        self.assertEqual(result.returncode, 1, result)
        self.assertIn(self.path, result.stderr)
        with open(self.path, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")

    def test_a_folder_or_a_link_at_the_sockets_path_is_left_alone(self):
        os.mkdir(self.path)
        self.assertEqual(run_aspaced("--socket", self.path).returncode, 1)
        self.assertTrue(os.path.isdir(self.path))
        target = os.path.join(self.folder, "precious")
        with open(target, "w", encoding="ascii"):
            pass
        link = os.path.join(self.folder, "link")
        os.symlink(target, link)
        self.assertEqual(run_aspaced("--socket", link).returncode, 1)
        self.assertTrue(os.path.islink(link))
        self.assertTrue(os.path.isfile(target))

    def test_the_socket_is_for_its_owner_alone_whatever_the_umask(self):
        for mask in (0, 0o077, 0o777):
            with self.subTest(mask=oct(mask)):
                old = os.umask(mask)
                try:
                    daemon = Daemon(path=self.path)
                    self.addCleanup(daemon.kill)
                    daemon.start()
                finally:
                    os.umask(old)
                mode = os.stat(self.path).st_mode
                self.assertTrue(stat.S_ISSOCK(mode))
                self.assertEqual(oct(stat.S_IMODE(mode)), oct(0o600))
                daemon.stop()

    def test_another_mode_is_given_by_an_option(self):
        daemon = self.daemon("--mode", "0660")
        self.assertEqual(oct(stat.S_IMODE(os.stat(self.path).st_mode)), oct(0o660))
        daemon.stop()

    def test_the_runtime_folder_in_the_environment_is_used(self):
        runtime = os.path.join(self.folder, "runtime")
        os.mkdir(runtime, 0o700)
        with self.private_default({"XDG_RUNTIME_DIR": runtime}) as path:
            self.assertEqual(path, os.path.join(runtime, "aspaced.sock"))
            self.assertEqual(self.peer(path).call("daemon.ping"), {})

    def test_the_default_folder_is_made_for_its_owner_alone_whatever_the_umask(self):
        # Root's default is the whole machine's, so root tries it as somebody else.
        uid = os.getuid() or 65534
        folder = "/tmp/aspaced-%d" % uid
        if os.path.lexists(folder):
            self.skipTest(folder + " is there already")
        env = {key: value for key, value in os.environ.items() if key not in ("ASPACED_SOCKET", "XDG_RUNTIME_DIR")}
        who = {"user": uid, "group": uid, "extra_groups": []} if os.getuid() == 0 else {}
        try:
            process = subprocess.Popen([ASPACED], env=env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, umask=0,
                                       cwd="/", **who)
        except PermissionError:
            self.skipTest("another user may not run " + ASPACED)
        try:
            path = os.path.join(folder, "aspaced.sock")
            self.eventually(lambda: os.path.exists(path) or process.poll() is not None, "the socket")
            self.assertEqual(oct(stat.S_IMODE(os.stat(folder).st_mode)), oct(0o700))
            self.assertEqual(os.stat(folder).st_uid, uid)
            self.assertEqual(oct(stat.S_IMODE(os.stat(path).st_mode)), oct(0o600))
        finally:
            process.terminate()
            process.wait(PATIENCE)
            shutil.rmtree(folder, ignore_errors=True)

    def private_default(self, more):
        """A daemon without --socket in an environment with nothing but `more`, to be used in a `with`."""
        case = self

        class Running:
            def __enter__(self):
                env = {key: value for key, value in os.environ.items()
                       if key not in ("ASPACED_SOCKET", "XDG_RUNTIME_DIR")}
                env.update(more)
                read_end, write_end = os.pipe()
                self.process = subprocess.Popen([ASPACED, "--ready-fd", str(write_end)], pass_fds=[write_end], env=env,
                                                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                os.close(write_end)
                with os.fdopen(read_end, "rb") as ready:
                    case.assertTrue(select.select([ready], [], [], PATIENCE)[0])
                    case.assertEqual(ready.readline(), b"READY=1\n")
                path = next(iter(more.values()))
                return path if path.endswith(".sock") else os.path.join(path, "aspaced.sock")

            def __exit__(self, *_):
                self.process.terminate()
                case.assertEqual(self.process.wait(PATIENCE), 0)

        return Running()

    def test_the_path_in_the_environment_is_used(self):
        with self.private_default({"ASPACED_SOCKET": os.path.join(self.folder, "named.sock")}) as path:
            self.assertEqual(self.peer(path).call("daemon.ping"), {})

    def test_the_ready_line_comes_when_the_socket_answers(self):
        for _ in range(5):
            daemon = self.daemon()
            self.assertEqual(Peer(self.path).call("daemon.ping"), {})
            daemon.stop()

    def test_a_path_that_is_too_long_is_refused_and_never_cut(self):
        for length in (108, 200, 5000):
            path = os.path.join(self.folder, "x" * (length - len(self.folder) - 1))
            with self.subTest(length=length):
                result = run_aspaced("--socket", path)
                self.assertIn(result.returncode, (1, 2), result)
                self.assertTrue(result.stderr)
                self.assertEqual(os.listdir(self.folder), [])

    def test_a_path_of_the_longest_length_works(self):
        path = os.path.join(self.folder, "x" * (107 - len(self.folder) - 1))
        self.assertEqual(len(path), 107)
        daemon = self.daemon(path=path)
        self.assertEqual(self.peer(path).call("daemon.ping"), {})
        daemon.stop()

    def test_a_folder_that_cannot_be_used_is_an_error(self):
        result = run_aspaced("--socket", "/proc/no/such/s")
        self.assertEqual(result.returncode, 1, result)
        self.assertIn("/proc/no/such", result.stderr)


class Options(FolderCase):
    def test_help_goes_to_stdout_and_ends_with_0(self):
        result = run_aspaced("--help")
        self.assertEqual(result.returncode, 0)
        for option in ("--socket", "--mode", "--max-message", "--max-connections", "--ready-fd", "--log-level"):
            self.assertIn(option, result.stdout)
        self.assertEqual(result.stderr, "")

    def test_version_goes_to_stdout_and_ends_with_0(self):
        result = run_aspaced("--version")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"^aspaced \d+\.\d+\.\d+\n$")

    def test_bad_options_end_with_2_and_point_to_the_help(self):
        for bad in (["--nonsense"], ["--socket"], ["--max-message"], ["--max-message", "x"], ["--max-message", "-1"],
                    ["--max-message", "0"], ["--max-message", ""], ["--max-connections", "0"], ["--mode", "9"],
                    ["--mode", "01777777"], ["--mode", "rw"], ["--ready-fd", "x"], ["--ready-fd", "-1"],
                    ["--ready-fd", "1000"], ["--listen-fd", "1000"],
                    ["--log-level", "loud"], ["extra"], ["-z"],
                    ["--max-message", "99999999999999999999999"]):
            with self.subTest(bad=bad):
                result = run_aspaced("--socket", self.path, *bad)
                self.assertEqual(result.returncode, 2, result)
                self.assertIn("--help", result.stderr)
                self.assertEqual(result.stdout, "")
                self.assertFalse(os.path.exists(self.path))


    def test_help_that_cannot_be_written_is_an_error(self):
        for option in ("--help", "--version"):
            with self.subTest(option=option), open("/dev/full", "wb") as full:
                result = subprocess.run([ASPACED, option], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
                                        timeout=PATIENCE, encoding="utf-8")
                self.assertEqual(result.returncode, 1, result)
                self.assertIn("cannot write", result.stderr)

    def test_closed_standard_streams_are_no_place_for_its_own_files(self):
        read_end, write_end = os.pipe()
        daemon = subprocess.Popen(["sh", "-c", 'exec "$0" --socket "$1" --ready-fd "$2" <&- >&- 2>&-', ASPACED, self.path,
                                   str(write_end)], pass_fds=[write_end])
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.kill)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as ready:
            self.assertTrue(select.select([ready], [], [], PATIENCE)[0])
            self.assertEqual(ready.readline(), b"READY=1\n")
        self.assertEqual(self.peer().call("daemon.ping"), {})
        for fd in range(3):
            self.assertEqual(os.readlink("/proc/%d/fd/%d" % (daemon.pid, fd)), "/dev/null")
        daemon.terminate()
        self.assertEqual(daemon.wait(PATIENCE), 0)

    def test_a_daemon_that_cannot_say_that_it_is_ready_ends_with_1(self):
        with open("/dev/null", "rb") as null:
            result = subprocess.run([ASPACED, "--socket", self.path, "--ready-fd", str(null.fileno())],
                                    pass_fds=[null.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, timeout=PATIENCE, encoding="utf-8")
        self.assertEqual(result.returncode, 1, result)
        self.assertIn("--ready-fd", result.stderr)
        self.assertFalse(os.path.exists(self.path))


class Ending(FolderCase):
    def test_a_signal_finishes_pending_replies_and_removes_the_socket(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number):
                daemon = self.daemon()
                peer = self.peer()
                count = 2000
                peer.send("".join(request_text("daemon.info", None, n) + "\n" for n in range(count)))
                first = peer.reply()
                daemon.send_signal(number)
                lines = peer.rest().splitlines(True)
                self.assertEqual(daemon.wait(), 0)
                self.assertEqual(first["id"], 0)
                for at, line in enumerate(lines):
                    self.assertTrue(line.endswith(b"\n"), "a reply was cut: %r" % line[-80:])
                    self.assertEqual(json.loads(line)["id"], at + 1)
                self.assertFalse(os.path.exists(self.path))
                daemon.stop()

    def test_an_idle_daemon_with_open_connections_ends_on_a_signal(self):
        daemon = self.daemon()
        peers = [self.peer() for _ in range(20)]
        peers[0].send("{")
        daemon.stop()
        for peer in peers:
            self.assertEqual(peer.rest(), b"")

    def test_a_peer_that_does_not_read_does_not_keep_the_daemon_from_ending(self):
        daemon = self.daemon()
        peer = self.peer()
        peer.socket.settimeout(1)
        try:
            for _ in range(10000):
                peer.send(request_text("rpc.discover") + "\n")
        except (TimeoutError, socket.timeout):
            pass
        daemon.stop()

    def test_daemon_shutdown_is_answered_and_the_daemon_ends_with_0(self):
        daemon = self.daemon()
        peer = self.peer()
        peer.send("".join(request_text("daemon.info", None, n) + "\n" for n in range(100)) +
                  request_text("daemon.shutdown", None, "bye") + "\n")
        replies = [json.loads(line) for line in peer.rest().splitlines()]
        self.assertEqual([reply["id"] for reply in replies], list(range(100)) + ["bye"])
        self.assertEqual(replies[-1]["result"], {})
        self.assertEqual(daemon.wait(), 0)
        self.assertFalse(os.path.exists(self.path))
        daemon.stop()

    def test_the_socket_of_a_successor_is_not_removed(self):
        first = self.daemon()
        moved = self.path + "-moved"
        os.rename(self.path, moved)
        with open(self.path, "w", encoding="ascii"):
            pass
        first.stop()
        self.assertTrue(os.path.exists(self.path), "the daemon removed what is not its own")


class BadPeers(harness.DaemonCase):
    def good_client(self, stop, problems, count):
        """Edits and checks a space of its own until told to stop."""
        try:
            with Peer(self.daemon.path) as peer:
                name = "good-" + self.space
                peer.call("space.create", name=name)
                while not stop.is_set():
                    start = peer.call("area.map", space=name, size="64K", flags="rw-")["start"]
                    peer.call("memory.write", space=name, addr=start, hex="41")
                    peer.call("area.unmap", space=name, start=start, size="64K", holes="refuse")
                    assert peer.call("space.info", space=name)["areas"] == 0
                    count.append(1)
                peer.call("space.destroy", space=name)
        except BaseException as problem:  # whatever it is, the test must hear of it
            problems.append(problem)

    def beside_a_good_client(self, body):
        stop, problems, count = threading.Event(), [], []
        thread = threading.Thread(target=self.good_client, args=(stop, problems, count))
        thread.start()
        try:
            body()
            self.eventually(lambda: count or problems, "a round of the good client")
        finally:
            stop.set()
            thread.join()
        self.assertEqual(problems, [])
        self.assertEqual(self.call("daemon.ping"), {})
        self.daemon.check_errors()

    def test_peers_that_vanish_at_every_point_disturb_nobody(self):
        request = (request_text("space.list") + "\n").encode()

        def vanish():
            for cut in list(range(0, len(request) + 1, 5)) + [len(request)]:
                for reset in (False, True):
                    peer = Peer(self.daemon.path)
                    peer.send(request[:cut])
                    if reset:
                        peer.socket.shutdown(socket.SHUT_RDWR)
                    peer.close()
            for _ in range(20):
                peer = Peer(self.daemon.path)
                peer.send(request * 200)
                peer.close()

        self.beside_a_good_client(vanish)

    def test_writers_of_garbage_disturb_nobody(self):
        numbers = random.Random(1)

        def write():
            for first in (b"", b"{", b"[", b"C", b"Content-Length: 100\r\n\r\n", PING.encode()):
                for _ in range(8):
                    with Peer(self.daemon.path) as peer:
                        try:
                            peer.send(first + bytes(numbers.randrange(256) for _ in range(4000)))
                            peer.half_close()
                            peer.rest()
                        except (BrokenPipeError, ConnectionResetError):
                            pass

        self.beside_a_good_client(write)

    def test_half_closed_peers_that_stay_disturb_nobody(self):
        def stay():
            peers = [Peer(self.daemon.path) for _ in range(50)]
            for peer in peers:
                peer.send(PING)
                peer.half_close()
            for peer in peers:
                self.assertEqual(len(peer.rest().splitlines()), 1)
                peer.close()

        self.beside_a_good_client(stay)

    def test_a_peer_that_never_reads_neither_grows_the_daemon_nor_stalls_others(self):
        self.create()
        requests = [("area.map", {"space": self.space, "start": 0x10000 + n * 0x2000, "size": 0x1000, "flags": "rw-"})
                    for n in range(1000)]
        self.peer.pipeline(requests)
        line = (request_text("area.list", {"space": self.space}) + "\n").encode()
        before = self.daemon.resident()

        def flood():
            # A reply has about 90 KB: 5,000 of them would be 450 MB.
            peer = Peer(self.daemon.path, 2)
            sent = 0
            try:
                while sent < 5000:
                    peer.send(line)
                    sent += 1
            except (TimeoutError, socket.timeout):
                pass
            self.good_for_a_while()
            grown = self.daemon.resident() - before
            self.assertLess(grown, 64 << 20, "grew by %d MiB after %d requests" % (grown >> 20, sent))
            peer.close()

        self.beside_a_good_client(flood)

    def test_a_peer_that_has_taken_a_large_reply_keeps_no_memory_of_the_daemon(self):
        before = self.daemon.resident()
        batch = json.dumps([json.loads(request_text("rpc.discover", None, n)) for n in range(500)])
        for text in (batch + "\n", None):
            with Peer(self.daemon.path) as peer:
                peer.send(text or header_framed(batch))
                self.assertEqual(len(json.loads(peer.line() if text else peer.message())), 500)
                self.eventually(lambda: self.daemon.resident() - before < 16 << 20,
                                "the memory of a reply that is out is given back")

    def good_for_a_while(self):
        limit = time.monotonic() + 1
        while time.monotonic() < limit:
            self.assertEqual(self.call("daemon.ping"), {})

    def test_a_peer_that_reads_late_gets_every_reply(self):
        count = 3000
        with Peer(self.daemon.path) as peer:
            done = []

            def write():
                peer.send("".join(request_text("rpc.discover", None, n) + "\n" for n in range(count)))
                done.append(True)

            writer = threading.Thread(target=write)
            writer.start()
            time.sleep(0.5)
            for at in range(count):
                line = peer.line()
                self.assertIn(b'"id":%d,' % at, line[:60])
            writer.join()
            self.assertTrue(done)

    def test_many_connections_are_served_at_once(self):
        peers = [self.open() for _ in range(500)]
        for at, peer in enumerate(peers):
            peer.send(request_text("daemon.ping", None, at) + "\n")
        for at, peer in enumerate(peers):
            self.assertEqual(peer.reply()["id"], at)

    def test_many_connections_one_after_the_other_leave_nothing_behind(self):
        def descriptors():
            return len(os.listdir("/proc/%d/fd" % self.daemon.process.pid))

        self.call("daemon.ping")
        before = descriptors()
        for _ in range(1000):
            with Peer(self.daemon.path) as peer:
                peer.call("daemon.ping")
        self.eventually(lambda: descriptors() <= before, "the descriptors of closed connections given back")


class ConnectionLimit(harness.DaemonCase):
    options = ("--max-connections", "4")

    def test_one_connection_too_many_is_refused_and_a_free_place_is_used_again(self):
        others = [self.open() for _ in range(3)]
        for peer in others:
            self.assertEqual(peer.call("daemon.ping"), {})
        extra = self.open()
        try:
            extra.send(PING)
        except (BrokenPipeError, ConnectionResetError):
            pass
        rest = extra.rest()
        if rest:
            self.assertError(json.loads(rest.splitlines()[0])["error"], harness.BUSY)
        self.assertEqual(self.call("daemon.ping"), {})
        others[0].close()

        def served():
            with Peer(self.daemon.path) as peer:
                try:
                    peer.send(PING)
                    return b'"result":{}' in peer.line()
                except (AssertionError, OSError):
                    return False

        self.eventually(served, "a place again")


if __name__ == "__main__":
    harness.main()
