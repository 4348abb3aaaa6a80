"""TKD-NLP (arXiv 2405.11704): a 12-layer, 8-head Transformer, and the four stages that make a classifier of it.

    student = build(Shape(), vocabulary=len(tokenizer), labels=task.labels)
    pretrain(student, train, tokenizer, config)                       # 1. masked words of the task's own text
    soft = soft_labels(student, teacher, train, folder)               # 2. what the teacher says of each example
    inject(student, train, soft, Injection(temperature=2), config)    # 3. the weighted loss
    fine_tune(student, train, config)                                 # 4. the labels alone

network.py builds the Transformer, stages.py has the stages, glue.py the nine tasks and their metrics. We know the paper
through a third party's summary only: what that leaves open is said where it is chosen.
"""

from seo_core.lazy import lazy

_HOME = {"network": "Shape build fixed_positions sinusoids spread",
         "stages": "Injection MaskedWords fine_tune frequency_cross_entropy inject pretrain soft_labels"}
__getattr__, __dir__, __all__ = lazy(__name__, _HOME)
