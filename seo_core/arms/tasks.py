"""Two more kinds of task by the same loop: tags of words and answers in contexts, baseline against searched settings.

    python -m seo_core.run arm ner-base ner-tuned --profile cpu --data path/to/wnut_17
    python -m seo_core.run arm qa-base qa-tuned --profile cpu --data path/to/squad -p train_rows=5000

Each stands on a ground of its own, the data of its kind. A search is that of `arms.search`; what its trials are chosen
by, and its tables call accuracy, is F1 on the acceptance half. Texts longer than the settings' max_length are read in
windows (`data.windows`).
"""

from __future__ import annotations

from dataclasses import replace

from seo_core.arms.compression import fine_tune, recorded
from seo_core.arms.search import SEARCH, Search, searched
from seo_core.data import ANSWERS, TAGS
from seo_core.lab import Lab, Made
from seo_core.training import checkpoint_folder


def _short(recipe):
    """For `quick`: two trials of a second, at rates at which so few steps of one layer learn something."""
    return recipe and replace(recipe, sampler="grid", trials=2, rows=128, epochs=2, learning_rate=(2e-4, 8e-4),
                              batch_size=(8,), layers=(1,))


NER = replace(SEARCH, kind=TAGS, quick=_short)
QA = replace(SEARCH, kind=ANSWERS, quick=_short)


def _checkpoint(lab: Lab):
    return checkpoint_folder(lab.settings, f"{lab.chapter.id}-{lab.current.name}")


def _baseline(lab: Lab, recipe: None) -> Made:
    """Fine-tuning as the settings say, on all rows of the pool."""
    model = lab.network()
    trained = fine_tune(lab, model, _checkpoint(lab), development=lab.encoded("acceptance"))
    return Made(model, trained.metrics, trained.series)


for _name, _chapter in {"ner": NER, "qa": QA}.items():
    _chapter.arm(f"{_name}-base", start="pretrained", checkpoints=lambda lab, recipe: [_checkpoint(lab)])(_baseline)
    _chapter.arm(f"{_name}-tuned", Search(), **recorded(""))(searched)
