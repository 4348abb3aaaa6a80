"""ADA: augmentation that follows the model's state and its performance.

    ada = AdaptiveDataAugmentation(AdaptiveConfig(operators=("synonym", "eda")), seed=0)
    result = ada(task["train"], model, tokenizer, task["reward"], budget=2000, texts=task.texts)
    result.frame                                    # 2 000 edited rows, to be trained on beside task["train"]

SEO-LLM (preprints 202409.0662), equation (1): D_aug = ADA(D, M(θ), P), where "D is the original dataset, M(θ) is the
current model state, and P is the performance metric". The paper leaves open how. Our reading is a bandit over operator
× strength:

1. *Draw.* Each round every arm edits a batch of rows of D. Rows are drawn by class and genre, more of them where P, the
   accuracy on the reward half of the development slice, is worst.
2. *Filter.* A candidate whose label the model no longer supports is dropped (`label_filter`).
3. *Reward.* How far the gradient of what is left points along the gradient g of the reward half: such examples lower
   the loss there. Only the classifier's weight W (k, d) is looked at. The gradient of example i is (p_i − y_i) h_iᵀ,
   p_i (k,) its probabilities, y_i (k,) one-hot, h_i (d,) the classifier's input, so that

       ⟨g_i, g⟩ = (p_i − y_i)ᵀ g h_i        ‖g_i‖ = ‖p_i − y_i‖ ‖h_i‖

   and no gradient is ever formed. It is the reward of differentiable data selection (Wang et al. 2020, "Optimizing
   Data Usage via Differentiable Rewards"), with arms in the place of examples. All logits are first divided by the
   temperature that fits the reward half (Guo et al. 2017): else g mostly says "be less sure", and with that agrees
   whatever confuses the model, wrong labels most of all.
4. *Spend.* The next round's rows are shared by arm weights, a softmax of the smoothed rewards times the share of an
   arm's candidates that pass the filter; a part is always spread evenly.

The model is read, never trained: ADA costs forward passes, and the result says how many.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from seo_core.augmentation import core
from seo_core.augmentation.core import NLI_TEXTS, AugmentationError
from seo_core.checks import above, at_least, check, share, whole_number
from seo_core.data import encode
from seo_core.data.splits import largest_remainder
from seo_core.evaluation import cross_entropy, softmax
from seo_core.progress import Progress


@dataclass(frozen=True)
class AdaptiveConfig:
    """How ADA searches and spends. Raises ValueError for a value out of range."""

    operators: tuple[str, ...] = ("synonym", "neighbour", "eda", "aeda")  # those that need no further model
    strengths: tuple[float, ...] = above(0, most=1, default=(0.1, 0.3))  # EDA's advice for little data; clearly more
    rounds: int = at_least(1, default=4)  # the weights are corrected three times; each is one batched forward pass
    temperature: float = above(0, default=0.03)  # difference in reward (a cosine) that makes a weight e times another
    exploration: float = share(default=0.2)  # of a round spread evenly, so that every arm is seen again
    focus: float = share(default=0.5)  # of the rows that goes by error, not by what D looks like
    prior: int = at_least(1, default=128)  # examples' worth of the mean over arms in each: one cosine says little
    share_prior: int = at_least(1, default=32)  # the same for shares: accuracies of groups, candidates that pass
    trial: int = at_least(1, default=16)  # candidates of every arm in each round, however few rows it is to give
    floor: float | None = share(default=None)  # passed to label_filter; None: its own default
    passes: int = at_least(0, default=20)  # further rounds, at most, where the filter left too few rows

    def __post_init__(self):
        if isinstance(self.operators, str) or not self.operators or not self.strengths:
            raise ValueError("operators and strengths are tuples of at least one each: their products are the arms")
        for name, values in (("operators", self.operators), ("strengths", self.strengths)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} names one twice: {values}")
        check(self)


@dataclass(frozen=True)
class AdaptiveResult:
    """What ADA added, and how it came to it.

    frame: the added rows, as `augment` gives them, and strength and round. log: one row per round and arm: round,
    operator, strength, weight (what the round was spent by), reward (of this round's kept candidates; NaN without any),
    smoothed (reward so far), passing (share of the candidates that pass, so far), updated (the weight after it), drawn
    (candidates scored), kept (those whose label was supported), taken (rows of `frame`). groups: one row per class and
    genre: kind, group, reward_rows, accuracy (on the reward half), train_share, aim, added_share. absent: operator ->
    why it was left out. cost: examples_scored and tokens_scored, the forward passes. statement: one sentence."""

    frame: pd.DataFrame
    log: pd.DataFrame
    groups: pd.DataFrame
    absent: dict[str, str]
    cost: dict[str, int]
    statement: str
    complete: bool = True  # as many rows as were asked for

    @property
    def weights(self) -> dict[tuple[str, float], float]:
        """(operator, strength) -> weight after the last round."""
        last = self.log[self.log["round"] == self.log["round"].max()]
        return last.set_index(["operator", "strength"])["updated"].to_dict()


def residuals(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """p − y (n, k): the loss's gradient with respect to the logits (n, k), for labels (n,)."""
    p = softmax(logits)
    p[np.arange(len(labels)), labels] -= 1
    return p


def mean_gradient(logits: np.ndarray, embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(k, d): gradient of the mean cross-entropy with respect to the classifier's weight W, from logits (n, k), the
    classifier's inputs, embeddings (n, d), and labels (n,)."""
    return residuals(logits, labels).T @ embeddings.astype(np.float64) / len(labels)


def projections(logits: np.ndarray, embeddings: np.ndarray, labels: np.ndarray,
                direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """⟨g_i, direction⟩ / ‖direction‖ and ‖g_i‖ for each example and a direction (k, d): two arrays (n,), whose quotient
    is the cosine. Zeros for a direction of zero."""
    r = residuals(logits, labels)  # (n, k)
    h = embeddings.astype(np.float64)  # (n, d)
    norm = np.linalg.norm(direction)
    along = ((r @ direction) * h).sum(axis=1) / norm if norm > 0 else np.zeros(len(r))
    return along, np.linalg.norm(r, axis=1) * np.linalg.norm(h, axis=1)


def calibration(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature within [1/4, 16] by which logits (n, k) are best divided: least cross-entropy on labels (n,)."""
    from scipy.optimize import minimize_scalar

    best = minimize_scalar(lambda t: cross_entropy(logits / np.exp(t), labels), bounds=np.log([0.25, 16]),
                           method="bounded")
    return float(np.exp(best.x))


def arm_weights(reward: np.ndarray, passing: np.ndarray, *, temperature: float, exploration: float) -> np.ndarray:
    """Weights (A,) that add up to 1, from rewards (A,) and the shares of candidates that pass the filter (A,). w_a ∝
    passing_a · exp(reward_a / temperature), and `exploration` of the whole spread evenly. The first factor stands for
    the cost of an arm: what it draws in vain is scored all the same."""
    score = np.log(np.maximum(passing, 1e-12)) + reward / temperature
    w = np.exp(score - score.max())
    return (1 - exploration) * w / w.sum() + exploration / len(w)


class _Arms:
    """The arms and what is known of each, arrays (A,): asked: rows given to the operator; drawn: candidates scored;
    kept: of them, with a label that is supported; along: Σ of their projections; length: Σ of their gradients'."""

    def __init__(self, pairs: list[tuple[str, float]], config: AdaptiveConfig):
        self.pairs, self.config, self.asked = pairs, config, np.zeros(len(pairs))
        self.judged = np.zeros((4, len(pairs)))
        self.drawn, self.kept, self.along, self.length = self.judged  # its rows

    def __len__(self) -> int:
        return len(self.pairs)

    def rewards(self) -> np.ndarray:
        """(A,): Σ projections / Σ lengths of an arm's kept candidates, drawn towards the mean over arms. It is the mean
        of the examples' cosines, weighted by their gradients' lengths. Unlike the cosine of an arm's mean gradient it
        does not grow with the number of examples."""
        cosine = np.divide(self.along, self.length, out=np.zeros(len(self)), where=self.length > 0)
        mean = (self.kept * cosine).sum() / max(self.kept.sum(), 1)
        return (self.kept * cosine + self.config.prior * mean) / (self.kept + self.config.prior)

    def passing(self) -> np.ndarray:
        """(A,): share of the candidates that the filter kept, drawn towards the mean over arms."""
        pooled = (self.kept.sum() + 1) / (self.drawn.sum() + 2)
        return (self.kept + self.config.share_prior * pooled) / (self.drawn + self.config.share_prior)

    def yields(self) -> np.ndarray:
        """(A,): kept candidates for each row given to the operator; a half before anything is known."""
        return (self.kept + 0.5 * self.config.share_prior) / (self.asked + self.config.share_prior)

    def weights(self) -> np.ndarray:
        return arm_weights(self.rewards(), self.passing(), temperature=self.config.temperature,
                           exploration=self.config.exploration)


class _Needs:
    """How the rows are to be spread over classes and genres, and what was taken."""

    def __init__(self, frame, reward, hit: np.ndarray, focus: float, prior: int):
        self.label, self.genre = _groups(frame)
        self.reward, self.hit = _groups(reward), hit
        overall = max(1 - hit.mean(), 1e-6)

        def error(members) -> float:
            """Error rate of a group of the reward's rows, drawn towards the overall one by `prior` examples' worth."""
            return float(((~hit[members]).sum() + prior * overall) / (members.sum() + prior))

        self.classes, size = np.unique(self.label, return_counts=True)
        self.size = size / size.sum()
        of_class = np.array([error(self.reward[0] == c) for c in self.classes])
        self.aim = (1 - focus) * self.size + focus * of_class / of_class.sum()  # share of the rows by class
        self.genres, self.of = np.unique(self.genre, return_inverse=True)
        tilt = np.array([1 - focus + focus * error(self.reward[1] == g) / overall for g in self.genres])
        # (n,): a row's share of all that is added, if nothing is dropped
        self.weight = (self.aim / size)[np.searchsorted(self.classes, self.label)] * tilt[self.of]
        self.weight /= self.weight.sum()
        self.taken = np.zeros(0, np.int64)  # positions of the frame

    def draw(self, rng, size: int, rows: int, late: bool) -> np.ndarray:
        """`size` positions of the frame: classes, and genres within them, by what they lack once `rows` more are taken.
        late: half of them as the classes stand in D, since a class may lack rows because none pass."""
        total = len(self.taken) + rows
        lack = np.maximum(self.aim * total - (self.label[self.taken][:, None] == self.classes).sum(axis=0), 0)
        share = lack / lack.sum() if lack.sum() > 0 else self.aim
        share = (share + self.size) / 2 if late else share
        due = np.bincount(self.of, self.weight) * total - np.bincount(self.of[self.taken], minlength=len(self.genres))
        weight = np.maximum(due, 1e-6)[self.of] / np.bincount(self.of)[self.of]
        by_class = [_spread(rng, np.flatnonzero(self.label == c), count, weight)
                    for c, count in zip(self.classes, largest_remainder(share, size), strict=True)]
        return rng.permutation(np.concatenate(by_class))

    def table(self, classes: dict) -> pd.DataFrame:
        """The result's `groups`; `classes` has the names of the labels."""
        rows = []
        for kind, groups, of_reward in (("class", self.label, self.reward[0]), ("genre", self.genre, self.reward[1])):
            for group in np.unique(groups):
                here, there = groups == group, of_reward == group
                name = str(classes.get(group, group)) if kind == "class" else str(group) or "(none)"
                rows.append({"kind": kind, "group": name, "reward_rows": int(there.sum()),
                             "accuracy": float(self.hit[there].mean()) if there.any() else math.nan,
                             "train_share": float(here.mean()), "aim": float(self.weight[here].sum()),
                             "added_share": float(here[self.taken].sum() / max(len(self.taken), 1))})
        return pd.DataFrame(rows)


def _groups(frame) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) and genres (n,) of a frame; a frame without genres has one, ""."""
    return frame["label"].to_numpy(np.int64), (
        frame["genre"].to_numpy(str) if "genre" in frame else np.full(len(frame), ""))


def _spread(rng, members: np.ndarray, size: int, weight: np.ndarray) -> np.ndarray:
    """`size` of the positions `members`, none more than once more often than another; the rest by weight."""
    times, rest = divmod(size, len(members))
    keys = rng.exponential(size=len(members)) / weight[members]  # the smallest win: weighted, without replacement
    return np.concatenate([np.tile(members, times), members[np.argsort(keys, kind="stable")[:rest]]])


class AdaptiveDataAugmentation:
    """D_aug = ADA(D, M(θ), P): a bandit over operator × strength (see the module's text)."""

    def __init__(self, config: AdaptiveConfig | None = None, *, seed: int = 0):
        self.config, self.seed = config or AdaptiveConfig(), whole_number("seed", seed, 0, AugmentationError)

    def __call__(self, frame, model, tokenizer, reward, *, budget: int, texts=NLI_TEXTS, max_length: int = 128,
                 teacher=None, progress: bool = True) -> AdaptiveResult:
        """`budget` edited rows of `frame` for `model`, a classifier trained on its labels; an AdaptiveResult.

        reward: labelled rows that are not trained on; P is measured and the gradient's direction taken there.
        texts: the columns that are edited and encoded, at most max_length tokens. teacher: a model whose logits
        filter the labels in the place of `model`'s own. Equal arguments and seed give equal rows. Fewer than `budget`
        rows come back only where the candidates ran out; `complete` is False then, and the statement says so.

        Raises AugmentationError: no rows, a budget that is no whole number from 1 on, rows without a text, without a
        label or with one that the model or the teacher has not (classes may be absent), an unknown operator, or none
        whose resources are there."""
        _check(frame, reward, budget, model, teacher, texts)
        arms, absent = _open_arms(self.config)
        run = _Run(self, frame, model, teacher, tokenizer, reward, budget, tuple(texts), max_length, arms)
        rounds = min(self.config.rounds, budget)
        with Progress("ADA", budget, "row", shown=progress) as watch:
            for number in range(1, rounds + self.config.passes + 1):
                wanted = (-(-budget * number // rounds) if number <= rounds else budget) - run.rows
                before, fresh = run.rows, run.round(number, wanted)
                watch.step(count=run.rows - before)
                if number >= rounds and (run.rows == budget or fresh == 0):
                    break
        return run.result(absent)


class _Run:
    """One call: what it was given, what it has taken so far."""

    def __init__(self, ada, frame, model, teacher, tokenizer, reward, budget, texts, max_length, arms):
        self.config, self.seed, self.budget, self.arms = ada.config, ada.seed, budget, arms
        self.model, self.teacher, self.tokenizer = model, teacher, tokenizer
        self.texts, self.max_length, self.frame = texts, max_length, frame.reset_index(drop=True)
        self.cost = {"examples_scored": 0, "tokens_scored": 0}
        logits, embeddings = self.score(reward, model)
        labels = reward["label"].to_numpy(np.int64)
        self.calibration = calibration(logits, labels)
        self.direction = mean_gradient(logits / self.calibration, embeddings, labels)  # (k, d)
        self.needs = _Needs(self.frame, reward, logits.argmax(axis=1) == labels, self.config.focus,
                            self.config.share_prior)
        self.seen = set(zip(*(self.frame[t] for t in self.texts), strict=True))
        self.spare: list[pd.DataFrame] = []  # kept, not taken: used before more is drawn
        self.parts: list[pd.DataFrame] = []  # taken
        self.log: list[dict] = []

    @property
    def rows(self) -> int:
        return sum(map(len, self.parts))

    def score(self, frame, model) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, k) and the classifier's inputs (n, d) of the rows, booked as cost."""
        from seo_core.selection.acquisition import features

        encoded = encode(frame, self.tokenizer, texts=self.texts, max_length=self.max_length)
        self.cost["examples_scored"] += len(encoded)
        self.cost["tokens_scored"] += int(encoded.lengths.sum())
        return features(model, encoded)

    def round(self, number: int, wanted: int) -> int:
        """Draws, filters, rewards and takes up to `wanted` rows; returns how many usable candidates it found."""
        before = self.arms.weights() if number > 1 else np.full(len(self.arms), 1 / len(self.arms))
        quota = largest_remainder(before, wanted)
        drawn = [self.candidates(number, arm, quota[arm], wanted) for arm in range(len(self.arms))]
        kept, along, length = self.judge(_stack(drawn))
        taken = self.take(kept, quota)
        after, rewards, passing = self.arms.weights(), self.arms.rewards(), self.arms.passing()
        for arm, (operator, strength) in enumerate(self.arms.pairs):
            self.log.append({
                "round": number, "operator": operator, "strength": strength, "weight": before[arm],
                "reward": along[arm] / length[arm] if length[arm] > 0 else math.nan, "smoothed": rewards[arm],
                "passing": passing[arm], "updated": after[arm], "drawn": len(drawn[arm]),
                "kept": int((kept["arm"] == arm).sum()), "taken": int((taken["arm"] == arm).sum())})
        return len(kept)

    def candidates(self, number: int, arm: int, quota: int, wanted: int) -> pd.DataFrame:
        """One arm's edits of rows drawn by class and genre, without those that are there already."""
        rng = np.random.default_rng([self.seed, 7309, number, arm])
        size = max(self.config.trial, math.ceil(1.1 * quota / max(self.arms.yields()[arm], 0.05)))
        positions = self.needs.draw(rng, size, wanted, late=number > self.config.rounds)
        self.arms.asked[arm] += size
        operator, strength = self.arms.pairs[arm]
        edited = core.augment(self.frame.iloc[positions].reset_index(drop=True), operator, strength=strength,
                              seed=int(rng.integers(2**31)), texts=self.texts)
        edited = edited.assign(source=positions[edited["source"].to_numpy(np.int64)], strength=strength, round=number,
                               arm=arm)
        keys = list(zip(*(edited[t] for t in self.texts), strict=True))
        fresh = ~edited.duplicated(list(self.texts)) & np.array([key not in self.seen for key in keys], bool)
        self.seen.update(keys)
        return edited[fresh].reset_index(drop=True)

    def judge(self, pool) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
        """The candidates whose label is supported; Σ projections (A,) and Σ lengths (A,) of theirs, which it books."""
        if not len(pool):
            return pool, *np.zeros((2, len(self.arms)))
        logits, embeddings = self.score(pool, self.model)
        logits = logits / self.calibration
        teacher = logits if self.teacher is None else self.score(pool, self.teacher)[0]
        good = core.label_filter(pool, teacher, floor=self.config.floor)
        along, length = projections(logits, embeddings, pool["label"].to_numpy(np.int64), self.direction)
        drawn = pool["arm"].to_numpy() == np.arange(len(self.arms))[:, None]  # (A, n)
        judged = np.array([[of_arm.sum(), kept.sum(), along[kept].sum(), length[kept].sum()]
                           for of_arm, kept in zip(drawn, drawn & good, strict=True)]).T  # (4, A)
        self.arms.judged += judged
        return pool[good].reset_index(drop=True), *judged[2:]

    def take(self, kept, quota: np.ndarray) -> pd.DataFrame:
        """Each arm's quota of the kept candidates; what is lacking comes from what was spare, best arms first."""
        place = kept.groupby("arm").cumcount().to_numpy()
        inside = place < quota[kept["arm"].to_numpy(np.int64)]
        spare = _stack([*self.spare, kept[~inside]])
        lacking = int(quota.sum() - inside.sum())
        order = np.argsort(-self.arms.weights()[spare["arm"].to_numpy(np.int64)], kind="stable")
        taken = _stack([kept[inside], spare.iloc[order[:lacking]]])
        self.spare = [spare.iloc[np.sort(order[lacking:])]]
        self.parts.append(taken)
        self.needs.taken = np.concatenate([self.needs.taken, taken["source"].to_numpy(np.int64)])
        return taken

    def result(self, absent: dict[str, str]) -> AdaptiveResult:
        frame = _stack(self.parts).drop(columns="arm")
        text = f"{len(frame)} of {self.budget} rows from {len(self.arms)} arms"
        if len(frame) < self.budget:
            text += (": the candidates ran out, since each was there already or its label was not supported; add "
                     "operators or strengths, or more rows to edit")
        if absent:
            text += f". Left out: {'; '.join(f'{name} ({why})' for name, why in absent.items())}"
        groups = self.needs.table(getattr(self.model.config, "id2label", {}))
        return AdaptiveResult(frame, pd.DataFrame(self.log), groups, absent, self.cost, text, len(frame) == self.budget)


def _stack(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The frames below each other, without the empty ones, which would change the types."""
    return pd.concat([frame for frame in frames if len(frame)] or frames[-1:], ignore_index=True)


def _check(frame, reward, budget: int, model, teacher, texts) -> None:
    """Raises AugmentationError for arguments that ADA cannot work with."""
    whole_number("budget", budget, 1, AugmentationError)
    for name, rows in (("frame", frame), ("reward", reward)):
        if not len(rows):
            raise AugmentationError(f"{name} has no rows: ADA edits the rows of frame, and rewards an arm by the "
                                    "rows of reward, so pass some of both")
        core.fitting_labels(rows, model.config.num_labels, name, "model")
        core.check_texts(rows, texts, 0, f"read from {name}")
        if teacher is not None:
            core.fitting_labels(rows, teacher.config.num_labels, name, labels=model.config.num_labels)


def _open_arms(config: AdaptiveConfig) -> tuple[_Arms, dict[str, str]]:
    """The arms whose operators can run here, and operator -> reason for the others."""
    operators = {name: core.known_operator(name) for name in config.operators}
    absent = {name: reason for name, operator in operators.items() if (reason := operator.available())}
    pairs = [(name, float(s)) for name, operator in operators.items() if name not in absent
             for s in (config.strengths if operator.graded else config.strengths[:1])]
    if not pairs:
        raise AugmentationError("none of the operators can run here. "
                                + " ".join(f"{name}: {reason}." for name, reason in absent.items()))
    return _Arms(pairs, config), absent

