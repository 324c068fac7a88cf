#!/usr/bin/env python3
"""Steady traffic for a server, at a bounded rate, until it is killed: traffic.py redis|nginx PORT [OPERATIONS A SECOND]"""

import random
import socket
import sys
import time


def command(*words):
    parts = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def redis_commands(chance):
    """A cache, queues, sessions and rankings, all of them bounded."""
    key, value = chance.randrange(4000), "v" * chance.randrange(20, 400)
    kind = chance.randrange(10)
    if kind < 3:
        return [command("SET", f"cache:{key}", value, "EX", chance.randrange(5, 120))]
    if kind < 5:
        return [command("GET", f"cache:{key}")]
    if kind == 5:
        name = f"queue:{key % 20}"
        return [command("LPUSH", name, value), command("RPOP", name)]
    if kind == 6:
        return [command("HSET", f"session:{key % 500}", f"field{key % 30}", value)]
    if kind == 7:
        return [command("ZADD", "ranking", key, f"player{chance.randrange(2000)}")]
    if kind == 8:
        return [command("SADD", "members", value), command("SPOP", "members")]
    return [command("DEL", f"session:{key % 500}")]


def redis(port, rate, chance):
    server = socket.create_connection(("127.0.0.1", port))
    batch = max(rate // 20, 1)
    while True:
        begin = time.monotonic()
        sent = [one for _ in range(batch) for one in redis_commands(chance)]
        server.sendall(b"".join(sent))
        # Replies are not looked at; what matters is that all are taken.
        server.settimeout(0.05)
        try:
            while server.recv(1 << 16):
                pass
        except socket.timeout:
            pass
        time.sleep(max(0.0, batch / rate - (time.monotonic() - begin)))


def nginx(port, rate, chance):
    connection, left = None, 0
    while True:
        if left == 0:
            if connection:
                connection.close()
            connection, left = socket.create_connection(("127.0.0.1", port)), chance.randrange(1, 100)
        path = "/" + "x" * chance.randrange(1, 300)
        last = left == 1
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: a\r\n{'Connection: close' if last else 'X: y'}\r\n\r\n".encode())
        connection.recv(1 << 16)
        left -= 1
        time.sleep(1 / rate)


if __name__ == "__main__":
    {"redis": redis, "nginx": nginx}[sys.argv[1]](
        int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 300, random.Random(7))
