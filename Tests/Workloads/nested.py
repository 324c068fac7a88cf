"""nested.py COUNT — Python functions that allocate and keep, COUNT times each: 5000 bytes below outer and map,
6000 in a generator, 7000 below 80 calls, 9000 below 150, 8000 in a thread of their own. READY, line, "DONE", line."""
import sys
import threading

kept = []


def leaf(size):
    kept.append(bytearray(size))  # MARK leaf


def middle(size):
    leaf(size)  # MARK middle


def outer(size):
    for _ in map(middle, [size]):  # MARK outer
        pass


class Shop:
    def generate(self, size):
        yield bytearray(size)  # MARK generate

    def consume(self, size):
        kept.extend(self.generate(size))  # MARK consume


def deep(left, size):
    if left == 0:
        leaf(size)
    else:
        deep(left - 1, size)  # MARK deep


def in_thread(size):
    leaf(size)  # MARK in_thread


print("READY", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[1])):
    outer(5000)  # MARK module
    Shop().consume(6000)
    deep(80, 7000)
    deep(150, 9000)
    thread = threading.Thread(target=in_thread, args=(8000,))
    thread.start()
    thread.join()
print("DONE", flush=True)
sys.stdin.readline()
