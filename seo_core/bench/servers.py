"""The servers that ours is compared with, as one writes them from the first page of FastAPI's documentation.

    python -m seo_core.bench.servers one path/to/artifact             # the artifact, one request at a time
    python -m seo_core.bench.servers pipeline path/to/model           # a pipeline of transformers

Each prints its address, on a free port of this machine, once it listens. All cores are its engine's.
"""

from __future__ import annotations

import asyncio
import socket
import sys


def one(folder: str):
    """An artifact's answer to a premise and a hypothesis."""
    import seo_core

    model = seo_core.load(folder)

    def answer(premise: str, hypothesis: str) -> dict:
        probabilities = model.probabilities([(premise, hypothesis)])[0]
        return {"label": model.labels[int(probabilities.argmax())], "probability": float(probabilities.max())}

    return answer


def pipeline(folder: str):
    """The answer of transformers' pipeline for the network in a folder."""
    from transformers import pipeline

    classify = pipeline("text-classification", model=folder, device="cpu", truncation=True, max_length=128)

    def answer(premise: str, hypothesis: str) -> dict:
        found = classify({"text": premise, "text_pair": hypothesis})
        return {"label": found["label"], "probability": found["score"]}

    return answer


def application(answer):
    """FastAPI around a function of two texts: the event loop answers one request after the other."""
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Pair(BaseModel):
        premise: str
        hypothesis: str

    app = FastAPI()

    async def predict(pair):
        return answer(pair.premise, pair.hypothesis)

    predict.__annotations__["pair"] = Pair
    app.post("/predict")(predict)
    return app


def main(kind: str, folder: str) -> None:
    """Serves until it is terminated."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))  # of a stated protocol, so answers are not held back
    app = application({"one": one, "pipeline": pipeline}[kind](folder))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, ws="none"))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    asyncio.run(server.serve([listening]))


if __name__ == "__main__":
    main(*sys.argv[1:])
