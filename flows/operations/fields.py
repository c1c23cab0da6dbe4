"""A run's gridded fields: what is kept of a forecast, and how verification gets it back.

The reference forecasts lie beside the model's, so that skill can be computed later from the fields
and an observation alone, whatever has become of the model.
"""

from typing import TYPE_CHECKING

import numpy as np

from storage.months import calendar_months, first_day

if TYPE_CHECKING:
    import xarray as xr

    from tidenet.forecaster import Forecast
    from tidenet.verification import PredictedMonth, ReferenceMonth

UNITS = "mmol m-2 d-1"
STANDARD_NAME = "surface_upward_mole_flux_of_carbon_dioxide"


def gridded_fields(
    predicted: "Forecast", references: "dict[str, Forecast]", climatology_std: np.ndarray
) -> "xr.Dataset":
    """Return everything that is kept of a run, in mmol m-2 d-1, positive out of the sea.

    Parameters
    ----------
    predicted
        The forecast.
    references
        Forecasts ``climatology``, ``persistence`` and ``damped-persistence`` of the same init
        month.
    climatology_std
        float32 (12, lat, lon), standard deviation of each calendar month in the training period.

    Returns
    -------
    xarray.Dataset
        ``fco2(lead, quantile, lat, lon)``, ``fco2_mean``, ``fco2_spread``, ``climatology``,
        ``climatology_std`` and ``damped_persistence`` (lead, lat, lon), ``persistence`` (lat, lon).
    """
    import xarray as xr

    from tidenet.aggregates import quantile_fields, spread_fields
    from tidenet.forecaster import QUANTILES

    by_lead = ("lead", "lat", "lon")
    months = calendar_months(predicted.valid_months) - 1
    arrays = {
        "fco2": (("lead", "quantile", "lat", "lon"), quantile_fields(predicted), "quantiles"),
        "fco2_mean": (by_lead, predicted.mean, "best estimate"),
        "fco2_spread": (by_lead, spread_fields(predicted), "standard deviation of the members"),
        "climatology": (by_lead, references["climatology"].mean, "training-period climatology"),
        "climatology_std": (by_lead, climatology_std[months], "interannual standard deviation"),
        "damped_persistence": (
            by_lead,
            references["damped-persistence"].mean,
            "damped anomaly persistence",
        ),
        "persistence": (("lat", "lon"), references["persistence"].mean[0], "the init month"),
    }
    return xr.Dataset(
        {
            name: (
                dims,
                values.astype(np.float32),
                {
                    "units": UNITS,
                    "standard_name": STANDARD_NAME,
                    "long_name": f"sea-air CO2 flux, {meaning}, positive out of the sea",
                },
            )
            for name, (dims, values, meaning) in arrays.items()
        },
        coords={
            "lead": ("lead", np.arange(1, predicted.n_leads + 1), {"units": "months"}),
            "quantile": ("quantile", np.asarray(QUANTILES)),
            "lat": ("lat", predicted.grid.lat, {"units": "degrees_north"}),
            "lon": ("lon", predicted.grid.lon, {"units": "degrees_east"}),
        },
        attrs={
            "title": f"Sea-air CO2 flux forecast from {predicted.init_month}",
            "Conventions": "CF-1.11",
            "init_month": str(first_day(predicted.init_month)),
            "grid": predicted.grid.name,
        },
    )


def at_lead(fields: "xr.Dataset", lead: int) -> "tuple[PredictedMonth, ReferenceMonth]":
    """Return one lead of a run's fields as what the scoring works on."""
    from tidenet.verification import PredictedMonth, ReferenceMonth

    month = fields.sel(lead=lead)
    predicted = PredictedMonth(
        mean=month["fco2_mean"].values,
        spread=month["fco2_spread"].values,
        quantiles=month["fco2"].values,
    )
    reference = ReferenceMonth(
        climatology_mean=month["climatology"].values,
        climatology_std=month["climatology_std"].values,
        persistence=fields["persistence"].values,
        damped_persistence=month["damped_persistence"].values,
    )
    return predicted, reference
