"""The types of the flows' parameters: what the form of the Prefect UI shows, asks and refuses."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

_MONTH = r"^\d{4}-(0[1-9]|1[0-2])$"

MonthText = Annotated[str, Field(pattern=_MONTH, examples=["2024-05"])]
"""A month, ``YYYY-MM``. (Where it is all of a parameter, one Field has to say everything.)"""

Product = Annotated[
    str | None,
    Field(description="Name of the product specification; empty for the setting TIDENET_PRODUCT."),
]
Months = Annotated[
    list[MonthText] | None,
    Field(description="Only these months (YYYY-MM); empty for whatever is new."),
]
Init = Annotated[
    MonthText | None,
    Field(description="Last observed month to use (YYYY-MM); empty for all that is due."),
]
AsOf = Annotated[
    dt.datetime | None,
    Field(
        description="Replay: nothing that became known after this moment is read. Empty for the "
        "present."
    ),
]
Until = Annotated[
    MonthText | None,
    Field(description="Last month to learn from (YYYY-MM); empty for the last of the record."),
]
First = Annotated[
    str, Field(pattern=_MONTH, examples=["2024-05"], description="First month (YYYY-MM).")
]
Last = Annotated[
    str,
    Field(pattern=_MONTH, examples=["2024-05"], description="Last month (YYYY-MM), included."),
]
Seed = Annotated[int, Field(ge=0, lt=2**31, description="Seed of every random choice.")]
Reason = Annotated[str, Field(min_length=3, description="Why; kept in the archive.")]
Note = Annotated[str, Field(description="Name of the experiment; kept with the version.")]
ConfigFile = Annotated[
    str | None,
    Field(
        description="Shipped setting (short, medium) or YAML file with training options on the "
        "worker; empty for the defaults."
    ),
]
Workers = Annotated[
    int | None,
    Field(
        ge=1,
        le=256,
        description="Processes side by side; empty for the setting TIDENET_BACKFILL_WORKERS. On a "
        "Dask cluster (TIDENET_DASK_SCHEDULER) its size counts instead.",
    ),
]
Where = Annotated[
    Literal["gpu-or-here", "here"],
    Field(
        description="gpu-or-here: on a worker of the GPU pool if one is online, else here. here: "
        "where this run is."
    ),
]
