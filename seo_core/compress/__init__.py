"""One call for who has labelled texts and goals: baseline, pruned with a teacher, trained in integers, packed.

    from seo_core.compress import Goals, compress

    settings = load_settings("cpu", data="pairs.csv", text=("a", "b"), results_dir="/path/to/results")
    made = compress(settings, Goals(max_size="8MB", max_loss=1.0, time="1h"), "model")
    made                                             # the goals, and whether each was reached
    made.load().predict([("one text", "another")])

    python -m seo_core.run compress --data pairs.csv --text a b --max-size 8MB --time 1h --out model

goals.py reads goals in the field's words; plan.py chooses the shape by the bytes that it will have, and says what each
stage takes before one is begun; rounds.py leaves the stages to the Synergy Controller; make.py makes them by the arms
of the book; outcome.py has what came out, page.py shows it. The room stands beside the benchmarks: it uses arms,
artifacts and their timing, and the command line uses it.
"""

from seo_core.lazy import lazy

_HOME = {"goals": "Goals", "make": "compress", "outcome": "Compressed report", "plan": "PlanError predicted_bytes"}
__getattr__, __dir__, __all__ = lazy(__name__, _HOME)
