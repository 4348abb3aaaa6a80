"""Load on a server: clients that each ask again as soon as they are answered, in a process of their own.

    under_load("http://127.0.0.1:8000", bodies, clients=8, seconds=3)        # {"rate": 700.0, "p95": 14.2, …}

A client keeps its connection and does as little as it can beside writing a request and reading its answer, so that the
server, and not the client, is what is measured. Requests are POST /predict with the bodies in turn.
"""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

WARM = 0.2  # share of the time that comes before the clock starts: caches, connections


def under_load(url: str, bodies: Sequence, *, clients: int, seconds: float) -> dict:
    """What `clients` measure within `seconds`: answers a second (rate); p50, p95 and p99 of the milliseconds that one
    takes, endless where none came of what was asked in time; answers; and errors, answers other than 200, of those
    before the clock too. bodies: what JSON can say. Raises RuntimeError where there is no server, or it hangs up."""
    done = subprocess.run([sys.executable, "-m", "seo_core.bench.load", url, str(clients), str(seconds)], text=True,
                          input=json.dumps(list(bodies)), capture_output=True)
    if done.returncode:
        raise RuntimeError(f"no load on {url}: {done.stderr.strip().rpartition(chr(10))[2]}")
    return json.loads(done.stdout)


async def _ask(url: str, requests: list[bytes], first: int, seconds: float) -> tuple[list[float], int]:
    """One client: (milliseconds of each answer, how many were errors)."""
    place, taken, errors = urlsplit(url), [], 0
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    began = time.perf_counter()
    number = first
    while (now := time.perf_counter()) < began + seconds:
        writer.write(requests[number % len(requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r")[0]))
        if now > began + WARM * seconds:
            taken.append(1000 * (time.perf_counter() - now))
        errors += not head.startswith(b"HTTP/1.1 200")
        number += 1
    writer.close()
    return taken, errors


async def _all(url: str, bodies: list, clients: int, seconds: float) -> dict:
    raw = [json.dumps(body).encode() for body in bodies]
    requests = [f"POST /predict HTTP/1.1\r\nHost: load\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
                "\r\n\r\n".encode() + body for body in raw]
    told = await asyncio.gather(*(_ask(url, requests, 7 * number, seconds) for number in range(clients)))
    taken = sorted(each for times, _ in told for each in times)
    return {"rate": len(taken) / ((1 - WARM) * seconds), "answers": len(taken), "errors": sum(e for _, e in told),
            **{f"p{share}": taken[min(len(taken) - 1, share * len(taken) // 100)] if taken else math.inf
               for share in (50, 95, 99)}}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_all(sys.argv[1], json.load(sys.stdin), int(sys.argv[2]), float(sys.argv[3])))))
