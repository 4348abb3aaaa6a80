"""The words (lexicon.yml) and the schemas (lexicon_schemas.yml) of the embedded generator, as it takes them.

Everything that its labels rest on stands in these two files and can be checked by reading.
"""

from seo_core import files


def _split(text: str, separator: str = ",") -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator))


def _genre(words: dict) -> dict:
    things = {general: {middle: _split(specific) for middle, specific in kinds.items()}
              for general, kinds in words["things"].items()}
    return {"things": things, "states": tuple(words["states"].split()), "places": tuple(words["places"].items()),
            "events": _split(words["events"])}


_WORDS = files.table(__file__)
NAMES, DAYS, PARTS, NUMBERS = (list(_split(_WORDS[key])) for key in ("names", "days", "parts", "numbers"))
VERBS = tuple(tuple(verb.split()) for verb in _split(_WORDS["verbs"]))  # (base, past)
RELATIONS, ORDERS = (tuple(map(_split, _split(_WORDS[key], ";"))) for key in ("relations", "orders"))
STATES = {state: _split(words) for state, words in _WORDS["states"].items()}  # (strict, plain, opposite)
FILLERS = tuple(_WORDS["fillers"])
MATCHED, MISMATCHED = tuple(_WORDS["matched"]), tuple(_WORDS["mismatched"])  # names of genres
GENRES = {name: _genre(words) for key in ("matched", "mismatched") for name, words in _WORDS[key].items()}
# (phenomenon, hypothesis, its negation, premises that entail it, leave it open, contradict it)
SCHEMAS = tuple((s["phenomenon"], s["hypothesis"], s["negation"],
                 tuple(tuple(s[label]) for label in ("entails", "open", "contradicts")))
                for s in files.table(__file__, "_schemas"))
