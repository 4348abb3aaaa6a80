"""The embedded generator: right labels (against an independent model checker), balance, no artefact."""

import itertools
import re
import time

import numpy as np
import pandas as pd
import pytest

from seo_core.data import baselines, fit_ngrams, generate, generate_nli, load_nli
from seo_core.data import generator as gen
from seo_core.data import lexicon as lx

E, N, C = 0, 1, 2


@pytest.fixture(scope="module")
def pairs():
    return pd.concat(
        [generate(12_000, lx.MATCHED, seed=5), generate(12_000, lx.MISMATCHED, seed=6)], ignore_index=True
    )


# --- an independent check: enumerate small worlds, in which each sentence is simply true or false -----------


def bare(text: str) -> str:
    """The sentence without filler, in lower case, 'an' written 'a'."""
    for filler in lx.FILLERS:
        text = text.removesuffix(" " + filler)
    return re.sub(r"\ban (?=[aeiou])", "a ", text.rstrip(".").lower())


def label_over(worlds, premise, hypothesis) -> int:
    """Entailment, contradiction or neutral from truth in all worlds; the premise must be possible."""
    seen = {hypothesis(w) for w in worlds if premise(w)}
    assert seen, "the premise is impossible"
    return N if len(seen) == 2 else (E if True in seen else C)


def kinds(genre):
    """word -> the set of specific words below it."""
    below = {}
    for general, middles in lx.GENRES[genre]["things"].items():
        for middle, specific in middles.items():
            below[middle] = {middle + "/other", *specific}
            below.setdefault(general, {general + "/other"}).update(below[middle])
            below.update({s: {s} for s in specific})
    return below


def test_quantifiers_against_all_small_worlds(pairs):
    """A world: for each kind of thing and each combination of states, whether there is such an individual."""
    form = re.compile(r"(?P<q>all|every|some|no|not all|at least \w+) (?P<rest>.+?) (are|is) (?P<p>.+)")
    checked = 0
    for row in pairs[pairs["phenomenon"] == "quantifiers"].iloc[:700].itertuples():
        below, sides = kinds(row.genre), []
        for text in (row.premise, row.hypothesis):
            m = form.fullmatch(bare(text))
            assert m, text
            noun = max(
                (w for w in below for s in ("", "s") if re.match(rf"{re.escape(w)}{s} ", m["rest"] + " ")),
                key=len,
            )
            sides.append((m["q"], below[noun], m["p"]))
        nouns = [s[1] for s in sides]
        cells = {(k in nouns[0], k in nouns[1]) for k in nouns[0] | nouns[1]}  # kinds the pair can tell apart
        scales = [
            s for s in lx.STATES.values() if any(re.search(rf"\b{w}\b", p) for _, _, p in sides for w in s)
        ]
        values = list(itertools.product(*[(("s0", "s"), ("s",), ("o",), ()) for _ in scales]))
        individuals = list(itertools.product(sorted(cells), values))

        def holds(person, side, scales=scales, sides=sides):
            """Whether the individual is of this side's noun, and whether its predicate holds."""
            (member, value), predicate = person, sides[side][2]
            truth = True
            for part in predicate.split(" and "):
                positive = not part.startswith("not ")
                word = part.removeprefix("not ")
                i = next(i for i, s in enumerate(scales) if word in s)
                key = ("s0", "s", "o")[scales[i].index(word)]
                truth &= (key in value[i]) == positive
            return member[side], truth

        facts = [[holds(x, side) for x in individuals] for side in (0, 1)]
        # worlds of one or two individuals: enough for every quantifier here to come out either way
        worlds = [w for size in (1, 2) for w in itertools.combinations(range(len(individuals)), size)]
        # every kind spoken of exists, as "all" presupposes in plain English
        worlds = [w for w in worlds if all(any(facts[s][i][0] for i in w) for s in (0, 1))]

        def true(side, facts=facts, sides=sides):
            def check(world):
                rows = [facts[side][i][1] for i in world if facts[side][i][0]]
                q = sides[side][0]
                if q in ("all", "every"):
                    return all(rows)
                return {"no": not any(rows), "not all": not all(rows)}.get(q, any(rows))

            return check

        assert label_over(worlds, true(0), true(1)) == row.label, row
        checked += 1
    assert checked == 700


def test_numerals_against_counting(pairs):
    """A world: the count."""
    numbers = {w: i for i, w in enumerate(lx.NUMBERS, 2)}
    tests = {
        "exactly": int.__eq__,
        "at least": int.__ge__,
        "at most": int.__le__,
        "more than": int.__gt__,
        "fewer than": int.__lt__,
    }
    form = re.compile(rf"({'|'.join(tests)}) ({'|'.join(numbers)})\b")
    for row in pairs[pairs["phenomenon"] == "numerals"].itertuples():
        (pq, pn), (hq, hn) = (form.search(t.lower()).groups() for t in (row.premise, row.hypothesis))
        negated = row.hypothesis.startswith("It is not true")
        label = label_over(
            range(40),
            lambda w, q=pq, n=pn: tests[q](w, numbers[n]),
            lambda w, q=hq, n=hn, f=negated: tests[q](w, numbers[n]) != f,
        )
        assert label == row.label, row


def test_order_against_permutations(pairs):
    """Spatial and temporal order. A world: who stands where, or what happens when."""
    words = {
        w: (i, up)
        for i, pair in enumerate((*lx.RELATIONS, *lx.ORDERS))
        for w, up in zip(pair, (1, -1), strict=True)
    }
    form = re.compile(
        rf"the ([\w -]+?)(?: and the ([\w -]+?))? (?:is|are|was|were) (not )?"
        rf"({'|'.join(words)}) the ([\w -]+)"
    )

    def atoms(text):
        text = re.sub(r"^(\w+ knows that|as \w+ knows,) ", "", bare(text))
        parts = re.split(r", and (?=the )", text)
        matches = [form.fullmatch(p) for p in parts]
        return (
            [(x, words[m[4]][1], m[5], bool(m[3])) for m in matches for x in (m[1], m[2]) if x]
            if all(matches)
            else None
        )

    checked = 0
    for row in pairs[pairs["phenomenon"].isin(["spatial", "temporal"])].itertuples():
        premise, hypothesis = atoms(row.premise), atoms(row.hypothesis)
        if premise is None or hypothesis is None or "took place" in row.premise:
            continue
        things = sorted({x for a in premise + hypothesis for x in (a[0], a[2])})
        worlds = [
            dict(zip(things, order, strict=True)) for order in itertools.permutations(range(len(things)))
        ]

        def true(parts):
            return lambda w: all(((w[y] - w[x]) * up > 0) != negated for x, up, y, negated in parts)

        assert label_over(worlds, true(premise), true(hypothesis)) == row.label, row
        checked += 1
    assert checked > 1000


def test_negating_the_hypothesis_swaps_entailment_and_contradiction(pairs):
    """For the same premise, a hypothesis and its negation never agree unless both are neutral."""
    big = pd.concat([pairs, generate(60_000, ("farm",), seed=1)])

    def positive(text):
        text = re.sub(r"^It is not true that (.)", lambda m: m[1].upper(), text)
        text = re.sub(r"^Not all", "All", text)
        text = re.sub(r"^No (?=.* (in|on|at) )", "Some ", text)
        return re.sub(r" (is|was) not ", r" \1 ", text)

    big = big[
        big["phenomenon"].isin(["quantifiers", "numerals", "modifiers", "negation", "spatial", "temporal"])
    ]
    base = big["hypothesis"].map(positive)
    negated = base != big["hypothesis"]
    plain = np.where(negated, 2 - big["label"], big["label"])
    groups = pd.DataFrame(
        {
            "premise": big["premise"].to_numpy(),
            "base": base.to_numpy(),
            "plain": plain,
            "negated": negated.to_numpy(),
        }
    ).groupby(["premise", "base"])
    both = groups["negated"].nunique() == 2
    assert both.sum() >= 20
    assert (groups["plain"].nunique()[both] == 1).all()


def test_lexicon_keeps_its_promises():
    assert len(lx.GENRES) >= 10 and len(lx.MATCHED) == len(lx.MISMATCHED) == len(lx.GENRES) // 2
    assert not set(lx.MATCHED) & set(lx.MISMATCHED)
    for name, genre in lx.GENRES.items():
        specific = [s for middles in genre["things"].values() for ss in middles.values() for s in ss]
        assert len(set(specific)) == len(specific), name  # no member in two middle words
        middles = [m for ms in genre["things"].values() for m in ms]
        assert not set(middles) & set(specific) and not set(middles) & set(genre["things"]), name
        assert not any(
            w.endswith(("s", "x", "ch", "sh", "y")) and w[-2:] not in ("ay", "oy", "ey")
            for w in (*specific, *middles, *genre["things"])
        ), name  # plural is a plain -s
        assert (
            set(genre["states"]) <= set(lx.STATES) and len(genre["places"]) >= 4 and len(genre["events"]) >= 3
        )
    assert {schema[0] for schema in gen.SCHEMAS} == {
        "hypernyms",
        "quantifiers",
        "negation",
        "numerals",
        "modifiers",
        "spatial",
        "temporal",
    }


def test_deterministic_in_its_seed():
    a, b, c = generate(600, seed=3), generate(600, seed=3), generate(600, seed=4)
    pd.testing.assert_frame_equal(a, b)
    assert not a["premise"].equals(c["premise"])


@pytest.mark.slow
def test_a_hundred_thousand_distinct_pairs_in_seconds():
    start = time.perf_counter()
    frame = generate(100_000)
    seconds = time.perf_counter() - start
    assert len(frame) == 100_000 and not frame.duplicated(["premise", "hypothesis"]).any()
    assert seconds < 20, f"{seconds:.1f} s"


def test_balanced_and_disjoint():
    splits = generate_nli(3000, seed=2)
    for frame in splits.values():
        assert np.ptp(np.bincount(frame["label"], minlength=3)) <= 1
    premises = [set(f["premise"]) for f in splits.values()]
    assert not any(a & b for a, b in itertools.combinations(premises, 2))
    assert set(splits["train"]["genre"]) == set(lx.MATCHED)
    assert set(splits["validation_mismatched"]["genre"]) == set(lx.MISMATCHED)


def test_one_pair_one_label(pairs):
    assert pairs.groupby(["premise", "hypothesis"])["label"].nunique().max() == 1


@pytest.mark.slow
def test_hypothesis_alone_says_nothing_and_both_texts_say_something():
    table = baselines(load_nli("embedded", rows=9000)).set_index("baseline")
    for split in ("validation_matched", "validation_mismatched"):
        assert table.loc["hypothesis only", split] < 39
        assert table.loc["TF-IDF n-grams", split] > 42


def test_a_planted_cue_is_found():
    frame = generate(6000, cue=0.5)
    model = fit_ngrams(frame.iloc[:4500], "hypothesis")
    assert model.score(frame.iloc[4500:], frame["label"].iloc[4500:]) > 0.45


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.2, 1.0])
def test_label_noise_is_as_large_as_asked_and_only_in_train(noise):
    clean, noisy = generate_nli(4000), generate_nli(4000, noise=noise)
    assert (clean["train"]["premise"] == noisy["train"]["premise"]).all()
    assert (clean["train"]["label"] != noisy["train"]["label"]).mean() == pytest.approx(noise, abs=0.025)
    assert clean["validation_matched"].equals(noisy["validation_matched"])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [({"rows": 0}, "rows"), (dict(rows=9, cue=2), "cue"), (dict(rows=9, genres=("nowhere",)), "nowhere")],
)
def test_impossible_requests_say_so(arguments, word):
    with pytest.raises(ValueError, match=word):
        generate(**arguments)
    with pytest.raises(ValueError, match="noise"):
        generate_nli(9, noise=1.5)


@pytest.mark.slow
def test_more_rows_than_the_lexicon_gives(monkeypatch):
    one = (
        "temporal",
        "The {e} was {b} the {f}.",
        "The {e} was not {b} the {f}.",
        (("The {f} was {a} the {e}.",), ("The {g} was {a} the {e}.",), ("The {f} was {b} the {e}.",)),
    )
    monkeypatch.setattr(gen, "SCHEMAS", (one,))
    with pytest.raises(ValueError, match="lexicon does not give 50000"):
        generate(50_000, ("farm",))
