"""Data: any NLI or classification set to clean splits and flat token ids.

    task = prepare(settings)                      # what a chapter calls
    train = encode(task["train"], tokenizer, texts=task.texts, max_length=settings.max_length)

readers.py streams the formats, cleaning.py changes, drops and counts, loading.py puts a task together,
splits.py keeps it honest, generator.py makes the embedded set of lexicon.py's words, encoding.py tokenises,
baselines.py says what word counts alone can do.
"""

from seo_core.data.baselines import baselines, cue_words, fit_ngrams, top_ngrams
from seo_core.data.cleaning import clean, fold, premise_groups, premise_key
from seo_core.data.encoding import Encoded, encode, padding_share
from seo_core.data.generator import generate, generate_nli
from seo_core.data.loading import NLI_LABELS, NLI_TEXTS, TaskData, load_data, load_nli, load_task, load_texts
from seo_core.data.readers import DataError
from seo_core.data.splits import RatioError, development, imbalance, prepare, subsample

__all__ = ["NLI_LABELS", "NLI_TEXTS", "DataError", "Encoded", "RatioError", "TaskData", "baselines", "clean",
           "cue_words", "development", "encode", "fit_ngrams", "fold", "generate", "generate_nli", "imbalance",
           "load_data", "load_nli", "load_task", "load_texts", "padding_share", "premise_groups", "premise_key",
           "prepare", "subsample", "top_ngrams"]
