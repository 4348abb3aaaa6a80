"""Networks: backbone.py loads and saves, compact.py is the BERT that pruning leaves, fastpath.py trains it faster.

    network, tokenizer = load_backbone("bundled", num_labels=3, seed=0)
"""

from seo_core.lazy import lazy

# Model type of the BERT that pruning leaves. transformers alone refuses it, by this name, which says what to do.
COMPACT = "compact_bert (import seo_core first)"

_HOME = {"backbone": "HEADS ModelError backbone_config check_fits check_max_length count_parameters fingerprint"
                     " freeze_embeddings load_backbone load_tokenizer model_folder model_info save"}
__getattr__, __dir__, __all__ = lazy(__name__, _HOME)
