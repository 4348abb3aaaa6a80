"""Scoring files of any size with an artifact, without torch: `python -m seo_core.run score`.

    from seo_core.deploy.scoring import score
    scored = score("reference", "pairs.parquet", "scores", processes=2)       # Scored(rows=100000, bad=0, …)
    pandas.read_parquet("scores")                                             # row, label, p_entailment, …

The file (parquet, or JSON lines, which may be compressed as .gz) is read in a stream and cut into parts of `part_rows`
rows. A part is encoded while the one before it runs, its batches hold texts of like length, and it is written whole or
not at all: `part-00000.parquet` has the rows' numbers in the file (from 1; of JSON lines, the lines), the id column
that was asked for, the label and the probability of each label, in the order of the file. What is in a part depends on
neither processes nor machines, so that the same command goes on after a kill: a part that is there is read again in
full, against its pages' checksums, and kept if it is whole and of the same artifact, data and choices, made again if it
is damaged, and refused if it is of something else. `_summary.json` is written once all parts are there; readers of
folders pass over names like that.

Several processes, or machines with one file system, share the parts by their numbers: as many as there are, by RANK and
WORLD_SIZE as torchrun and `accelerate launch` set them, or `processes` that are started here.

One process of two threads and two of one thread each score about as many pairs a second on two cores, a little less
than the bare network: `bench scoring` measures both, and the chapter `bench_serving` shows the records.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from seo_core import files, machine
from seo_core.checks import check_choice, check_number, first_line, suggest
from seo_core.deploy.runners import OnnxRunner
from seo_core.progress import seconds

FORMAT, SUMMARY = "seo-scores-1", "_summary.json"
ENDINGS = (".parquet", ".jsonl", ".jsonl.gz")
_KEY = b"seo-scores"  # of a part's metadata
_NAMED = 5  # rows without texts that a part names


class ScoringError(RuntimeError):
    """Rows that cannot be scored, or a folder that cannot take the scores; the message names file and row."""


@dataclass(frozen=True)
class Scored:
    """What is in the folder. rows: that have a score. bad: that have none. cut: with more tokens than the model has
    positions. parts: files. whole: all of them are there (False where other ranks still have some to do; the numbers
    are then those of the parts so far)."""

    rows: int
    bad: int
    cut: int
    parts: int
    whole: bool
    named: tuple[str, ...] = ()  # the first rows without a score, and why


def score(artifact: str | Path, data: str | Path, out: str | Path, *, text: str | Sequence[str] | None = None,
          id: str | None = None, bad: str = "stop", part_rows: int = 10_000, batch_size: int = 32,
          threads: int | None = None, processes: int = 1, engine: str = "onnxruntime",
          report: Callable[[str], None] | None = None) -> Scored:
    """The labels and probabilities of all rows of a file, in the folder `out`.

    artifact: a folder or a name, as of `seo_core.load`. data: a .parquet, .jsonl or .jsonl.gz file. text: its one or
    two columns of text; default, those that the artifact names. id: a column that is kept (of JSON lines as text).
    bad: "stop" at the first row that holds no text (null, no text, no JSON, half of a surrogate pair), or "skip" such
    rows and count them. part_rows: rows of a part. threads: as of OnnxRunner. processes: that are started and share the
    cores; where RANK and WORLD_SIZE say that this is one of several, it does its share alone. engine: as of
    `seo_core.load`; all parts are made by the same one, so name it where several machines share them. report: gets a
    line now and then (`seo_core.progress.seconds`).

    Raises ScoringError for what is wrong with the rows or the folder, ArtifactError for an artifact that is not whole,
    SettingsError for a number out of its bounds.
    """
    import seo_core

    text = [text] if isinstance(text, str) else text
    check_choice("bad", bad, ("stop", "skip"))
    for name, value in {"part_rows": part_rows, "batch_size": batch_size, "processes": processes}.items():
        check_number(name, value, least=1, whole=True)
    rank, world = _place()
    if processes > 1 and world == 1:
        if engine == "auto":  # once for all
            share = threads or max(1, machine.default_threads() // processes)
            engine = seo_core.load(artifact, threads=share, engine=engine).engine.name
        options = {"text": text, "id": id, "bad": bad, "part-rows": part_rows, "batch-size": batch_size,
                   "threads": threads, "engine": engine}
        return _side_by_side(artifact, data, Path(out), options, processes, report)
    model = seo_core.load(artifact, threads=threads, engine=engine)
    source = _source(Path(data), tuple(text or model.names), id, len(model.names))
    _check_names(source.id, model.labels)
    chosen = {"format": FORMAT, "artifact": files.file_digest(model.path.with_name("SHA256SUMS")),
              "data": files.file_digest(source.path), "text": source.text, "id": id, "bad": bad, "rows": part_rows,
              "batch": batch_size, "labels": model.labels}
    chosen |= {} if isinstance(model, OnnxRunner) else {"engine": model.runtime}
    work = _Work(model, source, Path(out), files.digest(chosen), bad, part_rows, batch_size, report or (lambda _: None))
    return work.do(rank, world, {**chosen, "artifact_name": Path(artifact).name, "data_name": source.path.name})


def _place() -> tuple[int, int]:
    """(rank, world size) by the environment, (0, 1) where it says nothing."""
    said = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
    if said == (None, None):
        return 0, 1
    try:
        rank, world = map(int, said)
        if 0 <= rank < world:
            return rank, world
    except (TypeError, ValueError):
        pass
    raise ScoringError(f"RANK is {said[0]!r} and WORLD_SIZE {said[1]!r}: set both, to whole numbers, RANK from 0 to "
                       "WORLD_SIZE - 1, or neither")


def _check_names(id: str | None, labels: Sequence[str]) -> None:
    if id in (taken := ("row", "label", *(f"p_{label}" for label in labels))):
        raise ScoringError(f"the id column is called {id!r}, and the scores have the columns {', '.join(taken)}: "
                           "rename it")


@dataclass
class _Part:
    """Rows of one part, those with texts: `rows` and `texts` have an entry for each, and `ids` where there is one."""

    number: int
    rows: list[int]
    texts: list
    ids: list
    bad: list[str]  # what is wrong with the others


@dataclass
class _Work:
    """One process's share."""

    model: object
    source: _Parquet | _Jsonl
    out: Path
    key: str
    bad: str
    part_rows: int
    batch_size: int
    report: Callable[[str], None]

    def do(self, rank: int, world: int, chosen: dict) -> Scored:
        with files.writing(f"scores to {self.out.name}", ScoringError):
            self.out.mkdir(parents=True, exist_ok=True)
        began, done = time.monotonic(), 0
        told = began
        with ThreadPoolExecutor(1, "encode") as pool:  # one part ahead of the one that runs
            parts = self._encoded(lambda number: number % world == rank)
            ahead = pool.submit(next, parts, None)
            while (now := ahead.result()) is not None:
                ahead = pool.submit(next, parts, None)
                part, encoded, cut = now
                logits = (self.model.logits(encoded, batch_size=self.batch_size) if part.rows
                          else np.zeros((0, len(self.model.labels)), np.float32))
                self._write(part, logits, cut)
                done += len(part.rows)
                passed = time.monotonic() - began
                if time.monotonic() - told >= seconds():
                    told, share = time.monotonic(), self.source.share
                    self.report(f"part {part.number}: {share:.0%} of {self.source.path.name}, {done / passed:.0f} rows "
                                f"a second" + (f", {passed / share * (1 - share) / 60:.1f} min left" if share else ""))
        if not self.source.count:
            raise ScoringError(f"{self.source.path.name} holds no rows: give a file with some")
        return self._finish(chosen)

    def _encoded(self, ours: Callable[[int], bool]) -> Iterator[tuple]:
        """(part, `Encoded`, how many were cut) of each part that is ours and not there yet."""
        for number, rows in self.source.parts(self.part_rows, lambda n: ours(n) and self._said(n, whole=True) is None):
            part = self._sift(number, rows)
            yield part, *(self.model.read(part.texts) if part.rows else (None, np.zeros(0, bool)))

    def _sift(self, number: int, rows: Iterator[tuple[int, tuple | str]]) -> _Part:
        """Apart: rows with texts, and what is wrong with those without."""
        part, count = _Part(number, [], [], [], []), len(self.source.text)
        for row, values in rows:
            why = values if isinstance(values, str) else _wrong(values[:count], self.source.text)
            if why:
                part.bad.append(f"{self.source.unit} {row}: {why}")
                if self.bad == "stop":
                    raise ScoringError(f"{self.source.path.name}, {part.bad[0]}. Correct it, or skip and count rows "
                                       "like it (--bad skip)")
                continue
            part.rows.append(row)
            part.texts.append(values[0] if count == 1 else values[:2])
            part.ids.extend(values[count:])
        return part

    def _path(self, number: int) -> Path:
        return self.out / f"part-{number:05d}.parquet"

    def _said(self, number: int, whole: bool = False) -> dict | None:
        """What the part says of itself, None where there is none or a damaged one; ScoringError where it is of another
        job. whole: all of it is read."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self._path(number)
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                said = (file.schema_arrow.metadata or {}).get(_KEY)
                if whole and said is not None:
                    file.read()
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError):
            self.report(f"{path.name} is damaged, and is made again")
            return None
        said = json.loads(said or b"{}")
        if said.get("key") != self.key:
            raise ScoringError(f"{self.out.name} holds the scores of other data, of another artifact, or by other "
                               f"choices ({path.name}): choose another folder, or remove it first")
        return said

    def _write(self, part: _Part, logits: np.ndarray, cut: np.ndarray) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from seo_core.evaluation import softmax

        labels, shares = self.model.labels, softmax(logits).astype(np.float32)
        columns = {"row": pa.array(part.rows, pa.int64())}
        if self.source.id:
            columns[self.source.id] = pa.array(part.ids, self.source.id_type)
        columns["label"] = pa.array([labels[c] for c in logits.argmax(1)], pa.string())
        columns |= {f"p_{label}": pa.array(np.ascontiguousarray(shares[:, c])) for c, label in enumerate(labels)}
        said = {"key": self.key, "rows": len(part.rows), "bad": len(part.bad), "cut": int(cut.sum()),
                "named": part.bad[:_NAMED]}
        table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(said)})
        path = self._path(part.number)
        with files.writing(f"{path.name} of {self.out.name}", ScoringError, "the parts before it are whole; the same "
                           "command goes on from there"), files.atomic(path) as partial:
            pq.write_table(table, partial, write_page_checksum=True)

    def _finish(self, chosen: dict) -> Scored:
        """The summary, by whoever finds all parts there."""
        count = -(-self.source.count // self.part_rows)
        there = [said for number in range(count) if (said := self._said(number)) is not None]
        total = {name: sum(each[name] for each in there) for name in ("rows", "bad", "cut")}
        scored = Scored(**total, parts=len(there), whole=len(there) == count,
                        named=tuple(why for each in there for why in each["named"])[:_NAMED])
        if scored.whole:
            with files.writing(f"{SUMMARY} of {self.out.name}", ScoringError):
                files.write(self.out / SUMMARY, json.dumps({"job": chosen, **asdict(scored)}, indent=1) + "\n")
        return scored


def _wrong(texts: Sequence, names: Sequence[str]) -> str:
    """Why a row's texts are none, "" where they are."""
    for text, name in zip(texts, names, strict=True):
        if not isinstance(text, str):
            return f"{name!r} is {'missing' if text is None else f'{type(text).__name__}, no text'}"
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            return f"{name!r} holds half of a surrogate pair, which is no character"
    return ""


def _source(path: Path, text: tuple[str, ...], id: str | None, count: int) -> _Parquet | _Jsonl:
    """The file, opened and looked at: it has rows, and the columns that are asked for."""
    if len(text) != count:
        raise ScoringError(f"this model reads {count} text{'s' * (count > 1)} a row, and the columns "
                           f"{', '.join(text)} were given: name {count} (--text)")
    if not path.is_file():
        raise ScoringError(f"{path}: no such file. Give a file of rows, {', '.join(ENDINGS)}")
    if not path.name.lower().endswith(ENDINGS):
        raise ScoringError(f"{path.name}: cannot read this format; use one of {', '.join(ENDINGS)}")
    if path.stat().st_size == 0:
        raise ScoringError(f"{path.name}: the file is empty (0 bytes). Download or export it again")
    return (_Parquet if path.suffix.lower() == ".parquet" else _Jsonl)(path, text, id)


class _Parquet:
    """`count`: rows in the file. `share`: of them that were read. `parts`: (number, its rows) of each that is wanted,
    a row being its number and its values, or what is wrong with it."""

    unit = "row"

    def __init__(self, path: Path, text: tuple[str, ...], id: str | None):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path, self.text, self.id, self.share = path, text, id, 0.0
        with _readable(path), pq.ParquetFile(path) as file:
            schema, self.count = file.schema_arrow, file.metadata.num_rows
        _check_columns(path, [*text, *filter(None, [id])], schema.names)
        for name in text:
            kind = schema.field(name).type
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
                raise ScoringError(f"{path.name}: the column {name!r} holds {kind}, no text: name the columns of text "
                                   "(--text), or write it as text")
        self.id_type = schema.field(id).type if id else None

    def parts(self, size: int, wanted: Callable[[int], bool]) -> Iterator[tuple[int, Iterator]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        names, start, held = [*self.text, *filter(None, [self.id])], 0, []
        with _readable(self.path), pq.ParquetFile(self.path, buffer_size=1 << 20) as file:
            # a batch may end where a group of rows does
            for batch in file.iter_batches(size, columns=list(dict.fromkeys(names))):
                held.append(batch)
                while sum(each.num_rows for each in held) >= min(size, self.count - start) > 0:
                    table = pa.Table.from_batches(held)
                    part, held = table.slice(0, size), table.slice(size).to_batches()
                    if wanted(start // size):
                        columns = [_values(part[name]) for name in names]
                        yield start // size, zip(range(start + 1, start + 1 + part.num_rows),
                                                 zip(*columns, strict=True), strict=True)
                    start += part.num_rows
                    self.share = start / self.count


def _values(column) -> list:
    """The values as Python has them; what is not valid UTF-8 stays bytes."""
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        return [_value(each) for each in column]


def _value(scalar):
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return scalar.as_buffer().to_pybytes()


class _Jsonl:
    """The same of JSON lines; `count` is known once all were read, and empty lines count as lines, but are no rows."""

    unit = "line"

    def __init__(self, path: Path, text: tuple[str, ...], id: str | None):
        import pyarrow as pa

        self.path, self.text, self.id, self.share, self.count, self.id_type = path, text, id, 0.0, 0, pa.string()
        first = next((row for _, line in self._lines() if isinstance(row := _object(line), dict)), None)
        if first is None:
            raise ScoringError(f"{path.name} holds no JSON object: write one a line")
        _check_columns(path, [*text, *filter(None, [id])], list(first))

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """(number from 1, line)."""
        size = self.path.stat().st_size
        with _readable(self.path), self.path.open("rb") as file, \
                gzip.open(file) if self.path.suffix.lower() == ".gz" else file as stream:
            self.count = 0
            for line in stream:
                self.count += 1
                self.share = file.tell() / size
                yield self.count, line

    def parts(self, size: int, wanted: Callable[[int], bool]) -> Iterator[tuple[int, Iterator]]:
        for number, lines in itertools.groupby(self._lines(), lambda numbered: (numbered[0] - 1) // size):
            if wanted(number):
                yield number, itertools.starmap(self._row, [(row, line) for row, line in lines if line.strip()])

    def _row(self, row: int, line: bytes) -> tuple[int, tuple | str]:
        found = _object(line)
        if isinstance(found, str):
            return row, found
        values = [found.get(name) for name in self.text]
        if self.id:
            id = found.get(self.id)
            values.append(id if isinstance(id, str | None) else json.dumps(id))
        return row, tuple(values)


def _object(line: bytes) -> dict | str:
    """The JSON object of a line, or why it is none."""
    try:
        found = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return f"not valid UTF-8 ({error.reason} at byte {error.start + 1})"
    except (json.JSONDecodeError, RecursionError) as error:
        return f"broken JSON ({getattr(error, 'msg', 'nested too deeply')})"
    return found if isinstance(found, dict) else f"a JSON {type(found).__name__} where an object is expected"


def _check_columns(path: Path, wanted: Sequence[str], known: Sequence[str]) -> None:
    for name in wanted:
        if name not in known:
            raise ScoringError(f"{path.name}: no column {name!r}{suggest(name, known)}. Name yours with --text")


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What is raised for a broken file, as a ScoringError."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, EOFError, zlib.error) as error:
        raise ScoringError(f"{path.name} cannot be read, perhaps it is cut short ({first_line(error)}): "
                           "download or write it again") from error


def _side_by_side(artifact, data, out: Path, options: dict, processes: int, report) -> Scored:
    """The same by several processes, each with its share of the parts and of the cores."""
    words = [sys.executable, "-m", "seo_core.run", "score", "--artifact", str(artifact), "--data", str(data), "--out",
             str(out)]
    for name, value in options.items():
        if value is not None:
            words += [f"--{name}", *([value] if not isinstance(value, (list, tuple)) else value)]
    started = [subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env={**machine.environment(processes), "RANK": str(rank),
                                     "WORLD_SIZE": str(processes)}) for rank in range(processes)]
    with ThreadPoolExecutor(processes) as pool:
        try:
            for over in as_completed([pool.submit(_followed, process, report) for process in started]):
                code, said = over.result()
                if code:
                    raise ScoringError(said or f"a process ended with {code}: the same command goes on from there")
        finally:
            for process in started:
                process.kill()  # those that are still at it, where one failed or this one is interrupted
    said = json.loads((out / SUMMARY).read_text())
    return Scored(**{name: said[name] for name in ("rows", "bad", "cut", "parts", "whole")}, named=tuple(said["named"]))


def _followed(process: subprocess.Popen, report) -> tuple[int, str]:
    """The exit code of a process that is over, and its error, "" where it said none."""
    error = ""
    for line in map(str.rstrip, process.stdout):
        if line.startswith("error: "):
            error = line.removeprefix("error: ")
        elif report and line:
            report(line)
    return process.wait(), error
