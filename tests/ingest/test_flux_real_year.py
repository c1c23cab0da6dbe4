"""The real drivers of 2010, a year of kriged pCO2, satellite winds and analysed pressure.

Seasonal means of 25-33 °N, 118-128 °E in mmol m-2 d-1, from the drivers with each option; the
surveys are 24 cruises on the shelf (Guo et al. 2015, Biogeosciences 12, 5495-5510, mean and
standard deviation). Winter is December, January, February.

=============================  ======  ======  ======  ======  ======
setting                        winter  spring  summer  autumn    year
=============================  ======  ======  ======  ======  ======
surveys                         -10.0   -11.7    -3.5    -2.3    -6.9
their standard deviation          2.0     3.6     4.6     3.1     4.0
wanninkhof-2014 (default)      -10.54   -6.90   -0.18   -2.13   -4.94
wanninkhof-1992                -13.04   -8.53   -0.22   -2.63   -6.11
nightingale-2000               -10.07   -6.70   -0.19   -2.06   -4.75
ho-2006                        -10.65   -6.97   -0.19   -2.15   -4.99
sweeney-2007                   -11.34   -7.42   -0.20   -2.29   -5.31
default, as fugacities         -10.50   -6.87   -0.18   -2.13   -4.92
default, skin: constant        -10.86   -7.13   -0.35   -2.40   -5.18
default, without ⟨U²⟩           -9.81   -6.10   -0.15   -2.06   -4.53
=============================  ======  ======  ======  ======  ======

In spring the flux lies 1.3 standard deviations of the surveys above their mean: the box also holds
the shelf break and the Kuroshio, and pCO2 kriged to one degree is smooth off the Changjiang.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ingest.flux.bulk import FluxEstimate, FluxOptions, flux_from_drivers

MONTHS = range(1, 13)
SEASONS = {
    "winter": (12, 1, 2),
    "spring": (3, 4, 5),
    "summer": (6, 7, 8),
    "autumn": (9, 10, 11),
    "year": tuple(MONTHS),
}
SURVEYS = {
    "winter": (-10.0, 2.0),
    "spring": (-11.7, 3.6),
    "summer": (-3.5, 4.6),
    "autumn": (-2.3, 3.1),
    "year": (-6.9, 4.0),
}
TABLE = {
    "wanninkhof-2014": (-10.54, -6.90, -0.18, -2.13, -4.94),
    "wanninkhof-1992": (-13.04, -8.53, -0.22, -2.63, -6.11),
    "nightingale-2000": (-10.07, -6.70, -0.19, -2.06, -4.75),
    "ho-2006": (-10.65, -6.97, -0.19, -2.15, -4.99),
    "sweeney-2007": (-11.34, -7.42, -0.20, -2.29, -5.31),
}
# Product in the folder, its variable, and what makes it a canonical unit.
FILES = {
    "pco2_sea": ("pco2", "pco2_sw", 0.0),
    "sst": ("sst", "sst_clim", -273.15),
    "sst_skin": ("sst_skin", "sst_skin", -273.15),
    "wind_speed": ("wind", "wind", 0.0),
    "wind_speed_squared": ("wind", "wind_m2", 0.0),
    "pressure": ("msl", "msl", 0.0),
    "sss": ("sss", "sss", 0.0),
    "xco2_air": ("xco2", "xco2_air", 0.0),
}

Drivers = dict[str, np.ndarray]
Year = dict[int, tuple[Drivers, Drivers]]


def read(path: Path, variable: str) -> np.ndarray:
    import xarray as xr

    with xr.open_dataset(path, decode_times=False) as dataset:
        return dataset[variable].values[0].astype(np.float64)


@pytest.fixture(scope="module")
def year(shared_data: Path) -> Year:
    """Drivers and their errors by month."""
    folder = shared_data / "drivers_2010"
    months = {}
    for month in MONTHS:
        drivers = {
            quantity: read(folder / f"{product}_2010{month:02d}.nc", variable) + offset
            for quantity, (product, variable, offset) in FILES.items()
        }
        error = read(folder / f"pco2_2010{month:02d}.nc", "pco2_sw_err")
        months[month] = (drivers, {"pco2_sea": error})
    return months


@pytest.fixture(scope="module")
def published(shared_data: Path) -> dict[int, np.ndarray]:
    """The flux of 2010 that was derived from these drivers, by month."""
    folder = shared_data / "fco2_1deg"
    files = {month: folder / f"ECS_FCO2_monthly_1deg_2010{month:02d}.nc" for month in MONTHS}
    return {month: read(file, "fco2") for month, file in files.items()}


def compute(year: Year, options: FluxOptions) -> dict[int, FluxEstimate]:
    return {
        month: flux_from_drivers(drivers, errors, options)
        for month, (drivers, errors) in year.items()
    }


def regional(values: np.ndarray) -> float:
    """Return the area-weighted mean of 25-33 °N, 118-128 °E on the map 5-50 °N, 105-150 °E."""
    box, lat = values[20:28, 13:23], np.arange(25.5, 33)
    weights = np.where(np.isfinite(box), np.cos(np.radians(lat))[:, None], 0.0)
    return float((np.nan_to_num(box) * weights).sum() / weights.sum())


def seasons(of_month: Callable[[int], np.ndarray]) -> dict[str, float]:
    means = {month: regional(of_month(month)) for month in MONTHS}
    return {name: float(np.mean([means[m] for m in months])) for name, months in SEASONS.items()}


def test_the_default_options_give_the_published_flux_of_every_month(
    year: Year, published: dict[int, np.ndarray]
) -> None:
    """Second moment of the wind, delivered pressure and salinity, partial pressures, no skin."""
    for month, estimate in compute(year, FluxOptions()).items():
        sea = np.isfinite(published[month])
        assert sea.sum() == 1193
        assert np.isfinite(estimate.fco2[sea]).all()
        assert estimate.fco2[sea] == pytest.approx(published[month][sea], abs=5e-4)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_seasonal_means_are_those_of_the_table(year: Year, name: str) -> None:
    found = compute(year, FluxOptions.model_validate({"transfer_velocity": name}))
    means = seasons(lambda month: found[month].fco2)
    assert list(means.values()) == pytest.approx(TABLE[name], abs=0.006)


def test_seasonal_means_lie_in_the_range_of_surveys(year: Year) -> None:
    found = compute(year, FluxOptions())
    means = seasons(lambda month: found[month].fco2)
    away = {season: abs(means[season] - mean) / sd for season, (mean, sd) in SURVEYS.items()}
    assert away.pop("spring") == pytest.approx(1.33, abs=0.02)
    assert max(away.values()) < 1


def test_a_constant_skin_makes_the_sea_take_up_more_in_every_season(year: Year) -> None:
    none, cool = (compute(year, FluxOptions(skin=skin)) for skin in ("none", "constant"))
    plain = seasons(lambda month: none[month].fco2)
    cooled = seasons(lambda month: cool[month].fco2)
    assert cooled["year"] - plain["year"] == pytest.approx(-0.25, abs=0.01)
    assert all(cooled[season] < plain[season] for season in SEASONS)


def test_estimated_second_moments_err_by_what_the_options_say(year: Year) -> None:
    """Over 16 802 cells the delivered moments are 1.54 ± 0.27 times the squared mean, not 4/π."""
    winds = [drivers for drivers, _ in year.values()]
    mean = np.stack([drivers["wind_speed"] for drivers in winds])
    squared = np.stack([drivers["wind_speed_squared"] for drivers in winds])
    ratio = squared[mean > 0] / mean[mean > 0] ** 2
    assert (ratio.size, ratio.mean(), ratio.std()) == pytest.approx((16_802, 1.54, 0.27), abs=0.01)
    wrong = np.sqrt(np.mean((ratio / (4 / np.pi) - 1) ** 2))
    assert wrong == pytest.approx(FluxOptions().second_moment_uncertainty, abs=0.01)


def test_without_the_second_moment_the_flux_is_weaker_and_less_certain(year: Year) -> None:
    full = compute(year, FluxOptions())
    mean_only = {
        month: ({n: v for n, v in drivers.items() if n != "wind_speed_squared"}, errors)
        for month, (drivers, errors) in year.items()
    }
    estimated = compute(mean_only, FluxOptions())
    flux = seasons(lambda month: full[month].fco2)["year"]
    error = seasons(lambda month: full[month].uncertainty)["year"]
    weaker = seasons(lambda month: estimated[month].fco2)["year"]
    larger = seasons(lambda month: estimated[month].uncertainty)["year"]
    assert weaker == pytest.approx(-4.53, abs=0.01)
    assert flux < weaker < 0
    assert larger > 1.15 * error
    assert abs(flux - weaker) < larger
