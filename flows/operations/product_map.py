"""A map of one quantity of one month of a product."""

from typing import TYPE_CHECKING

import numpy as np

from ingest.quantities import FLUX, QUANTITIES, Quantity
from ingest.reader import DeliveredMonth
from storage.grid import Grid
from tidenet.plots import FLUX_COLOURS, LAND_COLOUR

if TYPE_CHECKING:
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

OTHER_COLOURS = "viridis"
_LOGARITHMIC = "chlorophyll"
_LONGEST_SIDE = 9.0
_MOST_CELLS = 2000
_UNITS = {
    "mmol m-2 d-1": "mmol m$^{-2}$ d$^{-1}$",
    "uatm": "µatm",
    "degC": "°C",
    "m s-1": "m s$^{-1}$",
    "m2 s-2": "m$^2$ s$^{-2}$",
    "mg m-3": "mg m$^{-3}$",
    "1": "",
}


def product_map(
    month: DeliveredMonth, quantity: str, *, title: str, when: str, source: str
) -> "Figure":
    """Draw one quantity; what has no value (land, clouds) is grey.

    The flux has colours around zero: blue into the sea, red out of it. Chlorophyll, which spans
    powers of ten, has a logarithmic scale. Colours span 96 % of the values. Where values fill only
    a corner of the grid, that corner is drawn.

    Parameters
    ----------
    month, quantity
        The month as it was read, and what of it to draw.
    title, when
        The product's title, and the month in words.
    source
        Where it comes from, for the footnote.
    """
    from matplotlib.figure import Figure

    field, grid, known = month.fields[quantity], month.grid, QUANTITIES[quantity]
    rows, columns = _window(field.values)
    west, east = grid.lon_bounds[columns.start, 0], grid.lon_bounds[columns.stop - 1, 1]
    south, north = grid.lat_bounds[rows.start, 0], grid.lat_bounds[rows.stop - 1, 1]
    # One degree of longitude is shorter than one of latitude: keep shapes as on the ground.
    stretch = 1 / max(np.cos(np.deg2rad((south + north) / 2)), 0.2)
    ratio = float((north - south) * stretch / (east - west))
    width, height = _LONGEST_SIDE * min(1, 1 / ratio), _LONGEST_SIDE * min(1, ratio)
    figure = Figure(figsize=(max(width, 4.5) + 0.8, height + 1.9), layout="constrained")
    axis = figure.subplots()
    axis.set_facecolor(LAND_COLOUR)
    shown, factor = _coarse(field.values[rows, columns])
    # The last blocks may reach beyond the window.
    top, right = (
        start + n * factor * grid.step for start, n in zip((south, west), shown.shape, strict=True)
    )
    image = axis.imshow(
        shown,
        origin="lower",
        extent=(west, right, south, top),
        cmap=FLUX_COLOURS if quantity == FLUX else OTHER_COLOURS,
        norm=_norm(shown, quantity),
        interpolation="nearest",
    )
    axis.set(xlim=(west, east), ylim=(south, north), aspect=stretch)
    axis.set_xlabel("Longitude (°E)", fontsize=9)
    axis.set_ylabel("Latitude (°N)", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.set_title(f"{title}\n{known.title}, {when}", fontsize=11)
    bar = figure.colorbar(image, ax=axis, orientation="horizontal", shrink=0.85, extend="both")
    bar.set_label(_label(known), fontsize=9)
    bar.ax.tick_params(labelsize=8)
    if quantity == _LOGARITHMIC:
        ticks = np.geomspace(image.norm.vmin or 1, image.norm.vmax or 1, 6).tolist()
        bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks])
        bar.minorticks_off()
    words = _words(field.values, grid, rows, columns)
    figure.supxlabel(f"{words}  {field.variable} in {source}", fontsize=8, color="0.35")
    return figure


def _window(values: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns to draw: all, or those around values that fill only a corner."""
    whole = slice(0, values.shape[0]), slice(0, values.shape[1])
    finite = np.isfinite(values)
    window = []
    for axis, size in enumerate(values.shape):
        filled = np.flatnonzero(finite.any(axis=1 - axis))
        margin = max(8, (filled[-1] - filled[0] + 1) // 2)
        window.append(slice(max(filled[0] - margin, 0), min(filled[-1] + margin + 1, size)))
    share = np.prod([w.stop - w.start for w in window]) / values.size
    return (window[0], window[1]) if share < 0.2 else whole


def _coarse(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Return means of blocks of cells where a picture cannot show them all, and their side."""
    factor = -(-max(values.shape) // _MOST_CELLS)
    if factor == 1:
        return values, 1
    n_rows, n_columns = (-(-size // factor) for size in values.shape)
    padding = [
        (0, n * factor - size) for n, size in zip((n_rows, n_columns), values.shape, strict=True)
    ]
    padded = np.pad(values, padding, constant_values=np.nan)
    blocks = padded.reshape(n_rows, factor, n_columns, factor)
    known = np.isfinite(blocks)
    count = known.sum(axis=(1, 3))
    total = np.where(known, blocks, 0.0).sum(axis=(1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), factor


def _norm(values: np.ndarray, quantity: str) -> "Normalize":
    from matplotlib.colors import LogNorm, Normalize

    finite = values[np.isfinite(values)]
    if quantity == FLUX:
        limit = max(float(np.percentile(np.abs(finite), 98)), 1e-3)
        return Normalize(-limit, limit)
    low, high = (float(v) for v in np.percentile(finite, [2, 98]))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    if quantity == _LOGARITHMIC and low > 0:
        return LogNorm(low, high)
    return Normalize(low, high)


def _label(known: Quantity) -> str:
    units = _UNITS.get(known.units, known.units)
    if known.name == FLUX:
        return f"{units}, positive out of the sea: red out of it, blue into it"
    return f"{known.title}{f', {units}' if units else ''}"


def _words(values: np.ndarray, grid: Grid, rows: slice, columns: slice) -> str:
    finite = values[np.isfinite(values)]
    shown = (rows.stop - rows.start, columns.stop - columns.start)
    corner = "" if shown == grid.shape else f" of the {grid.n_lat} x {grid.n_lon} cells"
    return (
        f"{finite.size} cells with a value{corner}, {finite.min():.4g} to {finite.max():.4g}, "
        "grey: none."
    )
