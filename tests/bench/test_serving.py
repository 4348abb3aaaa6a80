"""The benchmark of servers: all three are asked in turn, and the best rate within the promise is what counts."""

import contextlib
import math
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pandas as pd
import pytest

from seo_core import results
from seo_core.bench import main, serving
from seo_core.bench.load import under_load


@pytest.mark.slow
def test_one_command_asks_every_server(tmp_path, capsys, monkeypatch):
    from seo_core.models import backbone

    load = backbone.load_backbone
    monkeypatch.setattr("seo_core.models.load_backbone", lambda model, **k: load(model, **{**k, "layers": 1}))
    monkeypatch.setattr(serving, "PROMISED", 60_000.0)  # on any machine
    given = ["--profile", "quick", "--artifact", "reference-small", "--seconds", "0.3", "--clients", "1", "2"]
    assert main("serving", [*given, "--results-dir", str(tmp_path)]) == 0
    record, = results.load_records(tmp_path)
    servers, unserved = [serving.OURS, serving.ALONE, serving.PIPELINE], [serving.SINGLY, serving.BATCHED]
    assert list(record["contestants"]) == servers + unserved
    for name in unserved:  # nothing of a server's
        values = record["contestants"][name]
        assert values["pairs_per_second"] > 0 and values["ratio_alone"] > 0 and "latency_ms_p95" not in values
    for values in (record["contestants"][name] for name in servers):
        assert values["pairs_per_second"] > 0 and values["errors"] == 0 and values["clients"] in (1, 2)
        assert values["megabytes"] >= values["megabytes_worker"] > 50 and values["seconds_to_ready"] > 0
    assert record["contestants"][serving.ALONE]["ratio_alone"] == 1
    assert "--clients 1 2" in record["provenance"]["command"] and str(tmp_path) not in record["provenance"]["command"]
    assert "pairs_per_second" in capsys.readouterr().out


def test_what_counts_is_the_best_rate_within_the_promise(monkeypatch):
    measured = {1: (50, 20, 0), 4: (180, 60, 0), 8: (250, 99, 0), 16: (300, 150, 0), 32: (400, 90, 3)}
    monkeypatch.setattr(serving, "under_load", lambda url, bodies, clients, seconds: dict(zip(
        ("rate", "p95", "errors", "p50"), (*measured[clients], 10), strict=True)))

    @contextlib.contextmanager
    def serve():
        yield SimpleNamespace(url="http://here", process=SimpleNamespace(pid=1))

    found = serving.asked(serve, [], {"clients": list(measured), "seconds": 1})
    assert (found["pairs_per_second"], found["clients"], found["latency_ms_p95"], found["errors"]) == (250, 8, 99, 3)
    found = serving.asked(serve, [], {"clients": [16], "seconds": 1})
    assert found["pairs_per_second"] == 0 and found["latency_ms_p95"] is None


def test_a_server_that_answers_nothing_in_time_has_no_rate_and_ends_no_benchmark(monkeypatch):
    class Slow(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(0.3)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told = under_load(f"http://127.0.0.1:{server.server_port}", [{}], clients=2, seconds=0.2)
        server.shutdown()
    assert told == {"rate": 0, "answers": 0, "errors": 0, **dict.fromkeys(("p50", "p95", "p99"), math.inf)}

    @contextlib.contextmanager
    def serve():
        yield SimpleNamespace(url="http://here", process=SimpleNamespace(pid=1))

    monkeypatch.setattr(serving, "under_load", lambda *arguments, **options: told)
    assert serving.asked(serve, [], {"clients": [2], "seconds": 1})["pairs_per_second"] == 0
    with pytest.raises(RuntimeError, match="too slowly for the soak"):
        serving.soak(serve, [], 100)


def test_ratios_are_taken_within_a_round_and_none_to_a_server_that_was_never_in_time():
    turns = pd.DataFrame([{"contestant": name, "round": number, "pairs_per_second": rate}
                          for name, rates in ((serving.OURS, (400, 200)), (serving.ALONE, (100, 100)),
                                              (serving.PIPELINE, (0, 0))) for number, rate in enumerate(rates)])
    table = serving.summary(turns)
    assert table.loc[serving.OURS, ["ratio_alone", "ratio_alone_low", "ratio_alone_high"]].tolist() == [3, 2, 4]
    assert table["ratio_pipeline"].isna().all()


@pytest.mark.parametrize("words, says", [(["--clients", "0"], "clients"), (["--seconds", "-1"], "seconds"),
                                         (["--rounds", "-2"], "rounds")])
def test_a_plan_that_is_none_is_refused(words, says, capsys):
    assert main("serving", words) == 2 and says in capsys.readouterr().err


@pytest.mark.soak
@pytest.mark.slow
def test_a_server_that_is_asked_all_day_neither_fails_nor_grows():
    """`pytest tests/bench -m soak`, minutes; as many requests as $SEO_SOAK_REQUESTS says."""
    from seo_core.data import generate
    from seo_core.deploy.serving import running

    requests = int(os.environ.get("SEO_SOAK_REQUESTS", 100_000))
    bodies = generate(500, seed=0)[["premise", "hypothesis"]].to_dict("records")
    told = serving.soak(lambda: running("reference"), bodies, requests)
    assert told["soak_requests"] >= requests and told["soak_errors"] == 0 and told["soak_drift"] < 0.05


def test_a_soak_goes_on_until_all_are_answered_and_says_how_the_memory_grew(monkeypatch):
    memory, calls = iter([[100.0, 50.0], [100.0, 53.0]]), []
    monkeypatch.setattr(serving, "under_load", lambda url, bodies, clients, seconds: calls.append(seconds)
                        or {"answers": 40, "errors": len(calls) == 2})
    monkeypatch.setattr(serving, "megabytes", lambda process: next(memory))

    @contextlib.contextmanager
    def serve():
        yield SimpleNamespace(url="http://here", process=None)

    told = serving.soak(serve, [], 100)
    assert (told["soak_requests"], told["soak_errors"], told["soak_megabytes"]) == (120, 1, 150)
    assert told["soak_drift"] == pytest.approx(0.02) and len(calls) == 3
