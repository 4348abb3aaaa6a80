"""Micro-batching: what waits is sorted by length and goes through the engine in the batches that cost least.

While the engine works, requests gather; then the first `window` texts that wait are taken, in order of arrival. A
request of many texts is taken in parts. Where further requests are just being read, the batch waits for them, at most
`gather` seconds. Beyond `queue` waiting texts none is taken (`Full`).
"""

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from seo_core.deploy.serving.limits import Limits
from seo_core.evaluation import softmax


class Full(RuntimeError):
    """So many texts wait that no more are taken."""


class _Asked:
    """A request's texts, as far as they are answered: rows of probabilities, and whether the text was cut."""

    def __init__(self, rows: list[tuple[str, ...]]):
        self.rows, self.taken, self.answers = rows, 0, []
        self.done = asyncio.get_running_loop().create_future()


class Batcher:
    """One engine, one thread, one queue. `ask` from any task of the event loop in which `work` runs."""

    def __init__(self, runner, limits: Limits, metrics):
        self.runner, self.limits, self.metrics = runner, limits, metrics
        self.waiting = 0  # texts
        self.coming = 0  # requests that are being read
        self._began: float | None = None  # when the engine was given what it has; the event loop's time
        self._queue: deque[_Asked] = deque()
        self._changed = asyncio.Event()

    async def ask(self, rows: list[tuple[str, ...]]) -> list[tuple[np.ndarray, bool]]:
        """(probabilities (k,), whether it was cut) of each text or pair. Raises Full, TimeoutError where the engine
        takes longer than `limits.answer`, and what the engine raises."""
        if self.waiting + len(rows) > self.limits.queue:
            raise Full
        asked = _Asked(rows)
        self._queue.append(asked)
        self._count(len(rows))
        return await asyncio.wait_for(asked.done, self.limits.answer)

    def arrived(self, count: int) -> None:
        """A request begins to be read (1), or no longer is (-1)."""
        self.coming += count
        self._changed.set()

    def busy(self) -> float:
        """Seconds that the engine has had its texts for; 0 where it has none."""
        return 0.0 if self._began is None else asyncio.get_running_loop().time() - self._began

    async def work(self) -> None:
        """Answers what is asked, until it is cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "engine") as engine:
            while True:
                await self._until(lambda: self._queue)
                if self.coming and self.waiting < self.limits.window:
                    await self._until(lambda: not self.coming or self.waiting >= self.limits.window, self.limits.gather)
                if not (parts := self._take()):
                    continue
                rows = [row for asked, count in parts for row in asked.rows[asked.taken - count : asked.taken]]
                self._began = loop.time()
                try:
                    answers = iter(await loop.run_in_executor(engine, self._answer, rows))
                except Exception as error:  # theirs who wait for it; the next batch may be well
                    answers = error
                self._began = None
                for asked, count in parts:
                    self._give(asked, answers, count)

    async def _until(self, condition, seconds: float | None = None) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass

    def _take(self) -> list[tuple[_Asked, int]]:
        """The first texts of the queue, `window` at most: requests, and how many texts of each."""
        parts, room = [], self.limits.window
        while self._queue and room:
            asked = self._queue[0]
            count = min(room, len(asked.rows) - asked.taken)
            if asked.done.done():  # nobody waits any longer
                self._count(asked.taken - len(asked.rows))
                self._queue.popleft()
                continue
            parts.append((asked, count))
            asked.taken, room = asked.taken + count, room - count
            self._count(-count)
            if asked.taken == len(asked.rows):
                self._queue.popleft()
        return parts

    def _answer(self, rows: list[tuple[str, ...]]) -> list[tuple[np.ndarray, bool]]:
        """In the engine's thread."""
        encoded, cut = self.runner.read(rows)
        probabilities = softmax(self.runner.logits(encoded, batch_size=self.limits.batch, call=self.limits.call))
        self.metrics.predicted(probabilities)
        return list(zip(probabilities, cut.tolist(), strict=True))

    @staticmethod
    def _give(asked: _Asked, answers, count: int) -> None:
        if isinstance(answers, Exception):
            if not asked.done.done():
                asked.done.set_exception(answers)
            return
        asked.answers += [next(answers) for _ in range(count)]
        if len(asked.answers) == len(asked.rows) and not asked.done.done():
            asked.done.set_result(asked.answers)

    def _count(self, count: int) -> None:
        """So many texts more wait, or fewer."""
        self.waiting += count
        self.metrics.waiting(self.waiting)
        self._changed.set()
