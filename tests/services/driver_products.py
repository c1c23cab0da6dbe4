"""Specifications of a year of real drivers, as a user would write them: one YAML file each."""

from pathlib import Path

_DRIVER = """\
title: {title}, East Asian seas, 2010
file_pattern: {prefix}_{{year}}{{month}}.nc
grid: east-asia-1deg
quantities:
{quantities}
"""
_QUANTITIES = {
    "pco2": "  pco2_sea: {names: [pco2_sw], uncertainty_names: [pco2_sw_err]}",
    "sst": "  sst: {names: [sst_clim]}",
    "wind": "  wind_speed: {names: [wind]}\n  wind_speed_squared: {names: [wind_m2]}",
    "msl": "  pressure: {names: [msl]}",
    "sss": "  sss: {names: [sss]}",
    "xco2": "  xco2_air: {names: [xco2_air]}",
}
DERIVED = """\
title: Flux of 2010 from its drivers
grid: east-asia-1deg
drivers:
  pco2_sea: drivers-pco2
  sst: drivers-sst
  wind_speed: drivers-wind
  wind_speed_squared: drivers-wind
  pressure: drivers-msl
  sss: drivers-sss
  xco2_air: drivers-xco2
flux:
  transfer_velocity: wanninkhof-2014
mask: {{first_months: {mask_months}}}
limits: {{valid_fraction: 0.2}}
"""
NAME = "flux-2010"


def write_specifications(folder: Path, *, mask_months: int) -> None:
    """Write the specifications of the drivers and of the flux that is computed from them."""
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, quantities in _QUANTITIES.items():
        text = _DRIVER.format(title=prefix, prefix=prefix, quantities=quantities)
        (folder / f"drivers-{prefix}.yaml").write_text(text)
    (folder / f"{NAME}.yaml").write_text(DERIVED.format(mask_months=mask_months))
