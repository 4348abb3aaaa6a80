"""Teacher logits, computed once and kept.

    targets = cached_logits(teacher, train, folder)              # (n, k) float32
    targets = cached_logits([first, second], train, folder)      # the mean of several teachers

A teacher's logits on a fixed set never change, and a student reads them once an epoch: for a 6-layer teacher and a
3-layer student that saves half of each step. The file's name is a fingerprint of the teacher's weights and of the
encoded texts (labels are not read), so a teacher trained anew, or another set, is another file. The values are float16,
also on the first call. Inner states are not kept: 50 000 pairs × 40 tokens × 384 units × 2 bytes are 1.5 GB a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seo_core.distillation.losses import DistillationError
from seo_core.files import atomic, digest, writing


def cached_logits(teacher, encoded, folder: str | Path, *, precision: str = "auto") -> np.ndarray:
    """Logits (n, k) float32 (of float16 precision) of a teacher, or the mean of several, on an Encoded, in its order.

    A file that is damaged, cut short or not of this teacher and set is made anew. Raises DistillationError for
    teachers without logits for the set (ids beyond the word table), logits that are not finite, and a folder that
    cannot be written.
    """
    teachers = list(teacher) if isinstance(teacher, Sequence) else [teacher]
    if not teachers:
        raise DistillationError("no teacher: pass a trained model, or a list of them")
    logits = [_one(each, encoded, Path(folder), precision) for each in teachers]
    return np.mean(logits, axis=0, dtype=np.float32) if len(logits) > 1 else logits[0]


def _one(teacher, encoded, folder: Path, precision: str) -> np.ndarray:
    words = teacher.config.vocab_size
    if len(encoded.ids) and int(encoded.ids.max()) >= words:
        raise DistillationError(f"wrong teacher: its word table has {words} rows, and the texts have token id "
                                f"{int(encoded.ids.max())}. Encode them with the teacher's own tokenizer")
    key, shape = _key(teacher, encoded, precision), (len(encoded), teacher.config.num_labels)
    path = folder / f"logits-{key}.safetensors"
    logits = _read(path, key, shape)
    if logits is None:
        from safetensors.numpy import save_file

        from seo_core.evaluation import predict

        logits = predict(teacher, encoded, precision=precision).astype(np.float16)
        if not np.isfinite(logits).all():
            raise DistillationError("the teacher's logits are not finite: its training diverged; train it with a lower "
                                    "rate or in fp32")
        with writing(f"the teacher's logits to {folder}", DistillationError), atomic(path, sync=False) as partial:
            save_file({"logits": logits}, partial, {"key": key, "sha256": digest(logits)})
    return logits.astype(np.float32)


def _key(teacher, encoded, precision: str) -> str:
    """16 hex digits over the teacher's weights and sizes, the encoded texts, and the precision."""
    weights = [part for name, tensor in sorted(teacher.state_dict().items())
               for part in (f"{name} {tuple(tensor.shape)}", tensor.detach().cpu().float().numpy())]
    return digest(f"{teacher.config.num_hidden_layers} {precision}", *weights,
                  encoded.ids, encoded.offsets, encoded.first, length=16)


def _read(path: Path, key: str, shape: tuple[int, int]) -> np.ndarray | None:
    """The file's logits if it is whole and of this key and shape; else None."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            logits, metadata = file.get_tensor("logits"), file.metadata() or {}
    except (OSError, SafetensorError):
        return None
    whole = metadata.get("key") == key and metadata.get("sha256") == digest(logits)
    return logits if whole and logits.shape == shape and logits.dtype == np.float16 else None
