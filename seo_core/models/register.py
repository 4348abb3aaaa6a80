"""Makes `AutoConfig` and `AutoModelForSequenceClassification` know the compact BERT, without importing transformers.

    import seo_core                                                   # 0.04 s: nothing heavy is imported
    from transformers import AutoModelForSequenceClassification
    AutoModelForSequenceClassification.from_pretrained("path/to/a/pruned/model")

transformers must not be imported here, and our classes not while its own modules are half loaded. So `install`
registers a *stand-in* for the configuration: at once where transformers' `configuration_auto` is loaded already,
otherwise by a finder on `sys.meta_path`, right after that module has been executed. It imports the real configuration
when `from_pretrained` asks for it, whose first instance registers the network, before its class is looked up.
"""

import importlib.abc
import importlib.machinery
import sys

from seo_core.models import COMPACT

_CONFIGURATIONS = "transformers.models.auto.configuration_auto"


class CompactBertConfig:
    """Stands for `seo_core.models.compact.CompactBertConfig` in transformers' list until one is asked for."""

    model_type = COMPACT

    def __new__(cls, *arguments, **keywords):
        from seo_core.models.compact import CompactBertConfig as Real

        return Real(*arguments, **keywords)

    @classmethod
    def from_dict(cls, values: dict, **keywords):
        """The real configuration from the entries of a config.json."""
        from seo_core.models.compact import CompactBertConfig as Real

        return Real.from_dict(values, **keywords)


class _Unexplained(CompactBertConfig):
    """The same for folders that were saved before the name said more."""

    model_type = "compact_bert"


class _AfterImport(importlib.abc.MetaPathFinder):
    """Finds transformers' `configuration_auto` as Python does, and registers with it once it is executed."""

    def find_spec(self, name, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path) if name == _CONFIGURATIONS else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            _register_configuration(module)

        spec.loader.exec_module = exec_module
        return spec


def install() -> None:
    """Registers the compact BERT now, or as soon as transformers' auto modules are imported. Idempotent."""
    if _CONFIGURATIONS in sys.modules:
        _register_configuration(sys.modules[_CONFIGURATIONS])
    elif not any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterImport())


def _register_configuration(module) -> None:
    for stand_in in (CompactBertConfig, _Unexplained):
        module.AutoConfig.register(stand_in.model_type, stand_in, exist_ok=True)

