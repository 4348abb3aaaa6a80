"""Random token batches for tests of the forward pass."""

import numpy as np
import torch


def random_batch(rows=6, longest=17, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, longest, size=rows)
    lengths[0] = longest
    mask = torch.from_numpy((np.arange(longest) < lengths[:, None]).astype(np.int64))
    ids = torch.from_numpy(rng.integers(5, 100, size=(rows, longest))) * mask
    segments = torch.from_numpy((np.arange(longest) >= (lengths // 2)[:, None]).astype(np.int64)) * mask
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments}
