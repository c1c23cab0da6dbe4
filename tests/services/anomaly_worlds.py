"""Small seas whose anomalies follow known rules."""

import numpy as np

from tidenet.references.anomalies import Anomalies, Sea


def sea(height: int = 10, width: int = 12) -> Sea:
    weight = np.ones((height, width))
    weight[:3, :4] = 0
    return Sea.of(weight)


def fading(memory: float = 0.8, n_months: int = 240, seed: int = 0) -> Anomalies:
    """Anomalies of unit variance that fade, independent from cell to cell."""
    rng = np.random.default_rng(seed)
    where = sea()
    values = np.zeros((n_months, len(where.weight)), dtype=np.float32)
    values[0] = rng.standard_normal(values.shape[1])
    for t in range(1, n_months):
        noise = rng.standard_normal(values.shape[1])
        values[t] = memory * values[t - 1] + np.sqrt(1 - memory**2) * noise
    return Anomalies(values, 0, where)


def drifting(n_months: int = 240, seed: int = 0) -> Anomalies:
    """Anomalies that move one cell to the east each month while they fade; no land."""
    rng = np.random.default_rng(seed)
    where = Sea.of(np.ones((12, 16)))
    field, maps = rng.standard_normal((12, 16)), []
    for _ in range(n_months):
        moved = np.roll(field, 1, axis=1)
        moved[:, 0] = rng.standard_normal(12)
        field = 0.8 * moved + 0.6 * rng.standard_normal((12, 16))
        maps.append(field[where.ocean])
    return Anomalies(np.array(maps, dtype=np.float32), 0, where)


def skill(method, anomalies: Anomalies, first: int, lead: int) -> float:
    """Return the skill against zero of forecasts of the months from ``first`` on."""
    start = np.arange(first, len(anomalies) - lead)
    forecast = method.forecast(anomalies, start)[:, lead - 1]
    truth = anomalies.values[start + lead]
    return float(1 - np.square(truth - forecast).mean() / np.square(truth).mean())
