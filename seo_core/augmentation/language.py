"""Whether texts are English: what the operators know of words is English (words.yml, WordNet, the opposites).

Two kinds of evidence, either of which will do: function words, quantifiers and the like make up a good part of any
running text; and WordNet knows most longer words, also of titles and keywords, where there is no sentence. One short
text shows neither, so all texts of a call are asked together, and too few words count as English. Measured on windows
of 40 words: of MNLI, SNLI, SST-2, CoLA and QQP, 13 000 windows, each is English (tweets of WNUT-17: 98%); of the
translated messages of Debian's programs in 25 languages, 25 000 windows, 0.1% are (Danish most, 0.5%). Of whole sets,
words listed and words known: English 45% to 59% and 74% to 97%, titles of SQuAD 11% and 88%, Dutch 7% to 16% and 13% to
28%, German 3% to 8% and 11% to 20%.
"""

import re

import numpy as np

from seo_core.augmentation import wordnet
from seo_core.augmentation.words import FIXED, split

FEWEST = 40  # words below which nothing is decided
MOST = 1024  # texts that are read, spread over all of them
LISTED = 0.3  # least share of the words that stand in words.yml
KNOWN = 0.5  # else least share of those that stand there or that WordNet has

_CLITIC = re.compile("['’]")  # it's, they're: what stands before it


def is_english(texts: list[str]) -> bool:
    """Whether these texts, taken together, are English, or too few words to say."""
    words = split(texts[:: 1 + len(texts) // MOST])
    weight = words.spread(np.fromiter(map(_weight, words.vocabulary), np.int64, len(words.vocabulary)))
    count, listed = weight.sum(), words.where(_listed)
    if count < FEWEST or listed.sum() >= LISTED * count:
        return True
    found = wordnet.known(words.vocabulary)
    return found is not None and (listed | words.where(found.__contains__)).sum() >= KNOWN * count


def _weight(word: str) -> int:
    """Of a word one, of what has no letter none. Scripts without capitals may write no spaces: there two letters."""
    if not any(map(str.isalpha, word)):
        return 0
    return 1 if word.lower() != word.upper() else (len(word) + 1) // 2


def _listed(word: str) -> bool:
    plain = word.lower()
    return plain in FIXED or _CLITIC.split(plain)[0] in FIXED or plain.endswith(("n't", "n’t"))
