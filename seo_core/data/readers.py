"""From a source to chunks of columns: one small reader per file format, all streaming.

A reader yields `Chunk`s of at most CHUNK_ROWS rows that hold only the columns asked for, as plain Python lists, with
each row's place in its file, so that every complaint can name file and row. Parquet and `datasets` folders need pyarrow
alone, hub ids the `datasets` library. Text files may be compressed (.gz), and in UTF-8 or, with its mark, UTF-16. Where
a file names the classes of its numbers (`ClassLabel`), the names are read in the numbers' place.
"""

import contextlib
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from seo_core.checks import first_line

TAGS, ANSWERS = "token-classification", "question-answering"  # kinds of tasks whose labels are sequences
CHUNK_ROWS = 20_000


class DataError(ValueError):
    """Data that cannot be used; the message names file, row and column, and says what to do."""


@dataclass(frozen=True)
class Chunk:
    """Some rows of one file: `columns[name]` and `rows` have one entry per row."""

    file: str  # as shown in messages
    columns: dict[str, Sequence]
    rows: Sequence[int]  # row or line number in the file, counting from 1
    unit: str = "row"  # what `rows` counts: "row" or "line"
    classes: tuple[str, ...] = ()  # of the label column, in the order of the file's numbers; () where it names none
    note: str = ""  # how the file was read, where there is a choice

    def place(self, i: int) -> str:
        return f"{self.file}, {self.unit} {self.rows[i]}"


@dataclass(frozen=True)
class Wanted:
    """The columns a task needs: role -> the names it may have in a file, best first; optional roles may be absent."""

    roles: dict[str, tuple[str, ...]]
    optional: frozenset[str] = frozenset()

    def resolve(self, columns: Sequence[str], file: str) -> dict[str, str]:
        """role -> the column of this file that plays it; DataError lists the columns there are."""
        chosen = {}
        for role, names in self.roles.items():
            name = next((n for n in names if n in columns), None)
            if name is not None:
                chosen[role] = name
            elif role not in self.optional:
                shown = ", ".join(map(repr, list(columns)[:20])) or "none"
                raise DataError(f"{file}: no column {' or '.join(map(repr, names))}; its columns are {shown}. Rename "
                                "the column, or name yours with text=… (load_task also takes label=…); where these "
                                "are a first row and no names, put a line with names before it")
        return chosen


def read_file(path: Path, wanted: Wanted) -> Iterator[Chunk]:
    """The chunks of one file, by its ending. DataError for a missing, empty or broken one."""
    if not path.is_file():
        raise DataError(f"{path}: no such file. Check the path (relative ones start at the book's root)")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes). Download or export it again")
    ending = ending_of(path)
    if ending not in READERS or (path.suffix.lower() == ".gz" and ending in (".parquet", ".arrow")):
        raise DataError(f"{path}: cannot read {ending or 'a file without ending'!r}; use one of {', '.join(READERS)}")
    try:
        yield from READERS[ending](path, wanted)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or first_line(error)}). Check its permissions and "
                        "the disk") from None


def ending_of(path: Path) -> str:
    """The ending that says the format: ".tsv" of train.tsv and of train.tsv.gz."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without its line end); only a line feed ends a line."""
    with path.open("rb") as file, gzip.open(file) if path.suffix.lower() == ".gz" else file as stream:
        number, wide = 0, stream.read(2) in (b"\xff\xfe", b"\xfe\xff")
        stream.seek(0)
        try:
            for raw in io.TextIOWrapper(stream, "utf-16", newline="\n") if wide else stream:
                number += 1
                text = raw if wide else raw.decode("utf-8" if number > 1 else "utf-8-sig")
                yield number, text.rstrip("\r\n")
        except UnicodeDecodeError as error:
            place = "" if wide else f" at byte {error.start} of the line"  # UTF-16 is decoded in blocks
            raise DataError(f"{path.name}{'' if wide else f', line {number}'}: not valid UTF-{16 if wide else 8} "
                            f"({error.reason}{place}). Save the file as UTF-8") from None
        except (EOFError, zlib.error) as error:
            raise DataError(f"{path.name}, after line {number}: the compressed file is cut short or damaged "
                            f"({first_line(error)}). Download or compress it again") from None


def _by_line(path: Path, rows: Iterator[tuple], note: str = "") -> Iterator[Chunk]:
    """Chunks from the roles of the columns, and then (line number, a value for each role) for each row."""
    roles = next(rows, ())
    while part := list(islice(rows, CHUNK_ROWS)):
        numbers, *columns = zip(*part, strict=True)
        yield Chunk(path.name, dict(zip(roles, columns, strict=True)), numbers, "line", note=note)


def read_jsonl(path: Path, wanted: Wanted) -> Iterator[Chunk]:
    """One JSON object a line, whose own keys decide which plays which role; a key that the line lacks is missing."""

    def rows():
        yield tuple(wanted.roles)
        chosen: dict[tuple, dict[str, str]] = {}  # keys of a line -> role -> key
        for number, line in _lines(path):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                problem = getattr(error, "msg", "nested too deeply")
                raise DataError(f"{path.name}, line {number}: broken JSON ({problem} at character "
                                f"{getattr(error, 'pos', 0) + 1}). Each line must be one complete JSON object; correct "
                                "or delete this line") from None
            if not isinstance(record, dict):
                raise DataError(f"{path.name}, line {number}: a JSON {type(record).__name__} where an object is "
                                "expected. Write one object a line (JSON lines), not one array")
            keys = tuple(record)
            if keys not in chosen:
                first = next(iter(chosen.values()), {})  # of the first line
                present = [*keys, *(key for role, key in first.items() if not set(wanted.roles[role]) & {*keys})]
                chosen[keys] = wanted.resolve(present, f"{path.name}, line {number}" if first else path.name)
                if first and not set(keys) & set(chosen[keys].values()):
                    raise DataError(f"{path.name}, line {number}: has none of the columns "
                                    f"{', '.join(map(repr, first.values()))} of the lines before. Correct the line")
            yield number, *(record.get(chosen[keys].get(role)) for role in wanted.roles)

    return _by_line(path, rows())


def read_tsv(path: Path, wanted: Wanted) -> Iterator[Chunk]:
    """Tab-separated with a header. As in GLUE, a quotation mark is just a character, but for a file whose quotation
    marks are those of csv throughout (`_quoted`)."""
    if _quoted(path):
        return read_csv(path, wanted, "\t", "read with the quoting of csv")
    records = ((number, line.split("\t")) for number, line in _lines(path))
    return _by_line(path, _table(path, wanted, records, blank=lambda fields: not "".join(fields).strip()))


def _quoted(path: Path) -> bool:
    """Whether a writer of csv has put the quotation marks of a tsv.

    Every field is then free of them, or begins and ends with one and has them doubled inside. A text that stands in
    quotation marks as a whole looks the same, so one thing must be there that only a writer of csv makes: a doubled
    mark, a tab or a line end within a field, or a header in quotation marks. A line that has as many fields as
    the header only if its marks are mere characters speaks against it: one text may begin with a mark, and the next end
    with one.
    """
    lines, sure, width = (line for _, line in _lines(path)), False, 0
    for number, line in enumerate(lines):
        if '"' not in line:
            width = width if number else line.count("\t")
            continue
        while line.count('"') % 2:
            after = next(lines, None)
            if after is None or len(line) > 10_000_000:
                return False
            line += "\n" + after
        if not _RECORD.fullmatch(line):
            return False
        tabs = _FIELD.sub("", line).count("\t")  # between the fields as csv has them
        width = width if number else tabs
        if tabs != width == line.count("\t"):
            return False
        quoted = [field for field in _FIELD.findall(line) if field.startswith('"')]
        sure = sure or any(set('\t\n') & {*field} or '""' in field[1:-1] for field in quoted) or (
            number == 0 and len(quoted) == line.count("\t") + 1)
    return sure


_FIELD = re.compile(r'"(?:[^"]|"")*"|[^"\t]+')
_RECORD = re.compile(rf"(?:{_FIELD.pattern})?(?:\t(?:{_FIELD.pattern})?)*")


def read_csv(path: Path, wanted: Wanted, delimiter: str = ",", note: str = "") -> Iterator[Chunk]:
    """Comma-separated with a header, RFC 4180 quoting (quoted fields may hold line ends)."""

    def records():
        csv.field_size_limit(2**31 - 1)  # the default refuses a field above 128 kB
        reader = csv.reader((line + "\n" for _, line in _lines(path)), delimiter=delimiter, strict=True)
        start = 1
        try:
            for fields in reader:
                yield start, fields
                start = reader.line_num + 1
        except csv.Error as error:
            raise DataError(f"{path.name}, line {start}: broken CSV ({error}). Close the quotation marks, and double "
                            "those inside a quoted field") from None

    return _by_line(path, _table(path, wanted, records(), blank=lambda fields: not fields), note)


def _table(path: Path, wanted: Wanted, records: Iterator[tuple[int, list[str]]], blank) -> Iterator[tuple]:
    """What `_by_line` takes, from the records of a file with a header; those that are `blank` may have any width."""
    _, header = next(records)  # read_file refuses an empty file
    chosen = wanted.resolve(header, path.name)
    yield tuple(chosen)
    places = [header.index(name) for name in chosen.values()]
    for number, fields in records:
        if len(fields) == len(header):
            yield number, *[fields[i] for i in places]
        elif not blank(fields):
            raise DataError(f"{path.name}, line {number}: {len(fields)} fields where the header has {len(header)}. "
                            "Correct the line (csv: quote fields that hold commas; tsv: no tabs or line ends inside a "
                            "field)")


def read_parquet(path: Path, wanted: Wanted) -> Iterator[Chunk]:
    """Row batches of the wanted columns only (column pushdown)."""
    import pyarrow.parquet as pq

    with _readable(path, "parquet file", "Download or write it again"), pq.ParquetFile(path) as file:
        chosen = wanted.resolve(file.schema_arrow.names, path.name)
        batches = file.iter_batches(CHUNK_ROWS, columns=sorted(set(chosen.values())))
        yield from _by_row(path.name, batches, chosen, _classes(file.schema_arrow.metadata, chosen))


def read_arrow(path: Path, wanted: Wanted) -> Iterator[Chunk]:
    """An Arrow stream file, as `datasets` writes with save_to_disk; memory-mapped."""
    import pyarrow as pa

    with (_readable(path, "Arrow file", "Save the data set again"), pa.memory_map(str(path)) as source,
          pa.ipc.open_stream(source) as reader):
        chosen = wanted.resolve(reader.schema.names, path.name)
        batches = (batch.slice(start, CHUNK_ROWS) for batch in reader for start in range(0, batch.num_rows, CHUNK_ROWS))
        yield from _by_row(path.name, batches, chosen, _classes(reader.schema.metadata, chosen))


def _classes(metadata: dict | None, chosen: dict[str, str]) -> tuple[str, ...]:
    """The names of the classes of the label column, as `datasets` writes them into the schema of a file."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        feature = features[chosen["label"]]  # a class, or a list of them: one a word
        feature = feature[0] if isinstance(feature, list) else feature.get("feature", feature)
        return tuple(feature["names"])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return ()


@contextlib.contextmanager
def _readable(path: Path, kind: str, remedy: str):
    """What pyarrow raises for a broken file, as a DataError."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path.name}: not a readable {kind}, perhaps cut short ({first_line(error)}). {remedy}"
                        ) from None


def _by_row(file: str, batches, chosen: dict[str, str], classes: tuple[str, ...] = ()) -> Iterator[Chunk]:
    """Chunks from Arrow batches or tables with the columns `chosen`; numbers of `classes` become their names."""
    start = 1
    for batch in batches:
        columns = {}
        for role, name in chosen.items():
            column = batch.column(batch.schema.names.index(name))
            values = columns[role] = []
            try:
                values.extend(value.as_py() for value in column)  # those before one that is broken
            except UnicodeDecodeError as error:
                raise DataError(f"{file}, row {start + len(values)}, column {name!r}: not valid UTF-8 "
                                f"({error.reason}). Write the file again from UTF-8 text") from None
        if classes:
            columns["label"] = [classes[v] if v.__class__ is int and 0 <= v < len(classes) else v
                                for v in columns["label"]]
        yield Chunk(file, columns, range(start, start + batch.num_rows), classes=classes)
        start += batch.num_rows


READERS: dict[str, Callable[[Path, Wanted], Iterator[Chunk]]] = {
    ".parquet": read_parquet, ".jsonl": read_jsonl, ".json": read_jsonl, ".csv": read_csv, ".tsv": read_tsv,
    ".txt": read_tsv, ".arrow": read_arrow}


_SPLIT_NAMES = {"train": {"train", "training"}, "validation": {"validation", "valid", "val", "dev", "trial"},
                "test": {"test"}}


def split_of(stem: str) -> str | None:
    """The split a file's name stands for: 'multinli_1.0_dev_matched' -> 'validation_matched'; else None."""
    words = re.split(r"[^a-z]+", stem.lower())
    split = next((split for split, names in _SPLIT_NAMES.items() if names & set(words)), None)
    genres = next((f"_{w}" for w in ("matched", "mismatched") if w in words), "")
    return split + genres if split in ("validation", "test") else split


def find_splits(folder: Path) -> dict[str, list[Path]]:
    """split -> its files: by `datasets`' own index, else by the dataset card, else by the files' names."""
    splits = _from_saved(folder) or _from_card(folder) or _from_names(folder)
    if splits:
        return splits
    inside = sorted(p.name for p in folder.iterdir())
    shown = ", ".join(inside[:8]) + (", …" if len(inside) > 8 else "") if inside else "nothing"
    raise DataError(f"{folder}: this folder is no data set; it holds {shown}. It needs files named after their splits "
                    "(train.parquet, validation_matched.jsonl, dev.tsv, …), or a README.md whose YAML header lists "
                    "them under configs: data_files:, or be written by datasets' save_to_disk")


def _from_saved(folder: Path) -> dict[str, list[Path]]:
    """A folder written by DatasetDict.save_to_disk or Dataset.save_to_disk."""
    if (folder / "dataset_dict.json").is_file():
        return {name: _shards(folder / name) for name in _json(folder / "dataset_dict.json").get("splits", [])}
    if (folder / "state.json").is_file():
        return {_json(folder / "state.json").get("_split") or "train": _shards(folder)}
    return {}


def _shards(folder: Path) -> list[Path]:
    entries = _json(folder / "state.json").get("_data_files")
    try:
        return [folder / entry["filename"] for entry in entries]
    except (KeyError, TypeError):
        raise DataError(f"{folder / 'state.json'}: its _data_files name no files. Save the data set again") from None


def _json(path: Path) -> dict:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not readable ({first_line(error)}). Save the data set again") from None


def _card_header(folder: Path) -> str:
    """The YAML at the head of a folder's README.md, between two lines of three dashes; "" where there is none."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    header = re.match(r"\A---\s*\n(.*?)\n---\s*(\n|\Z)", text, re.DOTALL)
    return header[1] if header else ""


def _from_card(folder: Path) -> dict[str, list[Path]]:
    """The configs: data_files: of README.md's YAML header (the config named default, else the first)."""
    import yaml

    card, header = folder / "README.md", _card_header(folder)
    if "configs" not in header:
        return {}
    try:
        if "configs" not in (about := yaml.safe_load(header)):  # the word stands elsewhere
            return {}
        configs = about["configs"]
        files = next((c for c in configs if c.get("config_name") == "default"), configs[0])["data_files"]
        files = {"train": files} if isinstance(files, str) else files
        pairs = files.items() if isinstance(files, dict) else [(entry["split"], entry["path"]) for entry in files]
        entries = [(str(split), [path] if isinstance(path, str) else list(path)) for split, path in pairs]
        files = [[path for pattern in patterns for path in sorted(folder.glob(pattern))] for _, patterns in entries]
    except (yaml.YAMLError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError) as error:
        raise DataError(f"{card}: its YAML header has no usable configs: data_files: ({type(error).__name__}). Correct "
                        "it, or remove it and name the files after their splits") from None
    splits: dict[str, list[Path]] = {}
    for (split, patterns), paths in zip(entries, files, strict=True):
        if not paths:
            raise DataError(f"{card}: names {', '.join(patterns)} for split {split!r}, which is not in the folder. "
                            "Complete the download, or correct the card")
        splits.setdefault(split, []).extend(paths)
    return splits


def classes_on_card(folder: Path, columns: Sequence[str]) -> tuple[str, ...]:
    """The names of the classes that a folder's README.md gives for one of these columns of lists (dataset_info:
    features: sequence: class_label: names); () where there are none."""
    import yaml

    try:
        info = yaml.safe_load(_card_header(folder))["dataset_info"]
        features = (info[0] if isinstance(info, list) else info)["features"]
        feature = next(each for each in features if each["name"] in columns)
        names = (feature.get("sequence") or feature["list"])["class_label"]["names"]
        return tuple(names[key] for key in sorted(names, key=int))
    except (AttributeError, KeyError, StopIteration, TypeError, ValueError, yaml.YAMLError):
        return ()


def _from_names(folder: Path) -> dict[str, list[Path]]:
    """Files named after their splits, in the folder or in its data/ folder."""
    splits: dict[str, list[Path]] = {}
    for path in sorted([*folder.glob("*"), *folder.glob("data/*")]):
        split = split_of(path.stem)
        if split and path.is_file() and ending_of(path) in READERS and not path.name.startswith("."):
            splits.setdefault(split, []).append(path)
    for split, paths in splits.items():
        if others := [p for p in paths if ending_of(p) != ".txt"]:  # MultiNLI's folder holds everything as .jsonl too
            splits[split] = paths = others
        if len({ending_of(p) for p in paths}) > 1:
            raise DataError(f"{folder}: split {split!r} is there in several formats "
                            f"({', '.join(p.name for p in paths)}). Keep one of them, or pass its path")
    return splits


def hub_splits(source: str) -> dict[str, object]:
    """split -> datasets.Dataset for a hub id "owner/name" or "owner/name:config"."""
    try:
        import datasets
    except ImportError:
        raise DataError(f"{source!r} is a hub id, and reading the hub needs the datasets package: pip install "
                        "datasets. Without it: data='embedded', or a local folder") from None
    name, _, config = source.partition(":")
    try:
        return dict(datasets.load_dataset(name, *([config] if config else [])))
    except Exception as error:  # every kind of network, hub and file error ends here
        raise DataError(f"{source!r} could not be read from the hub ({type(error).__name__}: {first_line(error)}), and "
                        "there is no local file or folder of that name. Ways out: check the name and the network "
                        "(HF_HUB_OFFLINE=1 uses only what is cached); download it elsewhere and pass the folder's "
                        "path; or use data='embedded'") from None


def read_hub(source: str, split: str, dataset, wanted: Wanted) -> Iterator[Chunk]:
    """Chunks of one split of a hub data set, memory-mapped by `datasets`."""
    label = f"{source} [{split}]"
    chosen = wanted.resolve(dataset.column_names, label)
    narrow = dataset.select_columns(sorted(set(chosen.values()))).with_format("arrow")
    feature = dataset.features.get(chosen.get("label"))
    classes = tuple(getattr(getattr(feature, "feature", feature), "names", ()))
    yield from _by_row(label, narrow.iter(batch_size=CHUNK_ROWS), chosen, classes)
