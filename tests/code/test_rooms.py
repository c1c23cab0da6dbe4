"""Imports run downwards only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {"flows", "ingest", "storage", "tidenet"}
NAMES = "check_result eof_basis errors flux_month grid months outside regions"
VALUES = {f"storage.{name}" for name in NAMES.split()}
ALLOWED: dict[str, set[str]] = {"storage": set(), "ingest": VALUES, "tidenet": VALUES}


def imported_modules(file: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    return modules


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    for file in sorted((ROOT / room).rglob("*.py")):
        for module in imported_modules(file):
            top = module.split(".")[0]
            if top == room or top not in ROOMS:
                continue
            assert module in ALLOWED[room], f"{file.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_nothing_below_flows_knows_prefect(room: str) -> None:
    for file in sorted((ROOT / room).rglob("*.py")):
        tops = {module.split(".")[0] for module in imported_modules(file)}
        assert "prefect" not in tops, f"{file.relative_to(ROOT)} imports prefect"
