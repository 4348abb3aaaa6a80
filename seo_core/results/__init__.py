"""The results store: one run, one JSON file, with everything needed to judge and repeat it.

    path = results.write("02_baseline", "base", settings=settings, data=task, model_info=info,
                         metrics=metrics, series=result.series, predictions=classes)
    frame = results.load(settings.results_dir, results.reference_dir())    # one row per record

schema.py says what a record is, provenance.py where it comes from, store.py writes, finds and reads, frames.py makes
tables of many.
"""

from seo_core.results.final import OFFICIAL, SCORES, final_list
from seo_core.results.frames import load, load_contestants, load_series, matching
from seo_core.results.provenance import code_hash, command, command_of, names_given
from seo_core.results.schema import SCHEMA, ResultsError, predictions_path, schema_table, validate
from seo_core.results.store import find, load_records, predictions, record_at, record_path, reference_dir, write

__all__ = ["OFFICIAL", "SCHEMA", "SCORES", "ResultsError", "code_hash", "command", "command_of", "final_list", "find",
           "load", "load_contestants", "load_records", "load_series", "matching", "names_given", "predictions",
           "predictions_path", "record_at", "record_path", "reference_dir", "schema_table", "validate", "write"]
