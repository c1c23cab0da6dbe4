"""What a month is expected to be before any anomaly is known: a denoised season and a trend.

The mean of a dozen Januaries is known only to a third of January's own spread, and the sea of
today is not that of the middle of the training period. Both are corrected as far as the data
support it, in standard deviations of the training period's own climatology, so that a forecast
that knows nothing else is already a little better than that climatology.
"""

from dataclasses import dataclass

import numpy as np

from tidenet.references.anomalies import Anomalies, Sea

SEASON_SIGMA = 10.0
"""Reach (cells) over which the strength of a season's harmonic is judged."""


@dataclass(frozen=True)
class ExpectedCycle:
    """Expected anomaly of any month, standard deviations of the training climatology.

    Parameters
    ----------
    season
        Correction of each calendar month, float32 (12, cell), January first.
    slope
        Trend a month, float32 (cell,).
    first_calendar, middle
        Calendar month (0 to 11) of row 0, and the row at which the trend is zero.
    """

    season: np.ndarray
    slope: np.ndarray
    first_calendar: int
    middle: float

    def expected(self, rows: np.ndarray) -> np.ndarray:
        """Return the expected anomaly of rows counted from the training period's first month.

        Parameters
        ----------
        rows
            Integers of any shape; past the end of the training period is allowed.

        Returns
        -------
        numpy.ndarray
            float32 (..., cell).
        """
        rows = np.asarray(rows)
        trend = (rows - self.middle)[..., None].astype(np.float32) * self.slope
        total: np.ndarray = self.season[(self.first_calendar + rows) % 12] + trend
        return total

    def remove(self, anomalies: Anomalies, first_row: int = 0) -> Anomalies:
        """Return what is left of anomalies whose first month is ``first_row``."""
        rows = first_row + np.arange(len(anomalies))
        return anomalies.with_values(anomalies.values - self.expected(rows))


def fit_cycle(anomalies: Anomalies, mean: np.ndarray, std: np.ndarray) -> ExpectedCycle:
    """Fit season and trend.

    Parameters
    ----------
    anomalies
        Of the training period, from its own climatology.
    mean, std
        That climatology on the same cells (12, cell), mmol m-2 d-1.
    """
    n_years = len(anomalies) / 12
    season = ((denoised_season(mean, std, n_years, anomalies.sea) - mean) / std).astype(np.float32)
    seasonless = anomalies.values - season[anomalies.calendar]
    slope = shrunk_trend(seasonless, anomalies.sea)
    middle = (len(anomalies) - 1) / 2
    return ExpectedCycle(season, slope, anomalies.first_calendar, middle)


def denoised_season(mean: np.ndarray, std: np.ndarray, n_years: float, sea: Sea) -> np.ndarray:
    """Return a seasonal cycle (12, cell) with the noise of a short record taken out.

    A Wiener filter of its harmonics: each is multiplied by ``1 - N / P``, with ``P`` its power in
    the neighbourhood and ``N`` the power that year-to-year variance alone gives it.
    """
    harmonics = np.fft.rfft(mean.astype(np.float64), axis=0) / 12
    noise = sea.smooth(np.square(std, dtype=np.float64).mean(axis=0), SEASON_SIGMA) / (12 * n_years)
    for number in range(1, 7):
        power = sea.smooth(np.square(np.abs(harmonics[number])), SEASON_SIGMA)
        harmonics[number] *= np.maximum(1 - noise / np.maximum(power, 1e-12), 0.0)
    cycle: np.ndarray = np.fft.irfft(harmonics * 12, 12, axis=0)
    return cycle


def shrunk_trend(values: np.ndarray, sea: Sea) -> np.ndarray:
    """Return each cell's linear trend (cell,), shrunk by how well it is known; float32, per month.

    A cell's slope is shrunk towards the area mean slope, and that towards zero (empirical Bayes).
    The uncertainty counts months by how independent they are: red noise, of which slow swings are
    made, looks like a trend. A fitted trend that is not shrunk harms where there is none.
    """
    time = np.arange(len(values)) - (len(values) - 1) / 2
    leverage = float(np.square(time).sum())
    slope = (time @ values) / leverage
    residual = values - time[:, None] * slope
    noise = _slope_variance(residual, leverage)
    mean = float(np.average(slope, weights=sea.weight))
    mean_noise = float(_slope_variance(sea.mean(residual)[:, None], leverage)[0])
    trusted_mean = mean * max(0.0, 1 - mean_noise / max(mean**2, 1e-18))
    between = np.average(np.square(slope - mean), weights=sea.weight)
    between = max(float(between - np.average(noise, weights=sea.weight)), 0.0)
    trust = between / np.maximum(between + noise, 1e-18)
    shrunk: np.ndarray = trusted_mean + trust * (slope - mean)
    return shrunk.astype(np.float32)


def _slope_variance(residual: np.ndarray, leverage: float) -> np.ndarray:
    """Return the variance of a fitted slope whose residuals (time, cell) are red noise, AR(1)."""
    square = np.square(residual).sum(axis=0)
    lagged = (residual[1:] * residual[:-1]).sum(axis=0)
    memory = np.clip(lagged / np.maximum(square, 1e-9), 0.0, 0.95)
    variance = square / max(len(residual) - 2, 1)
    total: np.ndarray = variance / leverage * (1 + memory) / (1 - memory)
    return total
