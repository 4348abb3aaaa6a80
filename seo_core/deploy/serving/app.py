"""The application of one worker: routes, what they take and refuse, and their OpenAPI description."""

import asyncio
import contextlib
import hmac
import json
import logging
import math
import time
import warnings
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from typing_extensions import Annotated, TypedDict  # noqa: UP035 (pydantic asks for this one below Python 3.12)

from seo_core import __version__
from seo_core.deploy import artifact
from seo_core.deploy.serving.batching import Batcher, Full
from seo_core.deploy.serving.limits import Limits
from seo_core.deploy.serving.metrics import Metrics, expected, forget_dead
from seo_core.files import file_digest, table

KEY = "X-API-Key"
JSON, PROBLEM = "application/json", "application/problem+json"
_ABOUT = "Classes of texts, by a compressed network. /model has its card."
_LOG = logging.getLogger("uvicorn.error")
_SHOWN = 10  # faults of a request that are told
_WHY, _SCHEMA = table(__file__).values()  # status -> what is wrong; JSON schema of a problem


def make_app(folder: str | Path, *, threads: int = 1, limits: Limits | None = None, engine: str = "onnxruntime",
             key: str | None = None) -> FastAPI:
    """The application over an artifact, which is loaded, with every checksum checked, when the application starts.

    folder, engine: as `seo_core.load` takes them. threads: of the engine. key: what X-API-Key has to be for /predict
    and /model.
    """
    folder, limits = artifact.locate(folder), limits or Limits()
    config = artifact.check(folder)
    card = _card(folder, config)
    metrics = Metrics(config["labels"], *expected(config), name=card["name"], sha256=card["sha256"],
                      commit=config.get("commit", ""), precision=config["export"].get("precision", ""))

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI):
        warnings.filterwarnings("ignore", message=".* and were cut")  # each answer says it of its text
        forget_dead()
        runner = artifact.load(folder, threads=threads, engine=engine)
        runner.probabilities([("warm",) * len(config["texts"])])
        app.state.batcher = Batcher(runner, limits, metrics)
        app.state.working = asyncio.create_task(app.state.batcher.work())
        yield
        app.state.working.cancel()
        _LOG.info("%d requests taken, %d answered", metrics.taken, metrics.answered)

    app = FastAPI(title="seo-core", version=__version__, description=_ABOUT, lifespan=lifespan,
                  docs_url=None, redoc_url=None)  # these load scripts from elsewhere
    app.add_middleware(_Guard, limits=limits, metrics=metrics)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(Exception, _refuse)

    def check_engine() -> None:
        if app.state.working.done() or app.state.batcher.busy() > limits.answer:
            raise HTTPException(503, f"the engine has not answered for {limits.answer:g} seconds")

    def check_room() -> None:
        if metrics.taken - metrics.answered > limits.connections:
            raise HTTPException(503, f"{limits.connections} requests are at work: come again in a second",
                                {"Retry-After": "1"})

    guarded = [Depends(_Key(key))] if key else []  # probes are always answered
    one, many = _bodies(config["texts"], limits)
    answer = _answer_schema(config["labels"])

    direct = APIRouter(route_class=_Direct)

    @direct.post("/predict", dependencies=guarded, summary="Classes of texts", response_class=Response,
              responses={200: _content(JSON, {"anyOf": [answer, {"type": "array", "items": answer}]}, "The classes"),
                         **_problems(400, 408, 413, 415, 422, 429, 500, 503, *[401] * bool(key))},
              openapi_extra={"requestBody": {"required": True, **_content(JSON, _schema(one, many))}})
    async def predict(request: Request) -> Response:
        """The class and the probabilities of one text or pair, or of a list of them, in their order. `cut`: the text
        has more tokens than the model reads, and its end was not read."""
        check_room()
        batcher = app.state.batcher
        batcher.arrived(1)
        try:
            body = await _body(request)
        finally:
            batcher.arrived(-1)
        single = body.lstrip()[:1] != b"["
        given = _parse(one if single else many, body)
        rows = [tuple(item[name] for name in config["texts"]) for item in ([given] if single else given)]
        try:
            answers = await batcher.ask(rows)
        except Full:
            raise HTTPException(429, f"{limits.queue} texts wait at most: come again in a second",
                                {"Retry-After": "1"}) from None
        except TimeoutError:
            raise HTTPException(503, f"no answer within {limits.answer:g} seconds", {"Retry-After": "1"}) from None
        items = [_item(config["labels"], probabilities, cut) for probabilities, cut in answers]
        return _json(items[0] if single else items)

    app.include_router(direct)

    @app.get("/model", dependencies=guarded, summary="The model card", response_class=Response,
             responses={200: _content(JSON, {"type": "object"}, "The card"), **_problems(500, 503, *[401] * bool(key))})
    async def model() -> Response:
        """Name, labels, what was measured, the model card, the engine, and the limits of a request."""
        check_room()
        return _json({**card, "engine": app.state.batcher.runner.runtime, "limits": asdict(limits)})

    @app.get("/healthz", summary="Whether the process and its engine answer", response_class=Response,
             responses={200: _content(JSON, _status_schema("alive"), "They do"), **_problems(500, 503)})
    async def healthz() -> Response:
        check_engine()
        return _json({"status": "alive"})

    @app.get("/readyz", summary="Whether it takes texts", response_class=Response,
             responses={200: _content(JSON, _status_schema("ready"), "It does"), **_problems(500, 503)})
    async def readyz() -> Response:
        check_engine()
        if app.state.batcher.waiting >= limits.queue:
            raise HTTPException(503, "the queue is full", {"Retry-After": "1"})
        return _json({"status": "ready"})

    @app.get("/metrics", summary="For Prometheus", response_class=Response,
             responses={200: _content("text/plain", {"type": "string"}, "Its text format"), **_problems(500)})
    async def measured() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return app


class _Direct(APIRoute):
    """A route whose function takes the request and gives the response itself. FastAPI describes it, and need not solve
    its parameters anew for each request, which was a tenth of a request's Python."""

    def get_route_handler(self):
        checks = [each.dependency for each in self.dependencies]

        async def handle(request: Request) -> Response:
            for check in checks:
                await check(request)
            return await self.endpoint(request)

        return handle


class _Guard:
    """Around everything: a request is read within `limits.read` seconds and up to `limits.body` bytes, and counted."""

    def __init__(self, app, limits: Limits, metrics: Metrics):
        self.app, self.limits, self.metrics = app, limits, metrics

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        self.metrics.taken += 1
        began, received, status = time.perf_counter(), 0, 500
        deadline = asyncio.get_running_loop().time() + self.limits.read

        async def reading():
            nonlocal received
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        message = await receive()
                except TimeoutError:
                    raise HTTPException(408, f"nothing more came within {self.limits.read:g} seconds",
                                        {"Connection": "close"}) from None
                received += len(message.get("body", b""))
                if received <= self.limits.body:
                    return message
                if not message.get("more_body"):  # the rest was thrown away as it came: now the answer is heard
                    raise HTTPException(413, f"a body has {self.limits.body} bytes at most")

        async def sending(message):
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, reading, sending)
        finally:
            route = scope.get("route")
            self.metrics.request(getattr(route, "path", "other"), status, time.perf_counter() - began)


class _Key(APIKeyHeader):
    """X-API-Key, compared in a time that says nothing of the key."""

    def __init__(self, key: str):
        super().__init__(name=KEY, auto_error=False)
        self.key = key.encode(errors="surrogateescape")  # as the environment had it

    async def __call__(self, request: Request) -> None:
        if not hmac.compare_digest(request.headers.get(KEY, "").encode("latin-1"), self.key):
            raise HTTPException(401, _WHY[401], {"WWW-Authenticate": f'ApiKey header="{KEY}"'})


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        body = await request.body()
    except ClientDisconnect:
        raise HTTPException(400, "the connection was closed before the body was there") from None
    if kind != JSON:
        raise HTTPException(415, _WHY[415])
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HTTPException(415, "the body must not be compressed")
    return body


def _bodies(columns: list[str], limits: Limits) -> tuple[TypeAdapter, TypeAdapter]:
    """What reads one text or pair, and a list of them."""
    text = Annotated[str, StringConstraints(strict=True, max_length=limits.characters)]
    item = TypedDict("Texts", dict.fromkeys(columns, text))
    item.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    return TypeAdapter(item), TypeAdapter(Annotated[list[item], Field(min_length=1, max_length=limits.texts)])


class _Invalid(HTTPException):
    def __init__(self, status: int, detail: str, errors: list[dict]):
        super().__init__(status, detail)
        self.errors = errors


def _parse(adapter: TypeAdapter, body: bytes):
    """The body's texts, or a problem that says where it is wrong, without repeating what was sent."""
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        if faults[0]["type"] == "json_invalid":
            raise HTTPException(400, faults[0]["msg"]) from None
        told = [{"pointer": "#" + "".join(f"/{_pointer(step)}" for step in fault["loc"]), "detail": fault["msg"]}
                for fault in faults[:_SHOWN]]
        raise _Invalid(422, f"{len(faults)} {'faults' if len(faults) > 1 else 'fault'} in the body", told) from None


def _pointer(step: str | int) -> str:
    return str(step)[:100].replace("~", "~0").replace("/", "~1")


async def _refuse(request: Request, error: Exception) -> Response:
    """Any error as problem JSON, with nothing of the server's inside."""
    status = getattr(error, "status_code", 500)
    detail = error.detail if isinstance(error, HTTPException) else _WHY[500]
    problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if isinstance(error, _Invalid):
        problem["errors"] = error.errors
    closing = None if isinstance(error, HTTPException) else {"Connection": "close"}  # as the server does after it
    return _json(problem, status, PROBLEM, getattr(error, "headers", closing))


def _json(content, status: int = 200, kind: str = JSON, headers=None) -> Response:
    return Response(json.dumps(content, allow_nan=False), status, headers, kind)


def _item(labels: list[str], probabilities: np.ndarray, cut: bool) -> dict:
    shares = [round(value, 6) for value in probabilities.tolist()]
    if not all(map(math.isfinite, shares)):
        raise RuntimeError("the model gave no numbers")
    return {"label": labels[int(probabilities.argmax())], "probabilities": dict(zip(labels, shares, strict=True)),
            "cut": cut}


def _card(folder: Path, config: dict) -> dict:
    readme = (folder / "README.md").read_text(encoding="utf-8")
    keys = ("labels", "texts", "max_length", "metrics", "export", "machine", "commit")
    return {"name": folder.resolve().name, "sha256": file_digest(folder / "model.onnx"),
            "bytes": (folder / "model.onnx").stat().st_size, **{key: config.get(key) for key in keys}, "card": readme}


def _schema(one: TypeAdapter, many: TypeAdapter) -> dict:
    """The JSON schema of a body, without references."""
    item = one.json_schema()
    listed = {name: value for name, value in many.json_schema().items() if name != "$defs"}
    return {"anyOf": [item, {**listed, "items": item}]}


def _content(kind: str, schema: dict, says: str | None = None) -> dict:
    return {**({"description": says} if says else {}), "content": {kind: {"schema": schema}}}


def _answer_schema(labels: list[str]) -> dict:
    probability = {"type": "number", "minimum": 0, "maximum": 1}
    return {"type": "object", "required": ["label", "probabilities", "cut"], "additionalProperties": False,
            "properties": {"label": {"enum": labels}, "cut": {"type": "boolean"}, "probabilities": {
                "type": "object", "required": labels, "additionalProperties": False,
                "properties": dict.fromkeys(labels, probability)}}}


def _status_schema(word: str) -> dict:
    return {"type": "object", "required": ["status"], "properties": {"status": {"const": word}}}


def _problems(*statuses: int) -> dict:
    return {status: _content(PROBLEM, _SCHEMA, _WHY[status]) for status in sorted(statuses)}
