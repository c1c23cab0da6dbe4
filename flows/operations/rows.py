"""From a forecast to the rows of the archive: regions and archive cells."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from storage.archive import CellRows, RegionalRows
from storage.regions import region_masks

if TYPE_CHECKING:
    from storage.grid import Grid
    from tidenet.forecaster import Forecast

QUANTILE_COLUMNS = ("q05", "q25", "q50", "q75", "q95")


def regional_rows(
    predicted: "Forecast", references: "Mapping[str, Forecast]", ocean: np.ndarray
) -> RegionalRows:
    """Return a run's rows for every region that the grid has ocean cells of."""
    from tidenet import aggregates

    masks = region_masks(predicted.grid, ocean)
    rows = aggregates.regional_rows(predicted, references, masks, predicted.grid.cell_area)

    def by_lead(column: str) -> np.ndarray:
        return rows[column].reshape(len(masks), predicted.n_leads).T

    return RegionalRows(
        regions=tuple(masks),
        area_m2=by_lead("area_m2")[0],
        mean=by_lead("mean"),
        spread=by_lead("spread"),
        quantiles=np.stack([by_lead(column) for column in QUANTILE_COLUMNS], axis=1),
        p_source=by_lead("p_source"),
        climatology=by_lead("climatology"),
        damped_persistence=by_lead("damped_persistence"),
    )


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
    factor = max(1, round(archive_step / grid.step))
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
    )
