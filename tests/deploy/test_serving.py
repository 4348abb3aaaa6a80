"""The server, as its users see it: what it answers, what it refuses and how, and what it counts. One real server."""

import contextlib
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn

import seo_core
from seo_core.data import generate, lexicon
from seo_core.deploy import serving
from seo_core.deploy.serving.limits import Limits

FOLDER = Path(__file__).resolve().parents[2] / "book" / "artifacts" / "reference-small"
PAIR = {"premise": "A man sleeps.", "hypothesis": "A person rests."}
KEY = "only for tests: é!"
PROBES = ("/healthz", "/readyz")
READ = 1.0  # seconds to read a request in: slow clients are found out soon


@pytest.fixture(scope="module")
def server():
    with serving.running(FOLDER, workers=1, key=KEY, read=READ, idle=1) as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.url, headers={"X-API-Key": KEY.encode()}) as client:
        yield client


def refused(answer, status: int) -> dict:
    """The problem of an answer, which is one of RFC 9457 and says nothing of the server's inside."""
    problem = answer.json()
    assert answer.status_code == problem["status"] == status and problem["title"] and problem["type"] == "about:blank"
    assert answer.headers["content-type"] == "application/problem+json"
    inside = ("Traceback", "site-packages", ".py", "artifacts", "seo_core")
    assert not [word for word in inside if word in answer.text]
    return problem


def counted(client) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_answers_are_those_of_predict(client):
    frame, model = generate(60, lexicon.MATCHED, seed=3), seo_core.load(FOLDER, threads=1)
    pairs = list(zip(frame["premise"], frame["hypothesis"], strict=True))
    bodies = [{"hypothesis": h, "premise": p} for p, h in pairs]  # the order of the names does not matter
    answers = client.post("/predict", json=bodies).json()
    assert [answer["label"] for answer in answers] == model.predict(pairs)
    np.testing.assert_allclose([list(answer["probabilities"].values()) for answer in answers],
                               model.probabilities(pairs), atol=1e-4)
    assert [list(answer["probabilities"]) for answer in answers] == [list(model.labels)] * 60
    with ThreadPoolExecutor(8) as pool:  # one by one, at once, and so in other batches
        alone = list(pool.map(lambda body: client.post("/predict", json=body).json(), bodies[:24]))
    assert [answer["label"] for answer in alone] == model.predict(pairs)[:24]
    assert answers[0].keys() == alone[0].keys() == {"label", "probabilities", "cut"}


def test_a_text_that_is_cut_is_said_to_be(client):
    long = {"premise": "A man sleeps on the green grass. " * 100, "hypothesis": "A man sleeps."}
    answers = client.post("/predict", json=[PAIR, long, PAIR]).json()
    assert [answer["cut"] for answer in answers] == [False, True, False]


@pytest.mark.parametrize("text", ["", " ", "\x00\x01\x1b[31m\x7f\r\n\t", "\u202e\u200b\ufeff\U0001f600é", "' OR 1=1 --",
                                  "\ufffe\uffff", "ç" * 10_000])
def test_any_characters_are_texts(client, text):
    assert client.post("/predict", json={"premise": text, "hypothesis": "x"}).json()["label"]


@pytest.mark.parametrize("body, status, says", [
    (b"", 400, "JSON"), (b"{", 400, "JSON"), (b'{"premise": "a", "hypothesis": "b"} x', 400, "JSON"),
    (b'{"premise": "a\x01", "hypothesis": "b"}', 400, "JSON"), (b'{"premise": "\xff", "hypothesis": "b"}', 400, "JSON"),
    (rb'{"premise": "\ud800", "hypothesis": "b"}', 400, "hex escape"), (b"[" * 100_000, 400, "recursion"),
    (b"[]", 422, "#"), (b"null", 422, "#"), (b"NaN", 422, "#"), (b'"a"', 422, "#"), (b'["a", "b"]', 422, "#/0"),
    (b'[["a", "b"]]', 422, "#/0"), (b"[[]]", 422, "#/0"), (b'{"premise": "a"}', 422, "#/hypothesis"),
    (b'{"premise": "a", "hypothesis": 3}', 422, "#/hypothesis"),
    (b'{"premise": NaN, "hypothesis": "b"}', 422, "#/premise"),
    (b'{"premise": null, "hypothesis": true}', 422, "#/premise"),
    (b'{"premise": ["a"], "hypothesis": {}}', 422, "#/premise"),
    (b'{"premise": "a", "hypothesis": "b", "a/b~": 1}', 422, "#/a~1b~0"),
    (json.dumps([PAIR] * 65).encode(), 422, "#"), (json.dumps([PAIR, {**PAIR, "premise": 1}]).encode(), 422,
                                                   "#/1/premise"),
    (json.dumps({**PAIR, "premise": "a" * 100_000}).encode(), 422, "#/premise"), (b"x" * 10_000_000, 413, "1000000")])
def test_what_is_no_text_is_refused_by_its_place(client, body, status, says):
    problem = refused(client.post("/predict", content=body, headers={"content-type": "application/json"}), status)
    assert says in (problem["errors"][0]["pointer"] if "errors" in problem else problem["detail"])
    assert len(json.dumps(problem)) < 3000, "what was sent does not come back"


def test_a_body_without_a_length_is_counted_as_it_comes(client):
    def pieces(count):
        for _ in range(count):
            yield b" " * 100_000

    headers = {"content-type": "application/json"}
    refused(client.post("/predict", content=pieces(30), headers=headers), 413)
    refused(client.post("/predict", content=pieces(9), headers=headers), 400)


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}, {"content-type": "application/json-patch"},
                                     {"content-type": "application/json", "content-encoding": "gzip"}])
def test_only_plain_json_is_read(client, headers):
    refused(client.post("/predict", content=json.dumps(PAIR), headers=headers), 415)


def test_unknown_paths_and_methods_are_problems_too(client):
    refused(client.get("/../../etc/passwd"), 404)
    assert "POST" in (answer := client.put("/predict", json=PAIR)).headers["allow"] and refused(answer, 405)
    assert client.get("/docs").status_code == 404  # which would load scripts from elsewhere


@pytest.mark.parametrize("key", [None, "", "wrong", KEY + "x", KEY[:-1]])
def test_the_key_is_wanted_where_something_is_told(server, key):
    headers = {} if key is None else {"X-API-Key": key.encode()}
    answer = httpx.post(f"{server.url}/predict", json=PAIR, headers=headers)
    assert refused(answer, 401) and answer.headers["www-authenticate"]
    refused(httpx.get(f"{server.url}/model", headers=headers), 401)
    for path in ("healthz", "readyz", "metrics", "openapi.json"):  # for probes and scrapers
        assert httpx.get(f"{server.url}/{path}", headers=headers).status_code == 200


def test_the_card_is_told(client):
    card = client.get("/model").json()
    assert card["name"] == "reference-small" and card["labels"] == ["entailment", "neutral", "contradiction"]
    assert card["card"] == (FOLDER / "README.md").read_text() and card["limits"]["read"] == READ
    assert f"{card['sha256']}  model.onnx" in (FOLDER / "SHA256SUMS").read_text()
    assert str(FOLDER.parent) not in json.dumps(card)


def test_it_counts_what_it_does(client):
    before = counted(client)
    answers = client.post("/predict", json=[PAIR] * 40).json()
    client.post("/predict", json=[])
    client.get("/nowhere")
    now = counted(client)
    more = {name: value - before.get(name, 0) for name, value in now.items()}
    assert more['seo_requests_total{path="/predict",status="200"}'] == 1
    assert more['seo_requests_total{path="/predict",status="422"}'] == 1
    assert more['seo_requests_total{path="other",status="404"}'] == 1
    assert more['seo_request_seconds_count{path="/predict"}'] == 2
    assert more["seo_batch_texts_sum"] == more["seo_confidence_count"] == 40 and more["seo_batch_texts_count"] == 2
    assert more[f'seo_predictions_total{{label="{answers[0]["label"]}"}}'] == 40
    assert more["seo_confidence_sum"] == pytest.approx(40 * max(answers[0]["probabilities"].values()), abs=1e-3)
    assert now["seo_queue_texts"] == 0 and more["seo_drift_classes"] > 0
    assert next(name for name in now if name.startswith("seo_model_info")).count("reference-small") == 1
    card = json.loads((FOLDER / "config.json").read_text())["metrics"]
    assert now["seo_expected_confidence"] == card["expected_confidence"]
    assert now['seo_expected_share{label="neutral"}'] == card["expected_share_neutral"]


def _connected(server):
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


HEAD = (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-API-Key: " + KEY.encode()
        + b"\r\nContent-Length: 1000\r\n\r\n")


@pytest.mark.slow
def test_a_slow_client_is_told_and_holds_up_nobody(server, client):
    with _connected(server) as slow:
        slow.sendall(HEAD + b"{")
        began = time.monotonic()
        assert client.post("/predict", json=PAIR).status_code == 200
        answer = b"".join(iter(lambda: slow.recv(10_000), b""))  # until the server closes the connection
    assert answer.startswith(b"HTTP/1.1 408") and b"application/problem+json" in answer
    assert READ / 2 < time.monotonic() - began < 20


@pytest.mark.slow
@pytest.mark.parametrize("begin", [b"", b"POST /pred", HEAD[:-10]])
def test_a_connection_without_a_request_is_closed(server, begin):
    with _connected(server) as slow:
        slow.sendall(begin)
        assert slow.recv(10) == b""


@pytest.mark.parametrize("sent", [HEAD, HEAD + b"[{",
                                  HEAD.replace(b"1000", b"99") + json.dumps(PAIR).encode().ljust(99)])
def test_clients_that_leave_in_the_middle_hurt_nobody(server, client, sent):
    for _ in range(20):
        with _connected(server) as leaving:
            leaving.sendall(sent)
    assert client.post("/predict", json=PAIR).status_code == 200
    assert "Traceback" not in server.log()


def test_what_is_no_http_is_answered_and_closed(server, client):
    with _connected(server) as odd:
        odd.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        assert odd.recv(100).startswith(b"HTTP/1.1 400")
    assert client.get("/healthz").json() == {"status": "alive"}


@pytest.mark.slow
def test_beyond_the_queue_callers_are_sent_away_for_a_while():
    with (serving.running(FOLDER, workers=1, texts=64, queue=64) as server, httpx.Client(base_url=server.url) as client,
          ThreadPoolExecutor(12) as pool):
        answers = list(pool.map(lambda _: client.post("/predict", json=[PAIR] * 64), range(60)))
        statuses = {answer.status_code for answer in answers}
        assert statuses == {200, 429}
        for answer in answers:
            if answer.status_code == 429:
                assert refused(answer, 429) and int(answer.headers["retry-after"]) >= 1
            else:
                assert len(answer.json()) == 64
        assert client.post("/predict", json=PAIR).status_code == client.get("/readyz").status_code == 200
        assert counted(client)["seo_queue_texts"] == 0


def test_beyond_the_limit_requests_are_problems_probes_are_answered_and_all_is_counted():
    """Three requests that never end, of three that are allowed."""
    with serving.running(FOLDER, workers=1, connections=3, read=30) as server, contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(_connected(server)).sendall(HEAD + b"[{")
        _until(lambda: httpx.post(f"{server.url}/predict", json=PAIR).status_code == 503)
        for answer in (httpx.post(f"{server.url}/predict", json=PAIR), httpx.get(f"{server.url}/model")):
            assert "3 requests are at work" in refused(answer, 503)["detail"] and answer.headers["retry-after"] == "1"
        for path in ("healthz", "readyz", "metrics"):
            assert httpx.get(f"{server.url}/{path}").status_code == 200
        text = httpx.get(f"{server.url}/metrics").text
        assert 'seo_requests_total{path="/model",status="503"} 1.0' in text
        stack.close()
        _until(lambda: httpx.post(f"{server.url}/predict", json=PAIR).status_code == 200)


@pytest.mark.parametrize("begin", [b"", b"GET /heal"])
def test_idle_connections_are_no_load_and_make_room(begin):
    with serving.running(FOLDER, workers=1, connections=3, idle=30) as server, contextlib.ExitStack() as stack:
        with httpx.Client(base_url=server.url) as client:
            for _ in range(2):
                assert client.post("/predict", json=PAIR).status_code == 200
                idle = [stack.enter_context(_connected(server)) for _ in range(12)]
                for each in idle:
                    each.sendall(begin)
                for path in ("healthz", "readyz"):
                    assert httpx.get(f"{server.url}/{path}").status_code == 200
        with contextlib.suppress(ConnectionResetError):  # where it had sent more than was read
            assert idle[0].recv(10) == b"", "the one that has been idle for longest was closed"
        idle[-1].settimeout(0.2)
        with pytest.raises(TimeoutError):
            idle[-1].recv(10)


@contextlib.contextmanager
def _here(**limits):
    """A client of the application in this process, over a real socket, and the application."""
    app = serving.make_app(FOLDER, limits=Limits(**limits))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    running = threading.Thread(target=server.run)
    running.start()
    try:
        _until(lambda: server.started)
        with httpx.Client(base_url=f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}") as client:
            yield client, app
    finally:
        server.should_exit = True
        running.join()


def test_an_engine_that_fails_is_a_problem_that_says_nothing_of_its_inside(monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("/srv/secret/model.onnx of seo_core")

    with _here() as (client, app):
        with monkeypatch.context() as patch:
            patch.setattr(app.state.batcher.runner, "logits", fails)
            problem = refused(answer := client.post("/predict", json=PAIR), 500)
            assert problem["detail"] == "An error of the server." and "secret" not in answer.text
        assert client.post("/predict", json=PAIR).status_code == 200
        assert counted(client)['seo_requests_total{path="/predict",status="500"}'] == 1


def test_an_engine_that_hangs_is_a_problem_after_a_while(monkeypatch):
    go = threading.Event()
    with _here(answer=0.2) as (client, app):
        engine = app.state.batcher.runner
        whole = engine.logits
        monkeypatch.setattr(engine, "logits", lambda *given, **more: go.wait(10) and whole(*given, **more))
        began = time.monotonic()
        answer = client.post("/predict", json=PAIR)
        assert "within 0.2 seconds" in refused(answer, 503)["detail"] and answer.headers["retry-after"] == "1"
        assert time.monotonic() - began < 5
        for path in PROBES:  # whoever asks them sends nothing here any more, and starts it anew
            assert "has not answered for 0.2 seconds" in refused(client.get(path), 503)["detail"]
        assert client.get("/metrics").status_code == 200
        go.set()
        assert client.post("/predict", json=PAIR).status_code == 200
        assert [client.get(path).status_code for path in PROBES] == [200, 200]


def test_a_worker_that_gives_its_engine_nothing_any_more_says_so_to_probes():
    with _here() as (client, app):
        assert [client.get(path).status_code for path in PROBES] == [200, 200]
        app.state.working.get_loop().call_soon_threadsafe(app.state.working.cancel)
        _until(lambda: [client.get(path).status_code for path in PROBES] == [503, 503])


def _until(true, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_limits_are_checked_where_they_are_set():
    assert Limits(texts=8).texts == 8
    for wrong in ({"texts": 0}, {"body": 1.5}, {"read": 0}, {"answer": float("nan")}, {"texts": 300}):
        with pytest.raises(seo_core.SettingsError, match=next(iter(wrong))):
            Limits(**wrong)
