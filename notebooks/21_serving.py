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
# You have a folder with a small network. Somebody else wants answers from it, over HTTP, at any hour. How many can ask at once before they have to wait?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the pairs that are asked
data: str = "default"  # the model served here is for NLI: generated pairs
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records are

# %% tags=["hide-input"]
import contextlib
import shutil
import tempfile
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
from fastapi.testclient import TestClient

import seo_core
from seo_core import figures, load_settings
from seo_core.analysis.findings import Contest, Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.bench.load import under_load
from seo_core.data import load_nli
from seo_core.deploy import artifact, serving

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir)
generated = load_nli("embedded", rows=512, seed=seed)["validation_matched"]
pairs = generated[["premise", "hypothesis"]].head(48).to_dict("records")

# %% tags=["record", "answer", "remove-input"]
served = Contest("bench_serving", "serving")
soak = Evidence("bench_serving")
pipeline = served.value("ours", "ratio_pipeline", unit=" times")
alone = served.value("ours", "ratio_alone", unit=" times")
Finding(f"""
The server answers {served.value('ours', 'pairs_per_second', digits=0)} pairs
a second while 95 of 100 answers take at most 100 ms. That is {pipeline} what a
`pipeline` of transformers with the whole network reaches behind the same web
framework, and {alone} what the same small file does one request at a time.
Asked {soak.mean('serving', 'soak_requests', scale=1, unit='', digits=0)}
times, it failed
{soak.mean('serving', 'soak_errors', scale=1, unit='', digits=0)} times, and
its memory changed by {soak.mean('serving', 'soak_drift')}.
All of this is one machine; [](bench_serving) says which.""")

# %% mystnb={"figure": {"caption": "Pairs a second with 95 of 100 answers within 100 ms, as a multiple of the pipeline's. Whiskers span the rounds.", "name": "fig-serving-rates"}, "image": {"alt": "Three horizontal bars: our server, the same file one request at a time, and the transformers pipeline at one. Without records it says not run."}} tags=["record", "hide-input"]
rates = served.frame.rename(
    columns=lambda name: name.replace("_pipeline", ""))
_ = figures.ratio_bars(rates, "times the pairs a second of the pipeline")

# %% [markdown]
# ## Start, ask
#
# Bhat and Dharani name the parts of such a service, a REST API, containers, monitoring {cite}`bhat2024`, and show none. Here they run. In a shell it is one line:
#
# ```bash
# python -m seo_core.run serve --artifact reference --port 8000
# ```
#
# `reference` is a folder that comes with the book; [](15_seo_llm) makes one of your own. Every core gets a worker process. Each worker has the file in its own memory and one thread of ONNX Runtime. It loads neither PyTorch nor pandas. The folder's checksums are compared before anything listens.

# %% tags=["live"]
stack = contextlib.ExitStack()
server = stack.enter_context(serving.running("reference"))
asked = {"premise": "A man is sleeping on a bench.",
         "hypothesis": "A person is resting."}
answer = httpx.post(f"{server.url}/predict", json=asked).json()
print(httpx.get(f"{server.url}/readyz").json(), answer["label"])

# %% [markdown]
# ## The idea: let requests gather
#
# A network likes batches, but each of your users sends one pair. So requests wait in one queue. While the engine works on some, others gather. Then the next 32 texts are sorted by length and split into batches where that costs least: a long text goes by itself rather than make others pad.
#
# Sorting matters more than the size of the batch. A short pair next to a long one is filled up with {term}`padding`, and padding is work for nothing.
#
# Every core has such a queue, so clients must be shared among them. Left to themselves, eight that come at once may all go to the worker that wakes first, and with their connections kept it stays so. Here a worker that has taken one leaves the next to the others for a millisecond. <!-- setting -->
#
# The queue has an end. Beyond 256 waiting texts the answer is *429, come again in a second*. Whoever came later would wait in vain.
#
# **Check.** A list comes back in its order, whatever the sorting did inside. Its numbers are those that the network gives without a server.

# %% tags=["live"]
with TestClient(serving.make_app("reference")) as client:
    answers = client.post("/predict", json=pairs).json()
names = list(answers[0]["probabilities"])
behind = np.array([[each["probabilities"][name] for name in names]
                   for each in answers])
direct = seo_core.load("reference").probabilities(
    [tuple(pair.values()) for pair in pairs])
assert np.abs(behind - direct).max() < 0.02
assert (behind.argmax(1) == direct.argmax(1)).mean() >= 0.95
print(f"{len(answers)} answers in their order, as without a server")

# %% [markdown]
# ## What it refuses
#
# A server on a network is asked everything. Each limit stands in `seo_core.deploy.serving.limits` with its reason. A refusal says where the request is wrong, in the form of RFC 9457, and repeats nothing of it. Only what is no HTTP at all gets a line of plain text, from the parser. Idle connections are no load: the one that has waited for longest makes room.

# %% tags=["live"]
texts = b'{"premise": "%s", "hypothesis": "b"}'
bad = {"not JSON": b"{", "an empty list": b"[]",
       "a number for a text": b'{"premise": 1, "hypothesis": "b"}',
       "a text too long": texts % (b"a" * 20_000),
       "a body too large": b" " * 1_000_001}
problems = {what: httpx.post(
    f"{server.url}/predict", content=body,
    headers={"content-type": "application/json"}).json()
    for what, body in bad.items()}
Table(pd.DataFrame(
    [(what, each["status"],
      (each.get("errors") or [each])[0]["detail"])
     for what, each in problems.items()],
    columns=["asked", "status", "detail"]))

# %% tags=["live"]
assert [each["status"] for each in problems.values()] == [
    400, 422, 422, 422, 413]
assert httpx.get(f"{server.url}/readyz").status_code == 200
print("refused, each for its reason, and ready as before")

# %% [markdown]
# ## Under load
#
# Now press it. Clients ask again as soon as they are answered, one pair a request, from a process of their own. More clients get more answers a second until all cores are busy. From there on they only wait longer. The number to promise is the 95th percentile: 95 of 100 answers are at least as fast.

# %% tags=["nbval-ignore-output", "live"]
def press(url, *clients):
    table = pd.DataFrame([
        {"clients": n, **under_load(url, pairs, clients=n, seconds=0.6)}
        for n in clients])
    return table.round(1).rename(columns={
        "rate": "pairs a second", "p50": "median, ms",
        "p95": "95th percentile, ms"}).drop(columns=["p99", "answers"])


load = press(server.url, 1, 4, 16)
Table(load)

# %% tags=["live"]
assert load["errors"].sum() == 0
assert (load["95th percentile, ms"] >= load["median, ms"]).all()
print("no request was lost")

# %% [markdown]
# Half a second of load is a **toy**. Beside other work its last row can even fall behind; the figure above has the seconds that count. For one reader no server is needed at all: [the same file answers in the browser](../book/in_the_browser.md).
#
# ## Its meters
#
# A server sees no labels, so it cannot know its accuracy. But it can see that it suddenly answers one class much more often than expected, or with less confidence. That is *drift*. `/metrics` reports it to Prometheus, with requests, errors, times, batch sizes and the queue. What was expected comes from the evaluation set, and stands in the folder's card. Where a card says nothing of it, this meter is missing and no alert can go off.

# %% tags=["nbval-ignore-output", "live"]
lines = httpx.get(f"{server.url}/metrics").text.splitlines()
wanted = ("seo_predictions_total", "seo_expected", "seo_drift",
          "seo_queue_texts", "seo_requests_total{")
meters = [line.rsplit(" ", 1) for line in lines if line.startswith(wanted)]
Table(pd.DataFrame(meters, columns=["meter", "value"]),
      folded="what the meters say now")

# %% [markdown]
# The signal SIGTERM, which `kill` sends, ends the server. It takes nothing new, answers what it accepted, and only then do its processes go. A worker that dies on the way is started again.

# %% tags=["live"]
stack.close()
assert server.process.returncode == 0
print("ended with", server.process.returncode)

# %% [markdown]
# :::{dropdown} A container, a cluster, and a million rows
# `deploy/` has the image: no root, a file system that cannot be written, a health check, and neither torch nor pandas nor pyarrow in it. Beside it are the manifests for Kubernetes with probes, limits and an autoscaler, alerts for Prometheus, and a dashboard.
#
# For rows that wait in files nobody needs a server. `python -m seo_core.run score --artifact reference --data rows.parquet --out scored` reads them in a stream and goes on after a kill. Several processes and machines can share the work.
# :::
#
# ## What the papers report
#
# No paper measures a server. What a batch of pairs costs without a server stands in [](tab3_inference_speed).
#
# ## What the records say
#
# What does batching buy, and what do the workers cost in memory?

# %% tags=["record", "remove-input"]
one = "the same artifact, one request at a time"
ratio = served.told(
    "ours", "ratio_alone", more="answers more pairs a second than",
    less="answers fewer pairs a second than")
fivefold = served.met("ours", "ratio_pipeline", least=5)
twice = served.met("ours", "ratio_alone", least=2)
Finding(f"""
Our server {ratio} the same file one request at a time: {alone} as many.
Five times the pipeline were asked for ({fivefold}), and twice the same file
one request at a time ({twice}); [](bench_serving) has the other targets.
Not all of this is batching, since the other has one process and ours one for
each core. And in the record the clients took time on the same cores. A worker
takes
{served.value('ours', 'megabytes_worker', digits=0, unit=' MB')} instead of
{served.value(one, 'megabytes_worker', digits=0, unit=' MB')}, against
{served.value('transformers pipeline', 'megabytes_worker', digits=0,
              unit=' MB')} of the pipeline with PyTorch.""")

# %% [markdown]
# ## To remember
#
# - One worker a core, small batches of like length, a queue with an end.
# - Promise the 95th percentile, measured under the load that you expect, and not the median of one client.
# - Watch what comes out: shares of classes and confidence drift before anyone sends you a label.
#
# ## Exercises
#
# **1.** Start it with `workers=1`. What becomes of the pairs a second with sixteen clients?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
for workers in (1, None):
    with serving.running("reference", workers=workers) as again:
        row = press(again.url, 16).iloc[0]
    print(f"{workers or 'one a core'}: {row['pairs a second']:.0f} pairs/s,",
          f"95th percentile {row['95th percentile, ms']:.0f} ms")
print("the clients need a core too: few cores gain less than their number")

# %% [markdown]
# **2.** Set `queue=8, texts=8` and `workers=1`, and ask with sixteen clients. What share of the answers is *429*?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
with serving.running("reference", workers=1, queue=8, texts=8) as short:
    told = under_load(short.url, pairs, clients=16, seconds=0.6)
    text = httpx.get(f"{short.url}/metrics").text
counts = {line.split('status="')[1][:3]: float(line.rsplit(" ", 1)[1])
          for line in text.splitlines()
          if line.startswith('seo_requests_total{path="/predict"')}
print({status: f"{count / sum(counts.values()):.0%}"
       for status, count in counts.items()})
print("eight may wait, and of sixteen clients most are at the engine or",
      "between two questions;\nwhoever finds no place is told at once")

# %% [markdown]
# **3.** Damage one byte of a copy of the folder and start it. What does it say?

# %% tags=["hide-cell", "live"]
with tempfile.TemporaryDirectory() as folder:
    copy = Path(shutil.copytree(
        artifact.locate("reference"), Path(folder) / "copy"))
    damaged = bytearray((copy / "model.onnx").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (copy / "model.onnx").write_bytes(damaged)
    try:
        serving.make_app(copy)
    except artifact.ArtifactError as error:
        print(type(error).__name__, str(error).replace(str(copy), "copy"))
