"""The schemas of the embedded generator: one hypothesis, its negation, and the premises for each label.

Read a row as: whatever the slots are filled with, each premise of the first group entails the hypothesis,
each of the second leaves it open, each of the third contradicts it. A test checks this against all small
worlds. To add one, append a row; to add a phenomenon, give it a weight in generator.py as well.
"""
# ruff: noqa: E501 - a table reads better with one premise group a line

# Slots. A, B, C: people. n0 < n < n2: a kind of thing, specific to general; m0 < m: a kind disjoint from n.
# v0, v: a verb, base and past. s0 < s, o: a state, strict and plain, and its opposite; t: an independent one.
# i < l: a place within a place; k: a place apart from l. d, p: a day and a part of it; c: another day.
# e, f, g: three events; x, y, z: three things; r, q: an order and its inverse (of place); b, a: of time.
# h, j: the amounts of hypothesis and premise.
# (phenomenon, hypothesis, its negation, {label: premises})
SCHEMAS: tuple[tuple[str, str, str, tuple[tuple[str, ...], ...]], ...] = (
    ("hypernyms", "{A} {v} a {n} on {d}.", "{A} did not {v0} any {n}s on {d}.", (
        ("{A} {v} a {n0} {i} on {d}.", "{A} {v} a {s} {n0} on {d} {p}."),
        ("{A} {v} a {n2} {i} on {d}.", "{A} {v} a {s} {m0} on {d} {p}.", "{A} wanted to {v0} a {n0} on {d}."),
        ("{A} did not {v0} any {n2}s on {d}.", "{A} {v} no {n}s on {d}.", "On {d} {A} did not {v0} a single {n2}."))),
    ("hypernyms", "{A} {v} a {n0} on {d}.", "{A} did not {v0} any {n0}s on {d}.", (
        ("{A} {v} a {s} {n0} {i} on {d} {p}.", "On {d} {A} {v} a {n0} {l}."),
        ("{A} {v} a {s} {n} {i} on {d} {p}.", "{A} {v} a {n2} {l} on {d}."),
        ("{A} did not {v0} any {n}s on {d}.", "{A} {v} no {n2}s on {d}.", "On {d} {A} did not {v0} a single {n}."))),
    ("hypernyms", "{A} {v} a {n2} on {d}.", "{A} did not {v0} any {n2}s on {d}.", (
        ("{A} {v} a {n0} {i} on {d}.", "{A} {v} a {s} {n} {l} on {d} {p}."),
        ("{B} {v} a {n0} {i} on {d}.", "{A} wanted to {v0} a {n} on {d}.", "{A} hoped to {v0} a {n2} on {d} {p}."),
        ("{A} did not {v0} any {n2}s on {d}.", "{A} {v} no {n2}s on {d}.", "{A} and {B} {v} no {n2}s on {d}."))),
    ("quantifiers", "All {n}s {l} are {s}.", "Not all {n}s {l} are {s}.", (
        ("All {n2}s {l} are {s}.", "Every {n2} {l} is {s0}.", "All {n}s {l} are {s0} and {t}."),
        ("All {n0}s {l} are {s}.", "Some {n}s {l} are {s0}.", "All {m}s {l} are {s0}."),
        ("Some {n0}s {l} are {o}.", "Not all {n0}s {l} are {s}.", "At least {j1} {n}s {l} are {o}."))),
    ("quantifiers", "All {n0}s {l} are {s}.", "Not all {n0}s {l} are {s}.", (
        ("All {n}s {l} are {s}.", "Every {n2} {l} is {s}.", "All {n}s {l} are {t} and {s0}."),
        ("Some {n}s {l} are {s}.", "Not all {n}s {l} are {s}.", "Every {n0} {l} is {t}."),
        ("Some {n0}s {l} are {o}.", "Not all {n0}s {l} are {s}.", "At least {j1} {n0}s {l} are not {s}."))),
    ("quantifiers", "Some {n}s {l} are {s}.", "No {n}s {l} are {s}.", (
        ("Some {n0}s {l} are {s}.", "Some {n}s {l} are {s0}.", "At least {j1} {n0}s {l} are {s0}."),
        ("Some {n2}s {l} are {s}.", "Some {n}s {l} are {t}.", "No {n0}s {l} are {s}.", "Some {m0}s {l} are {s0}."),
        ("No {n2}s {l} are {s}.", "All {n2}s {l} are {o}.", "No {n}s {l} are {s}.", "Every {n} {l} is {o}."))),
    ("quantifiers", "Some {n}s {l} are {s0}.", "No {n}s {l} are {s0}.", (
        ("Some {n0}s {l} are {s0}.", "Some {n}s {l} are {s0} and {t}.", "At least {j1} {n0}s {l} are {s0}."),
        ("Some {n}s {l} are {s}.", "All {n0}s {l} are {o}.", "No {n0}s {l} are {s}."),
        ("No {n2}s {l} are {s}.", "All {n2}s {l} are {o}.", "No {n}s {l} are {s}."))),
    ("numerals", "{A} {v} {h} {n}s on {d}.", "It is not true that {A} {v} {h} {n}s on {d}.", (
        ("{A} {v} {j} {n}s on {d}.", "On {d} {A} {v} {j} {n}s.", "On {d}, {A} and nobody else {v} {j} {n}s."),) * 3),
    ("numerals", "There are {h} {n}s {l}.", "It is not true that there are {h} {n}s {l}.", (
        ("There are {j} {n}s {l}.", "{A} says rightly that there are {j} {n}s {l}.", "In all, {j} {n}s are {l}."),) * 3),
    ("modifiers", "{A}'s {n} is {s}.", "{A}'s {n} is not {s}.", (
        ("{A}'s {n} is {t} and {s0}.", "{A}'s {s} {n} is {i}.", "{A}'s {n} is {i}, and it is {s0}."),
        ("{A}'s {n} is {t} and {i}.", "{A}'s {t} {n} is {i}.", "{B}'s {n} is {t} and {s0}.", "{A}'s {m} is {s0} and {t}."),
        ("{A}'s {n} is {t} and {o}.", "{A}'s {o} {n} is {i}.", "{A}'s {n} is {i}, and it is {o}."))),
    ("modifiers", "{A}'s {n} is {s0}.", "{A}'s {n} is not {s0}.", (
        ("{A}'s {n} is {s0} and {t}.", "{A}'s {s0} {n} is {i}.", "{A}'s {n} is {i}, and it is {s0}."),
        ("{A}'s {n} is {s} and {t}.", "{A}'s {s} {n} is {i}.", "{B}'s {s0} {n} is {i}.", "{A}'s {m} is {s0} and {t}."),
        ("{A}'s {n} is {t} and {o}.", "{A}'s {o} {n} is {i}.", "{A}'s {n} is {i}, and it is not {s}."))),
    ("negation", "{A}'s {n} is {s}.", "{A}'s {n} is not {s}.", (
        ("It is false that {A}'s {n} is not {s0}.", "{A}'s {n} is {s} and not {t}."),
        ("It is false that {B}'s {n} is not {s}.", "{A}'s {n} is not {t}.", "It is false that {A}'s {m} is {s}."),
        ("It is false that {A}'s {n} is {s}.", "{A}'s {n} is not {s} but {t}."))),
    ("negation", "{A} {v} a {n} on {d}.", "{A} did not {v0} any {n}s on {d}.", (
        ("Both {A} and {B} {v} a {n0} on {d}.", "{A}, but not {B}, {v} a {n} on {d}."),
        ("Either {A} or {B} {v} a {n0} on {d}.", "Neither {B} nor {C} {v} a {n} on {d}.",
         "{A} {v} a {n2}, but not a {n0}, on {d}."),
        ("Neither {A} nor {B} {v} a {n2} on {d}.", "{B}, but not {A}, {v} a {n} on {d}."))),
    ("spatial", "The {x} is {r} the {y}.", "The {x} is not {r} the {y}.", (
        ("The {y} is {q} the {x}.", "The {x} is {r} the {z}, and the {z} is {r} the {y}.",
         "The {y} and the {z} are {q} the {x}."),
        ("The {x} is {r} the {z}, and the {y} is {r} the {z}.", "The {z} is {q} the {x}, and the {z} is {q} the {y}.",
         "The {y} and the {x} are {q} the {z}."),
        ("The {y} is {r} the {x}.", "The {y} is {r} the {z}, and the {z} is {r} the {x}.",
         "The {y} and the {z} are {r} the {x}."))),
    ("spatial", "{A}'s {n} is {l}.", "{A}'s {n} is not {l}.", (
        ("{A}'s {n} is {i}.", "{A}'s {s} {n} is {i}.", "{A}'s {n} is {s0}, and it is {i}."),
        ("{B}'s {n} is {i}.", "{A}'s {m} is {i}.", "{A}'s {n} is {s0} and {t}."),
        ("{A}'s {n} is {k}.", "{A}'s {s} {n} is {k}.", "{A}'s {n} is {s0}, and it is {k}."))),
    ("spatial", "{A}'s {n} is {i}.", "{A}'s {n} is not {i}.", (
        ("{A}'s {s} {n} is {i}.", "{A}'s {n} and {m} are both {i}.", "{A}'s {n} is {s0}, and it is {i}."),
        ("{A}'s {n} is {l}.", "{A}'s {s} {n} is {l}.", "{A}'s {n} is {s0}, and it is {l}."),
        ("{A}'s {n} is {k}.", "{A}'s {s} {n} is {k}.", "{A}'s {n} is {s0}, and it is {k}."))),
    ("temporal", "The {e} was {b} the {f}.", "The {e} was not {b} the {f}.", (
        ("{A} knows that the {f} was {a} the {e}.", "The {e} was {b} the {g}, and the {g} was {b} the {f}.",
         "As {A} knows, the {f} and the {g} were {a} the {e}."),
        ("The {e} was {b} the {g}, and the {f} was {b} the {g}.", "{A} knows that the {e} was {b} the {g}.",
         "As {A} knows, the {f} and the {e} were {a} the {g}."),
        ("{A} knows that the {f} was {b} the {e}.", "The {f} was {b} the {g}, and the {g} was {b} the {e}.",
         "As {A} knows, the {f} and the {g} were {b} the {e}."))),
    ("temporal", "The {e} took place on {d}.", "The {e} did not take place on {d}.", (
        ("The {e} took place {i} on {d} {p}.", "{A} and {B} came to the {e} on {d}, the day it took place."),
        ("{A} dreamed that the {e} took place on {d} {p}.", "The {f} took place {i} on {d} {p}, as {A} knows."),
        ("The {e} took place {i} on {c} {p}.", "{A} and {B} came to the {e} on {c}, the day it took place."))),
    ("temporal", "The {e} took place on {d} {p}.", "The {e} did not take place on {d} {p}.", (
        ("The {e} took place {i} on {d} {p}.", "{A} was at the {e}, which took place on {d} {p}."),
        ("The {e} took place {i} on {d}.", "{A} was at the {e}, which took place on {d}."),
        ("The {e} took place {i} on {c}.", "{A} was at the {e}, which took place on {c} {p}."))),
)
