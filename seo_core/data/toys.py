"""Generated data for the two kinds of task of `sequences`: tagged sentences, and questions on short texts.

    frames = toys.generate(TAGS, rows=2000, seed=0)        # {"train": frame, "validation": frame}, in a file's layout

Right by construction, as the pairs of `generator`, and as much of a toy. Of the sentences half have no entity, and few
have a group: the imbalance that entity F1 is there for. Of a context one sentence answers the question, and the others
name other people, things and places.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from seo_core.checks import check_number
from seo_core.data import lexicon as lx
from seo_core.data.sequences import TAGS

SURNAMES = ("Miller", "Rossi", "Novak", "Silva", "Tanaka", "Berg")
PLACES = ("Oslo", "Lima", "New York", "Kyoto", "Porto", "Cape Town", "Hamburg", "Quito", "San Marino", "Turin")
GROUPS = ("the Red Cross", "the Blue Lions", "the River Choir")
# words, and in capitals the entities; how often each is drawn, relative to the others
SENTENCES = {"it rained all DAY and nobody went out": 3, "the THING was not cheap": 3, "on DAY a THING was found": 3,
             "PERSON VERB a THING": 3, "on DAY PERSON went to PLACE": 3, "the THING came from PLACE": 2,
             "PERSON plays with GROUP in PLACE": 1}
FACTS = ("{who} VERB the {what} in {where} on {when}.", "On {when} {who} was in {where} and VERB the {what}.")
QUESTIONS = {"where": "Where was {who}?", "what": "What was it that {who} VERB?",
             "when": "On which day was {who} there?"}
_VERBS = [past for _, past in lx.VERBS]
_THINGS = sorted({word for genre in lx.GENRES.values() for middles in genre["things"].values()
                  for words in middles.values() for word in words})


def generate(kind: str, rows: int = 2000, *, seed: int = 0, evaluation_rows: int | None = None
             ) -> dict[str, pd.DataFrame]:
    """train with `rows` rows and validation with a fifth as many, or as asked, in the columns of public sets. Raises
    ValueError for rows < 1."""
    check_number("rows", rows, least=1, error=ValueError)
    make = _tagged if kind == TAGS else _question
    sizes = {"train": rows, "validation": evaluation_rows or max(1, rows // 5)}
    frames = {}
    for number, (split, size) in enumerate(sizes.items()):
        rng = np.random.default_rng([seed, 1995, number])
        frames[split] = pd.DataFrame([make(rng) for _ in range(size)])
    return frames


def _tagged(rng) -> dict:
    """{"tokens": words, "ner_tags": their names}."""
    forms, weights = list(SENTENCES), np.array(list(SENTENCES.values()), float)
    fillers = {"PERSON": lx.NAMES, "PLACE": PLACES, "GROUP": GROUPS, "DAY": lx.DAYS, "THING": _THINGS, "VERB": _VERBS}
    types = {"PERSON": "person", "PLACE": "location", "GROUP": "group"}
    tokens, tags = [], []
    for slot in forms[rng.choice(len(forms), p=weights / weights.sum())].split():
        words = (_some(rng, fillers[slot]) if slot in fillers else slot).split()
        if slot == "PERSON":
            words += [_some(rng, SURNAMES)] * bool(rng.integers(2))
        tokens += words
        tags += [f"{'I' if i else 'B'}-{types[slot]}" if slot in types else "O" for i in range(len(words))]
    return {"tokens": tokens, "ner_tags": tags}


def _question(rng) -> dict:
    """{"context", "question", "answers"}: three facts on three people, and a question on one of them."""
    people, places, days = (rng.permutation(words)[:3] for words in (lx.NAMES, PLACES, lx.DAYS))
    things, verbs = rng.permutation(_THINGS)[:3], rng.permutation(_VERBS)[:3]
    facts = [dict(who=str(who), where=str(where), when=str(when), what=str(what))
             for who, where, when, what in zip(people, places, days, things, strict=True)]
    texts = [_some(rng, FACTS).replace("VERB", verb).format(**fact) for fact, verb in zip(facts, verbs, strict=True)]
    asked, role = int(rng.integers(3)), _some(rng, list(QUESTIONS))
    answer = facts[asked][role]
    start = sum(len(text) + 1 for text in texts[:asked]) + texts[asked].index(answer)
    question = QUESTIONS[role].replace("VERB", verbs[asked]).format(**facts[asked])
    return {"context": " ".join(texts), "question": question,
            "answers": {"text": [answer], "answer_start": [start]}}


def _some(rng, words) -> str:
    return str(words[rng.integers(len(words))])
