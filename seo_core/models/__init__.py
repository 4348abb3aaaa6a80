"""Networks: the backbone, the compact BERT that pruning leaves, and a faster forward pass.

    network, tokenizer = load_backbone("bundled", num_labels=3, seed=0)

backbone.py loads and saves, compact.py is a BERT whose layers have sizes of their own, fastpath.py trains it faster.
"""

from seo_core.models.backbone import (
    ModelError,
    backbone_config,
    check_fits,
    check_max_length,
    count_parameters,
    fingerprint,
    freeze_embeddings,
    load_backbone,
    load_tokenizer,
    model_folder,
    model_info,
    save,
)

__all__ = ["ModelError", "backbone_config", "check_fits", "check_max_length", "count_parameters", "fingerprint",
           "freeze_embeddings", "load_backbone", "load_tokenizer", "model_folder", "model_info", "save"]
