"""``tidenet products``: what it shows, its exit codes and pictures, the way out and in again."""

import re
from pathlib import Path

import numpy as np
import pytest
from services.small_loop import GRID, YEARLY, World, all_passed, dataset, flux, ocean, run_python
from typer.testing import CliRunner, Result

from flows.cli import app
from flows.operations.product_map import product_map
from flows.operations.products import export_to_hdf5
from ingest.reader import DeliveredMonth, Field
from storage.grid import Grid
from storage.months import month


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("flows.screen.CONSOLE._width", 200, raising=False)
    monkeypatch.chdir(tmp_path)


def products(world: World, *arguments: object) -> Result:
    words = ["--home", str(world.home), "products", *map(str, arguments)]
    result = CliRunner().invoke(app, words)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def said(result: Result) -> str:
    return " ".join(result.output.split())


# --- list and check -------------------------------------------------------------------------------


def test_list_shows_every_product_and_ones_own(empty: World) -> None:
    shown = products(empty, "list")
    assert shown.exit_code == 0
    for words in ("small", "zenodo-ecs-1km", "tidenet-hdf5", "16x14", "0.5°"):
        assert words in shown.output
    assert re.search(r"nasa-l3m-sst-4km\s+sst_skin\s.*both\s+45 d", shown.output)
    assert "computed from oceanflux-pressure" in said(shown)


def test_check_of_a_good_file_fits_and_ends_with_0(empty: World) -> None:
    shown = products(empty, "check", empty.deliver("2010-01"))
    assert shown.exit_code == 0, shown.output
    for words in ("as small", "fco2: units", "ocean mask", "The file fits small."):
        assert words in said(shown)


def test_check_lists_all_that_is_wrong_and_ends_with_3(empty: World) -> None:
    content = dataset(month("2010-01"))
    content["fco2"].attrs["units"] = "K"
    content = content.assign_coords(lon=content["lon"] + 0.1)
    shown = products(empty, "check", empty.deliver("2010-01", content))
    assert shown.exit_code == 3
    assert said(shown).count("does not fit") == 2
    assert "Name the right grid" in said(shown)
    assert "No product is known" not in said(shown)


def test_check_of_an_unknown_file_suggests_a_specification(empty: World, tmp_path: Path) -> None:
    path = empty.deliver("2010-02").rename(tmp_path / "other_201002.nc")
    target = tmp_path / "mine" / "other.yaml"
    shown = products(empty, "check", path, "--suggest", target)
    assert shown.exit_code == 3
    assert 'file_pattern: "other_{year}{month}.nc"' in shown.output
    assert target.read_text().strip() in "\n".join(
        line.rstrip() for line in shown.output.splitlines()
    )
    # The suggestion is a product as it stands, and the file fits it.
    (empty.home / "products" / "other.yaml").write_text(target.read_text())
    again = products(empty, "check", path)
    assert again.exit_code == 0, again.output
    assert "The file fits other." in said(again)
    # It is not written over what a person may have corrected.
    refused = products(empty, "check", path, "--suggest", target)
    assert refused.exit_code == 1
    assert "FileExistsAlreadyError" in refused.output


def test_a_name_that_fits_several_products_is_said(empty: World) -> None:
    text = (empty.home / "products" / "small.yaml").read_text()
    (empty.home / "products" / "twin.yaml").write_text(text.replace("[fco2]", "[other]"))
    path = empty.deliver("2010-01")
    shown = products(empty, "check", path)
    assert shown.exit_code == 0
    assert "fits several products: small, twin. Choose one with --product." in said(shown)
    assert products(empty, "check", path, "--product", "twin").exit_code == 3
    drawn = products(empty, "preview", path)
    assert drawn.exit_code == 1
    assert "ProductNotChosenError" in drawn.output
    assert "small, twin" in said(drawn)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("check", "/no/such/file.nc"), 2, "does not exist"),
        (("check",), 2, "Missing argument"),
        (("check", "FILE", "--product", "nobody"), 1, "UnknownProductError"),
        (("check", "FILE", "--product", "flux-from-oceanflux"), 1, "InvalidSpecificationError"),
        (("check", "FILE", "--month", "May"), 1, "InvalidMonthError"),
        (("preview", "FILE", "--quantity", "sst"), 1, "UnknownQuantityError"),
        (("preview", "FILE", "--product", "noaa-ersst"), 1, "InvalidTimeError"),
        (("to-hdf5", "out"), 1, "Error"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_wrong_use_is_named(
    empty: World, arguments: tuple[str, ...], code: int, words: str
) -> None:
    path = str(empty.deliver("2010-01"))
    shown = products(empty, *(path if word == "FILE" else word for word in arguments))
    assert shown.exit_code == code, shown.output
    assert re.search(words, shown.output)


# --- preview --------------------------------------------------------------------------------------


def test_preview_writes_a_picture_named_after_product_and_month(
    empty: World, tmp_path: Path
) -> None:
    shown = products(empty, "preview", empty.deliver("2010-03"))
    assert shown.exit_code == 0, shown.output
    assert said(shown) == "small_fco2_2010-03.png"
    assert (tmp_path / "small_fco2_2010-03.png").read_bytes().startswith(b"\x89PNG")
    target = tmp_path / "maps" / "mine.png"
    assert products(empty, "preview", empty.path("2010-03"), "--to", target).exit_code == 0
    assert target.stat().st_size > 10_000


def delivered(quantity: str, values: np.ndarray) -> DeliveredMonth:
    field = Field(values, np.full(values.shape, np.nan), "raw_name", "units")
    return DeliveredMonth(month("2010-01"), GRID, {quantity: field})


def test_a_map_of_flux_is_balanced_around_zero_and_says_sign_and_units() -> None:
    values = flux(month("2010-01")).astype(float)
    figure = product_map(
        delivered("fco2", values), "fco2", title="Small sea", when="2010-01", source="x.nc"
    )
    axis, bar = figure.axes
    image = axis.images[0]
    low, high = image.get_clim()
    assert low == -high
    assert high == pytest.approx(np.nanpercentile(np.abs(values), 98))
    shown = image.get_array()
    assert np.ma.getmaskarray(np.ma.masked_invalid(shown)).sum() == (~ocean()).sum()
    # South is below: the first row drawn is the first of the array.
    assert (image.origin, axis.get_ylim(), axis.get_xlim()) == ("lower", (25, 33), (120, 127))
    assert axis.get_aspect() == pytest.approx(1 / np.cos(np.deg2rad(29)))
    assert "Small sea" in axis.get_title()
    assert "2010-01" in axis.get_title()
    assert "positive out of the sea" in bar.get_xlabel()
    assert "mmol" in bar.get_xlabel()


def test_values_in_a_corner_of_a_large_grid_are_drawn_near() -> None:
    grid = Grid("large", south=-90.0, west=-180.0, step=1.0, n_lat=180, n_lon=360)
    values = np.full(grid.shape, np.nan)
    values[20:22, 300:303] = 1.0
    field = Field(values, values * np.nan, "raw_name", "units")
    month_of_it = DeliveredMonth(month("2010-01"), grid, {"sst": field})
    axis = product_map(month_of_it, "sst", title="t", when="w", source="s").axes[0]
    assert (axis.get_xlim(), axis.get_ylim()) == ((112, 131), (-78, -60))
    shown = np.asarray(axis.images[0].get_array())
    assert shown.shape == (18, 19)
    assert np.isfinite(shown[8:10, 8:11]).all()


def test_other_maps_span_their_values_even_where_all_are_alike() -> None:
    values = np.full(GRID.shape, np.nan)
    values[3:5, 4:6] = [[10.0, 11.0], [12.0, 13.0]]
    figure = product_map(delivered("sst", values), "sst", title="t", when="w", source="s")
    low, high = figure.axes[0].images[0].get_clim()
    assert 10 <= low < high <= 13
    assert figure.axes[1].get_xlabel() == "temperature of the water below the skin, °C"
    wide = product_map(
        delivered("sst", np.where(ocean(), 10.0, np.nan)), "sst", title="t", when="w", source="s"
    )
    assert wide.axes[0].images[0].get_clim() == (9.5, 10.5)


def test_a_map_of_too_many_cells_is_drawn_by_means_of_blocks() -> None:
    """One cell with a value is seen still, where it lies; missing cells pull no mean down."""
    grid = Grid("fine", south=0.0, west=100.0, step=0.01, n_lat=4, n_lon=5001)
    values = np.full(grid.shape, 8.0)
    values[:, :3] = np.nan
    values[1, 1] = 12.0
    field = Field(values, values * np.nan, "raw_name", "units")
    month_of_it = DeliveredMonth(month("2010-01"), grid, {"sst": field})
    figure = product_map(month_of_it, "sst", title="t", when="w", source="s")
    axis = figure.axes[0]
    image = axis.images[0]
    shown = np.asarray(image.get_array())
    assert shown.shape == (2, 1667)
    assert shown[0, 0] == 12.0
    assert (shown[:, 1:] == 8.0).all()
    assert image.get_extent() == pytest.approx([100.0, 150.01, 0.0, 0.06])
    assert axis.get_ylim() == pytest.approx((0.0, 0.04))


def test_every_real_format_can_be_drawn(empty: World, shared_data: Path, tmp_path: Path) -> None:
    for path in sorted((shared_data / "formats").glob("*_*01*.nc")):
        shown = products(empty, "preview", path)
        assert shown.exit_code == 0, shown.output
        assert (tmp_path / said(shown)).stat().st_size > 20_000


# --- the way out and in again ---------------------------------------------------------------------


def test_the_record_goes_out_as_yearly_files_and_comes_in_again_unchanged(
    empty: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # These months are sound; asking Great Expectations takes a quarter of a second each.
    monkeypatch.setattr("ingest.quality._validate", all_passed)
    empty.deliver_span("2010-10", "2011-02")
    (empty.home / "products" / "small.yaml").write_text(
        (empty.home / "products" / "small.yaml").read_text().replace("2010-01", "2010-10")
    )
    assert set(empty.outcomes().values()) == {"committed"}
    out = tmp_path / "out"
    shown = products(empty, "to-hdf5", out)
    assert shown.exit_code == 0, shown.output
    assert [path.name for path in sorted(out.iterdir())] == ["fco2_2010.h5", "fco2_2011.h5"]

    other = World.create(tmp_path / "other")
    (other.home / "products" / "small.yaml").write_text(YEARLY.replace("2010-01", "2010-10"))
    for path in out.iterdir():
        path.rename(other.home / "landing" / path.name)
    assert set(other.outcomes().values()) == {"committed"}
    before, after = empty.workspace.record(), other.workspace.record()
    np.testing.assert_array_equal(before.ocean, after.ocean)
    assert list(before.months()) == list(after.months())
    for value in before.months():
        there, back = before.read_month(value).fco2, after.read_month(value).fco2
        np.testing.assert_array_equal(there, back)


def test_months_to_write_can_be_chosen(empty: World, tmp_path: Path) -> None:
    empty.deliver_span("2010-01", "2010-03")
    empty.ingest()
    chosen = products(empty, "to-hdf5", tmp_path, "--from", "2010-02", "--to", "2010-02")
    assert chosen.exit_code == 0, chosen.output
    import h5py

    with h5py.File(tmp_path / "fco2_2010.h5") as file:
        assert list(file["fco2_processed"]) == ["201002"]
    for first, last in (("2010-03", "2010-01"), ("2010-02", "2010-09")):
        refused = products(empty, "to-hdf5", tmp_path, "--from", first, "--to", last)
        assert refused.exit_code == 1, refused.output
        assert "what to do" in said(refused)
    seen: list[tuple[int, int]] = []
    export_to_hdf5(
        empty.workspace, tmp_path / "p", progress=lambda done, total, _: seen.append((done, total))
    )
    assert seen[-1] == (3, 3)


# --- imports --------------------------------------------------------------------------------------


def test_help_imports_no_heavy_library() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from flows.cli import app\n"
        "result = CliRunner().invoke(app, ['products', '--help'])\n"
        "assert result.exit_code == 0, result.output\n"
        "assert 'to-hdf5' in result.output\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & {"numpy", "xarray", "matplotlib", "torch"}
