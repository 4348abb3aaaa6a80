"""What one worker counts, for Prometheus; with $PROMETHEUS_MULTIPROC_DIR, as `serve` sets it, all workers together.

    seo_requests_total{path,status}          every request; errors are those of status 400 and more
    seo_request_seconds{path}                from the headers to the last byte of the answer
    seo_batch_texts                          texts that went through the engine together
    seo_queue_texts                          texts that wait now
    seo_model_info{name,sha256,commit,precision,version}   1
    seo_predictions_total{label}             predicted classes
    seo_confidence                           probability of the predicted class
    seo_expected_share{label}, seo_expected_confidence     what the artifact's card says of them
    seo_drift_classes                        total variation between the two shares, 0 to 1
    seo_drift_confidence                     mean confidence less the expected one

Drift is that of the last predictions of a worker (a mean that forgets, over about `RECALL` of them, and that begins
where the card is). What is expected are the card's metrics `expected_share_LABEL` and `expected_confidence`: what the
model said of the evaluation set, which every run records and `pack` and `compress` write. Without them there is nothing
to drift from, and these gauges are absent.
"""

import os
from functools import partial
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from seo_core import __version__
from seo_core.deploy.artifact import SHARE, SURE

RECALL = 1000  # predictions: shares of three classes are then right to 0.015, one standard error
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # 0.1: the promised p95


def expected(config: dict) -> tuple[np.ndarray | None, float | None]:
    """Shares of the classes (k,), in the order of the labels, and the mean confidence, as the artifact's configuration
    says; None where it says nothing of it."""
    said = config["metrics"]
    shares = np.array([said.get(SHARE + label, np.nan) for label in config["labels"]], float)
    return (shares if abs(shares.sum() - 1) < 1e-3 else None), said.get(SURE)


class Metrics:
    """The counters of one application, in a registry of its own."""

    def __init__(self, labels: list[str], shares: np.ndarray | None, confidence: float | None, **info: str):
        """shares (k,) of the labels and confidence: what is expected, as of `expected`. info: labels of
        seo_model_info."""
        self.labels, self._expected_shares, self._expected_confidence = labels, shares, confidence
        self._recent_shares, self._recent_confidence = shares, confidence
        self.taken = self.answered = 0  # requests of this worker
        self.registry = CollectorRegistry()
        counter, gauge, histogram = (partial(kind, registry=self.registry) for kind in (Counter, Gauge, Histogram))
        self._requests = counter("seo_requests", "Requests answered", ["path", "status"])
        self._seconds = histogram("seo_request_seconds", "Seconds to answer", ["path"], buckets=SECONDS)
        self._batch = histogram("seo_batch_texts", "Texts in the engine together",
                                buckets=(1, 2, 4, 8, 16, 32, 64, 128))
        self._queue = gauge("seo_queue_texts", "Texts that wait", multiprocess_mode="livesum")
        self._predictions = counter("seo_predictions", "Predicted classes", ["label"])
        self._sureness = histogram("seo_confidence", "Probability of the predicted class",
                                   buckets=(0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0))
        fixed, latest = partial(gauge, multiprocess_mode="livemax"), partial(gauge, multiprocess_mode="livemostrecent")
        fixed("seo_model_info", "The model", [*info, "version"]).labels(*info.values(), __version__).set(1)
        for label in labels:
            self._predictions.labels(label)  # 0 until it is predicted
        if shares is not None:
            share = fixed("seo_expected_share", "Share of a class, by the card", ["label"])
            for label, value in zip(labels, shares.tolist(), strict=True):
                share.labels(label).set(value)
            self._classes_off = latest("seo_drift_classes", "Predicted classes against the card")
        if confidence is not None:
            fixed("seo_expected_confidence", "Mean confidence, by the card").set(confidence)
            self._confidence_off = latest("seo_drift_confidence", "Confidence against the card")

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request was answered, or its client is gone."""
        self.answered += 1
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def waiting(self, texts: int) -> None:
        """So many texts wait now."""
        self._queue.set(texts)

    def predicted(self, probabilities: np.ndarray) -> None:
        """(n, k) probabilities of texts that went through the engine together. By batch: by request it was a sixth of
        a request's Python."""
        self._batch.observe(len(probabilities))
        classes, sure = probabilities.argmax(1), probabilities.max(1)
        counts = np.bincount(classes, minlength=len(self.labels))
        for label, count in zip(self.labels, counts.tolist(), strict=True):
            if count:
                self._predictions.labels(label).inc(count)
        for value in sure.tolist():
            self._sureness.observe(value)
        kept = (1 - 1 / RECALL) ** len(classes)
        if self._expected_shares is not None:
            self._recent_shares = kept * self._recent_shares + (1 - kept) * counts / len(classes)
            self._classes_off.set(float(np.abs(self._recent_shares - self._expected_shares).sum() / 2))
        if self._expected_confidence is not None:
            self._recent_confidence = kept * self._recent_confidence + (1 - kept) * float(sure.mean())
            self._confidence_off.set(self._recent_confidence - self._expected_confidence)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if not folder:
            return generate_latest(self.registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)
        return generate_latest(everyone)


def forget_dead() -> None:
    """Takes the gauges of workers that are no more out of what all count together; called by a worker that starts."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    for path in Path(folder).glob("gauge_live*_*.db") if folder else ():
        pid = int(path.stem.rpartition("_")[2])
        if not Path(f"/proc/{pid}").exists():
            mark_process_dead(pid, folder)
