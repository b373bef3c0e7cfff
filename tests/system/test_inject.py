"""Fault injection from outside: every mutating method refused at each of its backend operations in turn, and the space
afterwards as it was; then what inject.* itself answers."""
import base64

import harness
from harness import BAD_STATE, ERRORS, INVALID_PARAM, INVALID_PARAMS, NOT_FOUND, NO_MEMORY, PAGE, b64, hexa

CODES = {name: code for code, (name, _) in ERRORS.items() if code > 0}
NAMES = sorted(CODES, key=CODES.get)
OPERATIONS = ("map", "unmap", "protect", "frame")

WHOLE = {"start": 0x10000, "size": 0x40000}
FAR = 0x40000000                    # nothing of its page tables is there but the upper two levels

# What is asked, on the space of prepare(), and of how many backend operations of each kind it consists.
CASES = [
    ("area.map", {"start": 0x60000, "size": 0x4000, "flags": "rw-"}, {"map": 1}),
    ("area.map", {"size": 0x4000, "flags": "rw-", "policy": "best"}, {"map": 1}),
    ("area.map", {"start": 0x60000, "size": 0x4000, "flags": "rw-", "backing": "eager"}, {"map": 1, "frame": 4}),
    ("area.map", {"start": FAR, "size": 0x4000, "flags": "rw-", "backing": "eager"}, {"map": 1, "frame": 2 + 4}),
    ("area.map", {"start": FAR, "size": 0x4000, "flags": "rw-", "backing": "linear", "pa": 0}, {"map": 1, "frame": 2}),
    ("area.map", {"start": FAR + 0x1ff000, "size": 0x2000, "flags": "rw-", "backing": "eager"},
     {"map": 1, "frame": 3 + 2}),
    ("area.map", {"start": 0x18000, "size": 0x30000, "flags": "r-x", "overlap": "replace"}, {"unmap": 4, "map": 1}),
    ("area.map", {"start": 0x1e000, "size": 0x4000, "flags": "r-x", "backing": "eager", "overlap": "replace"},
     {"unmap": 2, "map": 1, "frame": 4}),
    ("area.unmap", {"start": 0x1e000, "size": 0x4000}, {"unmap": 2}),
    ("area.unmap", WHOLE, {"unmap": 4}),
    ("area.unmap", {"start": 0x1ff000, "size": 0x2000}, {"unmap": 1}),
    ("area.protect", dict(WHOLE, flags="--x"), {"protect": 4}),
    ("area.protect", dict(WHOLE, flags="-w"), {"protect": 3}),
    ("area.protect", {"start": 0x200000, "size": 0x1000, "flags": "r--"}, {"protect": 1}),
    ("area.shrink", {"start": 0x10000, "new_size": 0x4000, "side": "left"}, {"unmap": 1}),
    ("area.shrink", {"start": 0x10000, "new_size": 0x4000, "side": "right"}, {"unmap": 1}),
    ("area.split", {"at": 0x14000}, {}),
    ("area.merge", {"start": 0x30000, "size": 0x10000}, {}),
    ("space.clear", {}, {"unmap": 6}),
    ("area.unmap", {"tag": "empty"}, {"unmap": 1}),
    ("area.protect", {"tag": "half filled", "flags": "rw-"}, {"protect": 1}),
    ("area.move", {"start": 0x10000, "new_start": FAR}, {"unmap": 1, "map": 1, "frame": 2}),
    ("area.move", {"start": 0x10000, "new_start": FAR, "new_size": 0x4000}, {"unmap": 2, "map": 1, "frame": 2}),
    ("area.move", {"start": 0x10000, "new_start": FAR, "new_size": 0x14000}, {"unmap": 1, "map": 2, "frame": 2 + 4}),
    ("area.move", {"start": 0x10000, "new_start": 0x24000, "overlap": "replace"}, {"unmap": 3, "map": 1}),
    ("area.move", {"start": 0x1ff000, "new_start": FAR}, {"unmap": 1, "map": 1, "frame": 2}),
    ("area.move", {"start": 0x1ff000, "new_size": 0x4000}, {"map": 1, "frame": 2}),
    ("area.move", {"start": 0x40000, "new_size": 0x4000}, {"unmap": 1}),
    ("space.apply", {"ops": [
        {"method": "area.unmap", "params": {"start": 0x1e000, "size": 0x4000}},
        {"method": "area.map", "params": {"start": 0x1f000, "size": 0x2000, "flags": "rw-", "backing": "eager"}},
        {"method": "area.split", "params": {"at": 0x14000}},
        {"method": "area.protect", "params": dict(WHOLE, flags="r--")},
        {"method": "area.move", "params": {"start": 0x30000, "new_start": FAR}},
    ]}, {"unmap": 3, "map": 2, "protect": 5, "frame": 2 + 2}),
    # a table and a large page, which counts as one; unmapped again, for its bytes are more than a read gives
    ("space.apply", {"ops": [
        {"method": "area.map", "params": {"start": FAR, "size": 0x200000, "flags": "rw-", "backing": "eager",
                                          "page": "2M"}},
        {"method": "area.unmap", "params": {"start": FAR, "size": 0x200000}},
    ]}, {"map": 1, "unmap": 1, "frame": 1 + 1}),
    # a gigabyte broken for a page, and a large page of it for three
    ("space.apply", {"ops": [
        {"method": "area.map", "params": {"start": FAR, "size": 0x40000000, "flags": "rw-", "backing": "linear",
                                          "pa": 0x40000000, "page": "1G"}},
        {"method": "area.unmap", "params": {"start": FAR + 0x1000, "size": 0x1000}},
        {"method": "area.protect", "params": {"start": FAR + 0x200000, "size": 0x3000, "flags": "r--"}},
        {"method": "area.unmap", "params": {"start": FAR, "size": 0x40000000}},
    ]}, {"map": 1, "unmap": 1 + 4, "protect": 1, "frame": 2 + 1}),
    ("memory.access", {"addr": 0x40000, "kind": "write"}, {"frame": 1}),
    ("memory.access", {"addr": 0x40fff, "kind": "read", "size": 2}, {"frame": 2}),
    ("memory.access", {"addr": 0x80000000, "kind": "read"}, {"frame": 3}),
    ("memory.write", {"addr": 0x27ffe, "hex": "01020304"}, None),       # reaches into a hole: refused anyway
    ("memory.write", {"addr": 0x40ffe, "hex": "01" * 0x2004}, {"frame": 4}),
    ("memory.write", {"addr": 0x1fffe, "hex": "0102030405"}, {"frame": 0}),
    ("memory.write", {"addr": 0x80000ffe, "hex": "01020304"}, {"frame": 4}),
]


class EveryRefusal(harness.DaemonCase):
    def prepare(self):
        """Six areas of all kinds, with bytes in them, in a new space."""
        self.forget(self.space)
        self.create(ram="16M")
        self.on("area.map", start=0x10000, size=0x10000, flags="rw-", backing="eager")
        self.on("area.map", start=0x20000, size=0x8000, flags="r--", tag="half filled")
        self.on("area.map", start=0x30000, size=0x4000, flags="rwx", backing="linear", pa=0x800000)
        self.on("area.map", start=0x40000, size=0x10000, flags="rw-", tag="empty")
        self.on("area.map", start=0x1ff000, size=0x2000, flags="rw-", backing="eager")
        self.on("area.map", start=0x80000000, size=0x10000, flags="rw-")
        for addr in (0x10ff0, 0x1fff0, 0x1ffff0):
            self.on("memory.write", addr=addr, data=b64(bytes(range(1, 33))) if addr != 0x1fff0 else b64(b"x" * 32))
        self.on("memory.write", addr=0x23000, data=b64(b"z" * PAGE))
        self.on("memory.access", addr=0x10000, kind="write")

    def everything(self):
        """state(), and also the page tables to the bit and the bytes of every area."""
        state = self.state()
        listed = state["areas"]["areas"]
        pages = {0x60000, FAR, FAR + 0x1ff000, FAR + 0x200000}
        for one in listed:
            pages.update(range(int(one["start"], 16), int(one["end"], 16), PAGE))
        replies = self.peer.pipeline([("page.walk", {"space": self.space, "addr": addr}) for addr in sorted(pages)])
        state["walks"] = [reply["result"] for reply in replies]
        state["bytes"] = [base64.b64decode(self.on("memory.read", addr=one["start"], size=one["size"])["data"])
                          for one in listed]
        return state

    def refuse_each(self, method, params, op, count):
        """Fails each of the `count` operations in turn, then lets all pass. The errors go round."""
        before = self.everything()
        for nth in range(1, count + 1):
            name = NAMES[nth % len(NAMES)]
            fault = self.on("inject.set", op=op, nth=nth, error=name)["id"]
            error = self.refused(CODES[name], method, space=self.space, **params)
            self.assertIn("injected fault %d (%s)" % (fault, op), error["message"])
            self.assertRegex(error["message"], r"from 0x[0-9a-f]+000 to 0x[0-9a-f]+fff$")
            self.assertEqual(self.on("inject.list")["faults"], [
                {"id": fault, "op": op, "nth": nth, "error": name, "count": 1, "seen": nth, "fired": 1}])
            self.assertEqual(self.everything(), before)
            self.check()
            self.assertEqual(self.on("inject.clear", id=fault), {"cleared": 1})
        fault = self.on("inject.set", op=op, nth=count + 1)["id"]
        self.on(method, **params)
        self.check()
        self.assertEqual(self.on("inject.list")["faults"][0]["seen"], count)
        self.on("inject.clear", id=fault)

    def test_every_method_can_be_refused_at_each_operation_and_is_then_undone(self):
        for method, params, operations in CASES:
            if operations is None:
                continue
            for op in OPERATIONS:
                with self.subTest(method=method, params=params, op=op):
                    self.prepare()
                    self.refuse_each(method, params, op, operations.get(op, 0))

    def test_what_passes_after_refusals_is_what_passes_without(self):
        for method, params, operations in CASES:
            if not operations:
                continue
            with self.subTest(method=method, params=params):
                self.prepare()
                result = self.on(method, **params)
                control = self.everything()
                self.prepare()
                for op, count in operations.items():
                    for nth in range(1, count + 1):
                        self.on("inject.set", op=op, nth=nth)
                        self.refused(BAD_STATE, method, space=self.space, **params)
                        self.on("inject.clear")
                again = self.on(method, **params)
                after = self.everything()
                for one in (result, again):
                    one.pop("pa", None)     # which frames it gets may differ
                control.pop("walks")
                after.pop("walks")
                self.assertEqual(again, result)
                self.assertEqual(after, control)

    def test_a_refusal_of_another_kind_takes_precedence(self):
        self.prepare()
        self.on("inject.set", op="frame", count=100)
        for method, params, operations in CASES:
            if operations is None:
                self.refused_unchanged(NOT_FOUND, method, **params)
        self.refused_unchanged(harness.ALREADY_EXISTS, "area.map", start=0x10000, size=0x1000, flags="rw-")
        self.assertEqual(self.on("inject.list")["faults"][0]["seen"], 0)

    def test_a_fault_on_access_is_an_outcome_that_takes_no_frame(self):
        self.prepare()
        self.on("inject.set", op="frame", count=100)
        self.assertEqual(self.on("memory.access", addr=0x20000, kind="write")["outcome"], "fault")
        self.assertEqual(self.on("memory.access", addr=0x10000, kind="read")["outcome"], "hit")
        self.assertEqual(self.on("memory.access", addr=0x900000000, kind="read")["outcome"], "fault")
        self.assertEqual(self.on("inject.list")["faults"][0]["seen"], 0)

    def test_a_space_that_merges_by_itself_is_undone_as_well(self):
        self.create(ram="16M", merge="auto")
        for start in range(0x10000, 0x20000, 0x2000):
            self.on("area.map", start=start, size=PAGE, flags="rw-", backing="eager")
        fill = {"start": 0x11000, "size": PAGE, "flags": "rw-", "backing": "eager"}
        self.refuse_each("area.map", fill, "frame", 1)
        self.assertEqual(self.areas()[0], (0x10000, 0x13000, "rw-"))
        self.refuse_each("area.protect", {"start": 0x10000, "size": 0x10000, "flags": "r--"}, "protect", 7)
        self.refuse_each("space.clear", {}, "unmap", 7)


class InjectMethods(harness.DaemonCase):
    def map(self, start=0x10000, **more):
        return self.on("area.map", start=start, size=PAGE, flags="rw-", overlap="replace", **more)

    def pattern(self, count, **where):
        """Maps so often: 'x' for each refusal, '.' for each that passed."""
        found = ""
        for _ in range(count):
            reply = self.peer.ask("area.map", dict({"space": self.space, "start": 0x10000, "size": PAGE,
                                                    "flags": "rw-", "overlap": "replace"}, **where))
            found += "x" if "error" in reply else "."
        return found

    def fault(self, number=0):
        return self.on("inject.list")["faults"][number]

    def test_set_gives_an_id_and_list_the_whole_fault(self):
        self.create()
        self.assertEqual(self.on("inject.list"), {"faults": []})
        self.assertEqual(self.on("inject.set", op="map"), {"id": 1})
        self.assertEqual(self.on("inject.set", op="frame", every=3, within=["0x10000", "0x20000"], error="NoMemory",
                                 count=7), {"id": 2})
        self.assertEqual(self.on("inject.list"), {"faults": [
            {"id": 1, "op": "map", "nth": 1, "error": "BadState", "count": 1, "seen": 0, "fired": 0},
            {"id": 2, "op": "frame", "every": 3, "within": ["0x10000", "0x20000"], "error": "NoMemory", "count": 7,
             "seen": 0, "fired": 0}]})

    def test_params_by_position(self):
        self.create()
        self.assertEqual(self.call("inject.set", [self.space, "unmap", 2]), {"id": 1})
        self.assertEqual(self.call("inject.list", [self.space])["faults"][0]["nth"], 2)
        self.assertEqual(self.call("inject.clear", [self.space, 1]), {"cleared": 1})

    def test_every_error_can_be_chosen(self):
        self.create()
        for name, code in CODES.items():
            with self.subTest(error=name):
                self.on("inject.set", op="map", error=name)
                self.refused_unchanged(code, "area.map", start=0x10000, size=PAGE, flags="rw-")

    def test_without_anything_the_next_operation_fails_with_bad_state_once(self):
        self.create()
        self.on("inject.set", op="map")
        error = self.refused_unchanged(BAD_STATE, "area.map", start=0x10000, size=2 * PAGE, flags="rw-")
        self.assertEqual(error["message"], "injected fault 1 (map) refused the range from 0x10000 to 0x11fff")
        self.assertEqual(error["data"]["space"], self.space)
        self.assertIn("inject.clear", error["data"]["hint"])
        self.map()

    def test_nth_and_count(self):
        self.create()
        self.on("inject.set", op="map", nth=3, count=2)
        self.assertEqual(self.pattern(7), "..xx...")
        self.assertEqual((self.fault()["seen"], self.fault()["fired"]), (7, 2))

    def test_every_and_count(self):
        self.create()
        self.on("inject.set", op="map", every=3, count=2)
        self.assertEqual(self.pattern(10), "..x..x....")
        self.assertEqual((self.fault()["seen"], self.fault()["fired"]), (10, 2))

    def test_a_large_count_never_ends(self):
        self.create()
        self.on("inject.set", op="map", every=1, count=1 << 53)
        self.assertEqual(self.pattern(50), "x" * 50)

    def test_within_chooses_what_touches_it(self):
        self.create()
        self.on("inject.set", op="map", count=100, within=[0x10000, 0x12000])
        self.assertEqual(self.pattern(1, start=0xf000) + self.pattern(1, start=0x12000), "..")
        self.assertEqual(self.pattern(1, start=0x10000) + self.pattern(1, start=0x11000), "xx")
        self.assertEqual(self.pattern(1, start=0xe000, size=0x10000), "x")
        self.assertEqual(self.fault()["seen"], 3)

    def test_frames_within_are_those_taken_for_its_pages(self):
        self.create()
        self.on("inject.set", op="frame", within=[0x12000, 0x13000], error="NoMemory")
        error = self.refused_unchanged(NO_MEMORY, "area.map", start=0x10000, size=8 * PAGE, flags="rw-",
                                       backing="eager")
        self.assertEqual(error["message"], "injected fault 1 (frame) refused the range from 0x12000 to 0x12fff")
        self.on("area.map", start=0x10000, size=8 * PAGE, flags="rw-", backing="eager")
        self.assertEqual(self.fault()["seen"], 2)

    def test_a_lazy_page_that_could_not_be_filled_is_filled_the_next_time(self):
        self.create()
        self.map()
        self.on("inject.set", op="frame", nth=4)
        before = self.state()
        self.refused(BAD_STATE, "memory.access", space=self.space, addr=0x10000, kind="read")
        self.assertEqual(self.state(), before)
        self.assertEqual(self.on("memory.access", addr=0x10000, kind="read")["outcome"], "filled")
        self.assertEqual(self.on("memory.access", addr=0x10000, kind="read")["outcome"], "hit")

    def test_a_dry_run_meets_the_faults_and_uses_none_up(self):
        self.create()
        self.on("inject.set", op="map", nth=2)
        self.on("inject.set", op="frame", every=2, count=9)
        ops = [{"method": "area.map", "params": {"start": start, "size": PAGE, "flags": "rw-"}}
               for start in (0x10000, 0x20000)]
        before = self.on("inject.list"), self.state()
        for _ in range(3):
            refused = self.on("space.apply", ops=ops, dry_run=True)["would"]["refused"]
            self.assertEqual((refused["operation"], refused["name"]), (1, "BadState"))
            self.assertIn("injected fault 1 (map)", refused["message"])
            self.assertEqual((self.on("inject.list"), self.state()), before)
        self.refused_unchanged(BAD_STATE, "space.apply", ops=ops)
        self.assertIsNone(self.on("space.apply", ops=ops, dry_run=True)["would"]["refused"])
        self.assertEqual((self.fault()["seen"], self.fault()["fired"]), (2, 1))

    def test_inject_is_no_operation_of_apply(self):
        self.create()
        self.refused(INVALID_PARAMS, "space.apply", space=self.space,
                     ops=[{"method": "inject.set", "params": {"op": "map"}}])

    def test_faults_of_one_space_leave_others_alone(self):
        self.create()
        other = self.space + "-other"
        self.call("space.create", name=other)
        self.addCleanup(self.forget, other)
        self.on("inject.set", op="map")
        self.call("area.map", space=other, start=0x10000, size=PAGE, flags="rw-")
        self.assertEqual(self.call("inject.list", space=other), {"faults": []})
        self.assertEqual(self.fault()["seen"], 0)

    def test_faults_are_no_part_of_the_space(self):
        self.create()
        self.map()
        before = self.state()
        self.on("inject.set", op="unmap", nth=2)
        self.on("inject.clear")
        self.on("inject.set", op="unmap", nth=2)
        self.assertEqual(self.state(), before)
        self.on("space.clear")
        self.assertEqual(self.fault()["seen"], 1)

    def test_ids_are_never_used_again_and_a_new_space_starts_from_1(self):
        self.create()
        for expected in (1, 2, 3):
            self.assertEqual(self.on("inject.set", op="map")["id"], expected)
        self.assertEqual(self.on("inject.clear", id=3), {"cleared": 1})
        self.assertEqual(self.on("inject.clear"), {"cleared": 2})
        self.assertEqual(self.on("inject.clear"), {"cleared": 0})
        self.assertEqual(self.on("inject.set", op="map")["id"], 4)
        self.call("space.destroy", space=self.space)
        self.create()
        self.assertEqual(self.on("inject.list"), {"faults": []})
        self.assertEqual(self.on("inject.set", op="map")["id"], 1)

    def test_bad_params(self):
        self.create()
        good = {"space": self.space, "op": "map"}
        for code, param, bad in (
                (INVALID_PARAMS, "op", {"op": "split"}), (INVALID_PARAMS, "op", {"op": 1}),
                (INVALID_PARAMS, "every", {"nth": 1, "every": 2}), (INVALID_PARAM, "nth", {"nth": 0}),
                (INVALID_PARAM, "every", {"every": 0}), (INVALID_PARAM, "count", {"count": 0}),
                (INVALID_PARAMS, "nth", {"nth": -1}), (INVALID_PARAMS, "nth", {"nth": "1"}),
                (INVALID_PARAMS, "count", {"count": 1.5}), (INVALID_PARAMS, "error", {"error": "ParseError"}),
                (INVALID_PARAMS, "error", {"error": 3}), (INVALID_PARAMS, "within", {"within": ["0x1000"]}),
                (INVALID_PARAM, "within", {"within": [0x1001, 0x3000]}),
                (INVALID_PARAM, "within", {"within": [0x3000, 0x3000]}),
                (INVALID_PARAM, "within", {"within": ["0x1000", "0xfffffffffffff000"]}),
        ):
            with self.subTest(bad=bad):
                self.assertEqual(self.refused(code, "inject.set", dict(good, **bad))["data"]["param"], param)
        self.assertEqual(self.on("inject.list"), {"faults": []})
        self.refused(INVALID_PARAMS, "inject.set", space=self.space)
        self.refused(INVALID_PARAMS, "inject.set", space=self.space, op="map", if_generation=0)
        self.assertEqual(self.refused(NOT_FOUND, "inject.clear", space=self.space, id=1)["data"]["param"], "id")
        for method in ("inject.set", "inject.clear", "inject.list"):
            self.refused(NOT_FOUND, method, dict({"space": "nobody"}, **({"op": "map"} if method[-3:] == "set" else {})))


class Limits(harness.DaemonCase):
    options = ("--max-faults", "3")

    def test_the_limit_is_kept_and_told(self):
        self.assertEqual(self.call("daemon.info")["limits"]["max_faults"], 3)
        self.create()
        for _ in range(3):
            self.on("inject.set", op="map")
        error = self.refused(NO_MEMORY, "inject.set", space=self.space, op="map")
        self.assertIn("--max-faults", error["data"]["hint"])
        self.on("inject.clear", id=2)
        self.assertEqual(self.on("inject.set", op="map")["id"], 4)


if __name__ == "__main__":
    harness.main()
