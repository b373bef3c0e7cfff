"""Framing and JSON-RPC 2.0 through the socket, as any program can write it."""
import glob
import json
import os
import random
import time

import harness
from harness import (ALREADY_EXISTS, INVALID_PARAM, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, NOT_FOUND,
                     PARSE_ERROR, header_framed, request_text)

PING = request_text("daemon.ping")
PONG = {"jsonrpc": "2.0", "id": 1, "result": {}}


class LineFraming(harness.DaemonCase):
    def answer(self, data):
        self.peer.send(data)
        return self.peer.reply()

    def test_a_request_that_comes_byte_by_byte_is_answered(self):
        for byte in (PING + "\n").encode():
            self.peer.send(bytes([byte]))
        self.assertEqual(self.peer.reply(), PONG)

    def test_many_requests_in_one_send_are_all_answered_in_order(self):
        self.peer.send("".join(request_text("daemon.ping", None, n) + "\n" for n in range(500)))
        self.assertEqual([self.peer.reply()["id"] for _ in range(500)], list(range(500)))

    def test_a_reply_is_one_line_of_compact_json(self):
        self.peer.send(PING + "\n")
        self.assertEqual(self.peer.line(), b'{"jsonrpc":"2.0","id":1,"result":{}}')

    def test_a_carriage_return_before_the_line_feed_is_ignored(self):
        self.assertEqual(self.answer(PING + "\r\n" + "\r\n"), PONG)
        self.assertEqual(self.answer(PING + "\r\n"), PONG)

    def test_blank_lines_are_skipped(self):
        self.assertEqual(self.answer("\n\r\n \n\t\n" + PING + "\n\n\n"), PONG)
        self.assertTrue(self.peer.quiet())
        self.assertEqual(self.answer(PING + "\n"), PONG)

    def test_blanks_before_the_first_byte_do_not_choose_the_framing(self):
        self.assertEqual(self.answer(" \t\r\n  " + PING + "\n"), PONG)

    def test_a_last_line_without_its_line_feed_is_answered_after_a_half_close(self):
        self.peer.send(PING + "\n" + request_text("daemon.ping", None, 2))
        self.peer.half_close()
        lines = self.peer.rest().decode().splitlines()
        self.assertEqual([json.loads(line)["id"] for line in lines], [1, 2])

    def test_all_pending_replies_come_after_a_half_close_then_the_daemon_closes(self):
        self.peer.send("".join(request_text("daemon.info", None, n) + "\n" for n in range(1000)))
        self.peer.half_close()
        lines = self.peer.rest().decode().splitlines()
        self.assertEqual([json.loads(line)["id"] for line in lines], list(range(1000)))

    def test_an_empty_connection_that_is_half_closed_is_closed_without_a_word(self):
        self.peer.half_close()
        self.assertEqual(self.peer.rest(), b"")

    def test_a_parse_error_closes_nothing(self):
        for bad in ("{", "{]", "[1,", '{"jsonrpc"', "{}{}", '{"a":1,}', "[1 2]", "nonsense", '{"a":\x01}'):
            with self.subTest(bad=bad):
                # The first byte of the connection must choose a framing.
                with self.open() as peer:
                    peer.send(PING + "\n" + bad + "\n" + PING + "\n")
                    self.assertEqual(peer.reply(), PONG)
                    reply = peer.reply()
                    self.assertError(reply["error"], PARSE_ERROR)
                    self.assertIsNone(reply["id"])
                    self.assertEqual(peer.reply(), PONG)

    def test_another_first_byte_gets_a_parse_error_and_the_connection_closes(self):
        for first in ("x", "\0", "}", "]", "1", '"', "c", "\xff", "GET / HTTP/1.1\r\n\r\n"):
            with self.subTest(first=first), self.open() as peer:
                peer.send(first.encode("latin-1"))
                lines = peer.rest().splitlines()
                self.assertEqual(len(lines), 1, lines)
                reply = json.loads(lines[0])
                self.assertError(reply["error"], PARSE_ERROR)
                self.assertIsNone(reply["id"])

    def test_another_first_byte_after_blanks_gets_a_parse_error(self):
        self.peer.send("\n\n  hello\n")
        reply = json.loads(self.peer.rest())
        self.assertError(reply["error"], PARSE_ERROR)

    def test_invalid_utf8_anywhere_is_a_parse_error(self):
        for bad in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"):
            with self.subTest(bad=bad):
                reply = self.answer(b'{"jsonrpc":"2.0","id":1,"method":"daemon.ping","params":{"a":"' + bad + b'"}}\n')
                self.assertError(reply["error"], PARSE_ERROR)

    def test_a_depth_of_64_is_read_and_one_more_is_a_parse_error(self):
        self.assertEqual(self.answer(PING + "\n"), PONG)
        fits = "[" * 64 + "]" * 64
        reply = self.answer(fits + "\n")
        self.assertIsInstance(reply, list)
        self.assertError(reply[0]["error"], INVALID_REQUEST)
        reply = self.answer("[" * 65 + "]" * 65 + "\n")
        self.assertError(reply["error"], PARSE_ERROR)
        reply = self.answer("[" * 100000 + "\n")
        self.assertError(reply["error"], PARSE_ERROR)


class Oversize(harness.DaemonCase):
    options = ("--max-message", "65536")

    def ends_with_refusal(self, peer, framed=False):
        if framed:
            reply = json.loads(peer.message())
            self.assertEqual(peer.rest(), b"")
        else:
            lines = peer.rest().splitlines()
            self.assertEqual(len(lines), 1, lines[:3])
            reply = json.loads(lines[0])
        self.assertError(reply["error"], INVALID_REQUEST)
        self.assertIsNone(reply["id"])

    def padded(self, size):
        text = request_text("daemon.ping")
        return text[:-1] + " " * (size - len(text)) + "}"

    def test_a_line_of_exactly_the_limit_is_answered(self):
        self.peer.send(self.padded(65536) + "\n")
        self.assertEqual(self.peer.reply(), PONG)

    def test_a_line_over_the_limit_gets_an_invalid_request_and_the_connection_closes(self):
        self.peer.send(self.padded(65537) + "\n")
        self.ends_with_refusal(self.peer)

    def test_a_line_over_the_limit_need_not_end(self):
        self.peer.send("{" + " " * 70000)
        self.ends_with_refusal(self.peer)

    def test_replies_to_what_came_before_an_oversize_line_still_come(self):
        self.peer.send((PING + "\n") * 100 + "[" + " " * 200000 + "]\n")
        lines = self.peer.rest().splitlines()
        self.assertEqual(len(lines), 101)
        self.assertError(json.loads(lines[-1])["error"], INVALID_REQUEST)

    def test_a_content_length_over_the_limit_is_refused_before_its_bytes_come(self):
        self.peer.send("Content-Length: 65537\r\n\r\n")
        self.ends_with_refusal(self.peer, True)

    def test_a_content_length_of_the_limit_is_answered(self):
        self.peer.send(header_framed(self.padded(65536)))
        self.assertEqual(json.loads(self.peer.message()), PONG)

    def test_an_absurd_content_length_is_refused(self):
        for length in ("99999999999999999999999999", "18446744073709551616", "18446744073709551615", "4294967296"):
            with self.subTest(length=length), self.open() as peer:
                peer.send("Content-Length: %s\r\n\r\n" % length)
                reply = json.loads(peer.message())
                self.assertIn(reply["error"]["code"], (INVALID_REQUEST, PARSE_ERROR))
                self.assertIsNone(reply["id"])
                self.assertEqual(peer.rest(), b"")

    def test_the_default_limit_is_one_mebibyte(self):
        with harness.Daemon() as daemon, harness.Peer(daemon.path) as peer:
            peer.send(self.padded(1 << 20) + "\n")
            self.assertEqual(peer.reply(), PONG)
            peer.send(self.padded((1 << 20) + 1) + "\n")
            self.ends_with_refusal(peer)


class HeaderFraming(harness.DaemonCase):
    def answer(self, text):
        self.peer.send(header_framed(text))
        return json.loads(self.peer.message())

    def test_a_header_framed_request_is_answered_in_the_same_framing(self):
        self.peer.send(header_framed(PING))
        while b"}}" not in self.peer.buffer:
            self.assertTrue(self.peer.fill())
        body = b'{"jsonrpc":"2.0","id":1,"result":{}}'
        self.assertEqual(self.peer.buffer, b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def test_a_header_framed_request_may_hold_line_feeds(self):
        self.assertEqual(self.answer(json.dumps(json.loads(PING), indent=2)), PONG)

    def test_a_header_framed_request_that_comes_byte_by_byte_is_answered(self):
        for byte in header_framed(PING):
            self.peer.send(bytes([byte]))
        self.assertEqual(json.loads(self.peer.message()), PONG)

    def test_many_header_framed_requests_in_one_send_are_all_answered(self):
        self.peer.send(b"".join(header_framed(request_text("daemon.ping", None, n)) for n in range(300)))
        self.assertEqual([json.loads(self.peer.message())["id"] for _ in range(300)], list(range(300)))

    def test_a_content_type_header_is_allowed(self):
        data = PING.encode()
        self.peer.send(b"Content-Length: %d\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n"
                       % len(data) + data)
        self.assertEqual(json.loads(self.peer.message()), PONG)

    def test_a_parse_error_in_a_header_framed_message_closes_nothing(self):
        reply = self.answer("{nonsense")
        self.assertError(reply["error"], PARSE_ERROR)
        self.assertIsNone(reply["id"])
        self.assertEqual(self.answer(PING), PONG)

    def test_a_batch_is_one_header_framed_reply(self):
        reply = self.answer("[%s,%s]" % (PING, PING))
        self.assertEqual(reply, [PONG, PONG])

    def test_a_broken_header_ends_the_connection_with_a_parse_error(self):
        for header in ("Content-Length: -5\r\n\r\n", "Content-Length: abc\r\n\r\n", "Content-Length:\r\n\r\n",
                       "Cabbage: 5\r\n\r\n12345", "Content-Length 5\r\n\r\n12345"):
            with self.subTest(header=header), self.open() as peer:
                peer.send(header)
                peer.half_close()
                rest = peer.rest()
                self.assertIn(b'"code":-32700', rest)
        self.assertEqual(self.answer(PING), PONG)

    def test_endless_headers_do_not_grow_without_bound(self):
        with self.open() as peer:
            peer.send("Content-Length: 5\r\n")
            try:
                for _ in range(400):
                    peer.send("X-Filler: " + "x" * 65536 + "\r\n")
            except (BrokenPipeError, ConnectionResetError):
                pass
            else:
                self.fail("26 MB of headers were taken")
        self.assertEqual(self.answer(PING), PONG)


class Pieces(harness.DaemonCase):
    """A stream of both good and bad messages is answered the same however its bytes are cut."""

    options = ("--max-message", "65536")

    def messages(self):
        """(text, what is answered): every kind of answer that closes nothing."""
        on = {"space": self.space}
        long_name = "x" * 30000
        return [
            request_text("space.create", {"name": self.space}), request_text("area.map", dict(on, start=0x1000, size=0x1000, flags="rw-")),
            "{nonsense", request_text("area.find", dict(on, addr=0x1000)), '{"jsonrpc":"2.0","method":"daemon.ping"}',
            "[]", "[1,%s]" % PING, request_text("no.such"), request_text("area.split", on), "{}",
            request_text("daemon.ping", None, "\u00e9\U0001f600"), request_text(long_name),
            request_text("area.unmap", dict(on, start=0x1000, size=0x1000)), request_text("space.destroy", on), PING,
        ]

    def answers(self, stream, cuts):
        """All that comes back when the pieces between the cuts are sent apart."""
        with self.open() as peer:
            for low, high in zip([0] + cuts, cuts + [len(stream)]):
                peer.send(stream[low:high])
                if len(cuts) < 50:
                    time.sleep(0.001)  # so that they come apart, too
            peer.half_close()
            rest = peer.rest()
        # Replies may overtake one another, but each is what it is.
        return sorted(rest.splitlines() if stream[:1] == b"{" else rest.split(b"Content-Length: "))

    def check_cuts(self, stream, whole):
        seed = int(os.environ.get("ASPACE_SEED", str(random.randrange(1 << 32))))
        print("seed", seed)
        numbers = random.Random(seed)
        ends = [at + 1 for at, byte in enumerate(stream) if byte == 0x0a]
        for cuts in ([], list(range(1, len(stream))), ends, [end - 1 for end in ends],
                     *(sorted(numbers.sample(range(1, len(stream)), numbers.randrange(1, 40))) for _ in range(20))):
            self.assertEqual(self.answers(stream, cuts), whole, "cut at %s" % cuts[:40])

    def test_lines_are_answered_the_same_wherever_they_are_cut(self):
        messages = self.messages()
        stream = "".join(text + "\r\n" for text in messages).encode()
        whole = self.answers(stream, [])
        self.assertEqual(len(whole), len(messages) - 1)  # one is a notification
        self.check_cuts(stream, whole)

    def test_header_framed_messages_are_answered_the_same_wherever_they_are_cut(self):
        messages = self.messages()
        stream = b"".join(header_framed(text) for text in messages)
        whole = self.answers(stream, [])
        self.assertEqual(len(whole), len(messages))  # one is a notification; what is before the first header is empty
        self.check_cuts(stream, whole)

    def test_a_header_framed_stream_that_is_half_closed_gets_every_reply(self):
        self.peer.send(b"".join(header_framed(request_text("daemon.info", None, n)) for n in range(1000)))
        self.peer.half_close()
        self.assertEqual([json.loads(self.peer.message())["id"] for _ in range(1000)], list(range(1000)))
        self.assertEqual(self.peer.rest(), b"")

    def test_a_header_framed_message_cut_short_by_a_half_close_is_none(self):
        whole = header_framed(PING)
        for size in range(1, len(whole)):
            with self.subTest(size=size), self.open() as peer:
                peer.send(whole + whole[:size])
                peer.half_close()
                self.assertEqual(json.loads(peer.message()), PONG)
                self.assertEqual(peer.rest(), b"")

    def test_a_line_in_a_header_framed_connection_and_a_header_in_a_line_connection_are_errors(self):
        with self.open() as peer:
            peer.send(header_framed(PING) + (PING + "\n").encode())
            self.assertEqual(json.loads(peer.message()), PONG)
            peer.half_close()
            self.assertNotIn(b"result", peer.rest())
        with self.open() as peer:
            peer.send((PING + "\n").encode() + header_framed(PING) + b"\n")
            self.assertEqual(peer.reply(), PONG)
            self.assertError(peer.reply()["error"], PARSE_ERROR)  # "Content-Length: 50"
            self.assertEqual(peer.reply(), PONG)


class Strictness(harness.DaemonCase):
    """The public JSON test suite, each file as it is, byte for byte."""

    # A line can hold no line feed, so what these say cannot be said in one; the first n_ two are blank as a line.
    BLANK_LINES = {"n_single_space.json", "n_structure_no_data.json"}
    MANY_LINES = {"y_array_with_1_and_newline.json", "y_object_with_newlines.json"}

    def files(self, prefix, count):
        """[(name, bytes)], which must be so many: a suite that is not there passes nothing."""
        found = sorted(glob.glob(os.path.join(harness.TEST_DATA, "json-test-suite", prefix + "_*.json")))
        self.assertEqual(len(found), count, "the JSON test suite in " + harness.TEST_DATA)
        for path in found:
            with open(path, "rb") as file:
                yield os.path.basename(path), file.read()

    def framed(self, data):
        """The reply to `data` as the one message of a header-framed connection."""
        with self.open() as peer:
            peer.send(header_framed(data))
            peer.half_close()
            reply = json.loads(peer.message())
            self.assertEqual(peer.rest(), b"")
            return reply

    def lines(self, data):
        """The replies to `data` and a line feed, after a request that has chosen the framing and before another."""
        with self.open() as peer:
            peer.send(PING.encode() + b"\n" + data + b"\n" + PING.encode() + b"\n")
            peer.half_close()
            replies = [json.loads(line) for line in peer.rest().splitlines()]
        self.assertEqual([replies[0], replies[-1]], [PONG, PONG])
        return replies[1:-1]

    def assertParseError(self, reply):
        self.assertError(reply["error"], PARSE_ERROR)
        self.assertIsNone(reply["id"])

    def assertNoParseError(self, reply):
        for one in reply if isinstance(reply, list) else [reply]:
            self.assertError(one["error"], INVALID_REQUEST)

    def test_each_of_the_188_texts_that_must_be_refused_gets_a_parse_error_header_framed(self):
        for name, data in self.files("n", 188):
            with self.subTest(name=name):
                self.assertParseError(self.framed(data))

    def test_each_of_the_188_texts_that_must_be_refused_gets_a_parse_error_as_a_line(self):
        for name, data in self.files("n", 188):
            with self.subTest(name=name):
                replies = self.lines(data)
                if name in self.BLANK_LINES:
                    self.assertEqual(replies, [])
                    continue
                self.assertParseError(replies[0])
                self.assertEqual(len(replies), data.rstrip(b"\n").count(b"\n") + 1)

    def test_no_text_that_must_be_accepted_gets_a_parse_error_header_framed(self):
        for name, data in self.files("y", 95):
            with self.subTest(name=name):
                self.assertNoParseError(self.framed(data))

    def test_no_text_that_must_be_accepted_gets_a_parse_error_as_a_line(self):
        many = set()
        for name, data in self.files("y", 95):
            if b"\n" in data.rstrip(b"\n"):
                many.add(name)
                continue
            with self.subTest(name=name):
                replies = self.lines(data)
                self.assertEqual(len(replies), 1)
                self.assertNoParseError(replies[0])
        self.assertEqual(many, self.MANY_LINES)

    def test_each_text_of_either_choice_gets_one_error_in_both_framings(self):
        for name, data in self.files("i", 35):
            with self.subTest(name=name):
                framed = self.framed(data)
                self.assertIn((framed[0] if isinstance(framed, list) else framed)["error"]["code"],
                              (PARSE_ERROR, INVALID_REQUEST))
                if b"\n" not in data:
                    self.assertEqual(self.lines(data), [framed])

    def test_a_thousand_bad_texts_on_one_connection_close_nothing(self):
        bad = [data for _, data in self.files("n", 188) if len(data) < 1000] * 6
        stream = header_framed(PING) + b"".join(header_framed(data) for data in bad) + header_framed(PING)
        self.assertGreater(len(bad), 1000)
        self.peer.send(stream)
        self.assertEqual(json.loads(self.peer.message()), PONG)
        for _ in bad:
            self.assertParseError(json.loads(self.peer.message()))
        self.assertEqual(json.loads(self.peer.message()), PONG)


class Envelope(harness.DaemonCase):
    def answer(self, text):
        self.peer.send(text + "\n")
        return self.peer.reply()

    def refusal(self, text, code, request_id=None):
        reply = self.answer(text)
        self.assertEqual(set(reply), {"jsonrpc", "id", "error"}, reply)
        self.assertError(reply["error"], code)
        self.assertEqual(reply["id"], request_id)
        return reply["error"]

    def test_ids_come_back_byte_for_byte(self):
        for written in ("1", "0", "-1", "-0", "1.0", "1e2", "1E+2", "0.10", "9007199254740993", "-9007199254740993",
                        "123456789012345678901234567890", "1e400", "null", '""', '"a"', '"\\u0041\\n\\\\\\"\\/"',
                        '"\\ud83d\\ude00"', '"\u00e9\U0001f600"', '"' + "x" * 1000 + '"'):
            with self.subTest(id=written):
                self.peer.send('{"jsonrpc":"2.0","id":%s,"method":"daemon.ping"}\n' % written)
                self.assertEqual(self.peer.line().decode(), '{"jsonrpc":"2.0","id":%s,"result":{}}' % written)

    def test_ids_come_back_byte_for_byte_in_errors_too(self):
        for written in ("1.0", "9007199254740993", '"\\u0041"', "null"):
            with self.subTest(id=written):
                self.peer.send('{"jsonrpc":"2.0","id":%s,"method":"no.such"}\n' % written)
                self.assertIn('"id":%s,' % written, self.peer.line().decode())

    def test_an_id_of_null_is_answered(self):
        self.assertEqual(self.answer('{"jsonrpc":"2.0","id":null,"method":"daemon.ping"}'),
                         {"jsonrpc": "2.0", "id": None, "result": {}})

    def test_an_id_of_another_type_is_an_invalid_request(self):
        for bad in ("true", "false", "[]", "{}", "[1]"):
            with self.subTest(id=bad):
                self.refusal('{"jsonrpc":"2.0","id":%s,"method":"daemon.ping"}' % bad, INVALID_REQUEST)

    def test_a_notification_is_carried_out_and_never_answered(self):
        self.peer.send('{"jsonrpc":"2.0","method":"space.create","params":{"name":"noted"}}\n')
        self.peer.send('{"jsonrpc":"2.0","method":"no.such"}\n')
        self.peer.send('{"jsonrpc":"2.0","method":"space.create","params":{"name":"noted"}}\n')
        self.peer.send('{"jsonrpc":"2.0","method":"space.create","params":{"nome":"noted"}}\n')
        self.assertEqual(self.call("space.info", space="noted")["name"], "noted")
        self.call("space.destroy", space="noted")
        self.assertTrue(self.peer.quiet())

    def test_the_version_must_be_the_string_2_0(self):
        for version in ('"1.0"', "2.0", "2", "null", '"2"', '"2.00"'):
            with self.subTest(version=version):
                self.refusal('{"jsonrpc":%s,"id":1,"method":"daemon.ping"}' % version, INVALID_REQUEST, 1)
        self.refusal('{"id":1,"method":"daemon.ping"}', INVALID_REQUEST, 1)

    def test_the_method_must_be_a_string(self):
        for method in ("1", "null", "[]", '{"a":1}', "true"):
            with self.subTest(method=method):
                self.refusal('{"jsonrpc":"2.0","id":"q","method":%s}' % method, INVALID_REQUEST, "q")
        self.refusal('{"jsonrpc":"2.0","id":1}', INVALID_REQUEST, 1)

    def test_the_params_must_be_an_object_or_an_array(self):
        for params in ("1", "null", '"a"', "true"):
            with self.subTest(params=params):
                self.refusal('{"jsonrpc":"2.0","id":1,"method":"daemon.ping","params":%s}' % params, INVALID_REQUEST, 1)

    def test_valid_json_that_is_no_request_is_an_invalid_request(self):
        for text in ("1", '"a"', "null", "true", "{}", '{"foo":"bar"}'):
            with self.subTest(text=text), self.open() as peer:
                peer.send(PING + "\n" + text + "\n")
                self.assertEqual(peer.reply(), PONG)
                reply = peer.reply()
                self.assertError(reply["error"], INVALID_REQUEST)
                self.assertIsNone(reply["id"])

    def test_member_names_are_matched_with_regard_to_case(self):
        self.refusal('{"JSONRPC":"2.0","id":1,"method":"daemon.ping"}', INVALID_REQUEST, 1)
        self.refusal('{"jsonrpc":"2.0","id":1,"Method":"daemon.ping"}', INVALID_REQUEST, 1)
        self.refusal('{"jsonrpc":"2.0","id":1,"method":"Daemon.ping"}', METHOD_NOT_FOUND, 1)
        self.refusal('{"jsonrpc":"2.0","id":1,"method":"space.info","params":{"Space":"a"}}', INVALID_PARAMS, 1)

    def test_a_member_name_written_with_escapes_is_the_same_name(self):
        self.assertEqual(self.answer('{"\\u006asonrpc":"2.0","id":1,"m\\u0065thod":"daemon\\u002eping"}'), PONG)

    def test_a_duplicate_member_in_the_envelope_is_an_invalid_request(self):
        for text in ('{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"daemon.ping"}',
                     '{"jsonrpc":"2.0","id":1,"id":2,"method":"daemon.ping"}',
                     '{"jsonrpc":"2.0","id":1,"method":"daemon.ping","method":"daemon.ping"}',
                     '{"jsonrpc":"2.0","id":1,"method":"daemon.ping","params":{},"params":{}}',
                     '{"jsonrpc":"2.0","id":1,"method":"daemon.ping","m\\u0065thod":"daemon.info"}'):
            with self.subTest(text=text):
                reply = self.answer(text)
                self.assertError(reply["error"], INVALID_REQUEST)

    def test_a_duplicate_parameter_is_refused(self):
        error = self.refusal('{"jsonrpc":"2.0","id":1,"method":"space.info","params":{"space":"a","space":"b"}}',
                             INVALID_PARAMS, 1)
        self.assertEqual(error["data"]["param"], "space")
        self.refusal('{"jsonrpc":"2.0","id":1,"method":"space.info","params":{"space":"a","sp\\u0061ce":"b"}}',
                     INVALID_PARAMS, 1)

    def test_an_unknown_method_is_method_not_found(self):
        for method in ("no.such", "", "daemon", "daemon.pin", "daemon.pingg", "daemon.ping\\u0000", "rpc.nothing"):
            with self.subTest(method=method):
                self.refusal('{"jsonrpc":"2.0","id":1,"method":"%s"}' % method, METHOD_NOT_FOUND, 1)

    def test_a_long_method_name_is_quoted_in_valid_utf8(self):
        for letter in ("x", "\u00e9", "\u20ac", "\U0001f600", "\\\"", "\\u00e9"):
            for pad in range(4):
                with self.subTest(letter=letter, pad=pad):
                    self.peer.send('{"jsonrpc":"2.0","id":1,"method":"%s"}\n' % ("a" * pad + letter * 400))
                    reply = json.loads(self.peer.line().decode("utf-8"))
                    self.assertError(reply["error"], METHOD_NOT_FOUND)

    def test_long_bad_values_are_quoted_in_valid_utf8(self):
        for letter in ("\u00e9", "\u20ac", "\U0001f600"):
            for pad in range(4):
                value = "a" * pad + letter * 400
                for params in ({value: 1}, {"space": value}, {"space": "x", "start": value}, {"space": [value]}):
                    with self.subTest(letter=letter, pad=pad, params=list(params)[-1][:10]):
                        self.peer.send(request_text("area.shrink", params).replace("\\u", "\\u") + "\n")
                        reply = json.loads(self.peer.line().decode("utf-8"))
                        self.assertError(reply["error"], INVALID_PARAMS)
                        raw = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "area.shrink", "params": params},
                                         ensure_ascii=False)
                        self.peer.send(raw + "\n")
                        reply = json.loads(self.peer.line().decode("utf-8"))
                        self.assertError(reply["error"], INVALID_PARAMS)


class Batches(harness.DaemonCase):
    def answer(self, text):
        self.peer.send(text + "\n")
        return self.peer.reply()

    def test_an_empty_batch_gets_one_invalid_request(self):
        reply = self.answer("[]")
        self.assertIsInstance(reply, dict)
        self.assertError(reply["error"], INVALID_REQUEST)
        self.assertIsNone(reply["id"])

    def test_a_batch_of_what_is_no_request_gets_an_error_for_each(self):
        reply = self.answer("[1,2,3]")
        self.assertEqual(len(reply), 3)
        for one in reply:
            self.assertError(one["error"], INVALID_REQUEST)
            self.assertIsNone(one["id"])

    def test_a_batch_of_more_than_the_limit_gets_one_error_and_nothing_of_it_is_done(self):
        most = self.call("daemon.info")["limits"]["max_batch"]
        self.assertEqual(len(self.answer("[%s]" % ",".join(["1"] * most))), most)
        self.create()
        edit = request_text("area.map", {"space": self.space, "start": 0x1000, "size": 0x1000, "flags": "rw-"})
        reply = self.answer("[%s,%s]" % (edit, ",".join(["1"] * most)))
        self.assertIsInstance(reply, dict)
        self.assertError(reply["error"], INVALID_REQUEST)
        self.assertIsNone(reply["id"])
        self.assertIn("--max-batch", reply["error"]["data"]["hint"])
        self.assertEqual(self.on("space.info")["areas"], 0)

    def test_a_batch_in_a_batch_is_an_invalid_request(self):
        reply = self.answer("[[%s]]" % PING)
        self.assertEqual(len(reply), 1)
        self.assertError(reply[0]["error"], INVALID_REQUEST)

    def test_a_batch_that_is_not_json_gets_one_parse_error(self):
        reply = self.answer('[%s,{"jsonrpc"]' % PING)
        self.assertIsInstance(reply, dict)
        self.assertError(reply["error"], PARSE_ERROR)

    def test_a_batch_of_notifications_only_gets_nothing(self):
        self.peer.send('[{"jsonrpc":"2.0","method":"daemon.ping"},{"jsonrpc":"2.0","method":"no.such"}]\n')
        self.assertTrue(self.peer.quiet())
        self.assertEqual(self.answer(PING), PONG)

    def test_a_mixed_batch_gets_one_array_in_request_order(self):
        reply = self.answer("[%s]" % ",".join([
            request_text("space.create", {"name": "mixed"}, "a"),
            '{"jsonrpc":"2.0","method":"daemon.ping"}',
            "7",
            request_text("space.info", {"space": "mixed"}, "b"),
            request_text("no.such", None, "c"),
            request_text("space.destroy", {"space": "mixed"}, "d"),
            request_text("space.info", {"space": "mixed"}, "e"),
        ]))
        self.assertEqual([one["id"] for one in reply], ["a", None, "b", "c", "d", "e"])
        self.assertEqual(reply[0]["result"]["name"], "mixed")
        self.assertError(reply[1]["error"], INVALID_REQUEST)
        self.assertEqual(reply[2]["result"], reply[0]["result"])
        self.assertError(reply[3]["error"], METHOD_NOT_FOUND)
        self.assertEqual(reply[4]["result"], {})
        self.assertError(reply[5]["error"], NOT_FOUND)

    def test_a_batch_of_a_thousand_requests_gets_a_thousand_replies(self):
        reply = self.answer("[%s]" % ",".join(request_text("daemon.ping", None, n) for n in range(1000)))
        self.assertEqual([one["id"] for one in reply], list(range(1000)))


class Parameters(harness.DaemonCase):
    """Every type of the table of values, by name and by position, and what it refuses."""

    def wrong(self, method, param, **named):
        error = self.refused(INVALID_PARAMS, method, **named)
        if param:
            self.assertEqual(error["data"].get("param"), param, error)
        return error

    def raw(self, method, params):
        """The reply to params written by hand, for numbers that Python would write otherwise."""
        self.peer.send('{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}\n' % (method, params))
        return self.peer.reply()

    def test_params_by_position_follow_the_tables_order(self):
        self.create()
        result = self.call("area.map", [self.space, "0x3000", "rw-"])
        self.assertEqual(result["area"]["size"], "0x3000")
        result = self.call("area.unmap", [self.space, result["start"], 0x1000])
        self.assertEqual(result["unmapped"], "0x1000")
        self.assertEqual(self.call("space.info", [self.space])["name"], self.space)
        self.assertEqual(self.call("daemon.ping", []), {})

    def test_too_many_params_by_position_are_refused(self):
        self.create()
        self.refused(INVALID_PARAMS, "space.info", [self.space, 1])
        self.refused(INVALID_PARAMS, "daemon.ping", [1])

    def test_too_few_params_by_position_name_the_missing_one(self):
        self.create()
        error = self.refused(INVALID_PARAMS, "area.split", [self.space])
        self.assertEqual(error["data"]["param"], "at")

    def test_a_missing_param_is_named(self):
        self.create()
        self.wrong("area.map", "size", space=self.space, flags="rw-")
        self.wrong("area.map", "flags", space=self.space, size=4096)
        self.wrong("area.split", "at", space=self.space)
        self.wrong("memory.access", "kind", space=self.space, addr=0)
        self.refused(INVALID_PARAMS, "space.create")
        self.refused(INVALID_PARAMS, "space.info", {})

    def test_an_unknown_param_is_refused_and_named(self):
        self.create()
        for method, params in (("space.info", {}), ("area.map", {"size": 4096, "flags": "rw-"}),
                               ("area.find", {"addr": 0})):
            with self.subTest(method=method):
                error = self.refused(INVALID_PARAMS, method, dict(params, space=self.space, sise=1))
                self.assertIn("sise", error["message"])
                self.assertEqual(error["data"]["param"], "sise")
        self.assertEqual(self.refused(INVALID_PARAMS, "daemon.ping", {"a": 1})["data"]["param"], "a")
        self.assertEqual(self.refused(INVALID_PARAMS, "daemon.ping", {"\u00e9\"\n": 1})["data"]["param"], "\u00e9\"\n")
        self.assertEqual(self.refused(INVALID_PARAMS, "daemon.ping", {"a" * 100: 1})["data"]["param"], "a" * 63)
        error = self.refused(INVALID_PARAMS, "space.apply", {
            "space": self.space, "ops": [{"method": "area.unmap", "params": {"start": 0, "size": 4096, "sise": 1}}]})
        self.assertEqual(error["data"]["param"], "sise")

    def test_an_address_is_a_hex_string_a_decimal_string_or_an_integer(self):
        self.create()
        for written in ('"0x4000"', '"0X4000"', '"0x0000000000000000004000"', '"16384"', "16384"):
            with self.subTest(addr=written):
                reply = self.raw("area.map", '{"space":"%s","start":%s,"size":4096,"flags":"rw-"}' %
                                 (self.space, written))
                if written == '"0X4000"' and "error" in reply:
                    continue  # the protocol writes 0x
                self.assertEqual(reply.get("result", reply).get("start"), "0x4000", reply)
                self.on("space.clear")

    def test_an_address_of_another_form_is_refused(self):
        self.create()
        for written in ("-1", "1.0", "4096.0", "1e3", "4096e0", "9007199254740993", "18446744073709551616", "true",
                        "null", "[]", "{}", '""', '" 1"', '"1 "', '"0x"', '"x"', '"-1"', '"+1"', '"0xg"', '"1.5"',
                        '"0x10000000000000000"', '"18446744073709551616"', '"0x1_000"', '"1e3"', '"4K"', '"0x4K"',
                        '"0x1000\\u0000"', '"99999999999999999999999"'):
            with self.subTest(addr=written):
                reply = self.raw("area.find", '{"space":"%s","addr":%s}' % (self.space, written))
                self.assertIn("error", reply)
                self.assertError(reply["error"], INVALID_PARAMS)
                self.assertEqual(reply["error"]["data"]["param"], "addr")

    def test_the_greatest_integer_and_the_greatest_string_are_taken_as_addresses(self):
        self.create()
        for written in ("9007199254740992", '"0xffffffffffffffff"', '"18446744073709551615"'):
            with self.subTest(addr=written):
                reply = self.raw("area.find", '{"space":"%s","addr":%s}' % (self.space, written))
                if "error" in reply:
                    self.assertError(reply["error"], INVALID_PARAM)  # outside the space, but an address

    def test_a_size_takes_the_suffixes_k_m_g_t(self):
        self.create()
        for written, size in (("4K", 4 << 10), ("1M", 1 << 20), ("3G", 3 << 30), ("2T", 2 << 40), ("0x10K", 16 << 10),
                              ("4096", 4096), ("0x2000", 0x2000)):
            with self.subTest(size=written):
                result = self.on("area.map", size=written, flags="r--")
                self.assertEqual(result["area"]["size"], harness.hexa(size))
                self.on("space.clear")

    def test_a_size_of_another_form_is_refused(self):
        self.create()
        for written in ("4KB", "4KiB", "K", "4P", "-4K", "4 K", "1.5M", "16777216T", "", 1.5, -4096, True, None, [], {}):
            with self.subTest(size=written):
                self.wrong("area.map", "size", space=self.space, size=written, flags="r--")

    def test_a_count_is_an_integer_and_nothing_else(self):
        self.create()
        for limit in ("10", 1.5, -1, True, None, [], {}):
            with self.subTest(limit=limit):
                self.wrong("area.list", "limit", space=self.space, limit=limit)
        for limit in ("1.0", "1e1"):
            reply = self.raw("area.list", '{"space":"%s","limit":%s}' % (self.space, limit))
            self.assertError(reply["error"], INVALID_PARAMS)

    def test_flags_of_another_form_are_refused(self):
        self.create()
        for flags in ("", "rw", "rwxx", "wr-", "RW-", "r w", "rw-,", ",rw-", "rw-,unknown", "rw-,Kernel", "rw- ,kernel",
                      "+w", "-x", "---,", 7, None, ["r"], True, "rw-,kernel,kernel,"):
            with self.subTest(flags=flags):
                self.wrong("area.map", "flags", space=self.space, size=4096, flags=flags)

    def test_every_flags_text_comes_back_in_the_canonical_order(self):
        self.create()
        for flags, canonical in (("---", "---"), ("r--", "r--"), ("-w-", "-w-"), ("--x", "--x"), ("rwx", "rwx"),
                                 ("rw-,kernel", "rw-,kernel"), ("r-x,global,kernel", "r-x,kernel,global"),
                                 ("rw-,shared,uncached,device,global,kernel",
                                  "rw-,kernel,global,device,uncached,shared")):
            with self.subTest(flags=flags):
                reply = self.peer.ask("area.map", {"space": self.space, "size": 4096, "flags": flags})
                if "error" in reply and "device,uncached" in canonical:
                    continue  # a backend may refuse the two together
                self.assertEqual(reply["result"]["area"]["flags"], canonical)

    def test_a_flags_change_of_another_form_is_refused(self):
        self.create()
        self.on("area.map", start=0x1000, size=4096, flags="rw-")
        for flags in ("", "+", "-", "w", "+q", "+w,", "+w,kernel", "++w-", "+w,+unknown", "rw", 1, None, ["+w"]):
            with self.subTest(flags=flags):
                self.wrong("area.protect", "flags", space=self.space, start=0x1000, size=4096, flags=flags)

    def test_a_choice_is_one_of_its_texts(self):
        self.create()
        for param, bad in (("policy", "worst"), ("overlap", "FAIL"), ("backing", "heap"), ("policy", 1),
                           ("overlap", None), ("backing", "")):
            with self.subTest(param=param, bad=bad):
                self.wrong("area.map", param, space=self.space, size=4096, flags="rw-", **{param: bad})
        self.wrong("memory.access", "kind", space=self.space, addr=0, kind="peek")
        self.wrong("memory.access", "mode", space=self.space, addr=0, kind="read", mode="root")
        self.wrong("space.create", "backend", name="b", backend="none")
        self.wrong("space.create", "arch", name="b", arch="z80")
        self.wrong("space.create", "merge", name="b", merge=True)

    def test_a_range_is_an_array_of_two_addresses(self):
        self.create()
        for bad in ([], [0], [0, 1, 2], "0-1", {"lo": 0}, 5, None, [0, "x"], [-1, 5], [0, None]):
            with self.subTest(bad=bad):
                self.wrong("area.find_free", "within", space=self.space, size=4096, within=bad)
                self.wrong("space.create", "range", name="r", range=bad)

    def test_a_space_name_that_breaks_the_rule_is_refused(self):
        for bad in ("", ".a", "-a", "a b", "a/b", "\u00e9", "a" * 65, "a\n", "a\0", 5, None, ["a"]):
            with self.subTest(name=bad):
                self.wrong("space.create", "name", name=bad)
                self.wrong("space.info", "space", space=bad)

    def test_a_space_name_of_every_allowed_letter_is_taken(self):
        for name in ("a", "a" * 64, "0", "_", "A.b-c_9", "a.", "a-"):
            with self.subTest(name=name):
                self.assertEqual(self.call("space.create", name=name)["name"], name)
                self.call("space.destroy", space=name)

    def test_bytes_that_are_not_strict_base64_or_hex_are_refused(self):
        self.create()
        self.on("area.map", start=0x1000, size=4096, flags="rw-")
        for bad in ("a", "aa", "aaa", "a===", "aaaa====", "aa=a", "!!!!", "aGk", "aGk=\n", "aG k=", "aGl=", "_-8=", 5,
                    None, ["aGk="]):
            with self.subTest(data=bad):
                self.wrong("memory.write", "data", space=self.space, addr=0x1000, data=bad)
        for bad in ("a", "0x12", "gg", "1 2", "123", 12, None):
            with self.subTest(hex=bad):
                self.wrong("memory.write", "hex", space=self.space, addr=0x1000, hex=bad)
        self.refused(INVALID_PARAMS, "memory.write", space=self.space, addr=0x1000)
        self.refused(INVALID_PARAMS, "memory.write", space=self.space, addr=0x1000, data="aGk=", hex="6869")

    def test_a_tag_is_a_text_of_at_least_one_byte(self):
        self.create()
        for bad in ("", 5, None, [], "a\0b", "x" * 1024):
            with self.subTest(tag=str(bad)[:10]):
                self.wrong("area.map", "tag", space=self.space, size=4096, flags="rw-", tag=bad)

    def test_start_beside_hint_or_within_is_refused(self):
        self.create()
        for beside in ({"hint": 0x2000}, {"within": [0x1000, 0x9000]}):
            with self.subTest(beside=beside):
                self.refused(INVALID_PARAMS, "area.map", space=self.space, start=0x1000, size=4096, flags="rw-",
                             **beside)

    def test_an_error_names_its_offending_value_and_its_stable_name(self):
        self.create()
        self.on("area.map", start=0x1000, size=4096, flags="rw-")
        error = self.refused(ALREADY_EXISTS, "area.map", space=self.space, start=0x1000, size=4096, flags="rw-")
        self.assertIn("0x1000", error["message"])
        error = self.refused(INVALID_PARAM, "area.map", space=self.space, start=0x1001, size=4096, flags="rw-")
        self.assertIn("0x1001", error["message"])
        error = self.refused(NOT_FOUND, "space.info", space="nobody-here")
        self.assertIn("nobody-here", error["message"])

    def test_requests_on_one_connection_to_one_space_run_in_their_order(self):
        self.create()
        requests = []
        for n in range(200):
            requests.append(("area.map", {"space": self.space, "start": 0x1000, "size": 4096, "flags": "rw-"}))
            requests.append(("area.unmap", {"space": self.space, "start": 0x1000, "size": 4096, "holes": "refuse"}))
        began = time.monotonic()
        for reply in self.peer.pipeline(requests):
            self.assertIn("result", reply)
        self.assertLess(time.monotonic() - began, harness.PATIENCE)


if __name__ == "__main__":
    harness.main()
