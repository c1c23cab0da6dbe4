"""Pictures of skill and calibration. Each function returns a matplotlib figure.

Colours are those of Okabe and Ito, told apart by eyes that see no red or green; methods also
differ in their markers. Bars and bands are block-bootstrap intervals, and each picture says of how
many months.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tidenet.verification.bootstrap import Interval, interval, intervals
from tidenet.verification.monthly import MonthlySums, Totals
from tidenet.verification.probability_scores import (
    rank_shares,
    reliability_curve,
    roc_area,
    roc_curve,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_GREY = "0.45"
_EVENT = "“is a source” (flux out of the sea)"


def reliability_diagram(
    sums: MonthlySums,
    *,
    title: str,
    rng: np.random.Generator,
    n_bins: int = 10,
    window: int | None = None,
    level: float = 0.9,
) -> "Figure":
    """Draw how often the sea was a source where a probability of it was forecast.

    On the diagonal a forecast is reliable; above it too low. Below, how often each probability
    was given (sharpness); the dashed lines are how often the event comes at all.

    Parameters
    ----------
    sums
        Sums of `ProbabilitySums` rows; their leads are pooled.
    title
        Of the figure: method, leads, region.
    rng, window, level
        For the bootstrap bars.
    n_bins
        Bins of probability.
    """
    from matplotlib.figure import Figure

    window = window or max(sums.leads)
    pooled = sums.pooled()
    curves = intervals(
        pooled,
        lambda totals: reliability_curve(totals, n_bins),
        rng=rng,
        window=window,
        level=level,
    )
    total = pooled.total()
    base = float(total["class_event"].sum() / total["weight"].sum())
    figure = Figure(figsize=(5.4, 7.2), layout="constrained")
    upper, lower = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": (3.2, 1)}, squeeze=True
    )
    x, found = curves["probability"].estimate[0], curves["frequency"]
    y, there = found.estimate[0], np.isfinite(found.estimate[0])
    upper.plot((0, 1), (0, 1), color=_GREY, linewidth=1, label="reliable")
    upper.axhline(base, color=_GREY, linewidth=1, linestyle="--", label=f"base rate {base:.2f}")
    upper.errorbar(
        x[there],
        y[there],
        yerr=_bars(found, there),
        color=COLOURS[0],
        marker="o",
        capsize=3,
        label=f"forecast, {100 * level:.0f} % interval",
    )
    upper.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel="Observed frequency")
    # Boxes of one width, so that the panels share their horizontal axis on paper too.
    upper.set_box_aspect(1)
    lower.set_box_aspect(0.28)
    upper.legend(loc="upper left", fontsize=9, frameon=False)
    share = curves["share"].estimate[0]
    lower.bar(x[there], share[there], width=0.7 / n_bins, color=COLOURS[0])
    lower.axvline(base, color=_GREY, linewidth=1, linestyle="--")
    lower.set(xlabel=f"Forecast probability of {_EVENT}", ylabel="Part of the area")
    _finish(figure, [upper, lower], title, found)
    return figure


def rank_histograms(
    sums: MonthlySums,
    *,
    title: str,
    rng: np.random.Generator,
    name: str = "rank_weight",
    most_bars: int = 30,
    window: int | None = None,
    level: float = 0.9,
) -> "Figure":
    """Draw, for each lead, how often the observed value had which rank among the members.

    Flat is calibrated; high at both ends too narrow; high on the right too low a forecast.

    Parameters
    ----------
    sums
        Sums of `ProbabilitySums` rows.
    title
        Of the figure.
    rng, window, level
        For the bootstrap bars.
    name
        ``rank_weight``: of cells. ``regional_rank``: of the regional mean, one a month: few
        bars show more there.
    most_bars
        Neighbouring ranks are put together, equally many in each bar, until there are no more
        bars than that; where the number of ranks allows it.
    """
    from matplotlib.figure import Figure

    n_ranks = sums.values[name].shape[-1]
    together = next((k for k in _divisors(n_ranks) if n_ranks // k <= most_bars), 1)

    def bars(totals: Totals) -> np.ndarray:
        shares = rank_shares(totals, name)
        return shares.reshape(*shares.shape[:-1], -1, together).sum(axis=-1)

    shares = interval(sums, bars, rng=rng, window=window, level=level)
    columns = 2 if len(sums.leads) == 4 else min(len(sums.leads), 3)
    lines = -(-len(sums.leads) // columns)
    figure = Figure(figsize=(3.6 * columns + 0.6, 2.7 * lines + 0.9), layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    ranks = np.arange(n_ranks).reshape(-1, together).mean(axis=1)
    for axis, position, lead in zip(grid, range(len(sums.leads)), sums.leads, strict=False):
        there = np.isfinite(shares.estimate[position])
        axis.bar(
            ranks,
            shares.estimate[position],
            yerr=_bars(shares, there, position) if there.all() else None,
            width=0.9 * together,
            color=COLOURS[5],
            error_kw={"elinewidth": 0.8, "ecolor": "0.3"},
        )
        axis.axhline(together / n_ranks, color=COLOURS[1], linewidth=1.2, linestyle="--")
        axis.set_title("All leads" if lead == 0 else f"Lead {lead}", fontsize=10)
        axis.set_xticks(_few(n_ranks))
    part = f"Part of the {'area' if name == 'rank_weight' else 'months'}"
    for position, axis in enumerate(grid[: len(sums.leads)]):
        if position % columns == 0:
            axis.set_ylabel(part, fontsize=9)
        if position + columns >= len(sums.leads):
            axis.set_xlabel("Members below the observed value", fontsize=9)
            axis.tick_params(labelbottom=True)
    for axis in grid[len(sums.leads) :]:
        axis.set_visible(False)
    shown = list(grid[: len(sums.leads)])
    _finish(figure, shown, f"{title}\ndashed: flat, as of a calibrated ensemble", shares, low=True)
    return figure


def skill_by_lead(
    methods: Mapping[str, Interval],
    leads: Sequence[int],
    *,
    label: str,
    title: str,
    reference: float = 0.0,
) -> "Figure":
    """Draw a score by lead for several methods, with intervals.

    Parameters
    ----------
    methods
        Method name to interval of a statistic (lead,), all of the same months. The first is drawn
        in front.
    leads
        Lead months of the statistic.
    label
        What the vertical axis shows, with its unit where it has one.
    title
        Of the figure.
    reference
        Value of the score without skill, or of perfect calibration; drawn as a line.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axis = figure.subplots()
    axis.axhline(reference, color=_GREY, linewidth=1)
    # Side by side, so that the bars of one method do not hide those of another.
    offsets = (np.arange(len(methods)) - (len(methods) - 1) / 2) * min(0.09, 0.6 / len(methods))
    for position, (name, found) in enumerate(methods.items()):
        there = np.isfinite(found.estimate)
        axis.errorbar(
            np.asarray(leads)[there] + offsets[position],
            found.estimate[there],
            yerr=_bars(found, there, None),
            color=COLOURS[position % len(COLOURS)],
            marker=MARKERS[position % len(MARKERS)],
            markersize=5,
            linewidth=1.8 if position == 0 else 1.1,
            elinewidth=0.9,
            capsize=2,
            label=name,
            zorder=5 if position == 0 else 3,
        )
    axis.set_xticks(list(leads))
    axis.set(xlabel="Lead (months)", ylabel=label)
    axis.legend(fontsize=9, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _finish(figure, [axis], title, next(iter(methods.values())))
    return figure


def roc_diagram(
    methods: Mapping[str, MonthlySums],
    *,
    title: str,
    rng: np.random.Generator,
    window: int | None = None,
    level: float = 0.9,
) -> "Figure":
    """Draw hits against false alarms of "is a source", with the areas under the curves.

    Parameters
    ----------
    methods
        Method name to sums of `ProbabilitySums` rows of the same months; their leads are pooled.
    title
        Of the figure.
    rng, window, level
        For the bootstrap intervals of the areas.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.8, 6.2), layout="constrained")
    axis = figure.subplots()
    axis.plot((0, 1), (0, 1), color=_GREY, linewidth=1)
    found = None
    for position, (name, sums) in enumerate(methods.items()):
        pooled = sums.pooled()
        found = interval(pooled, roc_area, rng=rng, window=window or max(sums.leads), level=level)
        false_alarms, hits = roc_curve(pooled.total())
        area, low, high = (float(value[0]) for value in (found.estimate, found.low, found.high))
        axis.plot(
            false_alarms[0],
            hits[0],
            color=COLOURS[position % len(COLOURS)],
            marker=MARKERS[position % len(MARKERS)],
            markersize=4,
            linewidth=1.5,
            label=f"{name}: area {area:.2f} ({low:.2f} to {min(high, 1.0):.2f})",
        )
    axis.set(
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
        xlabel="False alarm rate (sinks called sources)",
        ylabel="Hit rate (sources called sources)",
    )
    axis.set_aspect("equal")
    axis.legend(loc="lower right", fontsize=9, frameon=False)
    _finish(figure, [axis], f"ROC of {_EVENT}\n{title}", found)
    return figure


def _bars(found: Interval, there: np.ndarray, position: int | None = 0) -> np.ndarray:
    """Return lengths of error bars (2, n), never negative, none where an interval has no end."""
    parts = (found.low, found.estimate, found.high)
    low, middle, high = (part if position is None else part[position] for part in parts)
    bars = np.stack([middle - low, high - middle])[:, there]
    return np.where(np.isfinite(bars), np.maximum(bars, 0.0), 0.0)


def _divisors(n: int) -> list[int]:
    """Return what divides a number, the number itself left out."""
    return [k for k in range(1, n) if n % k == 0]


def _few(n_ranks: int) -> list[int]:
    """Return some five ticks of ranks, both ends among them."""
    return sorted({int(tick) for tick in np.linspace(0, n_ranks - 1, 5).round()})


def _finish(
    figure: "Figure",
    axes: Sequence["Axes"],
    title: str,
    found: Interval | None,
    low: bool = False,
) -> None:
    """Give axes and figure what they have in common."""
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=9)
        axis.grid(axis="y", color="0.9", linewidth=0.6)
        axis.set_axisbelow(True)
        if low:
            axis.set_ylim(bottom=0)
    figure.suptitle(title, fontsize=12)
    if found is None:
        return
    bars = f"{100 * found.level:.0f} % of a bootstrap of blocks of {found.block} months"
    ends = "no bars: too few months" if np.isinf(found.low).any() else f"bars: {bars}"
    engine = figure.get_layout_engine()
    if engine is not None:
        footnote = 0.28 / figure.get_figheight()  # inches
        engine.set(rect=(0, footnote, 1, 1 - footnote))  # type: ignore[call-arg]
    text = f"{found.n_months} init months; {ends}"
    figure.text(0.99, 0.006, text, fontsize=8, color="0.35", ha="right", va="bottom")
