"""The simulator does what the kernel does: one random script of edits on a simulated space and on a live one, compared
page by page after each step, with the areas, the contents and the kernel's own list. ASPACE_SEED and ASPACE_STEPS repeat
or lengthen a run."""
import os
import random

import harness
from harness import PAGE, Daemon, Peer, Refused, hexa
from test_ptrace import PLACE, Puppet, at

PAGES = 48
FLAGS = ("r--", "rw-", "r-x", "---", "rwx")


class SimEqualsKernel(harness.Case):
    def setUp(self):
        self.daemon = Daemon().start()
        self.addCleanup(self.daemon.kill)
        self.peer = Peer(self.daemon.path)
        self.addCleanup(self.peer.close)
        self.puppet = Puppet()
        self.addCleanup(self.puppet.kill)

    def both(self, method, **params):
        """The same request to both spaces: both succeed with the same result, or both refuse with the same code."""
        outcomes = []
        for space in ("sim", "live"):
            try:
                result = self.peer.call(method, space=space, **params)
                result.pop("generation", None)
                for area in [result.get(name) for name in ("area", "left", "right")]:
                    if area:
                        area.pop("backing")
                outcomes.append(result)
            except Refused as refused:
                outcomes.append(refused.code)
        self.assertEqual(outcomes[0], outcomes[1], (method, params))
        return outcomes[0]

    def areas(self, space):
        areas = self.peer.call("area.list", space=space, start=hexa(PLACE), end=hexa(at(PAGES)))["areas"]
        return [(area["start"], area["end"], area["flags"], area.get("tag")) for area in areas]

    def pages(self, rows):
        """Up to the end of the place: a mapping of the kernel's may reach beyond where ours is cut by a tag."""
        return {page: flags for start, end, flags in rows for page in range(start, min(end, at(PAGES)), PAGE)}

    def compare(self):
        sim, live = self.areas("sim"), self.areas("live")
        self.assertEqual(sim, live)
        kernel = self.pages([row[:3] for row in self.puppet.maps() if PLACE <= row[0] < at(PAGES)])
        ours = self.pages([(int(area[0], 16), int(area[1], 16), area[2]) for area in sim])
        self.assertEqual(kernel, ours)
        for page in ours:
            reads = [self.peer.call("memory.read", space=space, addr=hexa(page), size=8)["data"]
                     for space in ("sim", "live")]
            self.assertEqual(reads[0], reads[1], hexa(page))

    def kernel_keeps_apart(self, params):
        """Neighbours that the kernel alone tells apart (pages that were moved): the simulator has no such thing."""
        low, high = int(params["start"], 16), int(params["start"], 16) + params["size"]
        rows = self.puppet.maps()
        return any(one[1] == two[0] and one[2] == two[2] and low < two[0] < high for one, two in zip(rows, rows[1:]))

    def edit(self, rng):
        start = at(rng.randrange(PAGES))
        size = min(rng.randint(1, 8) * PAGE, at(PAGES) - start)
        flags = rng.choice(FLAGS)
        kind = rng.randrange(12)
        if kind <= 2:
            return "area.map", {"start": hexa(start), "size": size, "flags": flags,
                                "overlap": rng.choice(("fail", "replace")), "tag": rng.choice("abc")}
        if kind == 3:
            return "area.map", {"size": size, "flags": flags, "within": [hexa(PLACE), hexa(at(PAGES))],
                                "policy": rng.choice(("first", "best", "top"))}
        if kind <= 5:
            return "area.unmap", {"start": hexa(start), "size": size, "holes": rng.choice(("skip", "refuse"))}
        if kind <= 7:
            return "area.protect", {"start": hexa(start), "size": size, "flags": flags,
                                    "holes": rng.choice(("skip", "refuse"))}
        areas = self.areas("sim")
        area = int(rng.choice(areas)[0], 16) if areas else start
        if kind == 8:
            return "area.shrink", {"start": hexa(area), "new_size": size, "side": rng.choice(("left", "right"))}
        if kind == 9:
            return "area.split", {"at": hexa(start)}
        if kind == 10:
            return "area.merge", {"start": hexa(start), "size": size}
        return "area.move", {"start": hexa(area), "new_start": hexa(start), "overlap": rng.choice(("fail", "replace"))}

    def test_a_random_script_ends_alike_on_both(self):
        seed = int(os.environ.get("ASPACE_SEED", random.randrange(1 << 32)))
        steps = int(os.environ.get("ASPACE_STEPS", 400))
        print("ASPACE_SEED=%d" % seed, flush=True)
        rng = random.Random(seed)
        self.peer.call("space.create", name="sim", range=[hexa(0), hexa(1 << 47)])
        self.peer.call("space.create", name="live", pid=self.puppet.pid)
        for step in range(steps):
            with self.subTest(step=step, seed=seed):
                if rng.random() < 0.15:
                    ops = [dict(zip(("method", "params"), self.edit(rng))) for _ in range(rng.randint(2, 6))]
                    ops = [op for op in ops if op["method"] != "area.merge"]
                    self.apply(ops)
                else:
                    method, params = self.edit(rng)
                    if method != "area.merge" or not self.kernel_keeps_apart(params):
                        self.both(method, **params)
                if rng.random() < 0.3:
                    self.both("memory.write", addr=hexa(at(rng.randrange(PAGES)) + rng.randrange(8)),
                              hex="%016x" % rng.getrandbits(64))
                self.compare()

    def apply(self, ops):
        """Results hold backings: only the outcome is compared."""
        codes = []
        for space in ("sim", "live"):
            reply = self.peer.ask("space.apply", {"space": space, "ops": ops})
            codes.append(reply["error"]["code"] if "error" in reply else 0)
        self.assertEqual(codes[0], codes[1], ops)


if __name__ == "__main__":
    harness.main()
