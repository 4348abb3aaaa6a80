"""Data: any NLI or classification set to clean splits and flat token ids.

    task = prepare(settings)                      # what a chapter calls
    train = encode(task["train"], tokenizer, texts=task.texts, max_length=settings.max_length)

readers.py streams the formats, cleaning.py changes, drops and counts, loading.py puts a task together,
splits.py keeps it honest, generator.py makes the embedded set of lexicon.py's words, encoding.py tokenizes,
ngrams.py says what word counts alone can do. sequences.py, windows.py and toys.py are the same for tags of words and
answers in contexts.
"""

from seo_core.lazy import lazy

_HOME = {
    "ngrams": "baselines cue_words fit_ngrams top_ngrams",
    "cleaning": "clean fold premise_groups premise_key",
    "encoding": "Encoded encode encode_texts padding_share",
    "generator": "generate generate_nli",
    "loading": "NLI_LABELS NLI_TEXTS TaskData load_data load_nli load_task load_texts",
    "readers": "DataError",
    "sequences": "ANSWERS TAGS",
    "windows": "Windows encode_for",
    "splits": "RatioError development imbalance prepare subsample",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOME)
