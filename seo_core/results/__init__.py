"""The results store: one run, one JSON file, with everything needed to judge and repeat it.

    path = results.write("02_baseline", "base", settings=settings, data=task, model_info=info,
                         metrics=metrics, series=result.series, predictions=classes)
    frame = results.load(settings.results_dir, results.reference_dir())    # one row per record

schema.py says what a record is, provenance.py where it comes from, store.py writes, finds and reads, frames.py makes
tables of many.
"""

from seo_core.lazy import lazy

_HOME = {"final": "OFFICIAL SCORES final_list",
         "frames": "load load_contestants load_series matching",
         "provenance": "code_hash command command_of names_given",
         "schema": "SCHEMA ResultsError predictions_path schema_table validate",
         "store": "find load_records newest predictions record_at record_path reference_dir write"}
__getattr__, __dir__, __all__ = lazy(__name__, _HOME)
