"""The words (lexicon.yml) and the schemas (lexicon_schemas.yml) of the embedded generator, as it takes them.

Everything that its labels rest on stands in these two files and can be checked by reading.
"""

from seo_core import files

_WORDS = files.table(__file__)
NAMES, DAYS, PARTS, NUMBERS, FILLERS = (_WORDS[key] for key in ("names", "days", "parts", "numbers", "fillers"))
VERBS, STATES = _WORDS["verbs"], _WORDS["states"]  # (base, past); name -> (strict, plain, opposite)
RELATIONS, ORDERS = _WORDS["relations"], _WORDS["orders"]
MATCHED, MISMATCHED = tuple(_WORDS["matched"]), tuple(_WORDS["mismatched"])  # names of genres
GENRES = {**_WORDS["matched"], **_WORDS["mismatched"]}
# (phenomenon, hypothesis, its negation, premises that entail it, leave it open, contradict it)
SCHEMAS = tuple((s["phenomenon"], s["hypothesis"], s["negation"],
                 tuple(tuple(s[label]) for label in ("entails", "open", "contradicts")))
                for s in files.table(__file__, "_schemas"))
