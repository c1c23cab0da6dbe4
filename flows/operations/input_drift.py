"""Whether what the champion is given in service is still like what it was trained on.

A control chart of three statistics of each month in the record: the mean flux of the whole sea, the
contrast between its regions, and the share that was observed. Each is held against the training
period's mean of its calendar month, in training standard deviations, and followed by the moving
average of `flows.operations.drift`. The limit is what the size of that average stays below in 99 %
of years that are drawn from the training period itself, in blocks of months.

A network forecasts departures from what it was trained on. When the sea itself, or the product,
leaves that range, its skill will fall months later: the scores can only tell when those months have
come.
"""

import numpy as np

from flows.operations.drift import level_limit, moving_average
from flows.operations.workspace import Workspace
from storage.input_drift_checks import (
    HeldMonths,
    InputDriftCheck,
    Statistic,
    held_months,
    last_input_drift_checks,
    record_input_drift_check,
)
from storage.registry import ModelVersion, champion

CONFIDENCE = 0.99
MINIMUM_TRAINING_MONTHS = 36
"""Three years: the mean of a calendar month and its variation need several of each."""

SMALLEST_STD = {"mean": 1e-3, "contrast": 1e-3, "observed-share": 0.01}
"""Below this, a statistic did not vary in training; any change would be infinitely many
standard deviations."""


def check_input_drift(workspace: Workspace, grid: str) -> tuple[InputDriftCheck, ...]:
    """Look at what the champion is given since its training, and record what is new.

    Returns
    -------
    tuple of InputDriftCheck
        The newest look at each statistic; none where there is no champion, or too little to look
        at: less than three years of training in the record, or no month after it.
    """
    model = champion(workspace.engine, grid)
    if model is None:
        return ()
    held = held_months(workspace.engine, model.trained_from)
    for look in look_at_inputs(model, held, workspace):
        record_input_drift_check(workspace.engine, look)
    return tuple(last_input_drift_checks(workspace.engine, model.version).values())


def look_at_inputs(
    model: ModelVersion, held: HeldMonths, workspace: Workspace
) -> tuple[InputDriftCheck, ...]:
    """Return what the months since a model's training say; nothing if there are too few."""
    learned = held.months <= model.trained_until
    if learned.sum() < MINIMUM_TRAINING_MONTHS or learned.all():
        return ()
    served = held.months[~learned]
    looks = []
    for statistic, values in statistics_of(held).items():
        departures = standardised(values, held.months, learned, SMALLEST_STD[statistic])
        level = float(moving_average(departures[~learned][None])[0, -1])
        limit = level_limit(
            departures[learned], np.random.default_rng(0), CONFIDENCE, two_sided=True
        )
        looks.append(
            InputDriftCheck(
                model_version=model.version,
                statistic=statistic,
                first_month=served[0],
                last_month=served[-1],
                n_months=len(served),
                n_training_months=int(learned.sum()),
                level=level,
                level_limit=limit,
                drifting=abs(level) > limit,
                reason=_reason(statistic, served, level, limit),
                checked_at=workspace.now(),
            )
        )
    return tuple(looks)


def statistics_of(held: HeldMonths) -> dict[Statistic, np.ndarray]:
    """Return each statistic by month (month,).

    ``mean`` and ``contrast`` in mmol m-2 d-1: the mean flux of the whole sea, and the standard
    deviation of the regions' means around it, weighted by their area; ``observed-share`` 0 to 1.
    """
    whole, parts = held.mean[:, 0], held.mean[:, 1:]
    statistics: dict[Statistic, np.ndarray] = {
        "mean": whole,
        "observed-share": held.observed_share,
    }
    if parts.shape[1] > 1:
        variance = np.average((parts - whole[:, None]) ** 2, axis=1, weights=held.area_m2[1:])
        statistics["contrast"] = np.sqrt(variance)
    return statistics


def standardised(
    values: np.ndarray, months: np.ndarray, learned: np.ndarray, smallest_std: float
) -> np.ndarray:
    """Return departures from the training mean of the calendar month, in standard deviations.

    Parameters
    ----------
    values
        By month (month,).
    months
        datetime64[M] (month,).
    learned
        Whether a month belongs to the training (month,).
    smallest_std
        What the standard deviation is at least.
    """
    calendar = months.astype(int) % 12
    anomalies = np.empty(len(values))
    for number in np.unique(calendar):
        same = calendar == number
        known = values[same & learned]
        anomalies[same] = values[same] - (known.mean() if len(known) else values[learned].mean())
    return anomalies / max(float(anomalies[learned].std(ddof=1)), smallest_std)


def _reason(statistic: str, served: np.ndarray, level: float, limit: float) -> str:
    named = {
        "mean": "the mean flux",
        "contrast": "the contrast between regions",
        "observed-share": "the share that was observed",
    }[statistic]
    found = f"level {level:+.2f} standard deviations, limit ±{limit:.2f}, months to {served[-1]}"
    if abs(level) > limit:
        return f"Since its training {named} has left what it learned from: {found}. Train anew."
    return f"Since its training {named} is as it learned: {found}."
