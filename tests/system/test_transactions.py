"""Several edits as one, moves, and edits by tag: through the socket and on the command line."""
import json
import subprocess

import harness
from harness import (ALREADY_EXISTS, ASPACECTL, CONFLICT, INVALID_PARAM, INVALID_PARAMS, NOT_FOUND, NO_MEMORY, PAGE,
                     PATIENCE, UNSUPPORTED, b64, hexa)

BASE = 0x10000


def area(start, size, flags="rw-", backing="lazy", **more):
    return dict({"start": hexa(start), "end": hexa(start + size), "size": hexa(size), "flags": flags,
                 "backing": backing}, **more)


def op(method, **params):
    return {"method": method, "params": params}


def map_op(start, size=PAGE, flags="rw-", **more):
    return op("area.map", start=start, size=size, flags=flags, **more)


class TransactionCase(harness.DaemonCase):
    def map(self, start, size=PAGE, flags="rw-", **more):
        return self.on("area.map", start=start, size=size, flags=flags, **more)

    def apply(self, *ops, **more):
        return self.on("space.apply", ops=list(ops), **more)

    def generation(self):
        return self.on("space.info")["generation"]

    def starts(self, **more):
        return [int(one["start"], 16) for one in self.on("area.list", **more)["areas"]]

    def prepared(self):
        """Areas of every backing, tagged, with bytes in them and a page never touched."""
        self.create(ram="4M")
        self.map(BASE, 4 * PAGE, tag="text")
        self.map(BASE + 0x10000, 2 * PAGE, backing="eager", tag="data")
        self.map(BASE + 0x20000, 2 * PAGE, "r--", backing="linear", pa=0x3000)
        self.map(BASE + 0x30000, PAGE, "r-x", tag="text")
        self.on("memory.write", addr=BASE + PAGE - 3, data=b64(b"across two pages"))
        self.on("memory.write", addr=BASE + 0x10000, data=b64(b"eager"))

    def deep_state(self):
        """What state() has, and the tables and bytes behind every area."""
        state = self.state()
        state["walks"] = [self.on("page.walk", addr=BASE + at * PAGE)
                          for at in (0, 1, 2, 5, 0x10, 0x11, 0x20, 0x21, 0x30, 0x40)]
        state["bytes"] = [self.on("memory.read", addr=BASE + at, size=size)
                          for at, size in ((0, 3 * PAGE), (0x10000, 2 * PAGE), (0x20000, 16), (0x30000, 16))]
        state["check"] = self.on("space.check")
        self.assertTrue(state["check"]["ok"], state["check"])
        return state


# ---- space.apply ----

# Each works after the ones before it on what prepared() made.
EDITS = [
    map_op(BASE + 0x40000, 3 * PAGE, backing="eager", tag="new"),
    op("area.unmap", start=BASE + PAGE, size=PAGE),
    op("area.protect", start=BASE + 2 * PAGE, size=PAGE, flags="r--"),
    op("area.shrink", start=BASE + 0x10000, new_size=PAGE, side="left"),
    op("area.split", at=BASE + 0x40000 + PAGE),
    op("area.merge", start=BASE + 0x40000, size=3 * PAGE),
    op("area.move", start=BASE + 0x11000, new_start=BASE + 0x50000, new_size=2 * PAGE),
    op("area.protect", tag="text", flags="-w"),
    op("area.unmap", tag="text"),
    op("space.clear"),
]
REFUSED = [
    (ALREADY_EXISTS, map_op(BASE + 0x20000)),
    (NO_MEMORY, op("area.map", start=BASE + 0x900000, size="1G", flags="rw-", backing="eager")),
    (INVALID_PARAM, op("area.unmap", start=1, size=PAGE)),
    (NOT_FOUND, op("area.unmap", start=BASE + 0x60000, size=PAGE, holes="refuse")),
    (NOT_FOUND, op("area.shrink", start=BASE + 0x60000, new_size=PAGE, side="left")),
    (NOT_FOUND, op("area.move", start=BASE + 0x60000, new_size=PAGE)),
    (CONFLICT, op("area.unmap", start=BASE, size=PAGE, if_generation=999)),
]


class Apply(TransactionCase):
    def test_the_results_are_those_of_the_edits_alone_and_there_is_one_generation(self):
        self.create()
        got = self.apply(
            map_op(BASE, 4 * PAGE, tag="t"),
            op("area.protect", start=BASE, size=PAGE, flags="r--"),
            op("area.unmap", start=BASE + 3 * PAGE, size=PAGE),
            op("area.move", start=BASE, new_start=BASE + 0x10000))
        self.assertEqual(got, {"results": [
            {"start": hexa(BASE), "area": area(BASE, 4 * PAGE, tag="t"), "generation": 1},
            {"changed": 1, "generation": 1},
            {"unmapped": "0x1000", "removed": 0, "generation": 1},
            {"area": area(BASE + 0x10000, PAGE, "r--", tag="t"), "generation": 1},
        ], "generation": 1})
        self.assertEqual(self.on("area.list")["areas"],
                         [area(BASE + PAGE, 2 * PAGE, tag="t"), area(BASE + 0x10000, PAGE, "r--", tag="t")])
        self.assertEqual(self.generation(), 1)
        self.check()

    def test_params_go_by_name_and_by_position_outside_and_inside(self):
        self.create()
        self.call("space.apply", [self.space, [map_op(BASE)]])
        # By position the operation's params are the method's without space.
        self.apply({"method": "area.unmap", "params": [BASE, PAGE]})
        self.assertEqual(self.starts(), [])
        dry = self.call("space.apply", [self.space, [map_op(BASE)], True])
        self.assertIn("would", dry)
        self.assertEqual(self.starts(), [])

    def test_a_refusal_of_any_kind_after_any_number_of_edits_changes_nothing(self):
        self.prepared()
        before = self.deep_state()
        for count in (0, 1, 4, 7):
            for code, bad in REFUSED:
                with self.subTest(count=count, bad=bad):
                    error = self.refused(code, "space.apply", space=self.space, ops=EDITS[:count] + [bad, EDITS[-1]])
                    self.assertTrue(error["message"].startswith("operation %d: " % count), error)
                    self.assertEqual(error["data"]["operation"], count)
                    self.assertEqual(self.deep_state(), before)

    def test_a_refusal_at_each_operation_changes_nothing(self):
        self.prepared()
        before = self.deep_state()
        for count in range(len(EDITS) + 1):
            with self.subTest(count=count):
                self.refused(INVALID_PARAM, "space.apply", space=self.space,
                             ops=EDITS[:count] + [op("area.unmap", start=1, size=PAGE)])
                self.assertEqual(self.deep_state(), before)
        self.assertEqual(self.apply(*EDITS)["generation"], before["info"]["generation"] + 1)
        self.assertEqual(self.starts(), [])
        self.check()
        self.assertEqual(self.on("space.info")["resident"], "0x0")

    def test_the_area_in_the_way_is_told_if_it_still_is_there(self):
        self.create()
        self.map(BASE, PAGE, "r--", tag="old")
        there = self.on("area.list")["areas"][0]
        again = map_op(BASE, tag="new")
        error = self.refused(ALREADY_EXISTS, "space.apply", space=self.space, ops=[map_op(BASE + PAGE), again])
        self.assertEqual(error["data"]["conflict"], there)
        # Here it is an area that the transaction made, where now the old one is again, or nothing.
        for ops in ([op("area.unmap", start=BASE, size=PAGE), again, again], [map_op(BASE + PAGE)] * 2):
            error = self.refused(ALREADY_EXISTS, "space.apply", space=self.space, ops=ops)
            self.assertNotIn("conflict", error["data"])

    def test_frames_used_up_midway_are_all_given_back(self):
        self.create(ram="64K")
        self.map(BASE, PAGE, backing="eager")
        before = self.state()
        ops = [map_op(BASE + 0x100000 * i, 2 * PAGE, backing="eager") for i in range(1, 20)]
        error = self.refused(NO_MEMORY, "space.apply", space=self.space, ops=ops)
        self.assertIn("hint", error["data"])
        self.assertEqual(self.state(), before)
        self.check()

    def test_no_operations_change_nothing(self):
        self.create()
        self.map(BASE)
        self.assertEqual(self.apply(), {"results": [], "generation": 1})
        self.assertEqual(self.apply(dry_run=True)["results"], [])
        self.assertEqual(self.generation(), 1)

    def test_operations_that_change_nothing_keep_the_generation(self):
        self.create()
        self.map(BASE)
        got = self.apply(op("area.unmap", start=BASE + PAGE, size=PAGE), op("area.unmap", tag="nobody's"))
        self.assertEqual(got["generation"], 1)
        self.assertEqual([one["generation"] for one in got["results"]], [1, 1])

    def test_five_thousand_operations_are_one_generation(self):
        self.create()
        ops = [map_op(BASE + 2 * PAGE * i, tag="t") for i in range(5000)]
        got = self.apply(*ops)
        self.assertEqual(len(got["results"]), 5000)
        self.assertEqual(got["generation"], 1)
        info = self.on("space.info")
        self.assertEqual((info["areas"], info["generation"]), (5000, 1))
        before = self.state()
        ops = [op("area.unmap", start=BASE + 2 * PAGE * i, size=PAGE) for i in range(4999)] + [map_op(1)]
        error = self.refused(INVALID_PARAM, "space.apply", space=self.space, ops=ops)
        self.assertTrue(error["message"].startswith("operation 4999: "), error)
        self.assertEqual(self.state(), before)
        self.check()

    def test_wrong_operations_are_invalid_params(self):
        self.create()
        self.map(BASE)
        wrong = [
            5, "area.map", {}, None, [5], ["area.unmap"], [{}], [[]], [None],
            [{"method": 5}], [{"params": {}}], [{"method": "area.none", "params": {}}],
            [{"method": "area.list", "params": {}}], [{"method": "daemon.shutdown"}], [{"method": "space.destroy"}],
            [{"method": "memory.write", "params": {"addr": BASE, "hex": "00"}}],
            [op("space.apply", ops=[])], [op("area.map")], [op("area.map", start="x", size=PAGE, flags="rw-")],
            [op("area.unmap", start=BASE, size=PAGE, space=self.space)],
            [dict(op("area.unmap", start=BASE, size=PAGE), more=1)],
            [{"method": "area.unmap", "params": 5}], [op("area.unmap", start=BASE, size=PAGE, nobody=1)],
        ]
        for ops in wrong:
            with self.subTest(ops=ops):
                self.refused_unchanged(INVALID_PARAMS, "space.apply", ops=ops)
                if isinstance(ops, list):
                    self.refused_unchanged(INVALID_PARAMS, "space.apply",
                                           ops=[op("area.unmap", start=BASE, size=PAGE)] + ops)
        self.refused_unchanged(INVALID_PARAMS, "space.apply")
        self.refused_unchanged(INVALID_PARAMS, "space.apply", ops=[], dry_run="yes")
        self.refused(NOT_FOUND, "space.apply", space="nobody", ops=[])

    def test_an_operation_that_is_an_array_ends_the_daemon_in_no_way(self):
        self.create()
        for items in (49, 4979, 4980, 5000):  # also where the tokens fill their list, or end in a fresh part of it
            for ops in ([[1] * items], [op("space.clear"), [1, 1, 1, [1]] + [1] * items]):
                self.refused(INVALID_PARAMS, "space.apply", space=self.space, ops=ops)
                self.peer.send(json.dumps([json.loads(harness.request_text(
                    "space.apply", {"space": self.space, "ops": ops}))]) + "\n")
                self.assertError(self.peer.reply()[0]["error"], INVALID_PARAMS)

    def test_if_generation_is_looked_at_outside_and_inside(self):
        self.create()
        self.map(BASE)
        self.refused_unchanged(CONFLICT, "space.apply", ops=[map_op(BASE + PAGE)], if_generation=0)
        self.apply(map_op(BASE + PAGE), if_generation=1)
        # Inside it is the generation that the space has: nothing is visible before the end.
        self.refused_unchanged(CONFLICT, "space.apply", ops=[map_op(BASE + 2 * PAGE, if_generation=1)])
        self.apply(map_op(BASE + 2 * PAGE, if_generation=2), map_op(BASE + 3 * PAGE, if_generation=2))
        self.assertEqual(self.generation(), 3)

    def test_a_notification_is_done_and_not_answered(self):
        self.create()
        request = {"jsonrpc": "2.0", "method": "space.apply",
                   "params": {"space": self.space, "ops": [map_op(BASE), map_op(BASE + PAGE)]}}
        self.peer.send(json.dumps(request) + "\n")
        self.assertEqual(self.generation(), 1)
        request["params"]["ops"] = [map_op(BASE + 2 * PAGE), map_op(BASE)]
        self.peer.send(json.dumps(request) + "\n")
        self.assertEqual(self.starts(), [BASE, BASE + PAGE])

    def test_tags_of_a_refused_or_dry_transaction_leave_the_others_alone(self):
        self.create()
        self.map(BASE, tag="kept")
        new = [map_op(BASE + 2 * PAGE * i, tag="tag %d" % i) for i in range(1, 300)]
        # The area with the only use of its tag goes first, then many tags come, then all is taken back.
        gone = op("area.unmap", start=BASE, size=PAGE)
        before = self.state()
        for _ in range(3):
            self.refused(INVALID_PARAM, "space.apply", space=self.space, ops=[gone] + new + [map_op(1)])
            self.assertEqual(self.state(), before)
            self.assertIsNone(self.apply(gone, *new, dry_run=True)["would"]["refused"])
            self.assertEqual(self.state(), before)
        self.apply(gone, *new)
        self.assertEqual(self.starts(tag="tag 7"), [BASE + 14 * PAGE])
        self.assertEqual(self.starts(tag="kept"), [])

    def test_the_space_goes_on_after_many_refusals(self):
        self.prepared()
        before = self.deep_state()
        for _ in range(50):
            self.refused(INVALID_PARAM, "space.apply", space=self.space, ops=EDITS[:8] + [map_op(1)])
        self.assertEqual(self.deep_state(), before)


class DryRun(TransactionCase):
    def would(self, *ops):
        before = self.state()
        got = self.apply(*ops, dry_run=True)
        self.assertEqual(self.state(), before)
        self.assertEqual(got["generation"], before["info"]["generation"])
        self.check()
        self.assertEqual(set(got["would"]), {"split", "merged", "removed", "areas", "frames", "tables", "refused"})
        return got["would"]

    def test_it_counts_what_would_happen_and_changes_nothing(self):
        self.create()
        self.map(BASE, 4 * PAGE)
        self.map(BASE + 0x10000, PAGE)
        quiet = {"split": 0, "merged": 0, "removed": 0, "areas": 0, "frames": 0, "tables": 0, "refused": None}
        self.assertEqual(self.would(), quiet)
        self.assertEqual(self.would(map_op(BASE + 0x20000)), dict(quiet, areas=1))
        self.assertEqual(self.would(map_op(BASE + 0x20000, 3 * PAGE, backing="eager")),
                         dict(quiet, areas=1, frames=3, tables=3))
        self.assertEqual(self.would(op("area.unmap", start=BASE + PAGE, size=PAGE)), dict(quiet, areas=1, split=2))
        self.assertEqual(self.would(op("area.unmap", start=BASE, size="64K"), op("space.clear")),
                         dict(quiet, areas=-2, removed=2))
        self.assertEqual(self.would(op("area.split", at=BASE + PAGE)), dict(quiet, areas=1, split=1))
        self.assertEqual(self.would(op("area.split", at=BASE + PAGE), op("area.merge", start=BASE, size=4 * PAGE)),
                         dict(quiet, split=1, merged=1))
        self.assertEqual(self.would(op("area.protect", start=BASE, size=PAGE, flags="r--")),
                         dict(quiet, areas=1, split=1))
        self.assertEqual(self.would(map_op(BASE + 2 * PAGE, 0x10000, overlap="replace")),
                         dict(quiet, split=1, removed=1))

    def test_it_counts_what_a_move_replaces(self):
        self.create()
        self.map(BASE, PAGE)
        self.map(BASE + 0x10000, PAGE)
        self.map(BASE + 0x20000, 3 * PAGE)
        would = self.would(op("area.move", start=BASE, new_start=BASE + 0x10000, overlap="replace"),
                           op("area.move", start=BASE + 0x10000, new_start=BASE + 0x21000, overlap="replace"))
        self.assertEqual((would["removed"], would["split"], would["areas"]), (1, 2, 0))

    def test_the_figures_are_those_of_the_real_run(self):
        self.prepared()
        info, frames = self.on("space.info"), self.call("daemon.stats")["frames"]
        would = self.would(*EDITS[:1])
        self.apply(*EDITS[:1])
        after, now = self.on("space.info"), self.call("daemon.stats")["frames"]
        self.assertEqual(would["areas"], after["areas"] - info["areas"])
        self.assertEqual(would["frames"], now["data"] - frames["data"])
        self.assertEqual(would["tables"], now["tables"] - frames["tables"])

    def test_it_tells_the_first_refusal_and_the_results_up_to_it(self):
        self.create()
        before = self.state()
        got = self.apply(map_op(BASE), map_op(BASE), map_op(1), dry_run=True)
        self.assertEqual(self.state(), before)
        self.assertEqual(len(got["results"]), 1)
        refused = got["would"]["refused"]
        self.assertEqual((refused["operation"], refused["code"], refused["name"]), (1, ALREADY_EXISTS, "AlreadyExists"))
        self.assertTrue(refused["message"].startswith("operation 1: "), refused)
        self.assertEqual(got["would"]["areas"], 1)

    def test_an_operation_that_is_none_is_told_too(self):
        self.create()
        for bad in (5, {"method": "area.none"}, op("area.map", start=5)):
            refused = self.apply(map_op(BASE), bad, dry_run=True)["would"]["refused"]
            self.assertEqual((refused["operation"], refused["code"]), (1, INVALID_PARAMS), bad)
        self.assertEqual(self.starts(), [])

    def test_if_generation_is_looked_at(self):
        self.create()
        self.refused_unchanged(CONFLICT, "space.apply", ops=[], dry_run=True, if_generation=1)


# ---- area.move ----

class Move(TransactionCase):
    def test_results_of_every_kind(self):
        self.create()
        self.map(BASE, 4 * PAGE, tag="t")
        moved = BASE + 0x10000
        steps = [
            (dict(start=BASE, new_start=moved), area(moved, 4 * PAGE, tag="t")),
            (dict(start=moved, new_size=6 * PAGE), area(moved, 6 * PAGE, tag="t")),
            (dict(start=moved, new_size=2 * PAGE), area(moved, 2 * PAGE, tag="t")),
            (dict(start=moved, new_start=BASE, new_size=5 * PAGE), area(BASE, 5 * PAGE, tag="t")),
            (dict(start=BASE, new_start=moved, new_size="4K"), area(moved, PAGE, tag="t")),
        ]
        for generation, (params, result) in enumerate(steps, 2):
            self.assertEqual(self.on("area.move", **params), {"area": result, "generation": generation})
            self.assertEqual(self.on("area.list")["areas"], [result])
            self.check()
        self.assertEqual(self.on("area.move", start=moved, new_size=PAGE)["generation"], 6) # nothing to do

    def test_by_position(self):
        self.create()
        self.map(BASE)
        self.assertEqual(self.call("area.move", [self.space, BASE, BASE + PAGE])["area"], area(BASE + PAGE, PAGE))

    def test_contents_go_along_and_frames_stay(self):
        self.create()
        self.map(BASE, 4 * PAGE)
        self.on("memory.write", addr=BASE + PAGE - 2, data=b64(b"four"))
        pa = self.on("page.walk", addr=BASE)["pa"]
        frames = self.call("daemon.stats")["frames"]["data"]
        new = 0x7f0000000000
        self.on("area.move", start=BASE, new_start=new)
        self.assertEqual(self.on("memory.read", addr=new + PAGE - 2, size=4)["data"], b64(b"four"))
        self.assertEqual(self.on("page.walk", addr=new)["pa"], pa)
        self.assertIsNone(self.on("page.walk", addr=BASE)["pa"])
        self.assertEqual(self.call("daemon.stats")["frames"]["data"], frames)
        self.check()

    def test_a_linear_area_keeps_its_physical_addresses(self):
        self.create()
        self.map(BASE, 2 * PAGE, backing="linear", pa=0x40000000)
        got = self.on("area.move", start=BASE, new_start=BASE + 0x100000, new_size=3 * PAGE)
        self.assertEqual(got["area"], area(BASE + 0x100000, 3 * PAGE, backing="linear", pa="0x40000000"))
        self.assertEqual(self.on("page.walk", addr=BASE + 0x102000)["pa"], "0x40002000")
        self.check()

    def test_replace_removes_what_is_in_the_way(self):
        self.create()
        self.map(BASE, 2 * PAGE)
        self.map(BASE + 0x10000, 4 * PAGE, "r--", backing="eager")
        error = self.refused_unchanged(ALREADY_EXISTS, "area.move", start=BASE, new_start=BASE + 0x11000)
        self.assertEqual(error["data"]["conflict"], area(BASE + 0x10000, 4 * PAGE, "r--", "eager"))
        self.on("area.move", start=BASE, new_start=BASE + 0x11000, overlap="replace")
        self.assertEqual(self.areas(), [(BASE + 0x10000, BASE + 0x11000, "r--"), (BASE + 0x11000, BASE + 0x13000, "rw-"),
                                        (BASE + 0x13000, BASE + 0x14000, "r--")])
        self.check()

    def test_growth_in_place_stops_at_a_neighbour_or_replaces_it(self):
        self.create()
        self.map(BASE, PAGE)
        self.map(BASE + PAGE, PAGE, "r--")
        self.refused_unchanged(ALREADY_EXISTS, "area.move", start=BASE, new_size=2 * PAGE)
        self.on("area.move", start=BASE, new_size=2 * PAGE, overlap="replace")
        self.assertEqual(self.areas(), [(BASE, BASE + 2 * PAGE, "rw-")])

    def test_merge_auto_joins_at_the_new_place(self):
        self.create(merge="auto")
        self.map(BASE, PAGE)
        self.map(BASE + 0x10000, PAGE)
        got = self.on("area.move", start=BASE + 0x10000, new_start=BASE + PAGE)
        self.assertEqual(got["area"], area(BASE, 2 * PAGE))

    def test_refusals(self):
        self.create()
        self.map(BASE, 4 * PAGE)
        for code, params in [
                (INVALID_PARAM, dict(start=BASE, new_start=BASE)),
                (INVALID_PARAM, dict(start=BASE, new_start=BASE + PAGE)),
                (INVALID_PARAM, dict(start=BASE, new_start=BASE - PAGE, overlap="replace")),
                (INVALID_PARAM, dict(start=BASE)),
                (INVALID_PARAM, dict(start=BASE, new_size=0)),
                (INVALID_PARAM, dict(start=BASE, new_size=PAGE + 1)),
                (INVALID_PARAM, dict(start=BASE, new_start=BASE + 0x10001)),
                (INVALID_PARAM, dict(start=BASE + 1, new_start=BASE + 0x10000)),
                (INVALID_PARAM, dict(start=BASE, new_start="0x7ffffffff000")),
                (INVALID_PARAM, dict(start=BASE, new_start="0xfffffffffffff000")),
                (INVALID_PARAM, dict(start=BASE, new_size="0x800000000000")),
                (INVALID_PARAM, dict(start=BASE, new_size="0xfffffffffffff000")),
                (NOT_FOUND, dict(start=BASE + PAGE, new_start=BASE + 0x10000)),
                (NOT_FOUND, dict(start=BASE + 0x20000, new_start=BASE + 0x10000)),
                (CONFLICT, dict(start=BASE, new_start=BASE + 0x10000, if_generation=7)),
                (INVALID_PARAMS, dict(new_start=BASE)),
                (INVALID_PARAMS, dict(start=BASE, new_start="here")),
                (INVALID_PARAMS, dict(start=BASE, new_start=BASE + 0x10000, overlap="maybe")),
                (INVALID_PARAMS, dict(start=BASE, new_start=BASE + 0x10000, size=PAGE))]:
            with self.subTest(params=params):
                self.refused_unchanged(code, "area.move", **params)
        self.refused(NOT_FOUND, "area.move", space="nobody", start=BASE, new_size=PAGE)

    def test_ram_used_up_for_tables_changes_nothing(self):
        self.create(ram="24K") # a root, three tables for what is mapped, one page, and one frame more
        self.map(BASE, PAGE, backing="eager")
        self.on("memory.write", addr=BASE, data=b64(b"here"))
        self.refused_unchanged(NO_MEMORY, "area.move", start=BASE, new_start="0x7f0000000000")
        self.assertEqual(self.on("memory.read", addr=BASE, size=4)["data"], b64(b"here"))


# ---- by tag ----

class Tags(TransactionCase):
    def setUp(self):
        super().setUp()
        self.create()
        for i, tag in enumerate(("a", "b", "a", "b", "a")):
            self.map(BASE + i * PAGE, tag=tag)
        self.map(BASE + 0x10000)

    def test_unmap_takes_every_area_of_the_tag_in_one_generation(self):
        self.assertEqual(self.on("area.unmap", tag="a"), {"unmapped": "0x3000", "removed": 3, "generation": 7})
        self.assertEqual(self.starts(), [BASE + PAGE, BASE + 3 * PAGE, BASE + 0x10000])
        self.check()

    def test_protect_changes_every_area_of_the_tag_in_one_generation(self):
        self.on("area.protect", start=BASE, size=PAGE, flags="r--")
        self.assertEqual(self.on("area.protect", tag="a", flags="-w"), {"changed": 2, "generation": 8})
        self.assertEqual([flags for _, _, flags in self.areas()], ["r--", "rw-", "r--", "rw-", "r--", "rw-"])
        self.assertEqual(self.on("area.protect", tag="a", flags="-w"), {"changed": 0, "generation": 8})

    def test_list_gives_those_of_the_tag_alone_and_goes_on_where_it_stopped(self):
        self.assertEqual(self.starts(tag="b"), [BASE + PAGE, BASE + 3 * PAGE])
        self.assertEqual(self.starts(tag="a", start=BASE + PAGE), [BASE + 2 * PAGE, BASE + 4 * PAGE])
        page = self.on("area.list", tag="a", limit=2)
        self.assertEqual([one["start"] for one in page["areas"]], [hexa(BASE), hexa(BASE + 2 * PAGE)])
        self.assertEqual(self.starts(tag="a", start=page["next"]), [BASE + 4 * PAGE])

    def test_an_unknown_tag_changes_nothing(self):
        before = self.state()
        self.assertEqual(self.on("area.unmap", tag="c"), {"unmapped": "0x0", "removed": 0, "generation": 6})
        self.assertEqual(self.on("area.protect", tag="c", flags="-w"), {"changed": 0, "generation": 6})
        self.assertEqual(self.on("area.list", tag="c"), {"areas": [], "next": None})
        self.assertEqual(self.state(), before)

    def test_a_tag_beside_a_range_is_refused_and_so_is_neither(self):
        for more in (dict(start=BASE), dict(size=PAGE), dict(start=BASE, size=PAGE)):
            self.refused_unchanged(INVALID_PARAMS, "area.unmap", tag="a", **more)
            self.refused_unchanged(INVALID_PARAMS, "area.protect", tag="a", flags="r--", **more)
        for some in (dict(), dict(start=BASE), dict(size=PAGE)):
            self.refused_unchanged(INVALID_PARAMS, "area.unmap", **some)
            self.refused_unchanged(INVALID_PARAMS, "area.protect", flags="r--", **some)
        self.refused_unchanged(INVALID_PARAMS, "area.unmap", tag=5)
        self.refused_unchanged(INVALID_PARAMS, "area.unmap", tag=None)

    def test_they_work_inside_a_transaction(self):
        got = self.apply(map_op(BASE + 0x20000, tag="new"), op("area.protect", tag="new", flags="r--"),
                         op("area.unmap", tag="a"))
        self.assertEqual(got["results"][1], {"changed": 1, "generation": 7})
        self.assertEqual(got["results"][2], {"unmapped": "0x3000", "removed": 3, "generation": 7})
        self.check()


# ---- the command line ----

class CommandLine(TransactionCase):
    def ctl(self, *arguments, stdin="", status=0):
        result = subprocess.run([ASPACECTL, "--socket", self.daemon.path, *[str(one) for one in arguments]],
                                input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE * 2,
                                encoding="utf-8")
        self.assertEqual(result.returncode, status, result)
        return result.stderr if status else result.stdout

    def result(self, *arguments, **more):
        return json.loads(self.ctl("--json", *arguments, **more))

    def test_apply(self):
        self.create()
        ops = json.dumps([map_op(BASE), map_op(BASE + PAGE)])
        self.assertEqual(self.result("apply", self.space, ops)["generation"], 1)
        self.assertEqual(self.result("apply", self.space, "-", stdin="[]"), {"results": [], "generation": 1})
        self.assertIn("AlreadyExists", self.ctl("apply", self.space, ops, status=1))
        dry = self.result("apply", self.space, ops, "--dry-run")
        self.assertEqual(dry["would"]["refused"]["operation"], 0)
        self.assertTrue(self.ctl("apply", self.space, "[{]", status=2))
        self.assertTrue(self.ctl("apply", self.space, status=2))
        self.assertTrue(self.ctl("apply", self.space, "[]"))

    def test_move(self):
        self.create()
        self.map(BASE)
        got = self.result("move", self.space, hexa(BASE), "--new-start", hexa(BASE + 0x10000), "--new-size", "8K")
        self.assertEqual(got, {"area": area(BASE + 0x10000, 2 * PAGE), "generation": 2})
        self.map(BASE)
        self.assertIn("AlreadyExists", self.ctl("move", self.space, hexa(BASE), "--new-start", hexa(BASE + 0x10000),
                                                status=1))
        self.ctl("move", self.space, hexa(BASE), "--new-start", hexa(BASE + 0x10000), "--replace")
        self.assertEqual(self.starts(), [BASE + 0x10000, BASE + 0x11000])

    def test_unmap_protect_and_areas_by_tag(self):
        self.create()
        self.map(BASE, tag="a")
        self.map(BASE + PAGE)
        self.map(BASE + 2 * PAGE, tag="a")
        self.assertEqual([one["start"] for one in self.result("areas", self.space, "--tag", "a")["areas"]],
                         [hexa(BASE), hexa(BASE + 2 * PAGE)])
        self.assertEqual(self.result("protect", self.space, "r--", "--tag", "a"), {"changed": 2, "generation": 4})
        self.assertEqual(self.result("protect", self.space, "+x", "--tag=a")["changed"], 2)
        self.assertEqual(self.result("unmap", self.space, "--tag", "a"),
                         {"unmapped": "0x2000", "removed": 2, "generation": 6})
        self.assertTrue(self.ctl("unmap", self.space, status=2))
        self.assertNotEqual(self.ctl("unmap", self.space, hexa(BASE), "4K", "--tag", "a", status=2), "")


if __name__ == "__main__":
    harness.main()
