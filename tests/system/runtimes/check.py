"""A busy CPython that checks itself until its input ends: threads, a timer's signals, children. Says "whole" then."""
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time

over = threading.Event()
alarms = 0


def wrong(what):
    print("wrong:", what, flush=True)
    os._exit(1)


def guarded(work):
    def run(*args):
        try:
            while not over.is_set():
                work(*args)
        except BaseException as error:
            wrong(repr(error))
    return run


kept = {}


@guarded
def compute(seed):
    text = b"%d" % seed
    want = kept.setdefault(seed, (hashlib.sha256(text).digest(), []))
    if hashlib.sha256(text).digest() != want[0]:
        wrong("a sum")
    want[1].append(bytes([seed]) * (1 << (8 + len(want[1]) % 12)))
    if len(want[1]) > 50:
        if any(block.count(seed) != len(block) for block in want[1]):
            wrong("memory")
        want[1].clear()
    began = time.monotonic()
    time.sleep(0.0005)
    if time.monotonic() - began < 0.0005:
        wrong("a sleep that was cut short")


@guarded
def spawn():
    if subprocess.run(["/bin/echo", "whole"], stdout=subprocess.PIPE, check=True).stdout != b"whole\n":
        wrong("a child")


def on_alarm(*_):
    global alarms
    alarms += 1


signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
threads = [threading.Thread(target=compute, args=(seed,)) for seed in range(1, 5)] + [threading.Thread(target=spawn)]
for thread in threads:
    thread.start()
print("ready", flush=True)
sys.stdin.read()
over.set()
for thread in threads:
    thread.join()
signal.setitimer(signal.ITIMER_REAL, 0)
if alarms == 0:
    wrong("no alarms")
print("whole", flush=True)
