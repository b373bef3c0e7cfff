"""Every method: its result exactly as the protocol gives it, and every refusal that it lists."""
import base64

import harness
from harness import (ALREADY_EXISTS, CONFLICT, INVALID_PARAM, INVALID_PARAMS, NOT_FOUND, NO_MEMORY, UNSUPPORTED, b64,
                     hexa)

TOP = 0x800000000000
METHODS = {
    "rpc.discover", "daemon.ping", "daemon.info", "daemon.stats", "daemon.shutdown", "space.create", "space.destroy",
    "space.clear", "space.list", "space.info", "space.check", "area.map", "area.unmap", "area.protect", "area.shrink",
    "area.split", "area.merge", "area.move", "space.apply", "area.find", "area.find_free", "area.overlaps", "area.list", "page.walk",
    "memory.access", "memory.read", "memory.write",
    "inject.set", "inject.clear", "inject.list",
}


def area(start, size, flags="rw-", backing="lazy", **more):
    return dict({"start": hexa(start), "end": hexa(start + size), "size": hexa(size), "flags": flags,
                 "backing": backing}, **more)


class DaemonMethods(harness.DaemonCase):
    def test_ping_gives_an_empty_object(self):
        self.assertEqual(self.call("daemon.ping"), {})

    def test_info_says_who_it_is_and_what_its_limits_are(self):
        info = self.call("daemon.info")
        self.assertEqual(set(info), {"name", "version", "protocol", "pid", "uptime_ms", "backends", "limits"})
        self.assertEqual(info["name"], "aspaced")
        self.assertRegex(info["version"], r"^\d+\.\d+\.\d+$")
        self.assertEqual(info["protocol"], 1)
        self.assertEqual(info["pid"], self.daemon.process.pid)
        self.assertIsInstance(info["uptime_ms"], int)
        self.assertIn("sim", info["backends"])
        self.assertTrue(info["limits"])
        for name, value in info["limits"].items():
            self.assertIsInstance(value, int, name)
        self.assertIn(1 << 20, info["limits"].values())
        self.assertTrue(any(value >= 4000000 for name, value in info["limits"].items() if "areas" in name))

    def test_the_uptime_grows(self):
        first = self.call("daemon.info")["uptime_ms"]
        self.eventually(lambda: self.call("daemon.info")["uptime_ms"] > first, "a later uptime")

    def test_stats_count_requests_and_errors_per_method_and_frames(self):
        def of(stats, method):
            return stats["methods"][method]

        before = self.call("daemon.stats")
        for key in ("connections", "spaces", "areas", "frames"):
            self.assertIn(key, before)
        self.assertEqual(set(before["frames"]), {"used", "data", "tables", "shared", "total"})
        for name, value in before["frames"].items():
            self.assertIsInstance(value, int, name)
        for _ in range(3):
            self.call("daemon.info")
        self.refused(NOT_FOUND, "space.info", space="nobody")
        after = self.call("daemon.stats")
        self.assertEqual(of(after, "daemon.info")["requests"],
                         of(before, "daemon.info")["requests"] + 3 if "daemon.info" in before["methods"] else 3)
        self.assertGreaterEqual(of(after, "space.info")["errors"], 1)

    def test_stats_count_the_frames_that_areas_take_and_give_back(self):
        before = self.call("daemon.stats")["frames"]
        self.create(ram="1M")
        self.on("area.map", size="64K", flags="rw-", backing="eager")
        during = self.call("daemon.stats")["frames"]
        self.assertEqual(during["data"], before["data"] + 16)
        self.assertEqual(during["total"], before["total"] + 256)
        self.assertGreaterEqual(during["tables"], before["tables"] + 4)
        self.assertEqual(during["used"], during["data"] + during["tables"])
        self.call("space.destroy", space=self.space)
        self.assertEqual(self.call("daemon.stats")["frames"], before)

    def test_discover_gives_an_openrpc_document_of_every_method(self):
        document = self.call("rpc.discover")
        self.assertRegex(document["openrpc"], r"^1\.3\.")
        self.assertIn("title", document["info"])
        self.assertEqual(document["info"]["version"], self.call("daemon.info")["version"])
        names = [method["name"] for method in document["methods"]]
        self.assertEqual(len(names), len(set(names)))
        self.assertLessEqual(METHODS, set(names))
        for method in document["methods"]:
            with self.subTest(method=method["name"]):
                self.assertTrue(method["summary"])
                self.assertIn("schema", method["result"])
                self.assertIn("name", method["result"])
                optional = False
                for param in method["params"]:
                    self.assertIn("schema", param)
                    self.assertTrue(param["name"])
                    required = param.get("required", False)
                    self.assertFalse(required and optional, "a required param after an optional one: %r" % param)
                    optional = not required
                for error in method.get("errors", []):
                    if "$ref" not in error:
                        self.assertIn(error["code"], harness.ERRORS)
                        self.assertTrue(error["message"])

    def test_every_reference_in_the_openrpc_document_leads_somewhere(self):
        document = self.call("rpc.discover")

        def look(value):
            if isinstance(value, dict):
                if "$ref" in value:
                    self.assertTrue(value["$ref"].startswith("#/"), value)
                    target = document
                    for step in value["$ref"][2:].split("/"):
                        self.assertIn(step, target, value)
                        target = target[step]
                for one in value.values():
                    look(one)
            elif isinstance(value, list):
                for one in value:
                    look(one)

        look(document)


TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}


class Schemas(harness.DaemonCase):
    """What comes back is what rpc.discover says, with no member that it does not name."""
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with harness.Peer(cls.daemon.path) as peer:
            cls.document = peer.call("rpc.discover")

    def resolved(self, schema):
        while "$ref" in schema:
            steps = schema["$ref"][2:].split("/")
            schema = self.document
            for step in steps:
                schema = schema[step]
        return schema

    def check_schema(self, schema, value, where):
        schema = self.resolved(schema)
        ways = schema.get("oneOf") or schema.get("anyOf") or [schema]
        fitting = [one for one in map(self.resolved, ways) if self.is_of(one.get("type"), value)]
        self.assertTrue(fitting, "%s: %r is of another type" % (where, value))
        schema = fitting[0]
        if isinstance(value, dict) and "properties" in schema:
            self.assertLessEqual(set(value), set(schema["properties"]), where)
            self.assertLessEqual(set(schema.get("required", ())), set(value), where)
            for name, member in value.items():
                self.check_schema(schema["properties"][name], member, where + "." + name)
        if isinstance(value, list) and "items" in schema:
            for one in value:
                self.check_schema(schema["items"], one, where + "[]")

    def is_of(self, kinds, value):
        kinds = [kinds] if isinstance(kinds, str) else kinds or TYPES
        return any(isinstance(value, TYPES[kind]) and (kind != "integer" or value is not True and value is not False)
                   for kind in kinds)

    def checked(self, method, **params):
        result = self.call(method, **params)
        declared = next(one for one in self.document["methods"] if one["name"] == method)
        self.check_schema(declared["result"]["schema"], result, method)
        self.seen.add(method)
        return result

    def test_every_result_is_as_the_document_says(self):
        self.seen = {"rpc.discover", "daemon.shutdown", "space.resume", "space.sync", "page.export"}
        space = dict(space=self.space)
        self.addCleanup(self.forget, self.space)
        self.addCleanup(self.forget, self.space + "c")
        self.checked("space.create", name=self.space, tag="a tag")
        self.checked("events.subscribe", spaces=["another"])
        self.checked("monitor.start", filter="another.")
        for method in ("daemon.ping", "daemon.info", "daemon.stats", "space.list", "monitor.stop"):
            self.checked(method)
        self.checked("area.map", size="1M", flags="rw-", start="0x10000", tag="t", **space)
        self.checked("area.map", size="4K", flags="r--,kernel", backing="linear", pa="0x5000", **space)
        self.checked("space.snapshot", name="kept", **space)
        self.checked("space.snapshots", **space)
        self.checked("space.clone", name=self.space + "c", **space)
        self.checked("memory.write", addr="0x10000", hex="c0ffee", **space)
        self.checked("memory.read", addr="0x10000", size=3, **space)
        for addr, kind in (("0x10000", "write"), ("0x10000", "exec"), ("0x900000000", "read")):
            self.checked("memory.access", addr=addr, kind=kind, **space)
        for addr in ("0x10000", "0x900000000"):
            self.checked("page.walk", addr=addr, **space)
            self.checked("area.find", addr=addr, **space)
            self.checked("area.overlaps", start=addr, size="4K", **space)
        self.checked("page.dump", **space)
        self.checked("area.protect", start="0x10000", size="4K", flags="r--", **space)
        self.checked("area.split", at="0x20000", **space)
        self.checked("area.merge", start="0x10000", size="1M", **space)
        self.checked("area.shrink", start="0x11000", new_size="64K", side="right", **space)
        self.checked("area.move", start="0x11000", new_start="0x400000", **space)
        self.checked("area.unmap", start="0x400000", size="4K", **space)
        self.checked("area.find_free", size="4K", **space)
        self.checked("area.list", **space)
        self.checked("area.list", limit=1, **space)
        self.checked("space.diff", other=self.space + "@kept", **space)
        self.checked("space.diff", other=self.space + "c", **space)
        ops = [{"method": "area.map", "params": {"size": "4K", "flags": "rw-"}}]
        self.checked("space.apply", ops=ops, dry_run=True, **space)
        self.checked("space.apply", ops=ops, **space)
        self.checked("inject.set", op="frame", every=7, within=["0x0", "0x1000"], **space)
        self.checked("inject.list", **space)
        self.checked("inject.clear", **space)
        self.checked("daemon.wait", generation=1, **space)
        for method in ("space.info", "space.check", "space.clear"):
            self.checked(method, **space)
        self.checked("space.restore", name="kept", **space)
        self.checked("space.drop", name="kept", **space)
        self.checked("events.unsubscribe")
        self.checked("space.destroy", **space)
        self.assertEqual(self.seen, {one["name"] for one in self.document["methods"]})


class SpaceMethods(harness.DaemonCase):
    def test_create_gives_a_whole_space(self):
        self.assertEqual(self.create(tag="mine"), {
            "name": self.space, "backend": "sim", "arch": "x86_64", "range": ["0x0", hexa(TOP)], "page_size": "0x1000",
            "merge": "off", "generation": 0, "areas": 0, "mapped": "0x0", "resident": "0x0", "tag": "mine"})

    def test_a_space_without_a_tag_has_no_such_member(self):
        self.assertNotIn("tag", self.create())

    def test_create_with_a_range_bounds_the_space(self):
        self.assertEqual(self.create(range=["0x10000", "0x20000"])["range"], ["0x10000", "0x20000"])
        self.on("area.map", start=0x1f000, size=4096, flags="rw-")
        self.refused_unchanged(INVALID_PARAM, "area.map", start=0x20000, size=4096, flags="rw-")
        self.refused_unchanged(INVALID_PARAM, "area.map", start=0xf000, size=4096, flags="rw-")
        self.refused_unchanged(INVALID_PARAM, "area.map", start=0x1f000, size=0x2000, flags="rw-", overlap="replace")

    def test_create_refuses_impossible_ranges(self):
        for bad in (["0x2000", "0x1000"], ["0x1000", "0x1000"], ["0x1001", "0x3000"], ["0x1000", "0x3001"],
                    ["0x0", "0xfffffffffffff000"]):
            with self.subTest(range=bad):
                self.refused(INVALID_PARAM, "space.create", name=self.space, range=bad)
        self.refused(NOT_FOUND, "space.info", space=self.space)

    def test_create_refuses_impossible_ram(self):
        for bad in (0, 1, 4096, 4097, "0x1001", 12345):
            with self.subTest(ram=bad):
                self.refused(INVALID_PARAM, "space.create", name=self.space, ram=bad)
        reply = self.peer.ask("space.create", {"name": self.space, "ram": "0x7ffffffffffff000"})
        self.assertIn(reply["error"]["code"], (INVALID_PARAM, NO_MEMORY))
        self.refused(NOT_FOUND, "space.info", space=self.space)

    def test_what_belongs_to_a_live_process_is_refused_for_a_simulated_space(self):
        for param, value in (("seccomp", "suspend"), ("keep", True), ("agent", True)):
            error = self.refused(INVALID_PARAMS, "space.create", name=self.space, **{param: value})
            self.assertEqual(error["data"]["param"], param)
        self.refused(NOT_FOUND, "space.info", space=self.space)

    def test_a_name_that_is_taken_is_refused(self):
        first = self.create(tag="first")
        self.refused(ALREADY_EXISTS, "space.create", name=self.space, tag="second")
        self.assertEqual(self.on("space.info"), first)

    def test_a_destroyed_space_is_gone_and_its_name_is_free(self):
        self.create()
        self.on("area.map", size=4096, flags="rw-")
        self.assertEqual(self.on("space.destroy"), {})
        for method in ("space.destroy", "space.clear", "space.info", "space.check", "area.list"):
            self.assertEqual(self.refused(NOT_FOUND, method, space=self.space)["data"]["name"], "NotFound")
        self.assertEqual(self.create()["areas"], 0)

    def test_clear_removes_every_area_and_keeps_the_space(self):
        self.create(ram="4M")
        empty = self.call("daemon.stats")["frames"]
        for at in range(5):
            self.on("area.map", start=0x10000 * at, size=0x2000, flags="rw-", backing="eager")
        before = self.on("space.info")["generation"]
        self.assertEqual(self.on("space.clear"), {"removed": 5, **self.generation_of("space.clear", before + 1)})
        self.assertEqual(self.areas(), [])
        self.assertEqual(self.on("space.info")["mapped"], "0x0")
        self.assertEqual(self.call("daemon.stats")["frames"], empty)
        self.check()

    def generation_of(self, method, generation):
        """Mutating methods return `generation`; the table of results leaves it out of space.clear's, so both do."""
        document = self.call("rpc.discover")
        result = next(m for m in document["methods"] if m["name"] == method)["result"]
        return {"generation": generation} if '"generation"' in harness.json.dumps(result) else {}

    def test_clearing_an_empty_space_changes_nothing(self):
        self.create()
        before = self.on("space.info")
        self.assertEqual(self.on("space.clear")["removed"], 0)
        self.assertEqual(self.on("space.info"), before)

    def test_list_gives_every_space_whole(self):
        self.create()
        self.on("area.map", size=4096, flags="rw-", backing="eager")
        spaces = self.call("space.list")
        self.assertEqual(set(spaces), {"spaces"})
        self.assertIn(self.on("space.info"), spaces["spaces"])

    def test_info_counts_areas_mapped_and_resident(self):
        self.create()
        self.on("area.map", start=0x10000, size=0x3000, flags="rw-")
        self.on("area.map", start=0x20000, size=0x2000, flags="rw-", backing="eager")
        info = self.on("space.info")
        self.assertEqual((info["areas"], info["mapped"], info["resident"], info["generation"]),
                         (2, "0x5000", "0x2000", 2))
        self.on("memory.access", addr=0x11000, kind="write")
        self.assertEqual(self.on("space.info")["resident"], "0x3000")

    def test_check_of_a_good_space_is_ok(self):
        self.create()
        self.on("area.map", size="1M", flags="rw-", backing="eager")
        self.assertEqual(self.on("space.check"), {"ok": True, "problems": []})


class Mapping(harness.DaemonCase):
    def setUp(self):
        super().setUp()
        self.create()

    def test_map_at_a_start_gives_the_area_and_the_generation(self):
        self.assertEqual(self.on("area.map", start="0x400000", size="8K", flags="r-x", tag="text"),
                         {"start": "0x400000", "area": area(0x400000, 0x2000, "r-x", tag="text"), "generation": 1})
        self.assertEqual(self.on("area.list"), {"areas": [area(0x400000, 0x2000, "r-x", tag="text")], "next": None})

    def test_map_without_a_start_puts_nothing_at_address_zero(self):
        self.assertEqual(self.on("area.map", size=4096, flags="rw-")["start"], "0x1000")
        self.assertEqual(self.on("area.map", size=4096, flags="rw-")["start"], "0x2000")

    def test_map_at_address_zero_works_when_told_so(self):
        self.assertEqual(self.on("area.map", start=0, size=4096, flags="rw-")["start"], "0x0")
        self.on("space.clear")
        self.assertEqual(self.on("area.map", hint=0, size=4096, flags="rw-")["start"], "0x0")
        self.on("space.clear")
        self.assertEqual(self.on("area.map", within=[0, 0x10000], size=4096, flags="rw-")["start"], "0x0")

    def test_map_of_the_topmost_page_works_and_one_more_is_refused(self):
        self.on("area.map", start=TOP - 0x1000, size=0x1000, flags="rw-")
        self.assertEqual(self.areas(), [(TOP - 0x1000, TOP, "rw-")])
        self.refused_unchanged(INVALID_PARAM, "area.map", start=TOP, size=0x1000, flags="rw-")
        self.refused_unchanged(INVALID_PARAM, "area.map", start=TOP - 0x1000, size=0x2000, flags="rw-",
                               overlap="replace")

    def test_map_refuses_impossible_values(self):
        for bad in ({"start": 0x1001, "size": 4096}, {"start": 0x1000, "size": 4097}, {"start": 0x1000, "size": 0},
                    {"start": "0xfffffffffffff000", "size": 0x2000}, {"start": "0xfffffffffffff000", "size": 0x1000},
                    {"start": 0x1000, "size": "0xfffffffffffff000"}, {"start": 0x1000, "size": "0xffffffffffffffff"},
                    {"size": 1}, {"size": 0}, {"size": 4096, "align": 3}, {"size": 4096, "align": 0x800},
                    {"size": 4096, "align": 0x3000}, {"size": 4096, "hint": 0x1001},
                    {"size": 4096, "within": [0x1001, 0x5000]}, {"size": 4096, "within": [0x5000, 0x1000]},
                    {"size": 4096, "within": [0x5000, 0x5000]}, {"size": 4096, "within": [0, TOP + 0x1000]},
                    {"start": 0x1000, "size": 4096, "backing": "linear", "pa": 0x1001}):
            with self.subTest(bad=bad):
                self.refused_unchanged(INVALID_PARAM, "area.map", flags="rw-", **bad)

    def test_an_overlap_is_refused_and_the_conflict_is_the_whole_area_in_the_way(self):
        self.on("area.map", start=0x10000, size=0x4000, flags="r--", tag="there")
        for start, size in ((0x10000, 0x4000), (0xf000, 0x2000), (0x13000, 0x2000), (0x11000, 0x1000), (0xf000, 0x6000)):
            with self.subTest(start=hexa(start), size=hexa(size)):
                error = self.refused_unchanged(ALREADY_EXISTS, "area.map", start=start, size=size, flags="rw-")
                self.assertEqual(error["data"]["conflict"], area(0x10000, 0x4000, "r--", tag="there"))
        self.on("area.map", start=0xf000, size=0x1000, flags="rw-")
        self.on("area.map", start=0x14000, size=0x1000, flags="rw-")

    def test_a_replacing_map_takes_the_place_of_what_lies_there(self):
        for at in (0x10000, 0x12000, 0x14000):
            self.on("area.map", start=at, size=0x2000, flags="r--", backing="eager")
        reply = self.on("area.map", start=0x11000, size=0x4000, flags="rwx", overlap="replace")
        self.assertEqual(reply["area"], area(0x11000, 0x4000, "rwx"))
        self.assertEqual(self.areas(), [(0x10000, 0x11000, "r--"), (0x11000, 0x15000, "rwx"),
                                        (0x15000, 0x16000, "r--")])
        self.check()

    def test_a_replacing_map_drops_what_was_written_there(self):
        self.on("area.map", start=0x10000, size=0x2000, flags="rw-")
        self.on("memory.write", addr=0x10000, hex="11" * 0x2000)
        self.on("area.map", start=0x10000, size=0x1000, flags="rw-", overlap="replace")
        self.assertEqual(self.on("memory.read", addr=0x10000, size=1)["data"], b64(b"\0"))
        self.assertEqual(self.on("memory.read", addr=0x11000, size=1)["data"], b64(b"\x11"))

    def test_neighbours_alike_stay_apart_unless_merging_is_on(self):
        self.on("area.map", start=0x10000, size=0x1000, flags="rw-")
        self.on("area.map", start=0x11000, size=0x1000, flags="rw-")
        self.assertEqual(len(self.areas()), 2)

    def test_linear_needs_a_physical_address_and_nothing_else_takes_one(self):
        for bad in ({"backing": "linear"}, {"pa": 0}, {"backing": "eager", "pa": 0}):
            with self.subTest(bad=bad):
                reply = self.peer.ask("area.map", dict(space=self.space, start=0x1000, size=4096, flags="rw-", **bad))
                self.assertIn(reply["error"]["code"], (INVALID_PARAM, INVALID_PARAMS))
                self.assertEqual(self.areas(), [])

    def test_linear_gives_the_physical_addresses_asked_for(self):
        reply = self.on("area.map", start=0x10000, size=0x3000, flags="rw-", backing="linear", pa="0x5000")
        self.assertEqual(reply["area"], area(0x10000, 0x3000, "rw-", "linear", pa="0x5000"))
        for offset in (0, 0x1000, 0x2abc):
            self.assertEqual(self.on("page.walk", addr=0x10000 + offset)["pa"], hexa(0x5000 + offset))
        self.on("area.split", at=0x11000)
        self.assertEqual([a["pa"] for a in self.on("area.list")["areas"]], ["0x5000", "0x6000"])
        self.check()


class Placement(harness.DaemonCase):
    def setUp(self):
        super().setUp()
        self.create(range=["0x0", "0x100000"])
        # .... 0x10000 AAAA 0x14000 .... 0x18000 BBBB 0x20000 .......... 0x80000 CCCC 0x90000 ....
        for start, end in ((0x10000, 0x14000), (0x18000, 0x20000), (0x80000, 0x90000)):
            self.on("area.map", start=start, size=end - start, flags="rw-")

    def free(self, size, **named):
        before = self.state()
        result = self.on("area.find_free", size=size, **named)
        self.assertEqual(set(result), {"start"})
        self.assertEqual(self.state(), before, "looking changed something")
        return int(result["start"], 16)

    def test_first_takes_the_lowest_hole_that_fits(self):
        self.assertEqual(self.free(0x1000), 0x1000)
        self.assertEqual(self.free(0xf000), 0x1000)
        self.assertEqual(self.free(0x10000), 0x20000)
        self.assertEqual(self.free(0x60000), 0x20000)

    def test_best_takes_the_smallest_hole_that_fits(self):
        self.assertEqual(self.free(0x1000, policy="best"), 0x14000)
        self.assertEqual(self.free(0x4000, policy="best"), 0x14000)
        self.assertEqual(self.free(0x5000, policy="best"), 0x1000)
        self.assertEqual(self.free(0x10000, policy="best"), 0x20000)

    def test_best_takes_the_lowest_of_equal_holes(self):
        self.on("area.map", start=0x24000, size=0x1000, flags="rw-")
        self.assertEqual(self.free(0x4000, policy="best"), 0x14000)

    def test_top_takes_the_highest_place(self):
        self.assertEqual(self.free(0x1000, policy="top"), 0xff000)
        self.assertEqual(self.free(0x70000, policy="top"), 0x90000)
        self.on("area.map", start=0xf0000, size=0x10000, flags="rw-")
        self.assertEqual(self.free(0x60000, policy="top"), 0x90000)

    def test_a_hint_is_the_lowest_start_and_nothing_wraps_below_it(self):
        self.assertEqual(self.free(0x1000, hint=0x12000), 0x14000)
        self.assertEqual(self.free(0x1000, hint=0x5000), 0x5000)
        self.assertEqual(self.free(0x8000, hint=0xb000), 0x20000)
        self.assertEqual(self.free(0x1000, hint=0xff000), 0xff000)
        error = self.refused_unchanged(NOT_FOUND, "area.find_free", size=0x2000, hint=0xff000)
        self.assertEqual(error["data"]["largest_hole"], {"start": "0xff000", "size": "0x1000"})

    def test_within_is_never_left(self):
        self.assertEqual(self.free(0x2000, within=[0x12000, 0x16000]), 0x14000)
        self.assertEqual(self.free(0x2000, within=[0x12000, 0x17000], policy="top"), 0x15000)
        self.assertEqual(self.free(0x1000, within=[0x12000, 0x17000], hint=0x16000), 0x16000)
        error = self.refused_unchanged(NOT_FOUND, "area.find_free", size=0x3000, within=[0x12000, 0x16000])
        self.assertEqual(error["data"]["largest_hole"], {"start": "0x14000", "size": "0x2000"})

    def test_an_alignment_is_kept_and_the_range_is_free(self):
        self.assertEqual(self.free(0x1000, align=0x10000), 0x20000)
        self.assertEqual(self.free(0x1000, align=0x4000), 0x4000)
        self.assertEqual(self.free(0x1000, align=0x40000), 0x40000)
        self.assertEqual(self.free(0x1000, align=0x40000, hint=0x41000), 0xc0000)
        self.assertEqual(self.free(0x1000, align=0x40000, policy="top"), 0xc0000)
        self.refused_unchanged(NOT_FOUND, "area.find_free", size=0x1000, align=0x100000)
        self.refused_unchanged(NOT_FOUND, "area.find_free", size=0x50000, align=0x40000)

    def test_what_does_not_fit_names_the_largest_hole(self):
        for method, more in (("area.find_free", {}), ("area.map", {"flags": "rw-"})):
            with self.subTest(method=method):
                error = self.refused_unchanged(NOT_FOUND, method, size=0x71000, **more)
                self.assertEqual(error["data"]["largest_hole"], {"start": "0x90000", "size": "0x70000"})
                self.refused_unchanged(NOT_FOUND, method, size="1T", **more)

    def test_a_full_space_has_no_largest_hole(self):
        self.on("area.map", start=0, size=0x100000, flags="rw-", overlap="replace")
        error = self.refused_unchanged(NOT_FOUND, "area.find_free", size=0x1000)
        self.assertNotIn("largest_hole", error["data"])

    def test_find_free_refuses_impossible_values(self):
        for bad in ({"size": 0}, {"size": 1}, {"size": 4096, "align": 0}, {"size": 4096, "align": 0x1800},
                    {"size": 4096, "hint": 1}, {"size": 4096, "within": [0, 0x101000]},
                    {"size": 4096, "within": [0x2000, 0x1000]}):
            with self.subTest(bad=bad):
                self.refused_unchanged(INVALID_PARAM, "area.find_free", **bad)

    def test_map_places_as_find_free_says(self):
        for more in ({}, {"policy": "best"}, {"policy": "top"}, {"hint": 0x15000}, {"align": 0x8000},
                     {"within": [0x20000, 0x40000]}, {"within": [0x20000, 0x40000], "policy": "top", "align": 0x2000}):
            with self.subTest(more=more):
                found = self.free(0x3000, **more)
                self.assertEqual(int(self.on("area.map", size=0x3000, flags="r--", **more)["start"], 16), found)
        self.check()


class Editing(harness.DaemonCase):
    def setUp(self):
        super().setUp()
        self.create()

    def generation(self):
        return self.on("space.info")["generation"]

    def map(self, start, size, flags="rw-", **more):
        return self.on("area.map", start=start, size=size, flags=flags, **more)

    # unmap

    def test_unmap_of_a_whole_area(self):
        self.map(0x10000, 0x3000)
        self.assertEqual(self.on("area.unmap", start=0x10000, size=0x3000),
                         {"unmapped": "0x3000", "removed": 1, "generation": 2})
        self.assertEqual(self.areas(), [])

    def test_unmap_in_the_middle_leaves_both_sides(self):
        self.map(0x10000, 0x5000)
        self.assertEqual(self.on("area.unmap", start=0x12000, size=0x1000),
                         {"unmapped": "0x1000", "removed": 0, "generation": 2})
        self.assertEqual(self.areas(), [(0x10000, 0x12000, "rw-"), (0x13000, 0x15000, "rw-")])
        self.check()

    def test_unmap_across_areas_and_holes_counts_what_was_mapped(self):
        for at in (0x10000, 0x14000, 0x18000):
            self.map(at, 0x2000, backing="eager")
        self.assertEqual(self.on("area.unmap", start=0x11000, size=0x8000),
                         {"unmapped": "0x4000", "removed": 1, "generation": 4})
        self.assertEqual(self.areas(), [(0x10000, 0x11000, "rw-"), (0x19000, 0x1a000, "rw-")])
        self.check()

    def test_unmap_of_nothing_succeeds_and_keeps_the_generation(self):
        self.map(0x10000, 0x1000)
        self.assertEqual(self.on("area.unmap", start=0x20000, size=0x1000),
                         {"unmapped": "0x0", "removed": 0, "generation": 1})

    def test_unmap_refuses_holes_when_told_so(self):
        self.map(0x10000, 0x2000)
        self.map(0x14000, 0x2000)
        for start, size in ((0x10000, 0x6000), (0x12000, 0x1000), (0xf000, 0x2000), (0x15000, 0x2000)):
            with self.subTest(start=hexa(start)):
                self.refused_unchanged(NOT_FOUND, "area.unmap", start=start, size=size, holes="refuse")
        self.assertEqual(self.on("area.unmap", start=0x10000, size=0x1000, holes="refuse")["unmapped"], "0x1000")

    def test_unmap_and_protect_refuse_impossible_ranges(self):
        self.map(0x10000, 0x2000)
        for start, size in ((0x10001, 0x1000), (0x10000, 0x1001), (0x10000, 0), (TOP, 0x1000),
                            ("0xfffffffffffff000", 0x1000), ("0xfffffffffffff000", 0x2000), (TOP - 0x1000, 0x2000)):
            with self.subTest(start=start, size=size):
                self.refused_unchanged(INVALID_PARAM, "area.unmap", start=start, size=size)
                self.refused_unchanged(INVALID_PARAM, "area.protect", start=start, size=size, flags="r--")
                self.refused_unchanged(INVALID_PARAM, "area.merge", start=start, size=size)
                self.refused_unchanged(INVALID_PARAM, "area.overlaps", start=start, size=size)

    def test_unmapped_frames_are_given_back_and_come_again_as_zeroes(self):
        empty = self.call("daemon.stats")["frames"]
        self.map(0x10000, 0x4000, backing="eager")
        self.on("memory.write", addr=0x10000, data=b64(b"\xff" * 0x4000))
        self.on("area.unmap", start=0x10000, size=0x4000)
        self.assertEqual(self.call("daemon.stats")["frames"], empty)
        self.map(0x10000, 0x4000, backing="eager")
        self.assertEqual(base64.b64decode(self.on("memory.read", addr=0x10000, size=0x4000)["data"]), bytes(0x4000))

    # protect

    def test_protect_of_a_part_cuts_the_area(self):
        self.map(0x10000, 0x3000, tag="t")
        self.assertEqual(self.on("area.protect", start=0x11000, size=0x1000, flags="r--"),
                         {"changed": 1, "generation": 2})
        self.assertEqual(self.on("area.list")["areas"], [
            area(0x10000, 0x1000, tag="t"), area(0x11000, 0x1000, "r--", tag="t"), area(0x12000, 0x1000, tag="t")])

    def test_protect_that_changes_nothing_keeps_the_generation_and_the_areas(self):
        self.map(0x10000, 0x3000, "r--")
        for flags in ("r--", "+r", "-w", "-w-x", "-global"):
            with self.subTest(flags=flags):
                reply = self.peer.ask("area.protect", {"space": self.space, "start": 0x11000, "size": 0x1000,
                                                       "flags": flags})
                self.assertEqual(reply.get("result"), {"changed": 0, "generation": 1}, reply)
        self.assertEqual(self.areas(), [(0x10000, 0x13000, "r--")])

    def test_protect_skips_areas_that_have_the_flags_already(self):
        self.map(0x10000, 0x1000, "r--")
        self.map(0x11000, 0x1000, "rw-")
        self.map(0x12000, 0x1000, "rwx")
        self.assertEqual(self.on("area.protect", start=0x10000, size=0x3000, flags="r--"),
                         {"changed": 2, "generation": 4})
        self.assertEqual([flags for _, _, flags in self.areas()], ["r--"] * 3)

    def test_protect_takes_changes_like_chmods(self):
        self.map(0x10000, 0x1000, "r--")
        for change, flags in (("+w", "rw-"), ("-r", "-w-"), ("+r-w", "r--"), ("+wx", "rwx"), ("-rwx", "---"),
                              ("+r", "r--"), ("+w,+kernel", "rw-,kernel"), ("-w,+global", "r--,kernel,global"),
                              ("+x,-kernel", "r-x,global"), ("-global", "r-x")):
            with self.subTest(change=change):
                self.on("area.protect", start=0x10000, size=0x1000, flags=change)
                self.assertEqual(self.areas(), [(0x10000, 0x11000, flags)])

    def test_protect_keeps_attributes_unless_they_are_named(self):
        self.map(0x10000, 0x1000, "rw-,kernel")
        self.on("area.protect", start=0x10000, size=0x1000, flags="r--")
        self.assertEqual(self.areas()[0][2], "r--,kernel")
        self.on("area.protect", start=0x10000, size=0x1000, flags="rw-,global")
        self.assertIn("global", self.areas()[0][2])

    def test_protect_skips_holes_or_refuses_them(self):
        self.map(0x10000, 0x1000)
        self.map(0x12000, 0x1000)
        self.refused_unchanged(NOT_FOUND, "area.protect", start=0x10000, size=0x3000, flags="r--", holes="refuse")
        self.assertEqual(self.on("area.protect", start=0x10000, size=0x3000, flags="r--")["changed"], 2)
        self.assertEqual(self.on("area.protect", start=0x20000, size=0x1000, flags="r--"),
                         {"changed": 0, "generation": 3})

    # shrink

    def test_shrink_on_either_side(self):
        self.map(0x10000, 0x4000)
        self.assertEqual(self.on("area.shrink", start=0x10000, new_size=0x3000, side="right"),
                         {"area": area(0x10000, 0x3000), "generation": 2})
        self.assertEqual(self.on("area.shrink", start=0x10000, new_size=0x1000, side="left"),
                         {"area": area(0x12000, 0x1000), "generation": 3})
        self.assertEqual(self.areas(), [(0x12000, 0x13000, "rw-")])
        self.check()

    def test_shrink_refuses_a_size_that_is_not_between_nothing_and_all(self):
        self.map(0x10000, 0x4000)
        for side in ("left", "right"):
            for new_size in (0, 0x4000, 0x5000, 0x800, 0x1001, "0xfffffffffffff000"):
                with self.subTest(side=side, new_size=new_size):
                    self.refused_unchanged(INVALID_PARAM, "area.shrink", start=0x10000, new_size=new_size, side=side)

    def test_shrink_wants_an_areas_exact_start(self):
        self.map(0x10000, 0x4000)
        self.refused_unchanged(NOT_FOUND, "area.shrink", start=0x11000, new_size=0x1000, side="left")
        self.refused_unchanged(NOT_FOUND, "area.shrink", start=0x20000, new_size=0x1000, side="left")
        self.refused_unchanged(INVALID_PARAM, "area.shrink", start=0x10001, new_size=0x1000, side="left")
        self.refused_unchanged(INVALID_PARAMS, "area.shrink", start=0x10000, new_size=0x1000)

    def test_shrink_keeps_what_was_written_in_the_part_that_stays(self):
        self.map(0x10000, 0x3000)
        self.on("memory.write", addr=0x10000, data=b64(b"a" * 0x1000 + b"b" * 0x1000 + b"c" * 0x1000))
        self.on("area.shrink", start=0x10000, new_size=0x2000, side="left")
        self.on("area.shrink", start=0x11000, new_size=0x1000, side="right")
        self.assertEqual(self.on("memory.read", addr=0x11000, size=0x1000)["data"], b64(b"b" * 0x1000))
        self.assertEqual(self.on("space.info")["resident"], "0x1000")
        self.check()

    # split and merge

    def test_split_makes_two_that_meet(self):
        self.map(0x10000, 0x3000, tag="t")
        self.assertEqual(self.on("area.split", at=0x11000),
                         {"left": area(0x10000, 0x1000, tag="t"), "right": area(0x11000, 0x2000, tag="t"),
                          "generation": 2})

    def test_split_refuses_edges_holes_and_unaligned_places(self):
        self.map(0x10000, 0x3000)
        self.map(0x13000, 0x1000)
        self.refused_unchanged(INVALID_PARAM, "area.split", at=0x10000)
        self.refused_unchanged(INVALID_PARAM, "area.split", at=0x13000)
        self.refused_unchanged(INVALID_PARAM, "area.split", at=0x11001)
        self.refused_unchanged(NOT_FOUND, "area.split", at=0x20000)

    def test_split_at_an_areas_end_is_an_edge_not_a_hole(self):
        self.map(0x10000, 0x3000)
        self.refused_unchanged(INVALID_PARAM, "area.split", at=0x13000)

    def test_merge_joins_neighbours_alike_whose_edge_lies_inside(self):
        for at in range(4):
            self.map(0x10000 + at * 0x1000, 0x1000)
        self.assertEqual(self.on("area.merge", start=0x11000, size=0x2000), {"merged": 1, "generation": 5})
        self.assertEqual([(s, e) for s, e, _ in self.areas()],
                         [(0x10000, 0x11000), (0x11000, 0x13000), (0x13000, 0x14000)])
        self.assertEqual(self.on("area.merge", start=0x10000, size=0x4000), {"merged": 2, "generation": 6})
        self.assertEqual(self.on("area.merge", start=0x10000, size=0x4000), {"merged": 0, "generation": 6})
        self.check()

    def test_merge_does_not_join_what_differs(self):
        self.map(0x10000, 0x1000)
        self.map(0x11000, 0x1000, "r--")
        self.map(0x12000, 0x1000, "r--", backing="eager")
        self.map(0x13000, 0x1000, "r--", tag="a")
        self.map(0x14000, 0x1000, "r--", tag="b")
        self.map(0x16000, 0x1000, "r--", tag="b")
        self.map(0x18000, 0x1000, "r--", backing="linear", pa=0x1000)
        self.map(0x19000, 0x1000, "r--", backing="linear", pa=0x3000)
        before = self.state()
        self.assertEqual(self.on("area.merge", start=0, size=0x100000)["merged"], 0)
        self.assertEqual(self.state(), before)

    def test_merge_joins_linear_areas_of_one_offset(self):
        self.map(0x18000, 0x1000, "r--", backing="linear", pa=0x1000)
        self.map(0x19000, 0x1000, "r--", backing="linear", pa=0x2000)
        self.assertEqual(self.on("area.merge", start=0x18000, size=0x2000)["merged"], 1)
        self.assertEqual(self.on("area.list")["areas"], [area(0x18000, 0x2000, "r--", "linear", pa="0x1000")])

    def test_protecting_back_and_merging_restores_one_area(self):
        self.map(0x10000, 0x3000)
        self.on("area.protect", start=0x11000, size=0x1000, flags="r--")
        self.on("area.protect", start=0x11000, size=0x1000, flags="rw-")
        self.assertEqual(self.on("area.merge", start=0x10000, size=0x3000)["merged"], 2)
        self.assertEqual(self.areas(), [(0x10000, 0x13000, "rw-")])

    # find, overlaps, list

    def test_find_gives_the_area_or_the_next(self):
        self.map(0x10000, 0x2000)
        self.map(0x20000, 0x1000)
        before = self.state()
        for addr in (0x10000, 0x10001, 0x11fff):
            self.assertEqual(self.on("area.find", addr=addr), {"area": area(0x10000, 0x2000)})
        self.assertEqual(self.on("area.find", addr=0x12000), {"area": None, "next": area(0x20000, 0x1000)})
        self.assertEqual(self.on("area.find", addr=0), {"area": None, "next": area(0x10000, 0x2000)})
        self.assertEqual(self.on("area.find", addr=0x21000), {"area": None, "next": None})
        self.assertEqual(self.state(), before)

    def test_overlaps_gives_the_first_in_the_way(self):
        self.map(0x10000, 0x2000)
        self.map(0x14000, 0x2000)
        self.assertEqual(self.on("area.overlaps", start=0x11000, size=0x4000),
                         {"overlaps": True, "first": area(0x10000, 0x2000)})
        self.assertEqual(self.on("area.overlaps", start=0x12000, size=0x3000),
                         {"overlaps": True, "first": area(0x14000, 0x2000)})
        self.assertEqual(self.on("area.overlaps", start=0x12000, size=0x2000), {"overlaps": False, "first": None})
        self.assertEqual(self.on("area.overlaps", start=0x16000, size=0x1000), {"overlaps": False, "first": None})

    def test_list_gives_the_areas_that_touch_the_window(self):
        for at in (0x10000, 0x12000, 0x14000):
            self.map(at, 0x2000)
        def starts(**named):
            return [one["start"] for one in self.on("area.list", **named)["areas"]]
        self.assertEqual(starts(start=0x11000, end=0x13000), ["0x10000", "0x12000"])
        self.assertEqual(starts(start=0x12000, end=0x14000), ["0x12000"])
        self.assertEqual(starts(start=0x15fff), ["0x14000"])
        self.assertEqual(starts(start=0x16000), [])
        self.assertEqual(starts(end=0x10000), [])

    def test_list_pages_through_everything_once(self):
        count = 25
        for at in range(count):
            self.map(0x10000 + at * 0x2000, 0x1000)
        for limit in (1, 7, 24, 25, 26, 10000):
            with self.subTest(limit=limit):
                seen, start, pages = [], 0, 0
                while start is not None:
                    page = self.on("area.list", start=start, limit=limit)
                    self.assertLessEqual(len(page["areas"]), limit)
                    seen += [one["start"] for one in page["areas"]]
                    start = page["next"]
                    pages += 1
                self.assertEqual(seen, [hexa(0x10000 + at * 0x2000) for at in range(count)])
                self.assertEqual(pages, -(-count // limit))

    def test_list_gives_a_thousand_unless_told_and_ten_thousand_at_most(self):
        requests = [("area.map", {"space": self.space, "start": 0x10000 + at * 0x2000, "size": 0x1000, "flags": "rw-"})
                    for at in range(10001)]
        for reply in self.peer.pipeline(requests):
            self.assertIn("result", reply)
        page = self.on("area.list")
        self.assertEqual((len(page["areas"]), page["next"]), (1000, hexa(0x10000 + 1000 * 0x2000)))
        page = self.on("area.list", limit=10000)
        self.assertEqual((len(page["areas"]), page["next"]), (10000, hexa(0x10000 + 10000 * 0x2000)))
        for limit in (0, 10001, 1 << 53):
            reply = self.peer.ask("area.list", {"space": self.space, "limit": limit})
            self.assertIn(reply["error"]["code"], (INVALID_PARAM, INVALID_PARAMS))
        self.check()

    # generation

    def test_every_edit_adds_one_to_the_generation_and_looking_adds_nothing(self):
        self.assertEqual(self.generation(), 0)
        for step, (method, params) in enumerate((
                ("area.map", {"start": 0x10000, "size": 0x8000, "flags": "rw-"}),
                ("area.protect", {"start": 0x10000, "size": 0x1000, "flags": "r--"}),
                ("area.split", {"at": 0x14000}),
                ("area.shrink", {"start": 0x14000, "new_size": 0x1000, "side": "right"}),
                ("area.merge", {"start": 0x11000, "size": 0x4000}),
                ("area.unmap", {"start": 0x10000, "size": 0x1000}),
                ("area.map", {"start": 0x10000, "size": 0x8000, "flags": "rw-", "overlap": "replace"})), 1):
            self.assertEqual(self.on(method, **params)["generation"], step, method)
            for look, more in (("area.find", {"addr": 0x10000}), ("area.find_free", {"size": 0x1000}),
                               ("area.list", {}), ("space.check", {}), ("page.walk", {"addr": 0x10000}),
                               ("memory.access", {"addr": 0x12000, "kind": "read"}),
                               ("memory.read", {"addr": 0x12000, "size": 8}),
                               ("memory.write", {"addr": 0x12000, "hex": "00"})):
                self.on(look, **more)
            self.assertEqual(self.generation(), step)

    def test_a_generation_that_does_not_match_is_a_conflict_and_changes_nothing(self):
        self.map(0x10000, 0x4000)
        self.map(0x14000, 0x4000)
        for method, params in (("area.map", {"start": 0x20000, "size": 0x1000, "flags": "rw-"}),
                               ("area.unmap", {"start": 0x10000, "size": 0x1000}),
                               ("area.protect", {"start": 0x10000, "size": 0x1000, "flags": "r--"}),
                               ("area.shrink", {"start": 0x10000, "new_size": 0x1000, "side": "left"}),
                               ("area.split", {"at": 0x11000}),
                               ("area.merge", {"start": 0x10000, "size": 0x8000}),
                               ("space.clear", {}),
                               ("memory.write", {"addr": 0x10000, "hex": "11"})):
            for wrong in (0, 1, 3, 1 << 53):
                with self.subTest(method=method, wrong=wrong):
                    reply = self.peer.ask(method, dict(params, space=self.space, if_generation=wrong))
                    if reply.get("error", {}).get("code") == INVALID_PARAMS and method == "memory.write":
                        continue  # it does not change the areas, and need not take the parameter
                    self.assertIn("error", reply)
                    self.assertError(reply["error"], CONFLICT)
            self.assertEqual(self.generation(), 2)
        self.assertEqual(len(self.areas()), 2)

    def test_a_generation_that_matches_lets_the_edit_through(self):
        self.map(0x10000, 0x4000, if_generation=0)
        self.assertEqual(self.on("area.split", at=0x11000, if_generation=1)["generation"], 2)
        self.assertEqual(self.on("area.unmap", start=0x50000, size=0x1000, if_generation=2)["generation"], 2)


class AutomaticMerging(harness.DaemonCase):
    def setUp(self):
        super().setUp()
        self.assertEqual(self.create(merge="auto")["merge"], "auto")

    def test_a_map_beside_its_like_joins_it_and_gives_the_whole(self):
        self.on("area.map", start=0x10000, size=0x1000, flags="rw-")
        self.on("area.map", start=0x12000, size=0x1000, flags="rw-")
        self.assertEqual(self.on("area.map", start=0x11000, size=0x1000, flags="rw-"),
                         {"start": "0x11000", "area": area(0x10000, 0x3000), "generation": 3})
        self.assertEqual(self.areas(), [(0x10000, 0x13000, "rw-")])
        self.check()

    def test_neighbours_that_differ_are_not_joined(self):
        self.on("area.map", start=0x10000, size=0x1000, flags="rw-")
        self.on("area.map", start=0x11000, size=0x1000, flags="r--")
        self.on("area.map", start=0x12000, size=0x1000, flags="r--", tag="t")
        self.assertEqual(len(self.areas()), 3)

    def test_a_protect_that_makes_neighbours_alike_joins_them(self):
        self.on("area.map", start=0x10000, size=0x3000, flags="rw-")
        self.on("area.protect", start=0x11000, size=0x1000, flags="r--")
        self.assertEqual(len(self.areas()), 3)
        self.on("area.protect", start=0x11000, size=0x1000, flags="rw-")
        self.assertEqual(self.areas(), [(0x10000, 0x13000, "rw-")])
        self.check()

    def test_split_is_unsupported(self):
        self.on("area.map", start=0x10000, size=0x3000, flags="rw-")
        self.refused_unchanged(UNSUPPORTED, "area.split", at=0x11000)


class Memory(harness.DaemonCase):
    def setUp(self):
        super().setUp()
        self.create(ram="16M")

    def map(self, start, size, flags="rw-", **more):
        return self.on("area.map", start=start, size=size, flags=flags, **more)

    def access(self, addr, kind, **more):
        return self.on("memory.access", addr=addr, kind=kind, **more)

    def fault(self, addr, kind, code, **more):
        result = self.access(addr, kind, **more)
        self.assertEqual(result["outcome"], "fault", result)
        self.assertEqual(set(result), {"outcome", "fault"})
        self.assertEqual(set(result["fault"]), {"reason", "addr", "code", "area"})
        self.assertEqual(result["fault"]["addr"], hexa(addr))
        self.assertEqual(result["fault"]["code"], code, result)
        return result["fault"]

    # walk

    def test_a_walk_of_an_empty_space_ends_at_the_root(self):
        walk = self.on("page.walk", addr=0x1234567)
        self.assertEqual(set(walk), {"levels", "pa", "page_size"})
        self.assertIsNone(walk["pa"])
        self.assertEqual(walk["page_size"], "0x1000")
        self.assertEqual(len(walk["levels"]), 1)
        level = walk["levels"][0]
        self.assertEqual(set(level), {"level", "table", "index", "entry", "flags", "present", "leaf"})
        self.assertEqual((level["level"], level["index"], level["present"], level["leaf"], level["entry"]),
                         (4, 0, False, False, "0x0"))

    def test_a_walk_of_a_present_page_ends_with_the_leaf(self):
        addr = 0x7fabcdef5000
        self.map(addr, 0x1000, backing="eager")
        walk = self.on("page.walk", addr=addr + 0x123)
        self.assertEqual([level["level"] for level in walk["levels"]], [4, 3, 2, 1])
        self.assertEqual([level["index"] for level in walk["levels"]],
                         [(addr >> shift) & 511 for shift in (39, 30, 21, 12)])
        self.assertEqual([level["leaf"] for level in walk["levels"]], [False, False, False, True])
        self.assertTrue(all(level["present"] for level in walk["levels"]))
        entries = [int(level["entry"], 16) for level in walk["levels"]]
        address_bits = 0x000ffffffffff000
        for entry, below in zip(entries, walk["levels"][1:]):
            self.assertEqual(entry & address_bits, int(below["table"], 16))
        leaf = entries[-1]
        self.assertEqual(leaf & 1, 1)
        self.assertEqual(leaf >> 1 & 1, 1, "writable")
        self.assertEqual(leaf >> 2 & 1, 1, "user")
        self.assertEqual(leaf >> 63, 1, "no execution")
        self.assertEqual(int(walk["pa"], 16), (leaf & address_bits) + 0x123)
        self.assertEqual(walk["levels"][-1]["flags"], "rw-")
        self.assertEqual(walk["page_size"], "0x1000")

    def test_the_leaf_has_the_bits_of_the_areas_flags(self):
        for flags, writable, user, no_exec in (("r--", 0, 1, 1), ("rw-", 1, 1, 1), ("r-x", 0, 1, 0), ("rwx", 1, 1, 0),
                                               ("rw-,kernel", 1, 0, 1), ("--x", 0, 1, 0)):
            with self.subTest(flags=flags):
                self.map(0x10000, 0x1000, flags, backing="eager")
                leaf = int(self.on("page.walk", addr=0x10000)["levels"][-1]["entry"], 16)
                self.assertEqual((leaf >> 1 & 1, leaf >> 2 & 1, leaf >> 63), (writable, user, no_exec))
                self.check()
                self.on("space.clear")

    def test_a_global_page_and_an_uncached_one_have_their_bits(self):
        self.map(0x10000, 0x1000, "rw-,kernel,global", backing="eager")
        self.assertEqual(int(self.on("page.walk", addr=0x10000)["levels"][-1]["entry"], 16) >> 8 & 1, 1)
        self.map(0x11000, 0x1000, "rw-,uncached", backing="eager")
        self.assertNotEqual(int(self.on("page.walk", addr=0x11000)["levels"][-1]["entry"], 16) & 0x18, 0)

    def test_a_protect_shows_in_the_entry(self):
        self.map(0x10000, 0x2000, backing="eager")
        self.on("area.protect", start=0x10000, size=0x1000, flags="r--")
        self.assertEqual(int(self.on("page.walk", addr=0x10000)["levels"][-1]["entry"], 16) & 2, 0)
        self.assertEqual(int(self.on("page.walk", addr=0x11000)["levels"][-1]["entry"], 16) & 2, 2)

    def test_a_lazy_page_is_present_after_its_first_access_only(self):
        self.map(0x10000, 0x1000)
        self.assertIsNone(self.on("page.walk", addr=0x10000)["pa"])
        self.access(0x10000, "read")
        self.assertIsNotNone(self.on("page.walk", addr=0x10000)["pa"])

    # access

    def test_a_lazy_page_is_filled_once_and_hit_then(self):
        self.map(0x10000, 0x2000)
        first = self.access(0x10008, "read")
        self.assertEqual(first["outcome"], "filled")
        self.assertEqual(set(first), {"outcome", "pa"})
        again = self.access(0x10008, "write")
        self.assertEqual(again, {"outcome": "hit", "pa": first["pa"]})
        self.assertEqual(int(first["pa"], 16) & 0xfff, 8)
        self.assertEqual(self.on("space.info")["resident"], "0x1000")
        self.check()

    def test_an_eager_page_is_hit_at_once(self):
        self.map(0x10000, 0x1000, backing="eager")
        self.assertEqual(self.access(0x10000, "write")["outcome"], "hit")

    def test_an_access_sets_the_accessed_bit_and_a_write_the_dirty_bit(self):
        self.map(0x10000, 0x1000, backing="eager")
        def bits():
            entry = int(self.on("page.walk", addr=0x10000)["levels"][-1]["entry"], 16)
            return entry >> 5 & 1, entry >> 6 & 1
        self.assertEqual(bits(), (0, 0))
        self.access(0x10000, "read")
        self.assertEqual(bits(), (1, 0))
        self.access(0x10000, "write")
        self.assertEqual(bits(), (1, 1))
        self.check()

    def test_faults_carry_what_an_x86_would_report(self):
        # bits: 0 present, 1 write, 2 user, 4 instruction fetch
        self.assertIsNone(self.fault(0x50000, "read", 4)["area"])
        self.fault(0x50000, "write", 6)
        self.fault(0x50000, "exec", 0x14)
        self.fault(0x50000, "read", 0, mode="kernel")
        self.fault(0x50000, "write", 2, mode="kernel")
        self.fault(0x50000, "exec", 0x10, mode="kernel")
        self.map(0x10000, 0x1000, "r--", backing="eager")
        there = area(0x10000, 0x1000, "r--", "eager")
        self.assertEqual(self.fault(0x10000, "write", 7)["area"], there)
        self.assertEqual(self.fault(0x10000, "exec", 0x15)["area"], there)
        self.fault(0x10000, "write", 3, mode="kernel")
        self.map(0x11000, 0x1000, "rw-,kernel", backing="eager")
        self.fault(0x11000, "read", 5)
        self.fault(0x11000, "write", 7)
        self.assertEqual(self.access(0x11000, "write", mode="kernel")["outcome"], "hit")

    def test_a_refused_access_to_a_lazy_page_fills_nothing(self):
        self.map(0x10000, 0x1000, "r--")
        before = self.state()
        self.assertEqual(self.access(0x10000, "write")["outcome"], "fault")
        self.assertEqual(self.state()["info"], before["info"])
        self.assertEqual(self.state()["frames"]["data"], before["frames"]["data"])

    def test_a_page_without_any_permission_faults_on_everything(self):
        self.map(0x10000, 0x1000, "---", backing="eager")
        for kind in ("read", "write", "exec"):
            self.assertEqual(self.access(0x10000, kind)["outcome"], "fault", kind)
        self.check()

    def test_a_permission_that_the_hardware_cannot_express_is_widened(self):
        self.map(0x10000, 0x1000, "-w-")
        self.assertEqual(self.access(0x10000, "write")["outcome"], "filled")
        self.assertEqual(self.access(0x10000, "read")["outcome"], "hit")
        self.map(0x11000, 0x1000, "--x", backing="eager")
        self.assertEqual(self.access(0x11000, "read")["outcome"], "hit")
        self.assertEqual([flags for _, _, flags in self.areas()], ["-w-", "--x"])

    def test_an_access_across_pages_faults_at_the_first_page_that_does(self):
        self.map(0x10000, 0x1000, backing="eager")
        self.assertEqual(self.access(0x10ffc, "read", size=4)["outcome"], "hit")
        result = self.access(0x10ffc, "read", size=8)
        self.assertEqual((result["outcome"], result["fault"]["addr"]), ("fault", "0x11000"))

    # read and write

    def test_what_was_written_is_read_back_across_pages_and_areas(self):
        self.map(0x10000, 0x2000)
        self.map(0x12000, 0x1000, "r--", backing="eager")
        data = bytes(range(256)) * 24
        self.assertEqual(int(str(self.on("memory.write", addr=0x10801, data=b64(data))["written"]), 0), len(data))
        self.assertEqual(self.on("memory.read", addr=0x10801, size=len(data)), {"data": b64(data)})
        self.assertEqual(self.on("memory.read", addr=0x10801 + len(data) - 3, size=5)["data"],
                         b64(data[-3:] + b"\0\0"))
        self.check()

    def test_hex_is_taken_in_either_case(self):
        self.map(0x10000, 0x1000)
        self.on("memory.write", addr=0x10000, hex="00fFAb")
        self.assertEqual(self.on("memory.read", addr=0x10000, size=3)["data"], b64(b"\x00\xff\xab"))

    def test_memory_that_was_never_written_reads_as_zeroes(self):
        self.map(0x10000, 0x2000)
        self.assertEqual(self.on("memory.read", addr=0x10ff0, size=0x20)["data"], b64(bytes(0x20)))

    def test_a_read_or_write_over_a_hole_is_refused_whole(self):
        self.map(0x10000, 0x1000)
        self.map(0x12000, 0x1000)
        for addr, size in ((0x50000, 1), (0x10fff, 2), (0xffff, 2), (0x10000, 0x3000)):
            with self.subTest(addr=hexa(addr)):
                self.refused_unchanged(NOT_FOUND, "memory.read", addr=addr, size=size)
                self.refused_unchanged(NOT_FOUND, "memory.write", addr=addr, data=b64(b"z" * size))
        self.assertEqual(self.on("memory.read", addr=0x10000, size=0x1000)["data"], b64(bytes(0x1000)))

    def test_a_write_of_no_bytes_is_an_invalid_param_that_names_them(self):
        for name in ("data", "hex"):
            error = self.refused(INVALID_PARAM, "memory.write", space=self.space, addr=0, **{name: ""})
            self.assertEqual(error["data"]["param"], name)

    def test_a_read_or_write_outside_the_space_is_an_invalid_param(self):
        self.map(TOP - 0x1000, 0x1000)
        for addr, size in ((TOP, 1), (TOP - 1, 2), ("0xffffffffffffffff", 1), ("0xffffffffffffffff", 2)):
            with self.subTest(addr=addr):
                self.refused_unchanged(INVALID_PARAM, "memory.read", addr=addr, size=size)
                self.refused_unchanged(INVALID_PARAM, "memory.write", addr=addr, hex="00" * size)

    def test_an_absurd_read_is_refused(self):
        self.map(0x10000, "1G")
        for size in ("1G", "1T", "0xffffffffffffffff"):
            reply = self.peer.ask("memory.read", {"space": self.space, "addr": 0x10000, "size": size})
            self.assertIn(reply["error"]["code"], (INVALID_PARAM, NO_MEMORY))

    def test_the_debuggers_access_does_not_look_at_flags(self):
        self.map(0x10000, 0x1000, "---")
        self.on("memory.write", addr=0x10000, hex="41")
        self.assertEqual(self.on("memory.read", addr=0x10000, size=1)["data"], b64(b"A"))

    def test_two_linear_areas_of_one_frame_show_the_same_bytes(self):
        self.map(0x10000, 0x1000, backing="linear", pa=0x800000)
        self.map(0x20000, 0x1000, backing="linear", pa=0x800000)
        self.on("memory.write", addr=0x10010, hex="2a")
        self.assertEqual(self.on("memory.read", addr=0x20010, size=1)["data"], b64(b"*"))
        self.assertEqual(self.on("space.check")["ok"], True)

    def test_linear_outside_of_ram_is_refused_or_never_reached(self):
        reply = self.peer.ask("area.map", {"space": self.space, "start": 0x10000, "size": 0x2000, "flags": "rw-",
                                           "backing": "linear", "pa": "0xfff000"})
        if "result" in reply:
            bad = self.peer.ask("memory.write", {"space": self.space, "addr": 0x11000, "hex": "00"})
            self.assertIn("error", bad)
        else:
            self.assertIn(reply["error"]["code"], (INVALID_PARAM, NO_MEMORY))
        self.assertEqual(self.call("daemon.ping"), {})


class Exhaustion(harness.DaemonCase):
    def setUp(self):
        super().setUp()
        self.create(ram="128K")  # 32 frames

    def test_an_eager_map_that_does_not_fit_is_undone(self):
        self.on("area.map", start=0x10000, size=0x4000, flags="rw-", backing="eager")
        self.refused_unchanged(NO_MEMORY, "area.map", start=0x40000000, size="1M", flags="rw-", backing="eager")
        self.refused_unchanged(NO_MEMORY, "area.map", start=0x8000, size="1M", flags="rw-", backing="eager",
                               overlap="replace")
        self.assertEqual(self.on("area.map", start=0x14000, size=0x8000, flags="rw-", backing="eager")["generation"], 2)

    def test_a_replacing_map_that_fails_leaves_what_was_there_with_its_bytes(self):
        self.on("area.map", start=0x10000, size=0x8000, flags="rw-")
        self.on("memory.write", addr=0x10000, data=b64(b"keep" * 0x1000))
        self.refused_unchanged(NO_MEMORY, "area.map", start=0x14000, size="1M", flags="rw-", backing="eager",
                               overlap="replace")
        self.assertEqual(self.on("memory.read", addr=0x10000, size=0x4000)["data"], b64(b"keep" * 0x1000))

    def test_filling_pages_ends_with_no_memory_and_the_state_stays_good(self):
        self.on("area.map", start=0x10000, size="1M", flags="rw-")
        filled = 0
        while True:
            before = self.state()
            reply = self.peer.ask("memory.access", {"space": self.space, "addr": 0x10000 + filled * 0x1000,
                                                    "kind": "write"})
            if "error" in reply:
                break
            self.assertEqual(reply["result"]["outcome"], "filled")
            filled += 1
            self.assertLess(filled, 32)
        self.assertError(reply["error"], NO_MEMORY)
        self.assertEqual(self.state(), before)
        self.assertGreaterEqual(filled, 24)
        self.refused_unchanged(NO_MEMORY, "memory.write", addr=0x10000, data=b64(b"x" * 0x20000))
        self.assertEqual(self.on("memory.read", addr=0x10000, size=1)["data"], b64(b"\0"))
        self.on("area.unmap", start=0x10000, size=0x1000)
        self.assertEqual(self.on("memory.access", addr=0x11000 + filled * 0x1000, kind="write")["outcome"], "filled")
        self.check()

    def test_a_write_that_does_not_fit_writes_nothing(self):
        self.on("area.map", start=0x10000, size="1M", flags="rw-")
        self.on("memory.write", addr=0x10000, hex="aa")
        self.refused_unchanged(NO_MEMORY, "memory.write", addr=0x10000, data=b64(b"b" * 0x40000))
        self.assertEqual(self.on("memory.read", addr=0x10000, size=1)["data"], b64(b"\xaa"))

    def test_everything_comes_back_after_a_clear(self):
        empty = self.call("daemon.stats")["frames"]
        for _ in range(20):
            self.on("area.map", start=0x10000, size=0x10000, flags="rw-", backing="eager")
            self.on("space.clear")
        self.assertEqual(self.call("daemon.stats")["frames"], empty)


class Limits(harness.DaemonCase):
    options = ("--max-spaces", "3", "--max-areas", "4")

    def test_one_space_too_many_is_busy(self):
        for n in range(3):
            self.call("space.create", name="limit-%d" % n)
        try:
            self.refused(harness.BUSY, "space.create", name="limit-3")
            self.assertEqual(len(self.call("space.list")["spaces"]), 3)
        finally:
            for n in range(3):
                self.call("space.destroy", space="limit-%d" % n)
        self.create()

    def test_one_area_too_many_is_no_memory_and_changes_nothing(self):
        self.create()
        for at in range(3):
            self.on("area.map", start=0x10000 + at * 0x10000, size=0x4000, flags="rw-")
        self.on("area.split", at=0x11000)
        self.refused_unchanged(NO_MEMORY, "area.map", start=0x90000, size=0x1000, flags="rw-")
        self.refused_unchanged(NO_MEMORY, "area.split", at=0x21000)
        self.refused_unchanged(NO_MEMORY, "area.unmap", start=0x21000, size=0x1000)
        self.refused_unchanged(NO_MEMORY, "area.protect", start=0x21000, size=0x1000, flags="r--")
        self.on("area.unmap", start=0x10000, size=0x1000)
        self.on("area.split", at=0x21000)


if __name__ == "__main__":
    harness.main()
