"""Maps: confusion of classes, the data map of a purchase, and where in the pool was bought."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure

from seo_core.figures import style


@style.card
def confusion(matrix, labels) -> Figure:
    """Confusion matrix (k, k), rows the true class: counts, coloured by the share of their row."""
    import seaborn

    counts = np.asarray(matrix)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    words = [[f"{n:,}\n{s:.0%}".replace(",", " ") for n, s in zip(*row, strict=True)]
             for row in zip(counts, share, strict=True)]
    figure, axes = plt.subplots(figsize=(1.6 + 1.15 * len(labels), 1.1 + 0.95 * len(labels)))
    seaborn.heatmap(share, vmin=0, vmax=1, cmap="Blues", annot=np.array(words), fmt="", cbar=False, ax=axes,
                    xticklabels=labels, yticklabels=labels, annot_kws={"fontsize": 10})
    axes.set(xlabel="predicted", ylabel="true")
    axes.tick_params(length=0, labelrotation=0)
    return figure


@style.card
def bought_map(uncertainty: np.ndarray, density: np.ndarray, bought: dict[str, np.ndarray]) -> Figure:
    """Where in the pool each acquisition function bought: density against uncertainty, a panel per function.
    uncertainty (N,) in nats, density (N,) of the whole pool, grey; bought: name -> positions, coloured."""
    figure, grid = style.panels_of(bought, 3, 3.1, 2.7)
    for axes, (name, positions) in zip(grid.flat, bought.items(), strict=False):
        axes.set_title(name.replace("_", " "))
        axes.plot(density, uncertainty, ".", color=style.GRID, markersize=4, label="pool")
        axes.plot(density[positions], uncertainty[positions], "o", markersize=4, markerfacecolor=style.BLUE,
                  markeredgecolor=style.CARD, markeredgewidth=0.5, label="bought")
    for axes in grid[-1]:
        axes.ticklabel_format(axis="x", useOffset=False)  # densities close to 1 differ in the fifth digit
        axes.locator_params(axis="x", nbins=3)
    plt.setp(grid[-1], xlabel="density")
    plt.setp(grid[:, 0], ylabel="uncertainty, nats")
    style.shared_legend(figure, 2)
    return figure


@style.card
def data_maps(histograms: dict[str, np.ndarray], cut: float) -> Figure:
    """What each arm bought on the data map, a panel each: variability to the right, confidence upwards.
    histograms, cut: `efficiency.map_histograms`; shares (confidence bins, variability bins) of a purchase, the more the
    darker. Dashed: the borders of the regions. "not run" without any."""
    if not histograms:
        return style.nothing_run()
    figure, grid = style.panels_of(histograms, 4, 2.4, 2.7)
    shade = LinearSegmentedColormap.from_list("shares", [style.CARD, style.SKY, style.BLUE, style.BLACK])
    most = max(float(h.max()) for h in histograms.values())
    for axes, (name, shares) in zip(grid.flat, histograms.items(), strict=False):
        axes.set_title(name.replace("_", " "))
        up, right = (np.linspace(0, top, n + 1) for top, n in zip((1, 0.5), shares.shape, strict=True))
        axes.pcolormesh(right, up, 100 * shares, cmap=shade, norm=PowerNorm(0.5, 0, 100 * most), rasterized=True)
        axes.axvline(cut, color=style.VERMILION, linewidth=1.1, linestyle="--")
        axes.plot([0, cut], [0.5, 0.5], color=style.VERMILION, linewidth=1.1, linestyle="--")
        axes.set(xlim=(0, 0.5), ylim=(0, 1))
        axes.grid(False)
    plt.setp(grid[-1], xlabel="variability")
    plt.setp(grid[:, 0], ylabel="confidence")
    return figure
