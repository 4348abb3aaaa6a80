"""The book's figures, one function each: the only room that imports matplotlib, and only once something is drawn.

    _ = figures.training_curves(result.series)

style.py says how all of them look; the others draw curves, intervals, bars, maps, the system, and what one chapter
alone needs.
"""

from seo_core.lazy import lazy

_HOME = {
    "curves": "accuracy_curves arm_weights development label_curves lengths loss_by_pairs movement"
              " over_batches over_layers rounding scalability share_and_accuracy sqd_trace thresholds training_curves",
    "intervals": "by_genre forest labels_needed where_rows_went",
    "bars": "baselines by_class genres latency_bars metric_bars parts ratio_bars sizes softened"
            " stacked",
    "maps": "bought_map confusion data_maps", "pruning": "loops ranges trace weight_distributions",
    "interactive": "explore price_steps trace_steps weight_steps",
    "size_speed": "size_vs_speed smaller", "synergy": "prices rounds",
    "system": "COMPONENTS EDGES Component architecture box_links dependencies structure"}
__getattr__, __dir__, __all__ = lazy(__name__, _HOME)
