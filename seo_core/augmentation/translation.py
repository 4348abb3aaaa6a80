"""Back-translation (Sennrich et al. 2016, Edunov et al. 2018): into another language and back, to get another wording.

Apertium (rules, no weights) takes all texts in one pass, separated by blank lines, MarianMT models take them in padded
batches. A text whose negations, numbers, quantifiers or words of time came back otherwise is left out: there the
meaning, and with it the label, is in doubt.
"""

import re
import subprocess
import warnings
from collections import Counter
from functools import lru_cache

from seo_core.augmentation.words import MODALS, NEGATION, NUMBERS, QUANTIFIERS, TIME, MissingResource, split
from seo_core.checks import first_line
from seo_core.models.backbone import quiet
from seo_core.settings import resolve_path

PAIRS = (("eng-spa", "spa-eng"), ("en-es", "es-en"), ("eng-cat", "cat-eng"), ("en-ca", "ca-en"))
HOW = ("Apertium with English and Spanish is missing: apt-get install apertium apertium-eng-spa, or pass MarianMT "
       "models: model='Helsinki-NLP/opus-mt-en-es,Helsinki-NLP/opus-mt-es-en' (their tokenizers need pip install "
       "sentencepiece)")
BATCH = 2000  # texts a pass of Apertium: starting it costs about as long as translating a hundred
SECONDS = 600  # of one pass, before it is given up
_NEGATIONS = frozenset({"no", "not", "nor", "none", "nobody", "nothing", "nowhere", "never", "neither", "without",
                        "cannot"})
_LOOSE = frozenset({"can", "will", "would", "shall", "should", "could", "but", "also", "even", "too"})  # vary
_COUNTED = (NEGATION | NUMBERS | QUANTIFIERS | MODALS | TIME) - _NEGATIONS - _LOOSE | {"not"}


@lru_cache(maxsize=1)
def apertium_pair() -> tuple[str, str] | None:
    """The first installed pair of modes out and back, or None."""
    try:
        listed = subprocess.run(["apertium", "-l"], capture_output=True, text=True, timeout=30).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return next((pair for pair in PAIRS if set(pair) <= set(listed)), None)


def absent() -> str | None:
    """None where Apertium can go out and back, else what brings it."""
    return None if apertium_pair() else HOW


def back_translation(job) -> list[str | None]:
    """The texts as they come back; None where nothing changed or a guarded word was lost or gained."""
    texts = [" ".join(text.split()) for text in job.texts]
    if job.model in ("bundled", "apertium"):
        translate, way, batch = apertium, apertium_pair(), job.batch_size or BATCH
        if way is None:
            raise MissingResource(HOW)
    else:
        translate, way, batch = _marian, [name.strip() for name in job.model.split(",")], job.batch_size or 32
        if len(way) != 2:
            raise MissingResource("back_translation needs two MarianMT models, out and back, with a comma between "
                                  f"them, not {job.model!r}; or model='apertium'")
    back = texts
    for mode in way:
        back = translate(back, mode, batch)  # "" for a text that does not come back
    return [new if new and _letters(text) != _letters(new) and guarded(text) == guarded(new) else None
            for text, new in zip(texts, back, strict=True)]


def guarded(text: str) -> Counter:
    """How often each guarded word stands in the text; negations are counted together, n't among them."""
    words = split([text.lower()]).parts[0][1::2]
    counted = ("not" if word in _NEGATIONS or word.endswith(("n't", "n’t")) else word for word in words)
    return Counter(word for word in counted if word in _COUNTED or any(c.isdigit() for c in word))


def _letters(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def apertium(texts: list[str], mode: str, batch: int = BATCH) -> list[str]:
    """The texts translated, `batch` of them in a process, in order; "" for one that did not come back as one paragraph.
    A blank line between two texts ends the sentence, so that no rule reaches across. If the paragraphs do not add up,
    the batch is halved until the text at fault stands alone. Raises MissingResource if Apertium itself fails."""
    asked = [text for text in texts if text.strip()]
    done = iter([text for i in range(0, len(asked), batch) for text in _halving(asked[i : i + batch], mode)])
    return [next(done) if text.strip() else "" for text in texts]


def _halving(texts: list[str], mode: str) -> list[str]:
    translated, half = _paragraphs(texts, mode), len(texts) // 2
    if len(translated) == len(texts):
        return translated
    return _halving(texts[:half], mode) + _halving(texts[half:], mode) if half else [""]


def _paragraphs(texts: list[str], mode: str) -> list[str]:
    try:
        done = subprocess.run(["apertium", "-u", mode], input="\n\n".join(texts) + "\n", capture_output=True,
                              text=True, encoding="utf-8", errors="replace", timeout=SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingResource(f"Apertium could not translate with the mode {mode}: {error}") from error
    if done.returncode:
        raise MissingResource(f"Apertium could not translate with the mode {mode}: {done.stderr.strip()[-200:]}")
    return [" ".join(text.split()) for text in re.split(r"\n\s*\n", done.stdout.strip())]


def _marian(texts: list[str], name: str, batch: int) -> list[str]:
    """Greedy translation (n,) -> (n,), longest texts first so that a batch has little padding. "" for a blank text,
    from which the model would make something up, and for one of which it could only translate the beginning."""
    import torch

    tokenizer, network, limit = _marian_model(name)
    order = sorted((i for i, text in enumerate(texts) if text.strip()), key=lambda i: -len(texts[i]))
    out = [""] * len(texts)
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            part = [texts[i] for i in rows]
            inputs = tokenizer(part, return_tensors="pt", padding=True, truncation=True, max_length=limit)
            tokens = network.generate(**inputs, num_beams=1, do_sample=False, max_length=limit)  # default: perhaps 20
            whole = (inputs["attention_mask"].sum(1) < limit).tolist()
            decoded = tokenizer.batch_decode(tokens, skip_special_tokens=True)
            for i, text, kept in zip(rows, decoded, whole, strict=True):
                out[i] = " ".join(text.split()) if kept else ""
    return out


@lru_cache(maxsize=2)
def _marian_model(name: str):
    """Tokenizer, model, and the number of tokens that a text has to stay below."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    folder = resolve_path(name)
    if name.startswith((".", "/", "~")) and not folder.is_dir():
        raise MissingResource(f"the folder {name!r} of a translation model does not exist: give one that "
                              "save_pretrained wrote, a hub id, or model='apertium'")
    source = str(folder) if folder.is_dir() else name
    try:
        with quiet(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*sacremoses")  # it straightens quotation marks, no more
            tokenizer = AutoTokenizer.from_pretrained(source)
            network = AutoModelForSeq2SeqLM.from_pretrained(source).eval()
    except ImportError as error:
        raise MissingResource(f"the tokenizer of {name!r} cannot be loaded ({first_line(error)}): pip install "
                              "sentencepiece, or use model='apertium'") from error
    except (OSError, ValueError, KeyError) as error:
        raise MissingResource(f"cannot load the translation model {name!r}: {first_line(error)}. Load it once where "
                              "there is a network, give a local folder, or use model='apertium'") from error
    return tokenizer, network, min(tokenizer.model_max_length, network.config.max_position_embeddings)
