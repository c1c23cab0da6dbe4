"""Cloud-shaped gaps, drawn from a random generator that the caller seeds."""

import numpy as np


def cloud_shape(
    ocean: np.ndarray, part: float, scale_cells: float, rng: np.random.Generator
) -> np.ndarray:
    """Return ocean cells under clouds, boolean (lat, lon).

    The cover is white noise smoothed by a Gaussian, and the cloudiest part of the ocean is taken.

    Parameters
    ----------
    ocean
        Boolean (lat, lon).
    part
        Part of the ocean cells to cover.
    scale_cells
        Standard deviation of the Gaussian, in cells.
    rng
        The random generator.
    """
    rows, columns = ocean.shape
    wave_numbers = np.fft.fftfreq(rows)[:, None] ** 2 + np.fft.rfftfreq(columns) ** 2
    response = np.exp(-2 * (np.pi * scale_cells) ** 2 * wave_numbers)
    response[0, 0] = 0.0  # a wide filter leaves little but the mean, which is no pattern
    spectrum = np.fft.rfft2(rng.standard_normal(ocean.shape)) * response
    cover = np.fft.irfft2(spectrum, s=ocean.shape)
    return ocean & (cover > np.quantile(cover[ocean], 1 - part))
