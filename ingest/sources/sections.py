"""The section ``source`` of a product specification: where the product's files come from."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LandingSource(_Section):
    """A landing zone: a folder, ``s3://`` or ``http(s)://`` listing where files are put."""

    kind: Literal["landing"] = "landing"
    url: str | None = Field(
        None,
        min_length=1,
        description="folder or URL; None: the landing zone of the settings (TIDENET_LANDING)",
    )


class CopernicusMarineSource(_Section):
    """Original files of a dataset of the Copernicus Marine Service."""

    kind: Literal["copernicus-marine"]
    dataset_id: str = Field(min_length=1, description="the dataset's name in the catalogue")
    version: str | None = Field(
        None, min_length=1, description="version of the dataset; None: the newest"
    )
    filter: str | None = Field(
        None,
        min_length=1,
        description="shell pattern that a file's path must match, such as */2019/*",
    )


class EarthdataSource(_Section):
    """Granules of a collection in NASA's Earthdata catalogue."""

    kind: Literal["earthdata"]
    short_name: str = Field(min_length=1, description="the collection's short name")
    version: str | None = Field(
        None, min_length=1, description="version of the collection; None: every version"
    )
    granule_name: str | None = Field(
        None,
        min_length=1,
        description="names of the granules wanted, with * and ?; None: all of the collection, "
        "which are many where it holds daily maps as well",
    )


SourceSection = Annotated[
    LandingSource | CopernicusMarineSource | EarthdataSource, Field(discriminator="kind")
]
