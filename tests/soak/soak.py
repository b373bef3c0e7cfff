#!/usr/bin/env python3
"""Mixed load, vanishing peers and garbage for a time; in the end the daemon has grown no more: soak.py [SECONDS]

Wants ASPACED in the environment, best of a sanitizer build. Prints its seed (ASPACE_SEED repeats it) and, once a
round, what the daemon holds. Fails when it grew between the first third and the end, when a peer that behaves was
refused, stalled or answered wrongly, or when the daemon ends or complains.
"""
import json
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import harness  # noqa: E402
from harness import Daemon, Peer, header_framed, request_text  # noqa: E402

GROWTH = 0.10           # of what the daemon held after a third of the time: allocators and sanitizers are not exact,
GROWTH_LEAST = 16 << 20 # and so many bytes are nothing: a short run has seen 4 MiB come and go
ROUNDS_MOST = 30
REQUESTS_MOST = 200


def edits(numbers, name):
    """One random request on a space: (method, params). Some are refused: that is a reply as well."""
    start = numbers.randrange(0, 256) * 0x1000
    size = numbers.randrange(1, 32) * 0x1000
    flags = numbers.choice(("r--", "rw-", "r-x", "rwx,kernel"))
    snapshot = "s%d" % numbers.randrange(3)
    return numbers.choice((
        ("area.map", {"start": start, "size": size, "flags": flags, "overlap": "replace",
                      "backing": numbers.choice(("lazy", "eager")), "tag": "tag %d" % numbers.randrange(8)}),
        ("area.map", {"size": size, "flags": flags}),
        ("area.unmap", {"start": start, "size": size}),
        ("area.protect", {"start": start, "size": size, "flags": flags}),
        ("area.split", {"at": start}),
        ("area.merge", {"start": 0, "size": "1M"}),
        ("area.move", {"start": start, "new_start": numbers.randrange(256, 512) * 0x1000}),
        ("area.find", {"addr": start}),
        ("area.list", {"limit": 10}),
        ("memory.write", {"addr": start, "hex": "00" * numbers.randrange(1, 64)}),
        ("memory.read", {"addr": start, "size": numbers.randrange(1, 4096)}),
        ("memory.access", {"addr": start, "kind": "write"}),
        ("page.walk", {"addr": start}),
        ("space.apply", {"ops": [{"method": "area.unmap", "params": {"start": 0, "size": "16K"}},
                                 {"method": "area.map", "params": {"start": start, "size": size, "flags": flags}}]}),
        ("inject.set", {"op": "map", "nth": 1}),
        ("space.clear", {}),
        ("space.snapshot", {"name": snapshot}),
        ("space.restore", {"name": snapshot}),
        ("space.drop", {"name": snapshot}),
        ("space.diff", {"other": numbers.choice(("soak-0", "soak-1", name + "-clone", name)) +
                                 numbers.choice(("", "@" + snapshot)), "limit": 5}),
        ("space.clone", {"name": name + "-clone"}),
        ("space.destroy", {"space": name + "-clone"}),
        ("memory.write", {"space": name + "-clone", "addr": start, "hex": "01"}),
    )) + (name,)


def worker(path, numbers, name, until):
    """A peer that behaves: its requests are answered one for one, and its space is sound."""
    with Peer(path) as peer:
        peer.call("space.create", name=name, ram="16M")
        while time.monotonic() < until:
            requests = []
            for _ in range(numbers.randrange(1, REQUESTS_MOST)):
                method, params, space = edits(numbers, name)
                requests.append((method, dict({"space": space}, **params)))
            replies = peer.pipeline(requests)
            assert len(replies) == len(requests)
            for one in peer.call("inject.list", space=name)["faults"]:
                peer.call("inject.clear", space=name, id=one["id"])
            assert peer.call("space.check", space=name) == {"ok": True, "problems": []}
        peer.call("space.destroy", space=name)
        peer.ask("space.destroy", {"space": name + "-clone"}) # if there is one


def garbage(numbers):
    """Bytes of a peer that does not behave."""
    good = request_text("daemon.info") + "\n"
    noise = bytes(numbers.randrange(256) for _ in range(numbers.randrange(1, 2000)))
    return numbers.choice((
        noise, b"{" + noise, b"[" * 5000, good.encode() * numbers.randrange(1, 300) + noise,
        b"Content-Length: %d\r\n\r\n" % numbers.randrange(1 << 22) + noise, header_framed(good) * 50,
        header_framed(noise), b"{" + b" " * 300000, (request_text("rpc.discover") + "\n").encode() * 60,
    ))


def vandal(path, numbers, until):
    """Peers that send anything and leave at any moment, half-close, or never read."""
    while time.monotonic() < until:
        try:
            with Peer(path, 0.5) as peer:
                data = garbage(numbers)
                peer.send(data[:numbers.randrange(len(data) + 1)] if numbers.randrange(2) else data)
                what = numbers.randrange(4)
                if what == 0:
                    peer.half_close()
                    peer.rest()
                elif what == 1:
                    peer.fill()
        except (OSError, harness.Hung):
            pass  # cut off, as it should be, or not answered, since it asked nothing whole


def load(path, seed, seconds):
    """A round of all of them at once. What goes wrong is raised."""
    until = time.monotonic() + seconds
    problems = []

    def guarded(body, *arguments):
        try:
            body(*arguments)
        except BaseException as problem:  # pylint: disable=broad-except
            problems.append(problem)

    threads = [threading.Thread(target=guarded, args=(worker, path, random.Random(seed + n), "soak-%d" % n, until))
               for n in range(4)]
    threads += [threading.Thread(target=guarded, args=(vandal, path, random.Random(seed + 100 + n), until))
                for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600
    seed = int(os.environ.get("ASPACE_SEED", str(random.randrange(1 << 32))))
    rounds = max(6, min(ROUNDS_MOST, int(seconds / 2)))
    held = []
    # what a sanitizer holds back of freed memory is no growth of the daemon's
    os.environ["ASAN_OPTIONS"] = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=4")))
    print("seed", seed, flush=True)
    with Daemon("--max-message", "262144", "--max-pending", "262144", "--log-level", "error") as daemon:
        for at in range(rounds):
            load(daemon.path, seed + 1000 * at, seconds / rounds)
            with Peer(daemon.path) as peer:
                stats = peer.call("daemon.stats")
            held.append(daemon.resident())
            assert stats["spaces"] == 0, stats
            print("round %2d: %6.1f MiB, %d requests, %d errors, %d connections" %
                  (at + 1, held[-1] / 2**20, stats["requests"], stats["errors"], stats["connections"]["accepted"]),
                  flush=True)
    early = max(held[:rounds // 3])
    late = min(held[-(rounds // 6):])
    print(json.dumps({"seconds": seconds, "early_bytes": early, "late_bytes": late}))
    if late > early + max(GROWTH * early, GROWTH_LEAST):
        sys.exit("soak: the daemon grew from %.1f to %.1f MiB" % (early / 2**20, late / 2**20))


if __name__ == "__main__":
    main()
