"""Benchmark of augmentation: our operators, nlpaug, TextAttack and Apertium take turns on the same texts.

    outcome = bench.measure("augmentation", settings, rounds=3)
    outcome.inputs["absent"]                                      # contestant -> "" or why it cannot run here

Every contestant runs in a process of its own (`seo_core.bench.peers`), so that all start with empty caches. The first
pass over the texts fills them inside the clock ("cold"); the second shows the speed after that ("warm"). Imports are
outside. nlpaug and TextAttack may have environments of their own: $SEO_PEER_NLPAUG and $SEO_PEER_TEXTATTACK name their
Python interpreters, else this one is tried; $NLTK_DATA must hold what they ask NLTK for (nlpaug a tagger,
`averaged_perceptron_tagger_eng`; TextAttack `stopwords`; both `wordnet`).
"""

from __future__ import annotations

import difflib
import json
import os
import re
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from seo_core import files
from seo_core.bench import peers as script
from seo_core.bench.turns import Outcome, Turn, interleave, seconds, summarize

EXPERIMENT, RECORD = "bench_augmentation", "augmentation_speed"
OPTIONS = {"rounds": dict(type=int, help="turns of each contestant (0: as the profile says)")}
STRENGTH = 0.1  # share of the words: the libraries' usual one
PEERS = {"nlpaug": "SEO_PEER_NLPAUG", "textattack": "SEO_PEER_TEXTATTACK"}
TITLES, GROUPS, PLANS = files.table(__file__).values()  # names, what is compared, how much of it
PATIENCE = 1800  # seconds for one contestant's turn


def plan(settings, *, rounds: int = 0) -> dict[str, int]:
    """How much each part runs, by the profile; rounds: 0 for as many as it says."""
    return PLANS["quick" if settings.profile == "quick" else "others"] | ({"rounds": rounds} if rounds else {})


def contest(settings, plan: dict) -> Outcome:
    """All contestants take turns on the texts; then a teacher judges the edits of their first turns."""
    from seo_core.data import encode, prepare
    from seo_core.models.backbone import load_backbone, model_info
    from seo_core.training import TrainingConfig, fit

    task = prepare(replace(settings, train_rows=plan["teacher_pairs"] + plan["pairs"]))
    n = min(plan["pairs"], len(task["train"]) // 2)  # of a small set the teacher gets half
    pairs, rest = task["train"].head(n).reset_index(drop=True), task["train"].iloc[n:]
    plan = plan | {"pairs": n, "teacher_pairs": len(rest)}
    texts, absent = [text for name in task.texts for text in pairs[name]], peers()
    contestants = Contestants(texts, [name for name, why in absent.items() if not why], STRENGTH, plan["slow_pairs"],
                              columns=len(task.texts))
    apertium = apertium_contestants(texts[: plan["apertium_texts"]], plan["single_texts"])
    turns = interleave({**contestants.table, **apertium}, rounds=plan["rounds"])

    teacher, tokenizer = load_backbone(settings.model, num_labels=len(task.labels), layers=settings.layers,
                                       seed=settings.seed)
    config = TrainingConfig.from_settings(settings, epochs=1 if settings.profile == "quick" else 2)
    fit(teacher, encode(rest, tokenizer, texts=task.texts, max_length=settings.max_length), config=config,
        progress=False)
    kept = labels_kept(teacher, tokenizer, pairs, task.texts, max_length=settings.max_length)
    table = versus(turns).join(contestants.quality(kept))
    return Outcome(turns=turns, table=table, task=task, model_info=model_info(teacher, settings.model),
                   metrics={f"speed_ratio {name}": row.ratio for name, row in table.iterrows() if name != row.baseline},
                   parameters={"plan": plan, "versions": contestants.versions},
                   inputs={"absent": absent, "contestants": contestants, "teacher_pairs": rest})


def run_peer(contestant: str, texts: list[str], strength: float, seed: int = 0, *, once: bool = False) -> dict:
    """One turn of a contestant in its own process (`seo_core.bench.peers`). Raises RuntimeError with its last words."""
    library = contestant.split()[0]
    interpreter = os.environ.get(PEERS.get(library, ""), "") or sys.executable
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}  # a notebook's, unknown elsewhere
    if library == "seo_core":  # the package as it runs here, installed or not
        root = str(Path(script.__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
        command = [interpreter, "-m", "seo_core.bench.peers"]
    else:
        command = [interpreter, "-I", script.__file__]  # -I: this folder's modules are not the peer's
    job = {"contestant": contestant, "texts": texts, "strength": strength, "seed": seed, "once": once}
    try:
        done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, timeout=PATIENCE,
                              env=environment)
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeError(str(error)) from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip(" *")]
        raise RuntimeError(lines[-1].strip() if lines else f"exit code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def peers() -> dict[str, str]:
    """Contestant -> "" where it runs here, else why it is absent. The others' are tried on one text."""
    from seo_core.augmentation import OPERATORS

    absent = dict.fromkeys(TITLES, "")
    for library, action in map(str.split, TITLES):
        try:
            if library == "seo_core":
                absent[f"{library} {action}"] = OPERATORS[action].available() or ""
            else:
                run_peer(f"{library} {action}", ["The car stood in the street."], 0.3, once=True)
        except RuntimeError as error:
            absent[f"{library} {action}"] = str(error)[:160]
    return absent


def replaced(before: list[str], after: list[str]) -> float:
    """Share of the words of `before` that are not found again, in order, in `after` (a swap moves one)."""
    lost = total = 0
    for old, new in zip(before, after, strict=True):
        a, b = re.findall(r"\w+", old), re.findall(r"\w+", new)
        total += len(a)
        if a != b:
            lost += max(len(a), len(b)) - sum(m.size for m in
                                              difflib.SequenceMatcher(None, a, b, False).get_matching_blocks())
    return lost / max(total, 1)


def calibrate(operator: str, texts: list[str], target: float) -> float:
    """The strength at which our operator replaces the share `target` of all words, by bisection in (0, 1]."""
    def rate(step: int) -> float:
        return replaced(texts, script.seo_core(operator, step / 128)()(texts, 0))

    return 1.0 if rate(128) <= target else round((bisect_left(range(1, 128), target, key=rate) + 1) / 128, 3)


class Contestants:
    """The contestants of a run, and the texts that each of them made in its first turn. texts: premises, then as many
    hypotheses, or one column of them. TextAttack gets the first `slow_pairs` of each."""

    def __init__(self, texts: list[str], names, strength: float, slow_pairs: int, *, columns: int = 2):
        self.texts, self.columns, self.slow_pairs = texts, columns, slow_pairs
        self.strengths, self.edited, self.versions = {}, {}, {}
        for ours, theirs in (("seo_core synonym", "nlpaug synonym"), ("seo_core eda", "nlpaug swap")):
            if ours not in names:
                continue
            rate = strength  # of all words, where no peer says what it makes of the number
            if theirs in names:
                rate = replaced(texts, run_peer(theirs, texts, strength, once=True)["texts"])
            self.strengths[ours] = calibrate(ours.split()[1], texts, rate)
        self.strengths |= {name: strength for name in names if name not in self.strengths}
        self.table: dict[str, Callable[[int], Turn]] = {TITLES[name]: partial(self._turn, name) for name in names}

    def first(self, pairs: int) -> list[str]:
        """The texts of the first pairs: premises, then hypotheses."""
        rows = len(self.texts) // self.columns
        return [text for i in range(self.columns) for text in self.texts[i * rows :][: min(pairs, rows)]]

    def _turn(self, name: str, seed: int) -> Turn:
        texts = self.first(self.slow_pairs) if name.startswith("textattack") else self.texts
        answer = run_peer(name, texts, self.strengths[name], seed)
        self.edited.setdefault(TITLES[name], answer["texts"])
        self.versions[TITLES[name]] = answer["version"]
        return as_turn(len(texts), *answer["seconds"])

    def quality(self, kept: Callable[[list[str]], float]):
        """A frame, a row for each contestant: strength asked for, words replaced, and `kept(new texts)`."""
        import pandas as pd

        asked = {TITLES[name]: value for name, value in self.strengths.items()}
        rows = {title: {"strength": asked[title],
                        "words_replaced": replaced(self.first(len(edited) // self.columns), edited),
                        "labels_kept": kept(edited)} for title, edited in self.edited.items()}
        return pd.DataFrame.from_dict(rows, orient="index")


def versus(turns):
    """`summarize` for each of GROUPS; the first of a group that ran is its baseline. ratio is of the second passes
    (warm), ratio_total of the first (cold)."""
    import pandas as pd

    ran, tables = set(turns["contestant"]), []
    for group, members in GROUPS.items():
        if taken := [name for name in members if name in ran]:
            table = summarize(turns[turns["contestant"].isin(taken)], baseline=taken[0])
            tables.append(table.assign(compared=group, baseline=taken[0]))
    return pd.concat(tables)


def as_turn(examples: int, cold: float, warm: float) -> Turn:
    """Two passes as a `Turn`: its total rate is that of the first pass, its steady rate that of the second."""
    return Turn(examples, cold, (cold, cold + warm), (examples, examples))


def apertium_contestants(texts: list[str], single: int) -> dict[str, Callable[[int], Turn]]:
    """Apertium there and back: all texts in one pass, and a process for each of the first `single` texts."""
    from seo_core.augmentation import translation

    pair = translation.apertium_pair()

    def turn(batches: list[list[str]], seed: int) -> Turn:
        spent = sum(seconds(translation._apertium_round, batch, pair, len(batch)) for batch in batches)
        return as_turn(sum(map(len, batches)), spent, spent)

    return {"Apertium, a process a text": partial(turn, [[text] for text in texts[:single]]),
            "Apertium, one batch": partial(turn, [texts])} if pair else {}


def labels_kept(network, tokenizer, frame, texts, *, max_length: int) -> Callable[[list[str]], float]:
    """A function of new texts (premises, then as many hypotheses, of all pairs or the first; of single texts, these):
    of those rows that the teacher had right before, the share that it has right after."""
    from seo_core.data import encode
    from seo_core.evaluation import predict

    def right(pairs) -> np.ndarray:
        logits = predict(network, encode(pairs, tokenizer, texts=texts, max_length=max_length))
        return logits.argmax(1) == pairs["label"].to_numpy()

    before = right(frame)

    def kept(edited: list[str]) -> float:
        rows = len(edited) // len(texts)
        after = right(frame.head(rows).assign(**{name: edited[i * rows :][:rows] for i, name in enumerate(texts)}))
        return float(after[before[:rows]].mean()) if before[:rows].any() else float("nan")

    return kept
