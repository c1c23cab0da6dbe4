"""From a forecast to the rows of the archive: regions and archive cells."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from storage.archive import CellRows, RegionalRows, YearlyRows
from storage.regions import Region, check_on_grid, region_masks

if TYPE_CHECKING:
    from storage.grid import Grid
    from tidenet.forecaster import Forecast

QUANTILE_COLUMNS = ("q05", "q25", "q50", "q75", "q95")


def regional_rows(
    predicted: "Forecast",
    references: "Mapping[str, Forecast]",
    ocean: np.ndarray,
    regions: Sequence[Region],
) -> tuple[RegionalRows, YearlyRows]:
    """Return a run's rows, by lead and by year, for every region that the grid has ocean cells of.

    Raises
    ------
    RegionOutsideGridError
        If a region other than the built-in ones has none.
    """
    from tidenet import aggregates

    check_on_grid(regions, predicted.grid, ocean)
    masks = region_masks(predicted.grid, ocean, regions)
    rows = aggregates.regional_rows(predicted, references, masks, predicted.grid.cell_area)

    def by_lead(column: str) -> np.ndarray:
        return rows[column].reshape(len(masks), predicted.n_leads).T

    present = tuple(region for region in regions if region.name in masks)
    regional = RegionalRows(
        regions=present,
        area_m2=by_lead("area_m2")[0],
        mean=by_lead("mean"),
        spread=by_lead("spread"),
        quantiles=np.stack([by_lead(column) for column in QUANTILE_COLUMNS], axis=1),
        p_source=by_lead("p_source"),
        climatology=by_lead("climatology"),
        damped_persistence=by_lead("damped_persistence"),
    )
    sums = aggregates.yearly_sums(rows, predicted.n_leads)
    yearly = YearlyRows(
        regions=present,
        years=tuple(sums["years"].tolist()),
        n_months=tuple(sums["n_months"].tolist()),
        mean=sums["mean"],
        spread=sums["spread"],
        quantiles=sums["quantiles"],
    )
    return regional, yearly


def archive_factor(grid: "Grid", archive_step: float) -> int:
    """Return how many cells wide an archive cell is: about ``archive_step`` degrees."""
    return max(1, round(archive_step / grid.step))


def cell_rows(
    predicted: "Forecast",
    references: "Mapping[str, Forecast]",
    ocean: np.ndarray,
    archive_step: float,
) -> CellRows:
    """Return a run's rows on the archive grid: blocks of whole cells, about ``archive_step`` wide.

    A record that is coarser than the archive step is archived cell by cell.
    """
    from tidenet import aggregates

    grid: Grid = predicted.grid
    factor = archive_factor(grid, archive_step)
    rows = aggregates.cell_rows(predicted, references, ocean, factor)
    archive_grid = grid.coarsened(factor)
    n_leads = predicted.n_leads

    def by_lead(column: str) -> np.ndarray:
        return rows[column].reshape(n_leads, -1)

    index = by_lead("row")[0] * archive_grid.n_lon + by_lead("column")[0]
    return CellRows(
        grid=archive_grid,
        index=index.astype(np.int64),
        area_m2=by_lead("area_m2")[0],
        mean=by_lead("mean"),
        spread=by_lead("spread"),
        quantiles=np.stack([by_lead(column) for column in QUANTILE_COLUMNS], axis=1),
        p_source=by_lead("p_source"),
        climatology=by_lead("climatology"),
        damped_persistence=by_lead("damped_persistence"),
    )
