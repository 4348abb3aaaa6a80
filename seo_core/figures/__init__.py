"""The book's figures, one function each: the only room that imports matplotlib.

    _ = figures.training_curves(result.series)

style.py says how all of them look; the others draw curves, intervals, bars, the architecture, and what one chapter
alone needs.
"""

from seo_core.figures.adaptive import (
    arm_weights,
    where_rows_went,
)
from seo_core.figures.architecture import (
    COMPONENTS,
    EDGES,
    Component,
    architecture,
    dependencies,
    structure,
)
from seo_core.figures.bars import (
    by_genre,
    confusion,
    ratio_bars,
    wilson,
)
from seo_core.figures.curves import (
    accuracy_curves,
    reference_curves,
    training_curves,
)
from seo_core.figures.data import (
    baselines,
    genres,
    lengths,
)
from seo_core.figures.intervals import (
    forest,
    gain_intervals,
    gain_points,
    to_base,
)
from seo_core.figures.pruning import (
    rounding,
    share_and_accuracy,
    sizes,
    softened,
    sqd_trace,
    trace,
    weight_distributions,
)
from seo_core.figures.selection import (
    bought_map,
    by_class,
    data_maps,
    development,
    label_curves,
    label_points,
    labels_needed,
    movement,
    thresholds,
)
from seo_core.figures.size_speed import (
    latency_bars,
    parts,
    ranges,
    size_vs_speed,
)
from seo_core.figures.style import (
    BLACK,
    BLUE,
    CARD,
    COLOURS,
    DEEPEST,
    GREEN,
    GRID,
    LINES,
    MARKERS,
    ORANGE,
    PURPLE,
    SKY,
    SOFT,
    VERMILION,
    YELLOW,
    end_axis,
    style,
)

__all__ = [
    "BLACK",
    "BLUE",
    "CARD",
    "COLOURS",
    "COMPONENTS",
    "Component",
    "DEEPEST",
    "EDGES",
    "GREEN",
    "GRID",
    "LINES",
    "MARKERS",
    "ORANGE",
    "PURPLE",
    "SKY",
    "SOFT",
    "VERMILION",
    "YELLOW",
    "accuracy_curves",
    "architecture",
    "arm_weights",
    "baselines",
    "bought_map",
    "by_class",
    "by_genre",
    "confusion",
    "data_maps",
    "dependencies",
    "development",
    "end_axis",
    "forest",
    "gain_intervals",
    "gain_points",
    "genres",
    "label_curves",
    "label_points",
    "labels_needed",
    "latency_bars",
    "lengths",
    "movement",
    "parts",
    "ranges",
    "ratio_bars",
    "reference_curves",
    "rounding",
    "share_and_accuracy",
    "size_vs_speed",
    "sizes",
    "softened",
    "sqd_trace",
    "structure",
    "style",
    "thresholds",
    "to_base",
    "trace",
    "training_curves",
    "weight_distributions",
    "where_rows_went",
    "wilson",
]
