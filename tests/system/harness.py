"""A private daemon and a raw peer for the system tests. No code of the project's own client: what is tested here is
what any program can write to the socket."""
import base64
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True

ASPACED = os.environ.get("ASPACED", "aspaced")
ASPACECTL = os.environ.get("ASPACECTL", "aspacectl")
SOURCE_DIR = os.environ.get("SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
TEST_DATA = os.environ.get("TEST_DATA", os.path.join(SOURCE_DIR, "tests", "data"))

# AddressSanitizer keeps freed memory back, up to 256 MiB, and that would look like growth: a little will do.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=8"

LIVE = os.environ.get("ASPACE_LIVE", "1") != "0"  # the build has the backend for live processes

PATIENCE = 30          # seconds after which anything here counts as hung: generous, for sanitizer builds
SANITIZER_MARKS = ("Sanitizer", "runtime error:", "Assertion", "assertion")

PAGE = 0x1000

# Code: name and errno, as the protocol's table of errors gives them.
ERRORS = {
    -32700: ("ParseError", None), -32600: ("InvalidRequest", None), -32601: ("MethodNotFound", None),
    -32602: ("InvalidParams", None), -32603: ("InternalError", None),
    1: ("InvalidParam", "EINVAL"), 2: ("AlreadyExists", "EEXIST"), 3: ("BadState", "EIO"), 4: ("NotFound", "ENOENT"),
    5: ("NoMemory", "ENOMEM"), 6: ("Denied", "EPERM"), 7: ("Busy", "EBUSY"), 8: ("Unsupported", "ENOTSUP"),
    9: ("TargetGone", "ESRCH"), 10: ("Conflict", "EAGAIN"), 11: ("Timeout", "ETIMEDOUT"),
}
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603
INVALID_PARAM, ALREADY_EXISTS, BAD_STATE, NOT_FOUND, NO_MEMORY, DENIED, BUSY, UNSUPPORTED = 1, 2, 3, 4, 5, 6, 7, 8
CONFLICT, TIMEOUT = 10, 11


def live(test):
    """A test that wants the backend for live processes; without it the test says that it was not run."""
    if LIVE:
        return test

    def not_run(case):
        print("not run, for this build has no backend for live processes: %s" % case.id(), file=sys.stderr)
        case.skipTest("no backend for live processes")
    return not_run


class Hung(AssertionError):
    """Something that should have come did not come in time."""


class Daemon:
    """One private aspaced. Always stopped by the one who started it: see DaemonCase, or use it in a `with`."""

    def __init__(self, *options, path=None, folder=None):
        self.folder = None
        if folder is None and path is None:
            folder = self.folder = tempfile.mkdtemp(prefix="aspace-test-")
        self.path = path or os.path.join(folder, "s")
        self.options = [str(option) for option in options]
        self.process = None
        self.errors = None

    def start(self):
        read_end, write_end = os.pipe()
        self.errors = tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen(
                [ASPACED, "--socket", self.path, "--ready-fd", str(write_end), *self.options],
                pass_fds=[write_end], stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors)
        finally:
            os.close(write_end)
        try:
            ready = b""
            limit = time.monotonic() + PATIENCE
            while b"\n" not in ready:
                if not select.select([read_end], [], [], max(0, limit - time.monotonic()))[0]:
                    raise Hung("aspaced is not ready after %d s" % PATIENCE)
                got = os.read(read_end, 100)
                if not got:
                    self.process.wait(PATIENCE)
                    raise AssertionError("aspaced ended with %d before it was ready: %s" %
                                         (self.process.returncode, self.stderr()))
                ready += got
            assert ready == b"READY=1\n", ready
        except BaseException:
            self.kill()
            raise
        finally:
            os.close(read_end)
        return self

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")

    def wait(self, timeout=PATIENCE):
        """The exit status, which is given by itself: nothing is sent."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Hung("aspaced goes on running") from None

    def send_signal(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        """Ends it as a service manager would, and checks that it ended well."""
        try:
            if self.process.poll() is None:
                self.send_signal(number)
            status = self.wait()
            errors = self.stderr()
            assert status == 0, "aspaced ended with %d: %s" % (status, errors)
            self.check_errors()
        finally:
            self.kill()

    def check_errors(self):
        errors = self.stderr()
        for mark in SANITIZER_MARKS:
            assert mark not in errors, errors

    def kill(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
        if self.errors is not None:
            self.errors.close()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def resident(self):
        """Bytes of memory that the daemon holds."""
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.kill()


class Refused(Exception):
    """An error reply: .code, .message, .data."""

    def __init__(self, error):
        super().__init__("%s %s" % (error.get("code"), error.get("message")))
        self.error = error
        self.code = error["code"]
        self.message = error["message"]
        self.data = error["data"]


class Peer:
    """One raw connection."""

    def __init__(self, path, timeout=PATIENCE):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # With a timeout of Python's, connect() would fail at once where the backlog is full.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", PATIENCE, 0))
        self.socket.connect(path)
        self.socket.settimeout(timeout)
        self.buffer = b""
        self.next_id = 0

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def fill(self):
        """Reads some more; False at the end of the stream."""
        try:
            got = self.socket.recv(1 << 16)
        except (TimeoutError, socket.timeout):
            raise Hung("no answer; so far: %r" % self.buffer[:200]) from None
        except ConnectionResetError:
            return False
        self.buffer += got
        return bool(got)

    def line(self):
        """The next line without its LF, as bytes."""
        while b"\n" not in self.buffer:
            if not self.fill():
                raise AssertionError("the connection ended; left: %r" % self.buffer)
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def message(self):
        """The next header-framed message, as bytes."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill():
                raise AssertionError("the connection ended; left: %r" % self.buffer)
        header, _, rest = self.buffer.partition(b"\r\n\r\n")
        lengths = [int(line.split(b":")[1]) for line in header.split(b"\r\n")
                   if line.lower().startswith(b"content-length:")]
        assert len(lengths) == 1, header
        while len(rest) < lengths[0]:
            if not self.fill():
                raise AssertionError("the connection ended in a message")
            rest = self.buffer.partition(b"\r\n\r\n")[2]
        self.buffer = rest[lengths[0]:]
        return rest[:lengths[0]]

    def rest(self):
        """Everything up to the end of the stream, which must come."""
        while self.fill():
            pass
        rest, self.buffer = self.buffer, b""
        return rest

    def reply(self):
        return json.loads(self.line())

    def quiet(self, seconds=0.2):
        """Whether nothing comes for that long."""
        return not self.buffer and not select.select([self.socket], [], [], seconds)[0]

    def ask(self, method, params=None, **more):
        """The whole reply object to one request."""
        self.next_id += 1
        request = {"jsonrpc": "2.0", "id": self.next_id, "method": method}
        if params is not None:
            request["params"] = params
        request.update(more)
        self.send(json.dumps(request) + "\n")
        reply = self.reply()
        assert reply.get("jsonrpc") == "2.0" and reply.get("id") == self.next_id, reply
        assert ("result" in reply) != ("error" in reply), reply
        return reply

    def call(self, method, params=None, **named):
        """The result; Refused if it is an error. Params by name as keywords, or any value as `params`."""
        reply = self.ask(method, params if params is not None else (named or None))
        if "error" in reply:
            raise Refused(reply["error"])
        return reply["result"]

    def pipeline(self, requests):
        """Replies to many (method, params), in the order of the requests. Never more than a window in flight, so that
        neither side can block on a full socket."""
        window = 200
        replies = []
        for at in range(0, len(requests), window):
            part = requests[at:at + window]
            self.send("".join(json.dumps({"jsonrpc": "2.0", "id": at + i, "method": method, "params": params}) + "\n"
                              for i, (method, params) in enumerate(part)))
            found = {}
            for _ in part:
                reply = self.reply()
                found[reply["id"]] = reply
            replies += [found[at + i] for i in range(len(part))]
        return replies


def header_framed(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b"Content-Length: %d\r\n\r\n" % len(data) + data


def request_text(method, params=None, request_id=1):
    request = {"jsonrpc": "2.0", "id": request_id, "method": method}
    if params is not None:
        request["params"] = params
    return json.dumps(request)


def b64(data):
    return base64.b64encode(data).decode()


def hexa(number):
    return "0x%x" % number


class Case(unittest.TestCase):
    """What all tests share."""

    maxDiff = 4000

    def assertError(self, error, code):
        """`error` is a whole error object of the protocol's form with that code."""
        self.assertIsInstance(error, dict)
        self.assertEqual(error.get("code"), code, error)
        self.assertEqual(set(error), {"code", "message", "data"}, error)
        self.assertIsInstance(error["message"], str)
        self.assertTrue(error["message"].strip(), error)
        self.assertNotIn("\n", error["message"])
        data = error["data"]
        self.assertIsInstance(data, dict, error)
        name, errno_name = ERRORS[code]
        self.assertEqual(data.get("name"), name, error)
        self.assertIn("errno", data)
        self.assertEqual(data["errno"], errno_name, error)
        self.assertLessEqual(set(data), {"name", "errno", "param", "space", "operation", "conflict", "largest_hole", "hint"}, error)
        for key in ("param", "space", "hint"):
            if key in data:
                self.assertIsInstance(data[key], str, error)

    def eventually(self, condition, what, patience=PATIENCE):
        limit = time.monotonic() + patience
        while not condition():
            if time.monotonic() > limit:
                self.fail("never: " + what)
            time.sleep(0.01)


class DaemonCase(Case):
    """One daemon for all tests of a class, one peer and a fresh space name for each test."""

    options = ()
    daemon = None
    serial = 0

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(*cls.options).start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def setUp(self):
        self.assertIsNone(self.daemon.process.poll(), "aspaced is gone: " + self.daemon.stderr())
        self.peer = Peer(self.daemon.path)
        self.addCleanup(self.peer.close)
        DaemonCase.serial += 1
        self.space = "space-%d" % DaemonCase.serial

    def open(self):
        peer = Peer(self.daemon.path)
        self.addCleanup(peer.close)
        return peer

    def call(self, method, params=None, **named):
        return self.peer.call(method, params, **named)

    def create(self, **options):
        result = self.call("space.create", name=self.space, **options)
        self.addCleanup(self.forget, self.space)
        return result

    def forget(self, name):
        try:
            with Peer(self.daemon.path) as peer:
                peer.call("space.destroy", space=name)
        except (Refused, OSError):
            pass

    def on(self, method, **named):
        """A call on this test's space."""
        return self.call(method, space=self.space, **named)

    def state(self):
        """All that an all-or-nothing refusal must leave alone."""
        return {
            "areas": self.on("area.list", limit=10000),
            "info": self.on("space.info"),
            "frames": self.call("daemon.stats")["frames"],
        }

    def refused(self, code, method, params=None, **named):
        """The error object of a call that must be refused with that code."""
        reply = self.peer.ask(method, params if params is not None else (named or None))
        self.assertIn("error", reply, reply)
        self.assertError(reply["error"], code)
        return reply["error"]

    def refused_unchanged(self, code, method, **named):
        """The same for a method on this test's space, which must be afterwards as it was."""
        before = self.state()
        error = self.refused(code, method, space=self.space, **named)
        self.assertEqual(self.state(), before)
        self.assertEqual(self.on("space.check"), {"ok": True, "problems": []})
        return error

    def areas(self):
        """[(start, end, flags)] as numbers and text."""
        listed = self.on("area.list", limit=10000)
        self.assertIsNone(listed["next"])
        return [(int(a["start"], 16), int(a["end"], 16), a["flags"]) for a in listed["areas"]]

    def check(self):
        self.assertEqual(self.on("space.check"), {"ok": True, "problems": []})


def main():
    unittest.main(verbosity=2)
