"""Serving: an artifact behind HTTP, with FastAPI and uvicorn (extra `serve`), without torch and without pandas.

In a shell:

    python -m seo_core.run serve --artifact reference --port 8000
    curl localhost:8000/predict -H 'content-type: application/json' \\
         -d '{"premise": "A man sleeps.", "hypothesis": "A person rests."}'
    {"label": "entailment", "probabilities": {"entailment": 0.9, "neutral": 0.06, "contradiction": 0.04}, "cut": false}

In a cell:

    with serving.running("reference") as server:                       # processes of its own, until the block ends
        httpx.post(f"{server.url}/predict", json=[{"premise": "A man sleeps.", "hypothesis": "Nobody rests."}]).json()

    POST /predict   one text or pair, by the names of the artifact's texts, or a list of them: label and probabilities
    GET  /healthz   200 while the process answers                GET /readyz    200 while it also takes texts, else 503
    GET  /model     the artifact's card and the limits           GET /metrics   for Prometheus
    GET  /openapi.json

limits.py says how much is taken, and why; batching.py puts texts of like length together; app.py is the application of
one worker; metrics.py what is counted; processes.py starts the workers, which uvicorn starts again when one dies;
accepting.py shares the clients among them.
What is refused is refused as problem JSON (RFC 9457); what is no HTTP gets 400 and a line of text from the parser. With
$SEO_API_KEY set, /predict and /model want it in X-API-Key.
"""

from seo_core.lazy import lazy

_HOME = {"limits": "Limits", "app": "make_app", "processes": "Running ServingError running serve"}
__getattr__, __dir__, __all__ = lazy(__name__, _HOME)
