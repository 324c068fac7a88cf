"""A Python service with bounded caches and sessions, all in one process, until it is killed: service.py [leak]

With "leak" a C extension forgets a reference to one in twenty of the blocks that it makes (forget.c)."""

import collections
import functools
import json
import random
import sys
import time

forget = None
if len(sys.argv) > 1:
    import forget

chance = random.Random(3)
sessions = collections.OrderedDict()
recent = collections.deque(maxlen=500)


@functools.lru_cache(maxsize=1000)
def render(page):
    return ("<p>%d</p>" % page) * 40


def request():
    page = chance.randrange(5000)
    body = json.dumps({"page": page, "text": render(page), "list": list(range(page % 60))})
    recent.append(json.loads(body))
    user = chance.randrange(3000)
    sessions[user] = sessions.get(user, b"")[-2000:] + b"x" * chance.randrange(700, 1500)
    sessions.move_to_end(user)
    if len(sessions) > 400:
        sessions.popitem(last=False)
    if forget:
        forget.block(700 + page % 100, page % 20 == 0)


print("READY", flush=True)
while True:
    for _ in range(20):
        request()
    time.sleep(0.05)
