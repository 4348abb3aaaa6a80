"use strict";

/* A pair of texts as token ids, as the tokenizers library does it for a BERT tokenizer in lower case.
   `spec` comes from the model's tokenizer.json, prepared by book/_ext/in_browser.py: `vocabulary` (words in the order
   of their ids), `special` (texts that are one token wherever they stand), and three classes of characters as the
   library sees them, each the inside of [ ] in a regular expression: `dropped`, `apart` (a word of its own: Chinese
   characters) and `punctuation`. */
class Tokenizer {
  constructor(spec, maxLength) {
    this.ids = new Map(spec.vocabulary.map((word, id) => [word, id]));
    this.maxLength = maxLength;
    this.special = new Set(spec.special);
    const literal = spec.special.map((text) => text.replace(/[[\]]/g, "\\$&"));
    this.cut = new RegExp(`(${literal.join("|")})`, "u");
    this.dropped = new RegExp(`[${spec.dropped}]`, "gu");
    this.apart = new RegExp(`[${spec.apart}]`, "gu");
    this.words = new RegExp(`[${spec.punctuation}]|[^\\s${spec.punctuation}]+`, "gu");
  }

  /* Without what is dropped, without accents, in lower case (letter by letter: no final sigma). */
  normalize(text) {
    const spaced = text.replace(this.dropped, "").replace(this.apart, " $& ");
    return spaced.normalize("NFD").replace(this.dropped, "").replace(/Σ/g, "σ").toLowerCase();
  }

  /* The longest known piece from the left, again and again; a word with an unknown rest is [UNK] as a whole. */
  pieces(word) {
    const letters = [...word], found = [];
    if (letters.length > 100) return [this.ids.get("[UNK]")];
    for (let start = 0, end; start < letters.length; start = end) {
      const prefix = start ? "##" : "";
      for (end = letters.length; end > start; end--) {
        const id = this.ids.get(prefix + letters.slice(start, end).join(""));
        if (id !== undefined) { found.push(id); break; }
      }
      if (end === start) return [this.ids.get("[UNK]")];
    }
    return found;
  }

  /* The ids of one text, without [CLS] and [SEP]. Of a very long one, the words that truncation may leave. */
  encodeText(text) {
    if (text.length > 100 * this.maxLength && [...text].length > 100 * this.maxLength) {
      text = text.split(" ").slice(0, 2 * this.maxLength).join(" ");
    }
    return text.split(this.cut).flatMap((part) => this.special.has(part) ? [this.ids.get(part)]
      : (this.normalize(part).match(this.words) || []).flatMap((word) => this.pieces(word)));
  }

  /* {ids, segments, cut}: [CLS] first [SEP] second [SEP], the longer text cut first where there are too many. */
  encode(first, second) {
    let a = this.encodeText(first), b = this.encodeText(second);
    const room = this.maxLength - 3, cut = a.length + b.length > room;
    if (cut) {
      const short = Math.min(a.length, b.length);
      const half = Math.floor(room / 2);
      const [less, more] = short <= half ? [short, room - short] : [half, room - half];
      [a, b] = a.length <= b.length ? [a.slice(0, less), b.slice(0, more)] : [a.slice(0, more), b.slice(0, less)];
    }
    const cls = this.ids.get("[CLS]"), sep = this.ids.get("[SEP]");
    const ids = [cls, ...a, sep, ...b, sep];
    return { ids, segments: ids.map((_, i) => (i < a.length + 2 ? 0 : 1)), cut };
  }
}
