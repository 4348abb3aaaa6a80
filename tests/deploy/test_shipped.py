"""The artifacts that come with the book: whole, small, allowed to be given away, and they answer. There may be none."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import seo_core
from seo_core.data import generate_nli
from seo_core.deploy import artifact

ROOT = Path(__file__).resolve().parents[2]
MOST = {"reference-small": 5_000_000}  # bytes of the whole folder
MOST_OF_OTHERS = 8_000_000
PAIRS = [("A man sleeps.", "A person rests."), ("A man sleeps.", "Nobody rests."), ("A dog runs.", "A cat runs.")]


def faults(folder: Path) -> list[str]:
    """Why this artifact cannot come with the book. Raises ArtifactError where it is not whole."""
    config, card = artifact.check(folder), (folder / "README.md").read_text()
    listed = {line.partition("  ")[2] for line in (folder / artifact.SUMS).read_text().splitlines()}
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = [f"{name} is not listed" for name in {path.name for path in files} - listed - {artifact.SUMS}]
    size, most = sum(path.stat().st_size for path in files), MOST.get(folder.name, MOST_OF_OTHERS)
    if size > most:
        found.append(f"{size} bytes, and {most} are allowed")
    if artifact.RECORD not in listed:
        return [*found, "no record of the run that made it"]
    record = json.loads((folder / artifact.RECORD).read_text())
    made_of = json.dumps([record["data"]["name"], record["parameters"], record["provenance"]["command"]]) + card
    found += [f"made from {name}, whose terms forbid it" for name in set(re.findall("(?i)mrpc|qqp|quora", made_of))]
    if "\n- not stated" in card or "backbone:" not in card:
        found.append("the card lacks the licence of the data or of the backbone")
    model = seo_core.load(folder)
    answers = model.predict(PAIRS) if len(config["texts"]) == 2 else model.predict([text for text, _ in PAIRS])
    if not set(answers) <= set(config["labels"]):
        found.append(f"answers {answers}")
    return found


def test_those_that_there_are_can_be_given_away(monkeypatch):
    monkeypatch.setenv("SEO_BOOK", str(ROOT))
    shipped = artifact.shipped()
    assert {name: faults(folder) for name, folder in shipped.items()} == {name: [] for name in shipped}
    for name, folder in shipped.items():
        assert seo_core.load(name).predict(PAIRS) == seo_core.load(folder).predict(PAIRS)
        said = artifact.check(folder)["metrics"]
        assert sum(value for key, value in said.items() if key.startswith(artifact.SHARE)) == pytest.approx(1)
        assert said["accuracy_matched"] < said[artifact.SURE] < 1, "of a network that is too sure of itself"
    place = ROOT / "book" / "artifacts"
    assert {path.name for path in place.glob("*")} == set(shipped), "only artifacts lie there"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reference", "reference-small"])
def test_the_ten_lines_of_the_card_say_what_load_says(name, monkeypatch):
    monkeypatch.setenv("SEO_BOOK", str(ROOT))
    monkeypatch.chdir(ROOT / "book" / "artifacts" / name)
    rows = list(generate_nli(600)["train"][["premise", "hypothesis"]].head(300).itertuples(index=False, name=None))
    card, example = Path("README.md").read_text(), re.search(r"encode_batch\((.*)\)\n", artifact.RECIPE)[1]
    assert artifact.RECIPE in card
    exec(artifact.RECIPE.replace(example, repr(rows)), found := {})
    answers = [found["config"]["labels"][i] for i in found["logits"].argmax(1)]
    said = seo_core.load(name).predict(rows)
    assert sum(a == b for a, b in zip(answers, said, strict=True)) >= 0.999 * len(rows) and len(set(said)) > 1


@pytest.mark.parametrize("data, changed, words", [
    ("path/to/mnli", {}, None), ("path/to/mrpc", {}, "made from mrpc"), ("nyu-mll/glue:qqp", {}, "made from qqp"),
    ("path/to/mnli", {"source": "path/to/qqp"}, "made from qqp"), ("path/to/mine", {}, "lacks the licence")])
def test_what_may_not_be_given_away_is_noticed(tiny_book, tiny_artifact, data, changed, words):
    card = artifact.Card(made=("backbone: tiny, CC0",), data=("its licence",) if data.endswith("mnli") else ())
    record = tiny_book / "record.json"
    record.write_text(json.dumps({"data": {"name": data}, "parameters": {"source": "path/to/snli", **changed},
                                  "provenance": {"command": "python -m seo_core.run arm sqd"}}))
    folder = tiny_artifact(tiny_book / "book" / "artifacts" / "reference", card=card, record=record)
    found = " ".join(faults(folder))
    assert words in found if words else found == ""


def test_a_large_one_a_further_file_and_a_missing_record_are_noticed(tiny_book, tiny_artifact, monkeypatch):
    folder = tiny_artifact(tiny_book / "book" / "artifacts" / "reference-small")
    assert faults(folder) == ["no record of the run that made it"]
    (folder / "notes").mkdir()
    (folder / "notes" / "more.txt").write_text("a further file")
    monkeypatch.setitem(MOST, "reference-small", 1000)
    assert [words for words in ("more.txt is not listed", "and 1000 are allowed")
            if words in " ".join(faults(folder))] == ["more.txt is not listed", "and 1000 are allowed"]


def test_they_are_in_a_clone_and_are_neither_pages_nor_code():
    path = "book/artifacts/reference/model.onnx"
    ignored = subprocess.run(["git", "-C", str(ROOT), "check-ignore", "--no-index", "--quiet", path], check=False)
    assert ignored.returncode != 0
    assert "book/artifacts" in yaml.safe_load((ROOT / "_config.yml").read_text())["exclude_patterns"]
    assert "book/artifacts" in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["extend-exclude"]


def test_what_lies_there_is_not_staged_for_the_pages(tmp_path):
    import minibook

    from seo_core.runner.manifest import load_manifest
    from seo_core.runner.render import stage_prose
    from seo_core.runner.state import Tree

    root = minibook.make(tmp_path)
    (card := root / "book" / "artifacts" / "reference" / "README.md").parent.mkdir(parents=True)
    card.write_text("# A model card")
    tree = Tree(root, "quick")
    stage_prose(load_manifest(root), tree)
    assert (tree.staging / "book" / "intro.md").is_file() and not (tree.staging / "book" / "artifacts").exists()
