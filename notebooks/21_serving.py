# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,mystnb,-all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-all
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Serving: the model behind an address
#
# You have a folder with a small network ([how](15_seo_llm)). Somebody else wants answers from it, over HTTP, at any hour, and not more slowly when forty ask at once. Bhat and Dharani name the parts, a REST API, containers, monitoring {cite}`bhat2024`,
# and show none. Here they are, running: this page starts the server that you would start, asks it, presses it and reads its meters.
#
# In a shell it is one line, `python -m seo_core.run serve --artifact reference --port 8000`.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the pairs that are asked
data: str = "default"  # embedded | hub id | local path; the model served here is for NLI, so its pairs are the generator's
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records are

# %% tags=["hide-input"]
import contextlib

import httpx
import numpy as np
import pandas as pd
from fastapi.testclient import TestClient

import seo_core
from seo_core import load_settings
from seo_core.analysis.tables import Table
from seo_core.bench.load import under_load
from seo_core.data import load_nli
from seo_core.deploy import serving

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir)
pairs = load_nli("embedded", rows=512, seed=seed)["validation_matched"][["premise", "hypothesis"]].head(48).to_dict("records")

# %% [markdown]
# ## Start, ask
#
# One worker for each core, each with the file in its own memory and one thread of ONNX Runtime. PyTorch is not loaded, nor is pandas. The folder's checksums are compared before anything listens: a damaged file is refused by its name.

# %% tags=["live"]
stack = contextlib.ExitStack()
server = stack.enter_context(serving.running("reference"))
asked = {"premise": "A man is sleeping on a bench.", "hypothesis": "A person is resting."}
answer = httpx.post(f"{server.url}/predict", json=asked).json()
print(httpx.get(f"{server.url}/readyz").json(), answer["label"])

# %% [markdown]
# ## What happens to forty that come at once
#
# Requests wait in one queue. While the engine works on some, others gather; then the next 32 texts are sorted by their length and go through it four at a time. Sorting matters more than the size of the batch: padding a short pair to the length of a long one is work for nothing. Beyond 256
# waiting texts the answer is *429, come again in a second*: whoever came later would wait in vain.
#
# **Check.** A list comes back in its order, whatever the sorting did inside, and with the numbers that the network gives without a server.

# %% tags=["live"]
with TestClient(serving.make_app("reference")) as client:
    answers = client.post("/predict", json=pairs).json()
labels = list(answers[0]["probabilities"])
served = np.array([[answer["probabilities"][label] for label in labels] for answer in answers])
alone = seo_core.load("reference").probabilities([tuple(pair.values()) for pair in pairs])
assert np.abs(served - alone).max() < 0.02 and (served.argmax(1) == alone.argmax(1)).mean() >= 0.95
print(f"{len(answers)} answers in their order, as without a server")

# %% [markdown]
# ## What it refuses
#
# A server on a network is asked everything. Each limit has its reason beside it in `seo_core.deploy.serving.limits`; a refusal is problem JSON (RFC 9457) that says where the request is wrong, and repeats nothing of it.

# %% tags=["live"]
bad = {"not JSON": b"{", "a number for a text": b'{"premise": 1, "hypothesis": "b"}', "an empty list": b"[]",
       "a text too long": b'{"premise": "' + b"a" * 20_000 + b'", "hypothesis": "b"}', "a body too large": b" " * 1_000_001}
rows = []
for what, body in bad.items():
    problem = httpx.post(f"{server.url}/predict", content=body, headers={"content-type": "application/json"}).json()
    rows.append((what, problem["status"], problem["title"], (problem.get("errors") or [problem])[0]["detail"]))
Table(pd.DataFrame(rows, columns=["asked", "status", "title", "detail"]))

# %% tags=["live"]
assert [row[1] for row in rows] == [400, 422, 422, 422, 413]
assert httpx.get(f"{server.url}/readyz").status_code == 200
print("refused, each for its reason, and ready as before")

# %% [markdown]
# ## Under load
#
# Clients that ask again as soon as they are answered, one pair a request, from a process of their own. More clients mean more answers a second until both cores are busy; from there on they only wait longer. The number to promise somebody is the 95th percentile.

# %% tags=["nbval-ignore-output", "live"]
measured = [{"clients": n, **under_load(server.url, pairs, clients=n, seconds=0.6)} for n in (1, 4, 16)]
table = pd.DataFrame(measured)[["clients", "rate", "p50", "p95", "errors"]].round(1)
Table(table.rename(columns={"rate": "pairs a second", "p50": "median, ms", "p95": "95th percentile, ms"}))

# %% tags=["live"]
assert table["errors"].sum() == 0 and (table["p95"] >= table["p50"]).all()
print("no request was lost")

# %% [markdown]
# How it stands beside the same file answering one request at a time, and beside a transformers `pipeline` with the whole network, is measured in [](bench_serving). For one reader no server is needed: [the same file answers in the browser](../book/in_the_browser.md), with nothing behind it.
#
# ## Its meters
#
# `/metrics` speaks to Prometheus: requests, errors, a histogram of times, batch sizes, the queue, and *drift*. A server sees no labels, so it cannot know its accuracy. It can see that it suddenly answers one class much more often than before, or with less confidence than it had on the
# evaluation set: the card has what was expected, the meter what comes.

# %% tags=["nbval-ignore-output", "live"]
lines = httpx.get(f"{server.url}/metrics").text.splitlines()
wanted = ("seo_predictions_total", "seo_expected", "seo_drift", "seo_queue_texts", "seo_requests_total{")
Table(pd.DataFrame([line.rsplit(" ", 1) for line in lines if line.startswith(wanted)], columns=["meter", "value"]))

# %% [markdown]
# ## Stop
#
# SIGTERM ends it: nothing new is taken, what was accepted is answered, and only then the processes go. A worker that dies on the way is started again.

# %% tags=["live"]
stack.close()
said = server.process.returncode
print("ended with", said)

# %% [markdown]
# ## A container, a cluster, and a million rows
#
# `deploy/` has the image (no root, a file system that cannot be written, a health check; without torch, pandas and pyarrow), the manifests for Kubernetes with probes, limits and an autoscaler, alerts for Prometheus and a dashboard. For rows that wait in files nobody needs a server:
# `python -m seo_core.run score --artifact reference --data rows.parquet --out scored` reads them in a stream, goes on after a kill, and is shared by processes and machines.
#
# **To remember**
#
# - One worker a core, small batches of like length, a queue with an end.
# - Promise the 95th percentile under the load that you expect, measured, not the median of one client.
# - Watch what comes out: shares of classes and confidence drift before anyone sends you a label.
#
# ## Exercises
#
# 1. Start it with `workers=1`. What becomes of the pairs a second with sixteen clients?
# 2. Set `queue=8, texts=8` and ask with sixteen clients. How many answers are 429?
# 3. Damage one byte of a copy of the folder and start it. What does it say?
