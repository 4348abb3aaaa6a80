"""The queue in front of the engine, with an engine of the test's own."""

import asyncio
import threading

import numpy as np
import pytest

from seo_core.deploy.serving.batching import Batcher, Full
from seo_core.deploy.serving.limits import Limits


class Engine:
    """Answers with the length of each text, in as many steps as the test lets it; one text is too much for it."""

    def __init__(self):
        self.batches, self.go = [], threading.Event()
        self.go.set()

    def read(self, rows):
        self.go.wait(5)
        self.batches.append([row[0] for row in rows])
        if "bad" in self.batches[-1]:
            raise RuntimeError("an error of the engine")
        return rows, np.array([len(row[0]) > 5 for row in rows])

    def logits(self, rows, batch_size, call):
        return np.array([[len(row[0]), 0.0] for row in rows], np.float32)


class Counts:
    def __init__(self):
        self.queue, self.batches = 0, []

    def waiting(self, texts):
        self.queue = texts

    def predicted(self, probabilities):
        self.batches.append(len(probabilities))


def during(scenario, **limits):
    """Runs `scenario(batcher, engine)` while the batcher works; returns what it returns, the engine and the counts."""
    engine, counts = Engine(), Counts()

    async def run():
        batcher = Batcher(engine, Limits(**limits), counts)
        working = asyncio.create_task(batcher.work())
        try:
            return await asyncio.wait_for(scenario(batcher, engine), 10)
        finally:
            engine.go.set()
            working.cancel()

    return asyncio.run(run()), engine, counts


def lengths(answers) -> list[int]:
    return [round(float(np.log(p[0] / p[1]))) for p, _ in answers]


async def held(batcher, engine):
    """The engine is busy with a first text until `engine.go` is set."""
    engine.go.clear()
    first = asyncio.create_task(batcher.ask([("first",)]))
    while batcher.waiting or not first:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    return first


def test_what_waits_goes_through_together_and_everybody_gets_his_own():
    async def scenario(batcher, engine):
        first = await held(batcher, engine)
        asked = [asyncio.create_task(batcher.ask([("x" * n,), ("x" * (n + 1),)])) for n in range(1, 6)]
        await asyncio.sleep(0)
        engine.go.set()
        return [lengths(await each) for each in (first, *asked)]

    answers, engine, counts = during(scenario, window=32)
    assert answers == [[5], [1, 2], [2, 3], [3, 4], [4, 5], [5, 6]]
    assert counts.batches == [1, 10] and counts.queue == 0


def test_a_request_of_many_texts_is_taken_in_parts():
    async def scenario(batcher, engine):
        many = batcher.ask([("x" * (n % 7),) for n in range(20)])
        return [lengths(each) for each in await asyncio.gather(many, batcher.ask([("xyz",)]))]

    (many, one), engine, _ = during(scenario, window=8)
    assert many == [n % 7 for n in range(20)] and one == [3]
    assert [len(batch) for batch in engine.batches] == [8, 8, 5]


def test_beyond_the_queue_nothing_is_taken_and_afterwards_it_is_again():
    async def scenario(batcher, engine):
        first = await held(batcher, engine)
        second = asyncio.create_task(batcher.ask([("a",)] * 4))
        await asyncio.sleep(0)
        with pytest.raises(Full):
            await batcher.ask([("b",)])
        engine.go.set()
        await asyncio.gather(first, second)
        return lengths(await batcher.ask([("b",)] * 4))

    assert during(scenario, texts=4, queue=4)[0] == [1] * 4


def test_who_waited_too_long_is_told_and_his_texts_are_not_computed():
    async def scenario(batcher, engine):
        first = await held(batcher, engine)
        with pytest.raises(TimeoutError):
            await batcher.ask([("late",)])
        engine.go.set()
        with pytest.raises(TimeoutError):
            await first
        return lengths(await batcher.ask([("next",)]))

    answers, engine, counts = during(scenario, answer=0.05)
    assert answers == [4] and ["late"] not in engine.batches and counts.queue == 0


def test_an_error_of_the_engine_is_that_of_its_batch_only():
    async def scenario(batcher, engine):
        with pytest.raises(RuntimeError, match="an error of the engine"):
            await batcher.ask([("bad",)])
        return lengths(await batcher.ask([("good",)]))

    assert during(scenario)[0] == [4]


def test_a_batch_waits_for_what_is_being_read_but_not_for_ever():
    async def scenario(batcher, engine):
        batcher.arrived(1)
        first = asyncio.create_task(batcher.ask([("a",)]))
        await asyncio.sleep(0.01)
        assert not engine.batches
        second = asyncio.create_task(batcher.ask([("b",)]))
        batcher.arrived(-1)
        await asyncio.gather(first, second)
        batcher.arrived(1)  # of a client that never comes to an end
        return lengths(await batcher.ask([("c",)]))

    answers, engine, _ = during(scenario, gather=0.5)
    assert answers == [1] and engine.batches == [["a", "b"], ["c"]]
