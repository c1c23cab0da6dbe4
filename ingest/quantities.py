"""What products deliver: the quantities that are known here, each with one name and one unit."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """A quantity in the units that all code here works in.

    Parameters
    ----------
    name
        The key that specifications and arrays use.
    title
        What it is, for people.
    units
        The units of every array of it.
    low, high
        What the sea and the air above it can show at most. Values outside mean wrong units, packing
        or a fill value, and are refused.
    standard_names
        CF standard names that say it.
    """

    name: str
    title: str
    units: str
    low: float
    high: float
    standard_names: tuple[str, ...] = ()


FLUX = "fco2"

_ALL = (
    Quantity(
        FLUX,
        "sea-air CO2 flux, positive out of the sea",
        "mmol m-2 d-1",
        # The limits of a product's specification are the narrower ones.
        -1e4,
        1e4,
        (
            "surface_upward_mole_flux_of_carbon_dioxide",
            "surface_downward_mole_flux_of_carbon_dioxide",
            "surface_downward_mass_flux_of_carbon_dioxide_expressed_as_carbon",
            "surface_upward_mass_flux_of_carbon_dioxide_expressed_as_carbon",
        ),
    ),
    Quantity(
        "pco2_sea",
        "partial pressure of CO2 in surface water",
        "uatm",
        50.0,
        2000.0,
        ("surface_partial_pressure_of_carbon_dioxide_in_sea_water",),
    ),
    Quantity(
        "fugacity_sea",
        "fugacity of CO2 in surface water",
        "uatm",
        50.0,
        2000.0,
        ("fugacity_of_carbon_dioxide_in_sea_water",),
    ),
    Quantity("pco2_air", "partial pressure of CO2 in moist air", "uatm", 150.0, 1000.0),
    Quantity("fugacity_air", "fugacity of CO2 in moist air", "uatm", 150.0, 1000.0),
    Quantity(
        "xco2_air",
        "mole fraction of CO2 in dry air",
        "ppm",
        150.0,
        1000.0,
        ("mole_fraction_of_carbon_dioxide_in_air",),
    ),
    Quantity(
        "sst",
        "temperature of the water below the skin",
        "degC",
        -3.0,
        45.0,
        (
            "sea_surface_temperature",
            "sea_surface_foundation_temperature",
            "sea_surface_subskin_temperature",
        ),
    ),
    Quantity(
        "sst_skin",
        "temperature of the water's skin",
        "degC",
        -5.0,
        45.0,
        ("sea_surface_skin_temperature",),
    ),
    Quantity(
        "sss", "practical salinity of surface water", "1", 0.0, 45.0, ("sea_surface_salinity",)
    ),
    Quantity("wind_speed", "mean wind speed at 10 m", "m s-1", 0.0, 60.0, ("wind_speed",)),
    Quantity(
        "wind_speed_squared", "second moment of the wind speed at 10 m", "m2 s-2", 0.0, 3600.0
    ),
    Quantity(
        "pressure",
        "air pressure at sea level",
        "Pa",
        85_000.0,
        110_000.0,
        ("air_pressure_at_sea_level", "air_pressure_at_mean_sea_level"),
    ),
    Quantity(
        "ice_fraction", "part of the cell under ice", "1", 0.0, 1.0, ("sea_ice_area_fraction",)
    ),
    Quantity(
        "chlorophyll",
        "concentration of chlorophyll in surface water",
        "mg m-3",
        0.0,
        1000.0,
        (
            "mass_concentration_of_chlorophyll_in_sea_water",
            "mass_concentration_of_chlorophyll_a_in_sea_water",
            "mass_concentration_chlorophyll_concentration_in_sea_water",
        ),
    ),
    Quantity("climate_index", "climate index, as its centre defines it", "1", -100.0, 100.0),
)

QUANTITIES = {quantity.name: quantity for quantity in _ALL}
"""Every known quantity by name."""
