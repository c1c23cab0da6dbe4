"""The section ``flux`` of a product specification: how a flux is computed from drivers."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ingest.flux.gas_transfer import TRANSFER_VELOCITIES

TransferVelocityName = Literal[
    "wanninkhof-1992", "nightingale-2000", "ho-2006", "sweeney-2007", "wanninkhof-2014"
]


class FluxOptions(BaseModel):
    """How the flux is computed where a product delivers its drivers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    transfer_velocity: TransferVelocityName = Field(
        "wanninkhof-2014", description="parametrisation of the gas transfer velocity k by wind"
    )
    difference: Literal["pressure", "fugacity"] = Field(
        "pressure",
        description="whether sea and air are compared as partial pressures or as fugacities; what "
        "is delivered as the other is converted, on both sides",
    )
    skin: Literal["none", "constant", "delivered"] = Field(
        "none",
        description="cool skin that the air meets: none; skin_difference off sst; or the delivered "
        "sst_skin, which must be of the same origin as sst",
    )
    skin_difference: float = Field(
        -0.17,
        ge=-2.0,
        le=0.0,
        description="with skin: constant, skin minus sst, K (Donlon et al. 2002)",
    )
    salinity_if_missing: float | None = Field(
        None,
        ge=0.0,
        le=45.0,
        description="practical salinity where sss is not delivered; None: it must be",
    )
    pressure_if_missing: float | None = Field(
        None,
        ge=85_000.0,
        le=110_000.0,
        description="air pressure where it is needed and not delivered, Pa (101325 is 1 atm); "
        "None: it must be delivered",
    )
    sea_uncertainty: float = Field(
        20.0,
        ge=0.0,
        description="standard error of CO2 in the sea where none is delivered, uatm",
    )
    air_uncertainty: float = Field(
        2.0,
        ge=0.0,
        description="standard error of CO2 in the air where none is delivered, uatm or ppm",
    )
    wind_uncertainty: float = Field(
        0.5,
        ge=0.0,
        description="standard error of the mean wind where none is delivered, m s-1; the second "
        "moment's follows from it",
    )
    second_moment_uncertainty: float = Field(
        0.3,
        ge=0.0,
        description="relative standard error, besides that of the wind, of a second moment that is "
        "estimated from the mean wind",
    )
    skin_uncertainty: float = Field(
        0.07,
        ge=0.0,
        description="standard error of skin minus sst where none is delivered, K (Donlon et al. "
        "2002)",
    )
    transfer_velocity_uncertainty: float | None = Field(
        None,
        ge=0.0,
        description="relative standard error of k; None: the parametrisation's own",
    )

    @property
    def relative_error_of_k(self) -> float:
        """The relative standard error of k that counts."""
        if self.transfer_velocity_uncertainty is not None:
            return self.transfer_velocity_uncertainty
        return TRANSFER_VELOCITIES[self.transfer_velocity].uncertainty
