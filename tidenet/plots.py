"""Pictures of fluxes. Each function returns a matplotlib figure and draws nothing on a screen."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from storage.grid import Grid
from storage.months import Month
from tidenet.working_grid import WorkingGrid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

UNITS = "mmol m$^{-2}$ d$^{-1}$"
LAND_COLOUR = "0.82"
FLUX_COLOURS = "RdBu_r"
ERROR_COLOURS = "PuOr_r"
WIDTH_COLOURS = "YlGnBu"
MOST_CELLS = 240
"""Cells along the longer side of a small panel: more of them nobody could see."""
SHADES = 21
"""Of a small panel: an eye tells no more apart, and the file stays small where cells are noisy."""


def forecast_map(
    forecast: np.ndarray,
    observed: np.ndarray,
    *,
    grid: Grid,
    ocean: np.ndarray,
    init_month: Month,
    valid_month: Month,
    source: str,
) -> "Figure":
    """Draw forecast, observation and their difference side by side.

    Blue is uptake by the sea, red is release; white is no flux. The error has colours of its own:
    orange where the forecast is too high. Ocean cells without a value are hatched. The first two
    panels share one
    scale, symmetric around zero, that holds 98 % of both fields.

    Parameters
    ----------
    forecast, observed
        (lat, lon), mmol m-2 d-1, positive out of the sea; NaN where there is no value.
    grid, ocean
        Grid of the fields, and boolean (lat, lon), True on ocean cells.
    init_month, valid_month
        Last observed month used, and the month forecast.
    source
        Where the fields come from, for the footnote.
    """
    from matplotlib.figure import Figure

    difference = forecast - observed
    limit = _limit(np.concatenate([forecast[ocean], observed[ocean]]))
    # As wide as three maps of this shape are at this height, with room for axes and titles.
    width = 4.4 * grid.n_lon * np.cos(np.deg2rad(float(grid.lat.mean()))) / grid.n_lat
    figure = Figure(figsize=(3 * max(width, 2.6) + 1.5, 6.4), layout="constrained")
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    lead = int((valid_month - init_month).astype(int))
    panels = (
        (f"Forecast from {init_month}, lead {lead}", forecast, limit, FLUX_COLOURS),
        (f"Observed {valid_month}", observed, limit, FLUX_COLOURS),
        ("Forecast minus observed", difference, _limit(difference[ocean]), ERROR_COLOURS),
    )
    for axis, (title, field, panel_limit, colours) in zip(axes, panels, strict=True):
        image = _draw_field(axis, field, grid, ocean, panel_limit, colours)
        axis.set_title(title, fontsize=11)
        bar = figure.colorbar(image, ax=axis, orientation="horizontal", shrink=0.9, pad=0.02)
        bar.set_label(UNITS, fontsize=9)
        bar.ax.tick_params(labelsize=8)
    axes[0].set_ylabel("Latitude (°N)", fontsize=9)
    figure.suptitle(
        f"Sea-air CO$_2$ flux, {valid_month}: blue into the sea, red out of the sea", fontsize=13
    )
    rmse = _area_weighted_rmse(difference, grid, ocean)
    hatched = "  Hatched: not observed." if not np.isfinite(observed[ocean]).all() else ""
    figure.supxlabel(f"RMSE {rmse:.2f} {UNITS}.{hatched}  {source}", fontsize=8, color="0.35")
    return figure


def outlook_map(
    mean: np.ndarray,
    width: np.ndarray,
    *,
    grid: Grid,
    ocean: np.ndarray,
    init_month: Month,
    leads: Sequence[int],
    source: str,
) -> "Figure":
    """Draw a forecast at some leads, its mean above the width of its 90 % interval.

    Blue is uptake by the sea, red is release; the wider the interval, the darker. Where panels
    cannot show all cells, blocks of them are drawn, averaged over their ocean. Each row shares one
    scale that holds 98 % of its values.

    Parameters
    ----------
    mean, width
        (lead, lat, lon), mmol m-2 d-1, the mean positive out of the sea; whatever stands on land
        is not read.
    grid, ocean
        Grid of the fields, and boolean (lat, lon), True on ocean cells.
    init_month, leads
        Last observed month used, and the lead of each field (months).
    source
        Where the fields come from, for the footnote.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    blocks = WorkingGrid.fitting(np.where(ocean, grid.cell_area, 0.0), MOST_CELLS)
    drawn = grid.coarsened(blocks.factor)
    rows, columns = drawn.shape
    sea = blocks.mask[:rows, :columns] > 0
    # As wide as maps of this shape are at this height, with room for axes and the colour bar.
    across = 2.9 * drawn.n_lon * np.cos(np.deg2rad(float(drawn.lat.mean()))) / drawn.n_lat
    figure = Figure(figsize=(len(leads) * max(across, 1.8) + 1.7, 7.4), layout="constrained")
    axes = figure.subplots(2, len(leads), sharex=True, sharey=True, squeeze=False)
    rows_of = (
        (mean, f"Mean, {UNITS}", FLUX_COLOURS, False),
        (width, f"Width of the 90 % interval, {UNITS}", WIDTH_COLOURS, True),
    )
    for row, (fields, label, colours, from_zero) in zip(axes, rows_of, strict=True):
        shown = blocks.coarsen(fields)[:, :rows, :columns]
        limit = _limit(shown[:, sea])
        shades = colormaps[colours].resampled(SHADES)
        for axis, field in zip(row, shown, strict=True):
            low = 0.0 if from_zero else -limit
            image = _draw_field(axis, field, drawn, sea, limit, shades, low=low)
            axis.label_outer()
        extend = "max" if from_zero else "both"
        bar = figure.colorbar(image, ax=row, shrink=0.9, pad=0.015, extend=extend)
        bar.set_label(label, fontsize=9)
        bar.ax.tick_params(labelsize=8)
        row[0].set_ylabel("Latitude (°N)", fontsize=9)
    for axis, lead in zip(axes[0], leads, strict=True):
        axis.set_title(f"{init_month + lead}, lead {lead}", fontsize=11)
    figure.suptitle(
        f"Sea-air CO$_2$ flux, forecast from {init_month}: blue into the sea, red out of it",
        fontsize=12,
    )
    figure.supxlabel(source, fontsize=8, color="0.35")
    return figure


def _limit(values: np.ndarray) -> float:
    """Return a symmetric colour limit that holds 98 % of the values, at least 1."""
    finite = np.abs(values[np.isfinite(values)])
    return max(1.0, float(np.ceil(np.percentile(finite, 98)))) if finite.size else 1.0


def _draw_field(
    axis: "Axes",
    field: np.ndarray,
    grid: Grid,
    ocean: np.ndarray,
    limit: float,
    colours: "str | Colormap",
    *,
    low: float | None = None,
) -> "AxesImage":
    extent = (
        grid.lon_bounds[0, 0],
        grid.lon_bounds[-1, 1],
        grid.lat_bounds[0, 0],
        grid.lat_bounds[-1, 1],
    )
    axis.set_facecolor(LAND_COLOUR)
    image = axis.imshow(
        np.where(ocean, field, np.nan),
        origin="lower",
        extent=extent,
        cmap=colours,
        vmin=-limit if low is None else low,
        vmax=limit,
        interpolation="nearest",
    )
    hidden = (ocean & ~np.isfinite(field)).astype(float)
    if hidden.any():
        axis.contourf(
            grid.lon, grid.lat, hidden, levels=[0.5, 1.5], colors=["0.95"], hatches=["////"]
        )
    axis.contour(
        grid.lon, grid.lat, ocean.astype(float), levels=[0.5], colors="0.3", linewidths=0.6
    )
    axis.set_xlabel("Longitude (°E)", fontsize=9)
    axis.tick_params(labelsize=8)
    # One degree of longitude is shorter than one of latitude: keep shapes as on the ground.
    axis.set_aspect(1 / np.cos(np.deg2rad(float(grid.lat.mean()))))
    return image


def _area_weighted_rmse(difference: np.ndarray, grid: Grid, ocean: np.ndarray) -> float:
    weight = np.where(ocean & np.isfinite(difference), grid.cell_area, 0.0)
    return float(np.sqrt((weight * np.nan_to_num(difference) ** 2).sum() / weight.sum()))
