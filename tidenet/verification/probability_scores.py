"""Scores of probability forecasts, from sums of any selection of months, leads and regions.

Every function takes totals (`tidenet.verification.monthly.Totals`): name to array (..., lead), or
(..., lead, class) for the histograms, with the names of
`tidenet.verification.probability.ProbabilitySums`; and is vectorised over the leading axes, so
that the bootstrap calls it once for all resamples.
"""

import numpy as np

from tidenet.verification.monthly import Totals


def probability_scores(totals: Totals) -> dict[str, np.ndarray]:
    """Return the scores of totals, each (..., lead); NaN where one is not defined.

    Returns
    -------
    dict
        ``crps`` (mmol m-2 d-1, fair) and ``crpss``, its skill against climatology dressed with its
        own spread. ``spread_skill``: root mean variance of the members over the RMSE, 1 where
        calibrated; ``regional_spread_skill``: of the regional mean. Of "is a source":
        ``brier`` = ``reliability`` - ``resolution`` + ``uncertainty`` (Murphy 1973);
        ``brier_skill`` against climatology, with the fair Brier score (Ferro 2014), that of an
        ensemble without end; ``roc_area``. ``coverage_50``, ``coverage_90``: part of the area
        inside the central interval; ``width_50``, ``width_90``: its mean width (mmol m-2 d-1).
        ``rank_reliability_index``: departure of the rank histogram from flat, summed over ranks
        (Delle Monache et al. 2006), 0 is flat.
    """
    weight = totals["weight"]
    shares = rank_shares(totals)
    return {
        "crps": _ratio(totals["crps"], weight),
        "crpss": 1 - _ratio(totals["crps"], totals["crps_climatology"]),
        "spread_skill": np.sqrt(_ratio(totals["variance"], totals["squared_error"])),
        "regional_spread_skill": np.sqrt(
            _ratio(totals["regional_variance"], totals["regional_squared_error"])
        ),
        **_brier_scores(totals),
        "roc_area": roc_area(totals),
        "coverage_50": _ratio(totals["inside_50"], weight),
        "coverage_90": _ratio(totals["inside_90"], weight),
        "width_50": _ratio(totals["width_50"], weight),
        "width_90": _ratio(totals["width_90"], weight),
        "rank_reliability_index": np.abs(shares - 1 / shares.shape[-1]).sum(axis=-1),
    }


def probability_shapes(totals: Totals) -> dict[str, np.ndarray]:
    """Return what diagrams are drawn from, each (..., lead, class).

    Returns
    -------
    dict
        ``rank_shares``, the rank histogram; ``reliability_probability``,
        ``reliability_frequency`` and ``reliability_share`` of `reliability_curve`.
    """
    curve = {f"reliability_{name}": values for name, values in reliability_curve(totals).items()}
    return {"rank_shares": rank_shares(totals), **curve}


def reliability_curve(totals: Totals, n_bins: int = 10) -> dict[str, np.ndarray]:
    """Return the reliability diagram of "is a source".

    Returns
    -------
    dict
        (..., lead, bin): ``probability``, the mean forecast probability in the bin; ``frequency``,
        how often the event came; ``share``, the part of the area forecast so. NaN in an empty bin.
    """
    classes, events = totals["class_weight"], totals["class_event"]
    n = classes.shape[-1] - 1
    # Class k of n has probability k / n; both ends have a bin edge, the last bin is closed.
    edges = np.arange(n_bins) * n / n_bins
    starts = np.unique(np.ceil(edges - 1e-9).astype(int))
    weight, event, probability = (
        np.add.reduceat(value, starts, axis=-1)
        for value in (classes, events, classes * (np.arange(n + 1) / n))
    )
    return {
        "probability": _ratio(probability, weight),
        "frequency": _ratio(event, weight),
        "share": _ratio(weight, totals["weight"][..., None]),
    }


def roc_curve(totals: Totals) -> tuple[np.ndarray, np.ndarray]:
    """Return false alarm rate and hit rate of "is a source", each (..., lead, m + 2).

    The first point warns never, the last always; point ``j`` where at least ``m + 1 - j`` members
    say so.
    """
    classes, events = totals["class_weight"], totals["class_event"]
    rates = []
    for value in (classes - events, events):
        above = np.cumsum(value[..., ::-1], axis=-1)
        above = np.concatenate([np.zeros_like(above[..., :1]), above], axis=-1)
        rates.append(_ratio(above, above[..., -1:]))
    return rates[0], rates[1]


def roc_area(totals: Totals) -> np.ndarray:
    """Return the area under the ROC curve (..., lead): 0.5 without resolution, 1 perfect.

    By the trapezoidal rule, which is exact: the probability that a source is given more members
    than a sink, ties counted half (Mason and Graham 2002).
    """
    false_alarms, hits = roc_curve(totals)
    width, height = np.diff(false_alarms, axis=-1), hits[..., 1:] + hits[..., :-1]
    area: np.ndarray = (width * height / 2).sum(axis=-1)
    return area


def rank_shares(totals: Totals, name: str = "rank_weight") -> np.ndarray:
    """Return the rank histogram as parts of the area (..., lead, m + 1).

    `name` may be ``regional_rank``: parts of the months, by the rank of the regional mean.
    """
    counts = totals[name]
    return _ratio(counts, counts.sum(axis=-1, keepdims=True))


def _brier_scores(totals: Totals) -> dict[str, np.ndarray]:
    weight, classes, events = totals["weight"], totals["class_weight"], totals["class_event"]
    n = classes.shape[-1] - 1
    probability = np.arange(n + 1) / n
    base = _ratio(events.sum(axis=-1), weight)
    frequency = np.nan_to_num(_ratio(events, classes))
    off = (classes * np.square(probability - frequency)).sum(axis=-1)
    apart = (classes * np.square(frequency - base[..., None])).sum(axis=-1)
    # What sampling m members adds to the score, on average: p (1 - p) / (m - 1).
    sampling = (classes * probability * (1 - probability)).sum(axis=-1) / max(n - 1, 1)
    return {
        "brier": _ratio(totals["brier"], weight),
        "brier_skill": 1 - _ratio(totals["brier"] - sampling, totals["brier_climatology"]),
        "reliability": _ratio(off, weight),
        "resolution": _ratio(apart, weight),
        "uncertainty": base * (1 - base),
    }


def _ratio(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Return a quotient, NaN where nothing is below."""
    upper, lower = np.broadcast_arrays(np.asarray(upper, float), np.asarray(lower, float))
    return np.divide(upper, lower, out=np.full(upper.shape, np.nan), where=lower > 0)
