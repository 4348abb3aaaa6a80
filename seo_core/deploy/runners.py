"""Running exported files: ONNX Runtime and OpenVINO behind the same two verbs, without torch.

    runner = OnnxRunner("model.onnx", tokenizer="tokenizer.json", labels=("entailment", "neutral", "contradiction"))
    runner.predict([("A man sleeps.", "A person rests.")])          # ["entailment"]
    runner.logits(encoded)                                          # (n, k) float32, in the order of the texts

The number of threads is fixed when the runner is made. Batches hold texts of like length, so that little is spent on
padding; the answer comes in the order of the question. A text with more tokens than the file has positions is cut,
the longer text of a pair first, and a warning says how many were; with truncate=False it is an error.

On x86 CPUs without VNNI, the fast uint8 × int8 product of pairs is summed in 16 bits and can overflow with weights of
8 bits. For a file that does not say that its weights cannot (see `seo_core.quantization.scheme`), ONNX Runtime is told
to use the slower exact product there (`session.x64quantprecision`), so that any file says the same everywhere.
"""

import contextlib
import functools
import json
import os
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from seo_core.checks import check_choice, check_number, first_line
from seo_core.evaluation import softmax
from seo_core.machine import cpu_support, default_threads

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
RUNTIMES = ("onnxruntime", "openvino", "exact")
_OTHER_COLUMNS = {1: "this model reads single texts, and pairs were given: give a list of texts",
                  2: "this model reads pairs of texts, and single ones were given: give pairs (text, text)"}


class RunnerError(RuntimeError):
    """A file that cannot be run, or texts that it cannot take; the message says what to do."""


def _tokenizer(path: str | Path) -> SimpleNamespace:
    """A tokenizer.json as `seo_core.data.encode` reads tokenizers, without transformers."""
    from tokenizers import Tokenizer

    try:
        backend = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise RunnerError(f"{Path(path).name} is no tokenizer ({error}): it must be the tokenizer.json that belongs to "
                          "the model") from error
    backend.no_truncation()
    backend.no_padding()
    return SimpleNamespace(backend_tokenizer=backend, pad_token_id=backend.token_to_id("[PAD]") or 0)


class Runner:
    """What both runtimes share. `_open` loads the file and returns what it says of itself and the shape of its logits;
    `_run` takes the three arrays (B, T) and returns logits (B, k)."""

    runtime = ""  # its name in a sentence
    engine = None  # why it is this one, where that was measured (`seo_core.deploy.engine.Choice`)

    def __init__(self, path: str | Path, *, tokenizer=None, labels: Sequence[str] | None = None,
                 threads: int | None = None, max_length: int | None = None, columns: int | Sequence[str] | None = None):
        """path: the .onnx file. tokenizer: tokenizer.json or a Hugging Face tokenizer; needed for texts only. labels
        and max_length: the file's own, if it says them. columns: 1 for a model of single texts, 2 for one of pairs, or
        the names of the texts; None takes either. threads: default $OMP_NUM_THREADS, as of torch, else all cores (two
        processes that both spin on all of them run at a fraction of their speed)."""
        threads = default_threads() if threads is None else threads
        if not isinstance(threads, (int, np.integer)) or threads < 1:
            raise RunnerError(f"threads must be a whole number, 1 or more, got {threads!r}")
        self.path, self.threads = Path(path), int(threads)
        self.names = () if columns is None or isinstance(columns, int) else tuple(columns)
        self.columns = len(self.names) or columns
        if not self.path.is_file():
            raise RunnerError(f"no model file {self.path.name} in {self.path.parent}: export one first")
        try:
            about, shape = self._open()
        except RunnerError:
            raise
        except Exception as error:  # the libraries' own exceptions share no base
            raise RunnerError(f"{self.runtime} cannot load {self.path.name}: {first_line(error)}. The file is damaged "
                              "or not a model for it") from error
        self.classes = shape[1] if len(shape) == 2 and isinstance(shape[1], int) else None  # if it is fixed there
        if not set(self._names) <= set(INPUTS) or "input_ids" not in self._names:
            raise RunnerError(f"{self.path.name} takes {', '.join(self._names)}, not {', '.join(INPUTS)}: it is no "
                              "exported BERT classifier")
        positions = self._said(about, "max_length", int)
        self.labels = tuple(labels or self._said(about, "labels", list) or ())
        self.max_length = max_length or positions or 512
        self.rows = self._said(about, "vocabulary", int)  # of the word table
        self.segments = self._said(about, "segments", int)  # 1 where it is not 2
        self.export = self._said(about, "export", dict) or {}  # how it was exported
        if positions and self.max_length > positions:
            raise RunnerError(f"max_length is {self.max_length}, and {self.path.name} has {positions} positions: take "
                              f"{positions} or less")
        if self.labels and self.classes and len(self.labels) != self.classes:
            raise RunnerError(f"{self.path.name} has {self.classes} classes and {len(self.labels)} labels were given: "
                              "pass the labels of the task it was trained on")
        self.tokenizer = _tokenizer(tokenizer) if isinstance(tokenizer, (str, os.PathLike)) else tokenizer

    def _said(self, about: dict[str, str], key: str, kind: type):
        """What the file says of itself under `key`, None where it says nothing. Raises RunnerError for other kinds."""
        value = None
        with contextlib.suppress(ValueError):
            value = json.loads(about.get(key, "null"))
        if key in about and not (isinstance(value, kind) and (kind is not list or {*map(type, value)} <= {str})):
            raise RunnerError(f"{self.path.name} says {key}={about[key]!r} of itself, which is not what this package "
                              "writes: export it again, or take that entry out of the file's metadata")
        return value

    @property
    def size_bytes(self) -> int:
        """Bytes of the file that is loaded."""
        return self.path.stat().st_size

    def logits(self, encoded, *, batch_size: int = 32, call: float | None = None) -> np.ndarray:
        """(n, k) float32 for n encoded texts (`seo_core.data.Encoded`, whose `batches` call is for), in their order.
        Raises RunnerError where one has more tokens than the file has positions."""
        check_number("batch_size", batch_size, least=1, error=RunnerError)
        lengths = encoded.lengths
        if len(encoded) and lengths.max() > self.max_length:
            raise RunnerError(f"{int((lengths > self.max_length).sum())} of {len(encoded)} texts have more than "
                              f"{self.max_length} tokens, the positions of {self.path.name}: encode them with "
                              f"max_length={self.max_length}")
        if not len(encoded):
            return np.zeros((0, len(self.labels) or 1), np.float32)
        batches = encoded.batches(batch_size, call)
        parts = np.concatenate([self.run(encoded.arrays(rows)) for rows in batches])
        return parts[np.argsort(np.concatenate(batches))].astype(np.float32, copy=False)

    def run(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """One padded batch, arrays (B, T) int64 by name -> logits (B, k) float32. Raises RunnerError for a token that
        the word table has no row for: not every runtime's kernel notices."""
        top = batch["input_ids"].max(initial=0)
        if self.rows is not None and top >= self.rows:
            raise RunnerError(f"token id {top} is beyond the {self.rows} rows of {self.path.name}'s word table: encode "
                              "the texts with the tokenizer that belongs to the model")
        if self.segments is not None and batch["token_type_ids"].max(initial=0) >= self.segments:
            raise RunnerError(f"{self.path.name} knows one segment, and these are pairs of texts: give single texts")
        return self._run({name: np.ascontiguousarray(batch[name], np.int64) for name in INPUTS})

    def encode(self, texts, *, truncate: bool = True):
        """Texts, or pairs of texts (what holds them: see `predict`), as `Encoded`. Warns how many were cut, or with
        truncate=False raises."""
        encoded, long = self.read(texts)
        if long.any():
            said = f"{int(long.sum())} of {len(encoded)} texts have more than {self.max_length} tokens"
            if not truncate:
                raise RunnerError(f"{said}: shorten them, or pass truncate=True to have them cut")
            warnings.warn(f"{said} and were cut, the longer text of a pair first", stacklevel=3)
        return encoded

    @functools.cached_property
    def _words(self):
        """What remembers the tokens of words, None where the tokenizer does not allow it."""
        from seo_core.deploy.words import Words

        return Words.of(self.tokenizer) if getattr(self.tokenizer, "backend_tokenizer", None) else None

    def read(self, texts) -> tuple:
        """(`Encoded`, (n,) bool: which texts have more tokens than the model has positions, and were cut)."""
        from seo_core.data.encoding import encode_texts

        if self.tokenizer is None:
            raise RunnerError("this runner has no tokenizer: pass tokenizer=path/to/tokenizer.json")
        columns = _columns(texts, self.columns, self.names)
        if self.columns and len(columns) != self.columns:
            raise RunnerError(_OTHER_COLUMNS[self.columns])
        try:
            encoded = (self._words.encode if self._words else partial(encode_texts, tokenizer=self.tokenizer))(
                columns, max_length=self.max_length)
        except ValueError as error:
            raise RunnerError(str(error)) from error
        long = encoded.lengths >= self.max_length
        if long.any():
            full = [[column[row] for row in np.flatnonzero(long)] for column in columns]
            long[long] = encode_texts(full, self.tokenizer, max_length=100 * self.max_length).lengths > self.max_length
        return encoded, long

    def predict(self, texts, *, batch_size: int = 32, truncate: bool = True) -> list[str]:
        """The label of each text or pair of texts (class numbers where the file names none).

        texts: one text; one pair, as a tuple; a list, generator or other iterable of texts or of pairs; or a DataFrame
        with the texts' columns. Raises RunnerError that names the row, from 1, which is no text or pair.
        """
        classes = self.logits(self.encode(texts, truncate=truncate), batch_size=batch_size).argmax(1)
        return [self.labels[c] if self.labels else str(c) for c in classes]

    def probabilities(self, texts, *, batch_size: int = 32, truncate: bool = True) -> np.ndarray:
        """(n, k) probabilities of the labels, in the order of `labels`."""
        return softmax(self.logits(self.encode(texts, truncate=truncate), batch_size=batch_size))


class OnnxRunner(Runner):
    """ONNX Runtime on the CPU."""

    runtime = "ONNX Runtime"

    def _open(self):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = 3
        session = partial(onnxruntime.InferenceSession, self._network(), options, providers=["CPUExecutionProvider"])
        self.session = session()
        about = self.session.get_modelmeta().custom_metadata_map
        how = self._said(about, "export", dict) or {}
        if not cpu_support()["vnni"] and how.get("overflows", how.get("weight_bits", 8) == 8):
            options.add_session_config_entry("session.x64quantprecision", "1")
            self.session = session()
        self._names = [i.name for i in self.session.get_inputs()]
        return about, self.session.get_outputs()[0].shape

    def _network(self) -> str | bytes:
        """What the session opens."""
        return str(self.path)

    def _run(self, batch):
        return self.session.run(None, {name: batch[name] for name in self._names})[0]


class ExactRunner(OnnxRunner):
    """ONNX Runtime with everything that processors round in different ways in double precision: the same answers on all
    of them, and in a browser, in two to three times the time (`seo_core.deploy.exact`)."""

    runtime = "ONNX Runtime in double precision"

    def _network(self):
        try:
            import onnx
        except ImportError as why:
            raise RunnerError("onnx is not installed, which rewrites the file: pip install 'seo-core[export]', or use "
                              "the engine onnxruntime") from why
        from seo_core.deploy.exact import in_double

        try:
            return in_double(onnx.load(self.path)).SerializeToString()
        except ValueError as why:
            raise RunnerError(f"{self.path.name}: {why}") from why


class OpenVinoRunner(Runner):
    """OpenVINO on the CPU. It takes files of standard operators only (export with operators="standard"). precision:
    "f32" computes what the file says; "auto" lets OpenVINO use bf16 where the CPU has it (its default)."""

    runtime = "OpenVINO"

    def __init__(self, path, *, precision: str = "f32", **options):
        self.precision = precision
        super().__init__(path, **options)

    def _open(self):
        try:
            import openvino
        except ImportError as why:
            raise RunnerError("OpenVINO is not installed: pip install 'seo-core[export]', or use ONNX Runtime") from why
        settings = {"INFERENCE_NUM_THREADS": self.threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
        if self.precision != "auto":
            settings["INFERENCE_PRECISION_HINT"] = self.precision
        model = openvino.Core().read_model(str(self.path))
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        self.request, self._names = compiled.create_infer_request(), [i.any_name for i in compiled.inputs]
        about = {}
        with contextlib.suppress(Exception):  # where the framework's metadata is not passed on
            about = {k: v.astype(str) for k, v in model.get_rt_info("framework").astype(dict).items()}
        if (self._said(about, "export", dict) or {}).get("operators", "standard") != "standard":
            raise RunnerError(f"{self.path.name} has ONNX Runtime's own operators, some of which OpenVINO takes for "
                              "others: export with operators='standard'")
        return about, [d.get_length() if d.is_static else None for d in compiled.outputs[0].partial_shape]

    def _run(self, batch):
        return np.array(next(iter(self.request.infer({name: batch[name] for name in self._names}).values())))


def runner(path: str | Path, runtime: str = "onnxruntime", **options) -> Runner:
    """A runner by the name of its runtime: onnxruntime | openvino | exact."""
    check_choice("runtime", runtime, RUNTIMES, RunnerError)
    return dict(zip(RUNTIMES, (OnnxRunner, OpenVinoRunner, ExactRunner), strict=True))[runtime](path, **options)


def _columns(texts, count: int | None, names: Sequence[str]) -> list[list[str]]:
    """One list of texts, or two, from what holds them (see `Runner.predict`); RunnerError names the row that is none.

    count: of the texts that the model reads, None for either. names: of its columns, where it has some.
    """
    if hasattr(texts, "columns"):  # a DataFrame
        taken = list(names) if names and set(names) <= set(texts.columns) else list(texts.columns)
        if len(taken) != (count or min(len(taken), 2)):
            raise RunnerError(f"the frame has the columns {', '.join(map(str, taken))}, and this model reads "
                              f"{' and '.join(names) or count or 'one text or two'}: rename them, or give these alone")
        texts = texts[taken].itertuples(index=False, name=None)
    elif isinstance(texts, str) or (count == 2 and isinstance(texts, tuple) and [*map(type, texts)] == [str, str]):
        texts = [texts]
    rows = [tuple(row) if isinstance(row, (tuple, list)) else (row,) for row in texts]
    for number, row in enumerate(rows, 1):
        wrong = next((type(text).__name__ for text in row if not isinstance(text, str)), None)
        if wrong or len(row) > 2 or len(row) != len(rows[0]):
            raise RunnerError(f"row {number} is {f'{wrong}, no text' if wrong else f'of {len(row)} texts'}: give all "
                              "single texts, or all pairs (text, text)")
        if any("\ud800" <= letter <= "\udfff" for text in row if not text.isascii() for letter in text):
            raise RunnerError(f"row {number} holds half of a surrogate pair, which is no character: read the text "
                              "again as UTF-8")
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(count or 1)]
