"""Write product files of a synthetic sea: ``python synthetic_files.py FOLDER 2010-01 2026-10``.

They are of the product ``synthetic-ecs``, for trying a deployment before real files are there.
"""

import sys
from pathlib import Path

from ingest.catalogue import load_files_product
from ingest.synthetic.files import PRODUCT, write_months
from storage.months import month, month_range

SEED = 2003


def main() -> None:
    """Write what is missing, and say how many."""
    folder, first, last = Path(sys.argv[1]), month(sys.argv[2]), month(sys.argv[3])
    written = write_months(
        folder,
        load_files_product(PRODUCT).target_grid,
        month_range(first, last),
        seed=SEED,
        progress=lambda done, total, detail: None,  # noqa: ARG005 - what the callback is given
    )
    print(f"{written} files written to {folder}.")


if __name__ == "__main__":
    main()
