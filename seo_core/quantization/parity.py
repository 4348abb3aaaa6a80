"""Whether two computations of one network say the same."""

import numpy as np

from seo_core.deploy.runners import Runner, RunnerError
from seo_core.evaluation import predict


def parity(model, run: Runner, encoded) -> dict[str, float]:
    """How far an exported file is from the torch network it was made of, on n labelled texts. accuracy_torch,
    accuracy_exported, agreement (share of equal classes), max_logit_difference and mean_logit_difference. model: any
    that `evaluation.predict` takes, or its logits (n, k)."""
    if len(encoded) == 0:
        raise RunnerError("no texts to compare on: pass some, such as bench.comparison()")
    reference = model if isinstance(model, np.ndarray) else predict(model, encoded)
    exported = run.logits(encoded)
    gap = np.abs(exported - reference)
    report = {"agreement": float((exported.argmax(1) == reference.argmax(1)).mean()),
              "max_logit_difference": float(gap.max()), "mean_logit_difference": float(gap.mean())}
    if (encoded.labels >= 0).all():
        report["accuracy_torch"] = float((reference.argmax(1) == encoded.labels).mean())
        report["accuracy_exported"] = float((exported.argmax(1) == encoded.labels).mean())
    return report
