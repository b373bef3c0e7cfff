"""A build without the backend for live processes says so, in the places where one would look for it."""
import os

import harness
from harness import UNSUPPORTED


class WithoutLiveProcesses(harness.DaemonCase):
    def test_daemon_info_lists_the_backend_that_is_there(self):
        self.assertEqual(self.peer.ask("daemon.info")["result"]["backends"], ["sim"])

    def test_a_live_space_is_unsupported_and_the_hint_says_what_there_is(self):
        for params in ({"pid": os.getpid()}, {"command": ["true"]}, {"backend": "ptrace", "pid": 1}):
            error = self.peer.ask("space.create", {"name": "x", **params})["error"]
            self.assertEqual(error["code"], UNSUPPORTED)
            self.assertIn("sim", error["data"]["hint"])
        self.assertEqual(self.peer.ask("space.list")["result"]["spaces"], [])


if __name__ == "__main__":
    harness.main()
