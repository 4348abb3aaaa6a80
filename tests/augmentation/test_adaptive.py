"""ADA: the gradient's arithmetic, the bandit, and where the rows go; on planted operators and a tiny model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from torch.nn import functional as F

import seo_core.augmentation as package
from seo_core.augmentation import adaptive, core
from seo_core.augmentation.adaptive import (
    AdaptiveConfig,
    AdaptiveDataAugmentation,
    arm_weights,
    calibration,
    mean_gradient,
    projections,
)
from seo_core.data import encode
from seo_core.data.splits import largest_remainder
from seo_core.selection import acquisition
from seo_core.selection.acquisition import features

WORDS = ("yes", "maybe", "no")  # the word that decides the label
FILLER = [f"w{i}" for i in range(60)]
TEXTS = ("premise", "hypothesis")


def frame_of(n: int, seed: int, shares=(1, 1, 1), genres=("a", "b")) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    label = rng.choice(3, n, p=np.array(shares) / sum(shares))
    words = rng.choice(FILLER, (n, 8))
    return pd.DataFrame({
        "premise": [" ".join(w[:4]) for w in words],
        "hypothesis": [f"{' '.join(w[4:])} {WORDS[y]}" for w, y in zip(words, label, strict=True)],
        "label": label.astype(np.int64), "genre": rng.choice(genres, n), "idx": np.arange(n)})


@dataclass(frozen=True)
class Planted:
    """An operator of these tests: `edit(words, rng)` on the hypothesis."""

    edit: object
    missing: str | None = None
    graded: bool = True

    def available(self):
        return self.missing


def swap_filler(words, rng):
    at = rng.integers(len(words) - 1)
    return [*words[:at], FILLER[rng.integers(len(FILLER))], *words[at + 1:]]


def flip_label(words, rng):
    other = [w for w in WORDS if w != words[-1]]
    return [*swap_filler(words, rng)[:-1], other[rng.integers(2)]]


def nothing(words, rng):
    return words


OPERATORS = {"good": Planted(swap_filler), "flip": Planted(flip_label), "same": Planted(nothing),
             "gone": Planted(swap_filler, "WordNet is not installed: run the setup"),
             "whole": Planted(swap_filler, graded=False)}


def augment(frame, operator, *, strength=0.1, seed=0, texts=TEXTS, **_):
    rng, side = np.random.default_rng([seed, 5]), texts[-1]
    edited = frame.assign(**{side: [" ".join(OPERATORS[operator].edit(h.split(), rng)) for h in frame[side]]},
                          source=np.arange(len(frame)), operator=operator, side=side)
    return edited[edited[side] != frame[side]].reset_index(drop=True)


@pytest.fixture(autouse=True)
def planted(monkeypatch):
    monkeypatch.setattr(core, "OPERATORS", OPERATORS)
    monkeypatch.setattr(core, "augment", augment)


@pytest.fixture(scope="module")
def trained(trains):
    """A small BERT that has learned the toy task, and its tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *FILLER])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=32, num_labels=3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    train = encode(frame_of(400, 1), tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(80):
        batch = train.batch(np.random.default_rng(step).integers(0, 400, 64))
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval(), tokenizer


@pytest.fixture(scope="module")
def reward():
    return frame_of(200, 2)


def ada(trained, reward, frame=None, *, seed=0, budget=120, **config):
    config = {"operators": ("good", "flip"), "strengths": (0.2,), "rounds": 3, **config}
    frame = frame_of(150, 3) if frame is None else frame
    return AdaptiveDataAugmentation(AdaptiveConfig(**config), seed=seed)(frame, *trained, reward, budget=budget)


# -- the gradient ---------------------------------------------------------------------------------


def test_factorized_gradients_equal_autograds(tiny_bert, toy_pairs):
    """Mean gradient, projections and lengths against torch.autograd on the classifier's weight."""
    model, pairs = tiny_bert(dropout=0.0).eval(), toy_pairs(24)
    logits, embeddings = features(model, pairs, batch_size=7, precision="fp32")
    weight = model.classifier.weight

    def gradient(rows):
        batch = pairs.batch(rows)
        labels = batch.pop("labels")
        return torch.autograd.grad(F.cross_entropy(model(**batch).logits, labels), weight)[0].numpy()

    np.testing.assert_allclose(mean_gradient(logits, embeddings, pairs.labels), gradient(np.arange(24)), atol=1e-6)
    direction = gradient(np.arange(12))
    along, length = projections(logits, embeddings, pairs.labels, direction)
    each = np.stack([gradient([i]) for i in range(24)])
    np.testing.assert_allclose(length, np.linalg.norm(each, axis=(1, 2)), rtol=1e-4)
    cosine = F.cosine_similarity(torch.from_numpy(each).flatten(1), torch.from_numpy(direction).flatten()[None])
    np.testing.assert_allclose(along / length, cosine.numpy(), atol=1e-5)


def test_no_direction_no_reward():
    along, length = projections(np.zeros((4, 3)), np.ones((4, 5)), np.zeros(4, int), np.zeros((3, 5)))
    assert (along == 0).all() and (length > 0).all()


# -- the bandit -----------------------------------------------------------------------------------


@limits(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 1)), min_size=1, max_size=12), st.floats(0.01, 2),
       st.floats(0, 1))
def test_weights_are_shares_and_follow_reward_and_passing(arms, temperature, exploration):
    reward, passing = map(np.array, zip(*arms, strict=True))
    w = arm_weights(reward, passing, temperature=temperature, exploration=exploration)
    assert w.sum() == pytest.approx(1) and (w >= exploration / len(w) - 1e-12).all()
    better = (reward[:, None] >= reward) & (passing[:, None] >= passing)
    assert (w[:, None] >= w - 1e-12)[better].all()


@limits(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=9), st.integers(0, 500))
def test_shares_become_whole_numbers(share, total):
    share = np.array(share) / sum(share)
    whole = largest_remainder(share, total)
    assert whole.sum() == total and (abs(whole - share * total) < 1 + 1e-6).all()


def test_an_operator_that_flips_labels_loses_weight(trained, reward):
    result = ada(trained, reward)
    assert result.weights["good", 0.2] > 0.75 > 0.25 > result.weights["flip", 0.2]
    totals = result.log.groupby("operator")[["drawn", "kept"]].sum()
    assert totals.loc["flip", "kept"] < 0.2 * totals.loc["flip", "drawn"]
    assert (result.frame["operator"] == "good").mean() > 0.9


def test_it_loses_weight_by_its_gradient_alone_where_nothing_is_filtered(trained, reward):
    result = ada(trained, reward, floor=0.0)
    rewards = result.log.groupby("operator")["reward"].mean()
    assert rewards["flip"] < rewards["good"] - 0.2
    assert result.weights["good", 0.2] > 0.8


def test_an_overconfident_model_does_not_reward_wrong_labels(trained, reward, monkeypatch):
    """The model's accuracy on these reward rows is 60%, its confidence near 1: "be less sure" is not the lesson."""
    shift = reward["idx"].to_numpy() % 10  # 0 and 1: the next class; 2 and 3: the one after; else the right one
    noisy = reward.assign(label=(reward["label"] + np.where(shift < 2, 1, np.where(shift < 4, 2, 0))) % 3)
    rewards = {}
    for name in ("calibrated", "raw"):
        if name == "raw":
            monkeypatch.setattr(adaptive, "calibration", lambda logits, labels: 1.0)
        log = ada(trained, noisy, floor=0.0).log
        rewards[name] = log.groupby("operator")["reward"].mean()
    assert rewards["raw"]["flip"] > rewards["raw"]["good"] + 0.3
    assert abs(rewards["calibrated"]["flip"] - rewards["calibrated"]["good"]) < 0.1


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_calibration_finds_the_temperature(scale):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (p.cumsum(1) < rng.random((20_000, 1))).sum(1)
    assert calibration(logits * scale, labels) == pytest.approx(scale, rel=0.05)


def test_no_temperature_would_be_no_preference(trained, reward):
    result = ada(trained, reward, floor=0.0, temperature=1e6)
    assert result.weights["good", 0.2] == pytest.approx(0.5, abs=0.02)


def test_the_log_says_how_the_weights_went(trained, reward):
    result = ada(trained, reward)
    log = result.log
    assert log.columns.tolist() == ["round", "operator", "strength", "weight", "reward", "smoothed", "passing",
                                    "updated", "drawn", "kept", "taken"]
    first = log[log["round"] == 1]
    assert (first["weight"] == 0.5).all()
    by_round = log.pivot(index="round", columns="operator", values=["weight", "updated"])
    assert np.allclose(by_round["weight"].iloc[1:], by_round["updated"].iloc[:-1])
    assert np.allclose(log.groupby("round")[["weight", "updated"]].sum(), 1)
    assert log["taken"].sum() == len(result.frame) and (log["taken"] >= 0).all()
    assert (log["kept"] <= log["drawn"]).all()


def test_strengths_make_arms_only_where_they_matter(trained, reward):
    result = ada(trained, reward, operators=("good", "whole"), strengths=(0.2, 0.4))
    assert list(result.weights) == [("good", 0.2), ("good", 0.4), ("whole", 0.2)]


# -- what comes back ------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [1, 2, 7, 120, 391])
def test_budget_is_exact(trained, reward, budget):
    result = ada(trained, reward, budget=budget)
    assert len(result.frame) == budget and result.complete
    assert f"{budget} of {budget} rows" in result.statement


def test_rows_are_edits_of_their_sources_and_new(trained, reward):
    frame = frame_of(150, 3)
    frame.index = frame.index + 1000  # positions, not index values, name the source
    result = ada(trained, reward, frame)
    added = result.frame
    assert added.columns.tolist() == [*frame.columns, "source", "operator", "side", "strength", "round"]
    sources = frame.iloc[added["source"]]
    for column in ("label", "genre", "idx", "premise"):
        assert (added[column].to_numpy() == sources[column].to_numpy()).all()
    assert (added["hypothesis"].to_numpy() != sources["hypothesis"].to_numpy()).all()
    assert not added.duplicated(list(TEXTS)).any()
    assert not set(zip(*(added[t] for t in TEXTS), strict=True)) & set(zip(*(frame[t] for t in TEXTS), strict=True))
    assert added["label"].dtype == frame["label"].dtype and added.index.equals(pd.RangeIndex(len(added)))


def test_equal_seeds_give_equal_rows_and_other_seeds_others(trained, reward):
    a, b, c = ada(trained, reward, seed=1), ada(trained, reward, seed=1), ada(trained, reward, seed=2)
    pd.testing.assert_frame_equal(a.frame, b.frame)
    pd.testing.assert_frame_equal(a.log, b.log)
    assert not a.frame.equals(c.frame)


def test_cost_counts_every_forward_pass(trained, reward, monkeypatch):
    scored = []
    monkeypatch.setattr(acquisition, "features", lambda model, encoded: scored.append(len(encoded)) or features(
        model, encoded))
    result = ada(trained, reward)
    assert result.cost["examples_scored"] == sum(scored) == len(reward) + result.log["drawn"].sum()
    assert result.cost["tokens_scored"] > 10 * sum(scored)
    with_teacher = AdaptiveDataAugmentation(AdaptiveConfig(operators=("good",)))(
        frame_of(150, 3), *trained, reward, budget=40, teacher=trained[0])
    assert with_teacher.cost["examples_scored"] == len(reward) + 2 * with_teacher.log["drawn"].sum()


def test_fewer_rows_come_with_a_statement(trained, reward):
    result = ada(trained, reward, operators=("same",))
    assert not len(result.frame) and not result.complete
    assert "0 of 120 rows" in result.statement and "candidates ran out" in result.statement
    one = frame_of(1, 3)
    result = ada(trained, reward, one, operators=("good",), budget=5000)
    assert 0 < len(result.frame) < 5000 and "candidates ran out" in result.statement


# -- where the rows go ----------------------------------------------------------------------------


def flipped(reward, rows):
    """The reward rows with a wrong label in `rows`, so that the model's accuracy is low there."""
    return reward.assign(label=np.where(rows, (reward["label"] + 1) % 3, reward["label"]))


def test_rows_follow_the_class_that_is_worst(trained):
    reward, hard = frame_of(300, 2), frame_of(300, 4)
    hard = hard.assign(hypothesis=[h.replace(" no", " yes") if i % 2 else h
                                   for i, h in enumerate(hard["hypothesis"])])  # half of class 2 reads as class 0
    even, tilted = (ada(trained, r, frame_of(300, 3), operators=("good",), focus=0.8).groups.query("kind == 'class'")
                    .reset_index(drop=True) for r in (reward, hard))
    assert tilted["accuracy"].idxmin() == 2
    assert tilted["added_share"].idxmax() == 2 and tilted["added_share"][2] > even["added_share"][2] + 0.2
    assert np.allclose(tilted["added_share"], tilted["aim"], atol=0.03)


def test_rows_follow_the_genre_that_is_worst(trained):
    reward = frame_of(300, 2)
    worse = flipped(reward, (reward["genre"] == "b") & (reward["idx"] % 2 == 0))
    groups = ada(trained, worse, frame_of(400, 3), operators=("good",), focus=1.0, budget=150).groups
    genres = groups[groups["kind"] == "genre"].set_index("group")
    assert genres.loc["b", "accuracy"] < genres.loc["a", "accuracy"]
    assert genres.loc["b", "added_share"] > genres.loc["b", "train_share"] + 0.15
    assert np.allclose(genres["added_share"], genres["aim"], atol=0.05)
    assert groups.groupby("kind")[["train_share", "aim", "added_share"]].sum().to_numpy() == pytest.approx(1)


def test_without_focus_rows_look_like_the_data(trained, reward):
    frame = frame_of(300, 3, shares=(8, 1, 1))
    groups = ada(trained, reward, frame, operators=("good",), focus=0.0).groups
    assert np.allclose(groups["aim"], groups["train_share"])
    classes = groups[groups["kind"] == "class"]
    assert np.allclose(classes["added_share"], classes["train_share"], atol=0.02)


def test_a_rare_class_gets_its_share(trained, reward):
    groups = ada(trained, reward, frame_of(300, 3, shares=(8, 1, 1)), operators=("good",), focus=1.0).groups
    share = groups.query("kind == 'class'")["added_share"].to_numpy()
    assert share.max() < 0.5, "the reward half is balanced, and the model is right everywhere"


def test_a_text_without_genre(trained, reward):
    frame = frame_of(100, 3).drop(columns="genre")
    assert len(ada(trained, reward, frame, operators=("good",)).frame) == 120
    assert len(ada(trained, reward.drop(columns="genre"), operators=("good",)).frame) == 120


def test_a_single_text(trained, reward):
    frame, held = (f.drop(columns="premise").rename(columns={"hypothesis": "sentence"})
                   for f in (frame_of(60, 3), reward))
    result = AdaptiveDataAugmentation(AdaptiveConfig(operators=("good", "flip"), floor=0.0))(
        frame, *trained, held, budget=30, texts=("sentence",))
    assert len(result.frame) == 30 and set(result.frame["side"]) == {"sentence"}


def test_the_budget_is_met_where_a_class_gives_nothing(trained, reward):
    """No edit of class 2 passes: its rows go to the classes whose edits do."""
    frame = frame_of(150, 3)
    frame["hypothesis"] = [h.replace(" no", " yes") for h in frame["hypothesis"]]
    result = ada(trained, reward, frame, operators=("good",))
    assert result.complete and not (result.frame["label"] == 2).any()


# -- errors ---------------------------------------------------------------------------------------


def test_an_absent_operator_is_left_out_and_named(trained, reward):
    result = ada(trained, reward, operators=("good", "gone"))
    assert set(result.log["operator"]) == {"good"}
    assert "WordNet" in result.absent["gone"] and "WordNet is not installed" in result.statement


@pytest.mark.parametrize("change, words", [
    ({"operators": ("gone",)}, "WordNet is not installed"),
    ({"operators": ("goood",)}, "did you mean 'good'"),
    ({"budget": 0}, "budget must be 1 or more"),
    ({"budget": 4.5}, "budget must be 1 or more and a whole number, got 4.5"),
    ({"frame": frame_of(5, 3).iloc[:0]}, "frame has no rows"),
    ({"frame": frame_of(5, 3).drop(columns="label")}, "frame has no column 'label'"),
    ({"frame": frame_of(5, 3).drop(columns="hypothesis")}, "no column 'hypothesis' to read from frame"),
    ({"frame": frame_of(5, 3).assign(label=-1)}, "frame has label -1 in row 0"),
    ({"frame": frame_of(5, 3).assign(label=np.nan)}, "frame has label nan in row 0"),
    ({"frame": frame_of(5, 3).assign(label="yes")}, "frame has label 'yes' in row 0: labels are whole numbers"),
    ({"frame": frame_of(5, 3).assign(label=3)}, "frame has label 3 in row 0, and the task's labels are 0 to 2"),
    ({"frame": frame_of(5, 3).assign(label=3).rename(columns={"premise": "sentence"})},
     "model has 3 labels and the data 4: use a model that was trained on this task"),
])
def test_errors_say_what_to_do(trained, reward, change, words):
    with pytest.raises(package.AugmentationError, match=words):
        ada(trained, reward, **change)


def test_errors_about_reward_and_teacher(trained, reward, tiny_bert):
    with pytest.raises(package.AugmentationError, match="reward has no rows"):
        ada(trained, reward.iloc[:0])
    with pytest.raises(package.AugmentationError, match="no column 'hypothesis' to read from reward"):
        ada(trained, reward.drop(columns="hypothesis"))
    with pytest.raises(package.AugmentationError, match="'premise' is nan in row 0, not a text"):
        ada(trained, reward.assign(premise=np.nan))
    with pytest.raises(package.AugmentationError, match="reward has label -1 in row 0"):
        ada(trained, reward.assign(label=-1))
    for labels in (2, 4):
        with pytest.raises(package.AugmentationError, match=f"teacher has {labels} labels and the data 3"):
            AdaptiveDataAugmentation(AdaptiveConfig(operators=("good",)))(
                frame_of(9, 3), *trained, reward, budget=3, teacher=tiny_bert(num_labels=labels))


@pytest.mark.parametrize("seed", [-1, 1.5, "0"])
def test_a_seed_that_is_no_whole_number_is_refused(seed):
    with pytest.raises(package.AugmentationError, match=f"seed must be 0 or more and a whole number, got {seed!r}"):
        AdaptiveDataAugmentation(seed=seed)


@pytest.mark.parametrize("classes", [(0,), (2,), (0, 1)])
def test_classes_may_be_absent(trained, reward, classes):
    frame = frame_of(90, 3)
    result = ada(trained, reward[reward["label"].isin(classes)], frame[frame["label"].isin(classes)],
                 operators=("good",), budget=20)
    assert len(result.frame) == 20 and set(result.frame["label"]) == set(classes)
    assert result.log[["smoothed", "updated"]].notna().all(axis=None)


@pytest.mark.parametrize("change", [
    {"operators": ()}, {"strengths": ()}, {"strengths": (0.0,)}, {"strengths": (0.1, 1.5)}, {"temperature": 0},
    {"exploration": 1.1}, {"focus": -0.1}, {"rounds": 0}, {"prior": 0}, {"share_prior": 0}, {"trial": 0},
    {"passes": -1}, {"operators": ("eda", "eda")}, {"operators": "eda"}, {"strengths": (True,)},
    {"strengths": ("0.1",)}, {"temperature": float("nan")}, {"rounds": 1.5}, {"floor": 1.5}, {"floor": float("nan")}])
def test_bad_configuration(change):
    with pytest.raises(ValueError):
        AdaptiveConfig(**change)


def test_arms_with_more_examples_are_not_favoured():
    """The reward of an arm does not grow with the number of its examples, unlike the cosine of their mean."""
    rng = np.random.default_rng(0)
    logits, embeddings = rng.normal(size=(4000, 3)), rng.normal(size=(4000, 16)) + 0.3
    labels = rng.integers(0, 3, 4000)
    direction = rng.normal(size=(3, 16)) * 0.2 + mean_gradient(logits, embeddings, labels)
    along, length = projections(logits, embeddings, labels, direction)
    few = np.mean([along[i:i + 10].sum() / length[i:i + 10].sum() for i in range(0, 4000, 10)])
    assert few == pytest.approx(along.sum() / length.sum(), abs=0.005)
