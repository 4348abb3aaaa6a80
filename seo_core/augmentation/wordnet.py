"""WordNet (Miller 1995): where its files are, and synonyms of many words at once.

NLTK downloads the files, and is the reference that the tests compare with. The look-up itself reads the files, because
NLTK builds a view of the whole data base before the first word: here the sorted list of senses is read once a process
and searched by bisection, and a synset is parsed only when one of its words is asked for.

A replacement must fit its sentence without a tagger. So a word is used only in its commonest reading: of all (part of
speech, base form) that it may be, the one that holds most of WordNet's sense counts. Synonyms are the words of that
reading's first sense (those that WordNet's authors met in their texts, if there are any: meal, not repast), put into
the same form: plural nouns, third persons, regular -ed and -ing. Irregular forms have no synonyms here, nor have words
of which no reading prevails.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import socket
import sys
import zipfile
from bisect import bisect_left
from functools import lru_cache
from pathlib import Path

from seo_core import files
from seo_core.augmentation.words import FIXED, MissingResource

DEBIAN = Path("/usr/share/wordnet")  # packages wordnet-base and wordnet-sense-index
POS = {"noun": "1", "verb": "2", "adj": "3", "adv": "4"}
FILES = tuple(f"{kind}.{pos}" for kind in ("index", "data") for pos in POS) + tuple(
    f"{pos}.exc" for pos in POS) + ("index.sense",)
HOW = ("WordNet is missing: run `python -m seo_core.run setup` where there is a network, or install the Debian "
       "packages wordnet-base and wordnet-sense-index first")
MOST_SENSES = 200  # no word has as many
SHARE = 0.8  # of a word's sense counts, that its commonest reading must exceed: "report" is noun and verb
DOWNLOAD_SECONDS = 20.0  # patience with a network that does not answer


def find() -> Path | zipfile.Path | None:
    """The folder of WordNet's files where NLTK would look for it (perhaps inside a zip), else Debian's, else None. NLTK
    itself is not imported for this: that takes longer than thousands of replacements."""
    nltk = sys.modules.get("nltk")
    roots = list(nltk.data.path) if nltk else [p for p in os.environ.get("NLTK_DATA", "").split(os.pathsep) if p]
    roots += [Path(place, "nltk_data") for place in (
        Path.home(), sys.prefix, f"{sys.prefix}/share", f"{sys.prefix}/lib", "/usr/share", "/usr/local/share",
        "/usr/lib", "/usr/local/lib")]
    for root in roots:
        corpora = Path(root) / "corpora"
        if _complete(corpora / "wordnet"):
            return corpora / "wordnet"
        with contextlib.suppress(OSError, zipfile.BadZipFile):
            if _complete(inside := zipfile.Path(corpora / "wordnet.zip") / "wordnet"):
                return inside
    return DEBIAN if _complete(DEBIAN) else None


def _complete(folder) -> bool:
    return all((folder / name).is_file() for name in FILES)


def wordnet_setup(download: bool = True) -> Path | None:
    """Makes WordNet ready for NLTK and for us; returns its folder (or zip), or None where it cannot be had. In this
    order: what NLTK would find already; Debian's files, copied to NLTK's folder with the `lexnames` file that NLTK
    wants beside them; with `download`, nltk.download("wordnet"). Never raises."""
    folder = find()
    if folder == DEBIAN or (folder is None and download):
        with contextlib.suppress(Exception):  # no NLTK, read-only home, offline, disk full: then it stays as it was
            import nltk

            if folder == DEBIAN:
                _copy_debian(Path(nltk.downloader.Downloader().default_download_dir()) / "corpora" / "wordnet")
            else:
                _download(nltk)
        folder = find()
    _lexicon.cache_clear()
    return None if folder is None else Path(str(folder))


def _download(nltk) -> None:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            nltk.download("wordnet", quiet=True)
    finally:
        socket.setdefaulttimeout(before)


def _copy_debian(folder: Path) -> None:
    names = [(pos, name) for entry in files.table(__file__) for pos, words in entry.items() for name in words.split()]
    lines = [f"{i:02d}\t{pos}.{name}\t{POS[pos]}\n" for i, (pos, name) in enumerate(names)]
    with files.atomic_folder(folder) as partial:
        for path in filter(Path.is_file, DEBIAN.iterdir()):
            shutil.copyfile(path, partial / path.name)
        (partial / "lexnames").write_text("".join(lines))


def absent() -> str | None:
    """None where WordNet is at hand, else how it can be had."""
    return HOW if find() is None else None


def synonyms(words) -> dict[str, tuple[str, ...]]:
    """word -> its synonyms in the same form, perhaps none; words are lower case. Raises MissingResource without it."""
    folder = find()
    if folder is None:
        raise MissingResource(HOW)
    lexicon = _lexicon(str(folder))
    return {word: lexicon[word] for word in words}


def known(words) -> set[str] | None:
    """Those of the words, in whatever case, that WordNet has in some form; of the short ones, which are words of
    many languages, none. None without WordNet."""
    folder = find()
    if folder is None:
        return None
    lexicon = _lexicon(str(folder))
    plain = {word: word.lower() for word in words if len(word) > 3 and word.isascii() and word.isalpha()}
    return {word for word, lower in plain.items() if lexicon.has(lower)}


@lru_cache(maxsize=2)
def _lexicon(name: str) -> _Lexicon:  # by name: two paths into one zip are never equal
    return _Lexicon(find())


class _Lexicon(dict):
    """word -> its synonyms, looked up when a word is asked for the first time."""

    def __init__(self, folder):
        self.folder = folder
        self.lines = self._read("index.sense").rstrip().split(b"\n")
        self.irregular = {pos: dict(re.findall(rb"^([a-z]+) ([a-z]+)", self._read(f"{pos}.exc"), re.M)) for pos in POS}
        self.irregular_bases = {pos: set(table.values()) for pos, table in self.irregular.items()}
        self.data: dict[str, bytes] = {}

    def _read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def senses(self, lemma: bytes) -> dict[str, list[bytes]]:
        """part of speech -> lines of the lemma's senses: "lemma%kind:file:id:head:id offset number count"."""
        at, senses = bisect_left(self.lines, lemma + b"%"), {}
        end = bisect_left(self.lines, lemma + b"&", at, min(at + MOST_SENSES, len(self.lines)))  # "&" follows "%"
        for line in self.lines[at:end]:
            senses.setdefault(_KINDS[line[len(lemma) + 1]], []).append(line)
        return senses

    def has(self, word: str) -> bool:
        """Whether it is a word or a form of one."""
        return any(senses for _, _, _, senses in self._readings(word.encode()))

    def __missing__(self, word: str) -> tuple[str, ...]:
        plain = len(word) > 2 and word.isascii() and word.isalpha() and word.islower()
        self[word] = self._synonyms(word) if plain and word not in FIXED else ()
        return self[word]

    def _synonyms(self, word: str) -> tuple[str, ...]:
        readings = self._readings(word.encode())
        weights = [_count(senses) + 0.5 for _, _, _, senses in readings]
        if not readings or max(weights) <= SHARE * sum(weights):
            return ()
        lemma, pos, form, senses = readings[weights.index(max(weights))]
        others = self.first_sense(lemma, pos, senses) if form is not None else []
        if len(others) > 1:
            others = [w for w in others if _count(self.senses(w.encode()).get(pos, ()))] or others
        formed = (self._form(other, pos, form) for other in others)
        return tuple(dict.fromkeys(w for w in formed if w and w != word and w not in FIXED))

    def _readings(self, word: bytes):
        """(base form, part of speech, how it was inflected (None: irregularly), its senses) that the word may be."""
        readings = [(word, pos, "", senses) for pos, senses in self.senses(word).items()]
        readings += [(base, pos, None, self.senses(base).get(pos, ())) for pos, table in self.irregular.items()
                     if (base := table.get(word))]
        for end, base, form, kinds in _ENDINGS.get(word[-1:], ()):
            if word.endswith(end) and (lemma := word[: -len(end)] + base):  # "ing" alone is no form of a word
                readings += [(lemma, pos, form, senses) for pos, senses in self.senses(lemma).items()
                             if pos in kinds and word not in self.irregular[pos]]
        return readings

    def first_sense(self, lemma: bytes, pos: str, senses: list[bytes]) -> list[str]:
        """The single words of the first of a lemma's senses, itself left out; none if it is a name there."""
        words = self._synset(pos, _first(senses))
        if len(words) < 2 or lemma not in words:
            return []
        return [w.decode() for w in words if w != lemma and w.isalpha() and w.islower() and len(w) > 2]

    def _synset(self, pos: str, offset: int) -> list[bytes]:
        data = self.data.get(pos) or self.data.setdefault(pos, self._read(f"data.{pos}"))
        count = int(data[offset + 14 : offset + 16], 16)  # "offset(8) file(2) type(1) count(2) word id word id …"
        if count == 1:
            return [data[offset + 17 : data.index(b" ", offset + 17)]]
        end = data.index(b"|", offset)  # the gloss
        return [w.partition(b"(")[0] for w in data[offset + 17 : end].split(None, 2 * count)[: 2 * count : 2]]

    def _form(self, lemma: str, pos: str, form: str) -> str:
        """The lemma in that form by rule; empty where it is irregular."""
        if not form:
            return lemma
        if lemma.encode() in self.irregular_bases[pos]:
            return ""
        return next(re.sub(f"(?:{end})$", new, lemma) for end, new in _FORMS[form] if re.search(f"(?:{end})$", lemma))


def _first(senses) -> int:
    """Where the synset of the first of a lemma's senses starts in its file."""
    return next(int(offset) for _, offset, number, _ in map(bytes.split, senses) if number == b"1")


def _count(senses) -> int:
    """How often WordNet's authors met these senses in their texts."""
    return sum(int(line[line.rindex(b" ") :]) for line in senses if not line.endswith(b" 0"))


_KINDS = dict(zip(b"12345", (*POS, "adj"), strict=True))  # 5: satellites
_RULES = files.table(__file__, "_forms")
_FORMS = _RULES["forms"]  # form -> (how a base form ends, what it has instead); the first that fits
_ENDINGS = {last.encode(): [(end.encode(), base.encode(), form, kinds.split()) for end, base, form, kinds in endings]
            for last, endings in _RULES["endings"].items()}
