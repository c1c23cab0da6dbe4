"""The types of the flows' parameters: what the form of the Prefect UI shows, asks and refuses."""

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler


@dataclass(frozen=True)
class Says:
    """The words beside a parameter in the form.

    Not a Field's description: Prefect puts that of the docstring in its place.
    """

    text: str

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> Any:
        """Return the schema with the words."""
        return {**handler(core), "description": self.text}


_MONTH = Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", examples=["2024-05"])
_Month = Annotated[str, _MONTH]

Product = Annotated[
    str | None, Says("Name of the product specification; empty for the setting TIDENET_PRODUCT.")
]
Months = Annotated[
    list[_Month] | None, Says("Only these months (YYYY-MM); empty for whatever is new.")
]
Init = Annotated[
    _Month | None, Says("Last observed month to use (YYYY-MM); empty for all that is due.")
]
AsOf = Annotated[
    dt.datetime | None,
    Says("Replay: nothing that became known after this moment is read. Empty for the present."),
]
Until = Annotated[
    _Month | None, Says("Last month to learn from (YYYY-MM); empty for the last of the record.")
]
First = Annotated[str, _MONTH, Says("First month (YYYY-MM).")]
Last = Annotated[str, _MONTH, Says("Last month (YYYY-MM), included.")]
Seed = Annotated[int, Field(ge=0, lt=2**31), Says("Seed of every random choice.")]
Reason = Annotated[str, Field(min_length=3), Says("Why; kept in the archive.")]
Note = Annotated[str, Says("Name of the experiment; kept with the version.")]
ConfigFile = Annotated[
    str | None,
    Says(
        "Shipped setting (short, medium) or YAML file with training options on the worker; empty "
        "for the defaults."
    ),
]
Workers = Annotated[
    Annotated[int, Field(ge=1, le=256)] | None,
    Says(
        "Processes side by side; empty for the setting TIDENET_BACKFILL_WORKERS. On a Dask cluster "
        "(TIDENET_DASK_SCHEDULER) its size counts instead."
    ),
]
Where = Annotated[
    Literal["gpu-or-here", "here"],
    Says(
        "gpu-or-here: on a worker of the GPU pool if one is online, else where this run is. here: "
        "where this run is."
    ),
]
