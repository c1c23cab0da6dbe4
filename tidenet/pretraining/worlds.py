"""Simulated worlds: seas that never were, to learn from before the few maps of a real one.

A couple of hundred monthly maps teach a network little; a thousand made-up seas teach it what seas
have in common. Each world has a coast, steady currents and a season of its own, and anomalies that
are a sum of processes of random size and pace: patches that drift while they fade and new ones
form, swings of the whole basin, a trend, weather, and noise of the retrieval. Between them the
worlds span more than is known of any one sea, so that a real one lies somewhere among them.

A world is a record like any other: it is made into training windows in the same way.
"""

from dataclasses import dataclass

import numpy as np

from storage.grid import Grid
from storage.months import month
from tidenet.record import FluxRecord

FIRST_MONTH = month("2000-01")
SPIN_UP_MONTHS = 36


@dataclass(frozen=True)
class WorldKind:
    """Range that worlds are drawn from.

    Parameters
    ----------
    n_months
        Months of each world.
    most_speed
        Largest mean speed of the currents, cells a month.
    still_share, open_share
        Shares of worlds without currents, and of worlds without land.
    memory
        Least and largest part of a patch that is left after a month.
    patch_cells
        Least and largest scale of patches (standard deviation of the smoothing, cells).
    """

    n_months: int = 204
    most_speed: float = 5.0
    still_share: float = 0.15
    open_share: float = 0.2
    memory: tuple[float, float] = (0.7, 0.96)
    patch_cells: tuple[float, float] = (0.8, 4.0)


def make_world(seed: tuple[int, ...], shape: tuple[int, int], kind: WorldKind) -> FluxRecord:
    """Make a world.

    Parameters
    ----------
    seed
        Any integers; the same ones and shape give the same world.
    shape
        Rows and columns.
    kind
        What worlds there are.

    Returns
    -------
    FluxRecord
        Monthly maps with a season, in arbitrary units.
    """
    rng = np.random.default_rng(seed)
    grid = Grid("world", south=-shape[0] / 4, west=0.0, step=0.5, n_lat=shape[0], n_lon=shape[1])
    ocean = _coast(rng, shape, kind)
    calendar = (np.arange(kind.n_months)) % 12
    total = np.zeros((kind.n_months, *shape))
    flow = _currents(rng, shape, ocean, kind)
    parts = {
        "patches": _patches(rng, shape, ocean, flow, kind),
        "others": _patches(rng, shape, ocean, flow * rng.choice([0.0, 1.0]), kind),
        "basin": _basin(rng, shape, kind.n_months),
        "weather": smooth_noise(rng, kind.n_months, shape, rng.uniform(1.0, 6.0)),
        "noise": rng.standard_normal((kind.n_months, *shape)),
    }
    # Share of each in the variance: patches and basin carry what can be foreseen.
    strength = rng.gamma([4.0, 0.8, 1.0, 0.3, 0.2])
    for (name, part), size in zip(parts.items(), np.sqrt(strength / strength.sum()), strict=True):
        swing = rng.uniform(0, 0.5) if name != "noise" else 0.0
        total += size * part * (1 + swing * _harmonic(rng, calendar)[:, None, None])
    total += _trend(rng, shape, kind.n_months)
    total *= np.exp(rng.uniform(0, 0.6) * smooth_noise(rng, 1, shape, 6.0))
    total += _season(rng, shape)[calendar]
    fields = np.where(ocean, total, np.nan).astype(np.float32)
    return FluxRecord(grid, ocean, FIRST_MONTH, fields)


def smooth_noise(
    rng: np.random.Generator, n_maps: int, shape: tuple[int, int], sigma: float
) -> np.ndarray:
    """Return independent maps of smooth noise (map, row, column): mean 0, variance about 1.

    Made on a plane twice as large, so that opposite edges have nothing in common.

    Parameters
    ----------
    sigma
        Standard deviation of the Gaussian that white noise is smoothed with (cells).
    """
    rows, columns = (2 * side for side in shape)
    square = np.fft.fftfreq(rows)[:, None] ** 2 + np.fft.rfftfreq(columns) ** 2
    gaussian = np.exp(-2 * (np.pi * sigma) ** 2 * square)
    kernel = np.fft.irfft2(gaussian, s=(rows, columns))
    white = rng.standard_normal((n_maps, rows, columns), dtype=np.float32)
    smooth = np.fft.irfft2(np.fft.rfft2(white) * gaussian, s=(rows, columns))
    maps: np.ndarray = smooth[:, : shape[0], : shape[1]] / np.sqrt(np.square(kernel).sum())
    return maps


def _coast(rng: np.random.Generator, shape: tuple[int, int], kind: WorldKind) -> np.ndarray:
    """Return a random ocean mask (row, column): open, islands, or a continent on one side."""
    if rng.random() < kind.open_share:
        return np.ones(shape, dtype=bool)
    height = smooth_noise(rng, 1, shape, rng.uniform(1.5, 6.0))[0]
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    height = height + rng.uniform(0, 3) * (np.cos(angle) * x + np.sin(angle) * y)
    ocean: np.ndarray = height < np.quantile(height, 1 - rng.uniform(0.05, 0.55))
    return ocean


def _currents(
    rng: np.random.Generator, shape: tuple[int, int], ocean: np.ndarray, kind: WorldKind
) -> np.ndarray:
    """Return steady currents (2, row, column), rows and columns a month: eddies and a drift."""
    if rng.random() < kind.still_share:
        return np.zeros((2, *shape))
    stream = smooth_noise(rng, 1, shape, rng.uniform(3.0, 10.0))[0]
    stream = stream * _offshore(ocean, 2.0)
    flow = np.stack(np.gradient(stream))[::-1] * np.array([-1.0, 1.0])[:, None, None]
    flow = flow / np.maximum(np.sqrt(np.square(flow).sum(axis=0).mean()), 1e-6)
    angle, share = rng.uniform(0, 2 * np.pi), rng.uniform(0, 1)
    drift = np.array([np.sin(angle), np.cos(angle)])[:, None, None]
    flow = (1 - share) * flow + share * drift
    speed = kind.most_speed * rng.uniform(0.1, 1.0)
    moved: np.ndarray = speed * flow * _offshore(ocean, 1.0)
    return moved


def _offshore(ocean: np.ndarray, sigma: float) -> np.ndarray:
    """Return 0 on land and at the coast, rising to 1 away from it (row, column)."""
    from scipy.ndimage import gaussian_filter

    if ocean.all():
        return np.ones(ocean.shape)
    near = gaussian_filter(ocean.astype(float), sigma, mode="nearest")
    return np.clip(2 * near - 1, 0.0, 1.0)


def _patches(
    rng: np.random.Generator,
    shape: tuple[int, int],
    ocean: np.ndarray,
    flow: np.ndarray,
    kind: WorldKind,
) -> np.ndarray:
    """Return patches that drift, fade and are born (time, row, column), variance about 1."""
    n_months = kind.n_months + SPIN_UP_MONTHS
    memory = rng.uniform(*kind.memory) + 0.06 * smooth_noise(rng, 1, shape, 8.0)[0]
    yearly = rng.uniform(0, 0.08) * _harmonic(rng, np.arange(12))
    fresh = smooth_noise(rng, n_months, shape, rng.uniform(*kind.patch_cells))
    origins = np.indices(shape) - flow
    now, months = np.zeros(shape), np.empty((kind.n_months, *shape))
    for step in range(n_months):
        # The calendar of the spin-up ends where that of the world begins.
        keep = np.clip(memory + yearly[(step - SPIN_UP_MONTHS) % 12], 0.0, 0.98)
        if flow.any():
            now = _moved(now, origins)
        now = np.where(ocean, keep * now + np.sqrt(1 - keep**2) * fresh[step], 0.0)
        if step >= SPIN_UP_MONTHS:
            months[step - SPIN_UP_MONTHS] = now
    return months


def _moved(now: np.ndarray, origins: np.ndarray) -> np.ndarray:
    """Return a map carried from where its water was, its variance never growing.

    Where currents converge, and where splines overshoot, it would grow month by month.
    """
    from scipy.ndimage import map_coordinates

    moved: np.ndarray = map_coordinates(now, origins, order=3, mode="constant", cval=0.0)
    growth = np.square(moved).sum() / max(float(np.square(now).sum()), 1e-12)
    return moved / np.sqrt(max(growth, 1.0))


def _basin(rng: np.random.Generator, shape: tuple[int, int], n_months: int) -> np.ndarray:
    """Return swings of the whole basin (time, row, column), variance about 1: one to three."""
    n_swings = int(rng.integers(1, 4))
    patterns = smooth_noise(rng, n_swings, shape, rng.uniform(5.0, 15.0))
    patterns = patterns + rng.normal(0, 0.7, (n_swings, 1, 1))
    series = np.empty((n_swings, n_months))
    for swing in series:
        # A damped oscillation; a period of many years makes it red noise.
        keep, turn = rng.uniform(0.7, 0.97), 2 * np.pi / rng.choice([18.0, 36.0, 60.0, 1e9])
        kicks = rng.standard_normal((n_months + SPIN_UP_MONTHS, 2)) @ np.array([1, 1j])
        now = 0j
        for step, kick in enumerate(kicks):
            now = keep * np.exp(1j * turn) * now + np.sqrt(1 - keep**2) * kick
            if step >= SPIN_UP_MONTHS:
                swing[step - SPIN_UP_MONTHS] = now.real
    return np.einsum("st,sij->tij", series, patterns) / np.sqrt(1.5 * n_swings)


def _trend(rng: np.random.Generator, shape: tuple[int, int], n_months: int) -> np.ndarray:
    """Return a linear trend (time, row, column) of random size, its end 0 to 2 above its start."""
    pattern = 1 + 0.5 * smooth_noise(rng, 1, shape, 8.0)
    size = rng.choice([0.0, 1.0], p=[0.4, 0.6]) * rng.uniform(-2.0, 2.0)
    trend: np.ndarray = size * np.linspace(-0.5, 0.5, n_months)[:, None, None] * pattern
    return trend


def _season(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return a mean year (12, row, column): two harmonics with patterns of their own."""
    year = np.zeros((12, *shape))
    for number, size in ((1, 2.0), (2, 0.7)):
        for part in (np.cos, np.sin):
            pattern = smooth_noise(rng, 1, shape, 8.0)[0] + rng.standard_normal()
            angle = 2 * np.pi * number * np.arange(12) / 12
            year += size * part(angle)[:, None, None] * pattern
    return year


def _harmonic(rng: np.random.Generator, calendar: np.ndarray) -> np.ndarray:
    """Return a yearly wave of random phase at calendar months (time,)."""
    wave: np.ndarray = np.cos(2 * np.pi * (calendar - rng.uniform(0, 12)) / 12)
    return wave
