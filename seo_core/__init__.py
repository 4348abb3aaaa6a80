"""seo_core: the methods behind the SEO-LLM book, one short module per idea.

Importing the package is cheap on purpose (a notebook kernel pays for it each
time): torch, transformers, datasets and matplotlib are imported by the
functions that use them. transformers' Auto classes know the compact (pruned) BERT after this import, and a training
leaves room for its neighbours (`seo_core.machine.share_cores`, which looks for them now).
"""

import warnings

from seo_core.checks import SettingsError
from seo_core.machine import share_cores as _share_cores
from seo_core.models.register import install as _install
from seo_core.settings import RunSettings, load_settings

__version__ = "0.1.0"

warnings.filterwarnings("ignore", message="IProgress not found")  # plain progress bars are what the pages want
_share_cores()
_install()  # the compact BERT, for transformers' Auto classes, once they are imported


def load(folder, **options):
    """The classifier in an artifact folder, or that of one that comes with the book by its name ("reference"), ready to
    `predict`; see `seo_core.deploy.artifact.load`. Needs no torch."""
    from seo_core.deploy.artifact import load

    return load(folder, **options)


__all__ = ["RunSettings", "SettingsError", "load", "load_settings", "__version__"]
