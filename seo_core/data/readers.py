"""From a source to chunks of columns: one small reader per file format, all streaming.

A reader yields `Chunk`s of at most CHUNK_ROWS rows that hold only the columns asked for, as plain Python
lists, together with each row's place in its file, so that every complaint can name file and row. Only
pyarrow is needed for parquet and `datasets` folders, nothing beyond Python for jsonl, csv and tsv; the
`datasets` library is imported for hub ids alone.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CHUNK_ROWS = 20_000
ENDINGS = (".parquet", ".jsonl", ".json", ".csv", ".tsv", ".arrow")


class DataError(ValueError):
    """Data that cannot be used; the message names file, row and column, and says what to do."""


@dataclass(frozen=True)
class Chunk:
    """Some rows of one file: `columns[name]` and `rows` have one entry per row."""

    file: str  # as shown in messages
    columns: dict[str, list]
    rows: Sequence[int]  # row or line number in the file, counting from 1
    unit: str = "row"  # what `rows` counts: "row" or "line"

    def place(self, i: int) -> str:
        return f"{self.file}, {self.unit} {self.rows[i]}"


# What to read: role -> column names that may play it, best first. A role in `optional` may be absent.
@dataclass(frozen=True)
class Wanted:
    """The columns a task needs: role -> the names it may have in a file, in order; optional roles may be absent."""

    roles: dict[str, tuple[str, ...]]
    optional: frozenset[str] = frozenset()

    def resolve(self, found: Sequence[str], file: str) -> dict[str, str]:
        """role -> the column of this file that plays it; DataError lists what was found."""
        chosen = {}
        for role, names in self.roles.items():
            name = next((n for n in names if n in found), None)
            if name is not None:
                chosen[role] = name
            elif role not in self.optional:
                columns = ", ".join(map(repr, list(found)[:20])) or "none"
                raise DataError(
                    f"{file}: no column {' or '.join(map(repr, names))}; its columns are {columns}. "
                    "Rename the column, or name yours with load_task(source, text=..., label=...)"
                )
        return chosen


def read_file(path: Path, wanted: Wanted) -> Iterator[Chunk]:
    """The chunks of one file, by its ending. DataError for a missing, empty or broken one."""
    if not path.is_file():
        raise DataError(f"{path}: no such file. Check the path (relative ones start at the book's root)")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes). Download or export it again")
    ending = path.suffix.lower()
    if ending not in READERS:
        raise DataError(
            f"{path}: cannot read {ending or 'a file without ending'!r}; use one of {', '.join(ENDINGS)}"
        )
    try:
        yield from READERS[ending](path, wanted)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or _first_line(error)}). Check its permissions "
            "and the disk"
        ) from None


# --- text formats -----------------------------------------------------------------------------------------


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without its line end); only a line feed ends a line."""
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            try:
                yield number, raw.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path.name}, line {number}: not valid UTF-8 ({error.reason} at byte "
                    f"{error.start} of the line). Save the file as UTF-8"
                ) from None


def _gather(path: Path, rows: Iterator[tuple[int, dict]], unit: str) -> Iterator[Chunk]:
    """Chunks from (number, {role: value}) pairs."""
    numbers: list[int] = []
    columns: dict[str, list] = {}
    for number, values in rows:
        if len(numbers) == CHUNK_ROWS:
            yield Chunk(path.name, columns, numbers, unit)
            numbers, columns = [], {}
        numbers.append(number)
        for role, value in values.items():
            columns.setdefault(role, []).append(value)
    if numbers:
        yield Chunk(path.name, columns, numbers, unit)


def read_jsonl(path: Path, wanted: Wanted) -> Iterator[Chunk]:
    """One JSON object a line; the first line's keys decide which column plays which role."""

    def rows():
        chosen = None
        for number, line in _lines(path):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                what = getattr(error, "msg", "nested too deeply")
                raise DataError(
                    f"{path.name}, line {number}: broken JSON ({what} at character "
                    f"{getattr(error, 'pos', 0) + 1}). Each line must be one complete JSON object; "
                    "correct or delete this line"
                ) from None
            if not isinstance(record, dict):
                raise DataError(
                    f"{path.name}, line {number}: a JSON {type(record).__name__} where an object "
                    "is expected. Write one object a line (JSON lines), not one array"
                )
            if chosen is None:
                chosen = wanted.resolve(list(record), path.name)
            yield number, {role: record.get(name) for role, name in chosen.items()}

    return _gather(path, rows(), "line")


def read_tsv(path: Path, wanted: Wanted) -> Iterator[Chunk]:
    """Tab-separated with a header and no quoting, as GLUE is: a quotation mark is just a character."""

    def rows():
        header = None
        for number, line in _lines(path):
            fields = line.split("\t")
            if header is None:
                header = fields
                chosen = {role: header.index(n) for role, n in wanted.resolve(header, path.name).items()}
                continue
            if len(fields) != len(header):
                if not line.strip():
                    continue
                raise _width(path, number, len(fields), len(header))
            yield number, {role: fields[i] for role, i in chosen.items()}

    return _gather(path, rows(), "line")


def read_csv(path: Path, wanted: Wanted) -> Iterator[Chunk]:
    """Comma-separated with a header, RFC 4180 quoting (quoted fields may hold line ends)."""

    def rows():
        csv.field_size_limit(2**31 - 1)  # the default refuses a field above 128 kB
        ends = (line + "\n" for _, line in _lines(path))
        reader = csv.reader(ends, strict=True)
        header, end = None, 0
        while True:
            start = end + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise DataError(
                    f"{path.name}, line {start}: broken CSV ({error}). Close the quotation marks, "
                    "and double those inside a quoted field"
                ) from None
            end = reader.line_num
            if header is None:
                header = fields
                chosen = {role: header.index(n) for role, n in wanted.resolve(header, path.name).items()}
            elif len(fields) == len(header):
                yield start, {role: fields[i] for role, i in chosen.items()}
            elif fields:
                raise _width(path, start, len(fields), len(header))

    return _gather(path, rows(), "line")


def _width(path: Path, number: int, found: int, expected: int) -> DataError:
    return DataError(
        f"{path.name}, line {number}: {found} fields where the header has {expected}. Correct the "
        "line (csv: quote fields that hold commas; tsv: no tabs or line ends inside a field)"
    )


# --- Arrow formats ----------------------------------------------------------------------------------------


def read_parquet(path: Path, wanted: Wanted) -> Iterator[Chunk]:
    """Row batches of the wanted columns only (column pushdown)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            chosen = wanted.resolve(file.schema_arrow.names, path.name)
            start = 1
            for batch in file.iter_batches(CHUNK_ROWS, columns=sorted(set(chosen.values()))):
                yield _from_arrow(path.name, batch, chosen, start)
                start += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path.name}: not a readable parquet file, perhaps cut short "
            f"({_first_line(error)}). Download or write it again"
        ) from None


def read_arrow(path: Path, wanted: Wanted) -> Iterator[Chunk]:
    """An Arrow stream file, as `datasets` writes with save_to_disk; memory-mapped."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
            chosen = wanted.resolve(reader.schema.names, path.name)
            start = 1
            for batch in reader:
                for offset in range(0, batch.num_rows, CHUNK_ROWS):
                    part = batch.slice(offset, CHUNK_ROWS)
                    yield _from_arrow(path.name, part, chosen, start)
                    start += part.num_rows
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path.name}: not a readable Arrow file, perhaps cut short "
            f"({_first_line(error)}). Save the data set again"
        ) from None


def _from_arrow(file: str, batch, chosen: dict[str, str], start: int) -> Chunk:
    """A Chunk from an Arrow batch or table with the columns `chosen`."""
    columns = {}
    for role, name in chosen.items():
        column = batch.column(batch.schema.names.index(name))
        try:
            columns[role] = column.to_pylist()
        except UnicodeDecodeError:
            columns[role] = [
                _decode(column, i, f"{file}, row {start + i}, column {name!r}") for i in range(len(column))
            ]
    return Chunk(file, columns, range(start, start + batch.num_rows))


def _decode(column, i: int, place: str):
    try:
        return column[i].as_py()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place}: not valid UTF-8 ({error.reason}). Write the file again from UTF-8 text"
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


READERS: dict[str, Callable[[Path, Wanted], Iterator[Chunk]]] = {
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".jsonl": read_jsonl,
    ".json": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_tsv,
}


# --- folders ----------------------------------------------------------------------------------------------


def split_of(stem: str) -> str | None:
    """The split a file's name stands for: 'multinli_1.0_dev_matched' -> 'validation_matched'; else None."""
    words = re.split(r"[^a-z]+", stem.lower())
    for split, names in (
        ("train", ("train", "training")),
        ("validation", ("validation", "valid", "val", "dev")),
        ("test", ("test",)),
    ):
        if any(name in words for name in names):
            kind = next((f"_{w}" for w in ("matched", "mismatched") if w in words), "")
            return split + (kind if split != "train" else "")
    return None


def find_splits(folder: Path) -> dict[str, list[Path]]:
    """split -> its files: by `datasets`' own index, else by the dataset card, else by the files' names."""
    for find in (_from_saved, _from_card, _from_names):
        splits = find(folder)
        if splits:
            return splits
    inside = sorted(p.name for p in folder.iterdir())
    shown = ", ".join(inside[:8]) + (", …" if len(inside) > 8 else "") if inside else "nothing"
    raise DataError(
        f"{folder}: this folder is no data set; it holds {shown}. It needs files named after their "
        "splits (train.parquet, validation_matched.jsonl, dev.tsv, …), or a README.md whose YAML "
        "header lists them under configs: data_files:, or be written by datasets' save_to_disk"
    )


def _from_saved(folder: Path) -> dict[str, list[Path]]:
    """A folder written by DatasetDict.save_to_disk or Dataset.save_to_disk."""
    if (folder / "dataset_dict.json").is_file():
        names = _json(folder / "dataset_dict.json").get("splits", [])
        return {name: _shards(folder / name) for name in names}
    if (folder / "state.json").is_file():
        return {_json(folder / "state.json").get("_split") or "train": _shards(folder)}
    return {}


def _shards(folder: Path) -> list[Path]:
    return [folder / entry["filename"] for entry in _json(folder / "state.json").get("_data_files", [])]


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable ({_first_line(error)}). Save the data set again") from None


def _from_card(folder: Path) -> dict[str, list[Path]]:
    """The configs: data_files: of README.md's YAML header (the config named default, else the first)."""
    card = folder / "README.md"
    if not card.is_file():
        return {}
    header = re.match(
        r"\A---\s*\n(.*?)\n---\s*(\n|\Z)", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL
    )
    if not header or "configs" not in header[1]:
        return {}
    import yaml

    try:
        configs = yaml.safe_load(header[1])["configs"]
        config = next((c for c in configs if c.get("config_name") == "default"), configs[0])
        files = config["data_files"]
        if isinstance(files, str):
            files = [{"split": "train", "path": files}]
        elif isinstance(files, dict):
            files = [{"split": split, "path": path} for split, path in files.items()]
        entries = [
            (e["split"], [e["path"]] if isinstance(e["path"], str) else list(e["path"])) for e in files
        ]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(
            f"{card}: its YAML header has no usable configs: data_files: "
            f"({type(error).__name__}). Correct it, or remove it and name the files after their "
            "splits"
        ) from None
    splits: dict[str, list[Path]] = {}
    for split, patterns in entries:
        found = [p for pattern in patterns for p in sorted(folder.glob(pattern))]
        if not found:
            raise DataError(
                f"{card}: names {', '.join(patterns)} for split {split!r}, which is not in the folder. "
                "Complete the download, or correct the card"
            )
        splits.setdefault(split, []).extend(found)
    return splits


def _from_names(folder: Path) -> dict[str, list[Path]]:
    """Files named after their splits, in the folder or in its data/ folder."""
    splits: dict[str, list[Path]] = {}
    for path in sorted([*folder.glob("*"), *folder.glob("data/*")]):
        split = split_of(path.stem)
        if split and path.is_file() and path.suffix.lower() in READERS and not path.name.startswith("."):
            splits.setdefault(split, []).append(path)
    for split, paths in splits.items():
        if len({p.suffix.lower() for p in paths}) > 1:
            raise DataError(
                f"{folder}: split {split!r} is there in several formats "
                f"({', '.join(p.name for p in paths)}). "
                "Keep one of them, or pass its path"
            )
    return splits


# --- the hub ----------------------------------------------------------------------------------------------


def hub_splits(source: str) -> dict[str, object]:
    """split -> datasets.Dataset for a hub id "owner/name" or "owner/name:config"."""
    try:
        import datasets
    except ImportError:
        raise DataError(
            f"{source!r} is a hub id, and reading the hub needs the datasets package: "
            "pip install datasets. Without it: data='embedded', or a local folder"
        ) from None
    name, _, config = source.partition(":")
    try:
        loaded = datasets.load_dataset(name, *([config] if config else []))
    except Exception as error:  # every kind of network, hub and file error ends here
        raise DataError(
            f"{source!r} could not be read from the hub ({type(error).__name__}: {_first_line(error)}), "
            "and there is no local file or folder of that name. Ways out: check the name and the "
            "network (HF_HUB_OFFLINE=1 uses only what is cached); download it elsewhere and pass the "
            "folder's path; or use data='embedded'"
        ) from None
    return dict(loaded)


def read_hub(source: str, split: str, dataset, wanted: Wanted) -> Iterator[Chunk]:
    """Chunks of one split of a hub data set, memory-mapped by `datasets`."""
    label = f"{source} [{split}]"
    chosen = wanted.resolve(dataset.column_names, label)
    narrow = dataset.select_columns(sorted(set(chosen.values()))).with_format("arrow")
    start = 1
    for table in narrow.iter(batch_size=CHUNK_ROWS):
        yield _from_arrow(label, table, chosen, start)
        start += table.num_rows
