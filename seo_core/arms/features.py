"""What Bhat and Dharani do to the text beside the network: n-grams added to it, case and punctuation taken from it."""

from __future__ import annotations

from dataclasses import dataclass

from seo_core.arms.compression import checkpoint, fine_tune, recorded
from seo_core.arms.search import SEARCH
from seo_core.checks import above, at_least, check, one_of
from seo_core.evaluation import predict
from seo_core.lab import Lab, LabError, Made
from seo_core.models.hashed import NgramHead


@dataclass(frozen=True)
class Ngrams:
    """The features (`models.hashed`)."""

    buckets: int = at_least(1, default=4096)  # beside MiniLM's 384 dimensions
    scale: float = above(0, default=10.0)  # at the network's rate the weights of features of length 1 hardly move

    def __post_init__(self):
        check(self)


@dataclass(frozen=True)
class Preprocessing:
    """What is done to a text before it is cut into word pieces."""

    case: str = one_of(("as the tokenizer", "lower", "keep"), default="as the tokenizer")
    punctuation: str = one_of(("keep", "remove"), default="keep")  # removed: a space stands in its place

    def __post_init__(self):
        check(self)


_COMMON = dict(start="pretrained", logits=True, **recorded(""))


@SEARCH.arm("ngrams", Ngrams(), keep=False, **_COMMON)
def with_ngrams(lab: Lab, recipe: Ngrams) -> Made:
    """The baseline with hashed n-grams beside its pooled vector."""
    model = lab.network()
    head = NgramHead(lab.encoded("train"), len(lab.task.labels), buckets=recipe.buckets, scale=recipe.scale)
    trained = fine_tune(lab, model, checkpoint(lab, recipe), loss=head)
    added = head.added(lab.encoded("acceptance"))
    return Made(model, {**trained.metrics, "ngram_weights": head.weight.numel(), "ngram_logits": abs(added).mean()},
                trained.series, predict=lambda encoded: predict(model, encoded, precision="auto") + head.added(encoded))


def preprocessing(tokenizer, recipe: Preprocessing):
    """A tokenizer that does this to every text: it is saved with its network, so no server can forget it. Raises
    LabError where the case cannot be kept."""
    from tokenizers import Regex, Tokenizer, normalizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    own = words.normalizer
    if recipe.case == "keep" and hasattr(own, "lowercase"):
        own.lowercase, own.strip_accents = False, False
    if recipe.case == "keep" and own is not None and own.normalize_str("A") != "A":
        raise LabError(f"this tokenizer's normalizer ({type(own).__name__}) makes small letters of all, and has no "
                       "setting for it: case='keep' needs a model whose tokenizer has one, as BERT's")
    first = [normalizers.Lowercase()] * (recipe.case == "lower")
    first += [normalizers.Replace(Regex(r"\p{P}"), " ")] * (recipe.punctuation == "remove")
    words.normalizer = normalizers.Sequence([*first, *([own] if own is not None else [])])
    special = {name: token for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    return PreTrainedTokenizerFast(tokenizer_object=words, **special)


@SEARCH.arm("text-cased", Preprocessing(case="keep"), **_COMMON)
@SEARCH.arm("text-no-punctuation", Preprocessing(punctuation="remove"), **_COMMON)
def preprocessed(lab: Lab, recipe: Preprocessing) -> Made:
    """The baseline on texts that are preprocessed in another way, in training and in evaluation."""
    tokenizer = preprocessing(lab.tokenizer, recipe)
    reader, model = lab.reading_with(tokenizer), lab.network()
    trained = fine_tune(reader, model, checkpoint(lab, recipe), development=reader.encoded("acceptance"))
    return Made(model, trained.metrics, trained.series, tokenizer=tokenizer)
