"""Sphinx extension: what the page "The model in your browser" loads, made from what the repository holds already.

A page opened from a disk may not fetch files, but it may load scripts. So each model and the runtime become one script
in `_static/in_browser/` that holds the bytes, gzipped and in base64; it is loaded when the reader asks for it.

    models.js       what there is to load, with sizes
    runtime.js      ONNX Runtime Web, from book/_vendor
    NAME.js         one artifact of book/artifacts: the network, its labels and its tokenizer

A browser rounds floats in other ways than a processor. So the network is the one of the engine `exact`, which has the
artifact's weights and says the same in both (`seo_core.deploy.exact`).

Artifacts that read no pairs are left out.
"""

from __future__ import annotations

import base64
import functools
import gzip
import json
from pathlib import Path

PAGE, FOLDER, RUNTIME = "book/in_the_browser", "in_browser", "onnxruntime-web"
_BERT = {"normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                        "strip_accents": None, "lowercase": True},
         "pre_tokenizer": {"type": "BertPreTokenizer"}}
_WORDPIECE = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 100}


def packed(data: bytes) -> str:
    """gzip, then base64; the same bytes give the same text."""
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def tokenizer(path: Path) -> dict:
    """What tokenizer.js needs of a tokenizer.json. Raises ValueError where that file is of another kind.

    vocabulary: the words in the order of their ids. special: texts that are one token. And the `characters`.
    """
    said = json.loads(path.read_text(encoding="utf-8"))
    rules, vocabulary = dict(said["model"]), said["model"]["vocab"]
    if {key: said[key] for key in _BERT} != _BERT or {key: rules.get(key) for key in _WORDPIECE} != _WORDPIECE:
        raise ValueError(f"{path.parent.name}: tokenizer.js reads BERT's WordPiece in lower case, and no other")
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise ValueError(f"{path.parent.name}: the ids of the vocabulary have gaps")
    return {"vocabulary": sorted(vocabulary, key=vocabulary.get),
            "special": [token["content"] for token in said["added_tokens"]], **characters()}


@functools.cache
def characters() -> dict[str, str]:
    """dropped, apart, punctuation: the characters that the library drops, puts apart as words, and cuts at, as the
    inside of [ ] in a regular expression. The library is asked for each one; its tables are those of another Unicode
    version than a browser's."""
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    clean, cut = BertNormalizer(lowercase=True).normalize_str, BertPreTokenizer().pre_tokenize_str
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    cleaned = {point: clean(chr(point)) for point in points}
    return {"dropped": character_class([p for p in points if not cleaned[p]]),
            "apart": character_class([p for p in points if cleaned[p].strip() and cleaned[p][0] == " "]),
            "punctuation": character_class([p for p in points if len(cut("a" + chr(p))) == 2])}


def character_class(points: list[int]) -> str:
    r"""Ascending code points as the inside of a class: [33, 34, 35, 64] -> "\u{21}-\u{23}\u{40}"."""
    ranges: list[list[int]] = []
    for point in points:
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "".join(rf"\u{{{first:x}}}" + (rf"-\u{{{last:x}}}" if last > first else "") for first, last in ranges)


def model(folder: Path) -> dict:
    """All that the browser needs of an artifact."""
    import onnx

    from seo_core.deploy.exact import in_double

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    network = in_double(onnx.load(folder / "model.onnx")).SerializeToString()
    return {"labels": config["labels"], "maxLength": config["max_length"], "bytes": len(network),
            "tokenizer": tokenizer(folder / "tokenizer.json"), "network": packed(network)}


def runtime(folder: Path) -> dict:
    """ONNX Runtime Web: its module as text, and its WebAssembly."""
    module = (folder / "ort.wasm.bundle.min.mjs").read_text(encoding="utf-8").partition("//# sourceMappingURL")[0]
    wasm = gzip.decompress((folder / "ort-wasm-simd-threaded.wasm.gz").read_bytes())
    return {"module": module, "bytes": len(wasm), "wasm": packed(wasm)}


def write(artifacts: Path, vendored: Path, output: Path) -> None:
    """Write the scripts, and the runtime's licences, into `output`."""
    output.mkdir(parents=True, exist_ok=True)
    listed = []
    for folder in sorted(path.parent for path in artifacts.glob("*/config.json")):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if len(config["texts"]) == 2:
            script = model(folder)
            size = _script(output, folder.name, script)
            accuracy = config["metrics"].get("accuracy_matched")
            listed.append({"name": folder.name, "download": size, "accuracy": accuracy,
                           "bytes": script["bytes"]})
    size = _script(output, "runtime", runtime(vendored))
    _script(output, "models", {"models": listed, "runtime": size})
    for licence in (vendored / "LICENSE", vendored / "ThirdPartyNotices.txt.gz"):
        (output / f"{RUNTIME}-{licence.name}").write_bytes(licence.read_bytes())


def _script(output: Path, name: str, value: dict) -> int:
    """One script that adds `value` to what the page has; its bytes."""
    text = f"(globalThis.inBrowser ??= {{}})[{json.dumps(name)}] = {json.dumps(value)};\n"
    return (output / f"{name}.js").write_bytes(text.encode())


def _finished(app, exception) -> None:
    if exception is None and app.builder.format == "html" and PAGE in app.env.all_docs:
        from seo_core.settings import book_root  # what is rendered is a copy without the artifacts

        write(book_root() / "book" / "artifacts", Path(app.srcdir) / "book" / "_vendor" / RUNTIME,
              Path(app.outdir) / "_static" / FOLDER)


def setup(app) -> dict:
    """Writes the scripts when the pages are finished."""
    app.connect("build-finished", _finished)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
