"""Running and rendering the book: manifest, plan, execution, staging tree, HTML.

    manifest.py    book/manifest.yml: the chapters, their inputs and outputs, the table of contents
    state.py       what makes a chapter "complete", sidecar files, locks, safe writing
    plan.py        which chapters to run, in which order, several at once; resume
    timing.py      how long it takes, told beforehand
    arms.py        runs of arms, several at once, each in a process of its own
    worker.py      one chapter, executed by papermill in a process of its own
    process.py     such a process: its job, and its end when the parent is gone
    notebooks.py   notebook plumbing: cleaning, pairing, committed outputs, scratch books
    api.py         the API pages, read off the package's tree
    render.py      prose, status page and executed chapters, through Jupyter Book, to _build/html

`seo_core.run` is the command line over them. None imports torch, but arms.py, and timing.py to probe the machine.
"""

import sys

# If this is installed, jsonschema (which nbformat imports) builds a grammar of IRIs with it: a second or more in each
# process that reads a notebook. No notebook has an IRI to check, and jsonschema does without.
sys.modules.setdefault("rfc3987_syntax", None)


class RunnerError(RuntimeError):
    """Something that stops the command; the message is one line for the user (exit code 1)."""


class UsageError(RunnerError):
    """An unknown name or a wrong value on the command line (exit code 2)."""
