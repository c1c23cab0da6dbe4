"""Runs the notebooks of ``docs/notebooks`` on an archive and keeps what they show.

Usage: ``TIDENET_DATABASE=sqlite:////folder/archive.db python docs/make_notebook.py``. Without the
variable they run on the archive of ``make demo``.
"""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent / "notebooks"


def run(notebook: Path) -> nbformat.NotebookNode:
    """Run a notebook in its own folder and return it with its outputs.

    Raises
    ------
    CellExecutionError
        If a cell fails.
    """
    node = nbformat.read(notebook, as_version=4)
    client = NotebookClient(
        node, timeout=600, resources={"metadata": {"path": str(notebook.parent)}}
    )
    client.execute()
    for cell in node.cells:
        cell.metadata.pop("execution", None)  # when each cell ran is no part of what it shows
    return node


def main() -> None:
    """Run all notebooks and write them back."""
    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        nbformat.write(run(notebook), notebook)


if __name__ == "__main__":
    main()
