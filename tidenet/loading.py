"""From saved tensors and metadata back to a forecaster."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from storage.grid import Grid
from storage.months import month as parse_month
from tidenet.belonging import require_same_model
from tidenet.errors import IncompatibleModelError
from tidenet.forecaster import Forecaster
from tidenet.identity import Domain, differences, refuse_differences
from tidenet.references import KEPT, rebuild
from tidenet.references.dressed import WORKING_CELLS
from tidenet.references.scales import TwoScales


def load_forecaster(
    tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any], grid: Grid, ocean: np.ndarray
) -> Forecaster:
    """Rebuild a forecaster for a grid and its mask.

    Parameters
    ----------
    tensors, metadata
        What the forecaster's own ``tensors()`` and ``metadata()`` returned.
        ``metadata["method"]`` says what it is.
    grid, ocean
        Grid and mask (lat, lon) of the record that it is to forecast.

    Raises
    ------
    IncompatibleModelError
        If it was fitted on another grid or mask, or tensors are missing, left over or of another
        shape; the message lists every difference.
    ForeignNormalisationError
        If the metadata hold digests of its parts, and the network or the normalisation is another
        model's.
    """
    domain = Domain(grid, np.asarray(ocean, dtype=bool))
    lines = differences(metadata, domain.describe())
    method = metadata.get("method")
    if method not in (*KEPT, "tidenet"):
        lines.append(f"method: {method!r} instead of one of {', '.join((*KEPT, 'tidenet'))}")
    refuse_differences(lines)
    require_same_model(tensors, metadata)
    if method != "tidenet":
        return _reference(str(method), tensors, metadata, domain)
    from tidenet.forecasting import rebuild_tidenet

    try:
        return rebuild_tidenet(tensors, metadata, domain)
    except (KeyError, RuntimeError, ValueError) as error:
        raise _unfit(error) from error


def _reference(
    method: str, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any], domain: Domain
) -> Forecaster:
    try:
        scales = TwoScales.from_tensors(tensors, domain.weight, WORKING_CELLS)
        first_month, n_leads = parse_month(metadata["first_month"]), int(metadata["n_leads"])
        return rebuild(method, domain, scales, n_leads, first_month, tensors)
    except KeyError as error:
        raise _unfit(error) from error


def _unfit(error: Exception) -> IncompatibleModelError:
    return IncompatibleModelError(
        "The saved tensors do not fit the model that their metadata describes.",
        found=f"{type(error).__name__}: {error}",
        expected="the tensors and metadata of one and the same model",
        remedy="Load the model again from where it was saved, or train one.",
    )
