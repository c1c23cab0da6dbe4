"""``tidenet evaluate`` on a field of another sea, from the command line to the numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from services.small_sea import small_record
from typer.testing import CliRunner

from flows.cli import app
from tidenet.references.networks import fit_network_reference

TINY = """\
n_history: 3
n_leads: 2
working_cells: 16
hidden_channels: 8
n_modes: 2
n_spectral_cells: 1
refiner: none
fusion_channels: [8]
n_epochs: 1
validation_months: 12
n_patterns: 4
backbone: none
"""


@pytest.fixture(scope="module")
def field(tmp_path_factory) -> Path:
    """Nine years of another quantity on another sea, north first and without a unit guard."""
    record = small_record()
    file = tmp_path_factory.mktemp("field") / "sea.nc"
    values = xr.DataArray(
        300 + record.fco2[:, ::-1],
        dims=("time", "latitude", "longitude"),
        coords={
            "time": record.months.astype("datetime64[ns]"),
            "latitude": record.grid.lat[::-1],
            "longitude": record.grid.lon,
        },
        attrs={"units": "K"},
    )
    values.to_dataset(name="warmth").to_netcdf(file)
    (file.parent / "tiny.yaml").write_text(TINY)
    return file


def evaluate(field: Path, *arguments: str, home: Path):
    command = ["--home", str(home), "evaluate", "--field", str(field), "--variable", "warmth"]
    options = ["--config", str(field.parent / "tiny.yaml"), "--members", "4"]
    return CliRunner().invoke(app, [*command, *options, *arguments])


def assert_every_score_has_an_interval(seasons: dict, n_leads: int, n_members: int) -> None:
    named = ["msss", "acc", "bias", "rmse", "mae", "crps", "crpss", "spread_skill"]
    named += ["brier", "reliability", "coverage_50", "coverage_90", "rank_reliability_index"]
    for season, scores in seasons.items():
        for name in named:
            low, estimate, high = (scores[name][key] for key in ("low", "estimate", "high"))
            assert len(estimate) == n_leads, (season, name)
            assert all(map(np.isfinite, estimate)), (season, name)
            if season == "year":  # a season of two years has too few blocks for ends
                assert np.all(np.array(low) <= np.array(high)), name
        ranks = np.array(scores["rank_shares"]["estimate"])
        assert ranks.shape == (n_leads, n_members + 1)
        assert ranks.sum(axis=1) == pytest.approx(1, abs=1e-3)
        for name in ("brier_skill", "roc_area", "reliability_frequency"):
            assert len(scores[name]["estimate"]) == n_leads, "null where no water is below 0 K"


def test_a_field_of_another_sea_is_evaluated_and_drawn(field: Path, tmp_path: Path):
    numbers, pictures = tmp_path / "found.json", tmp_path / "pictures"
    result = evaluate(
        field,
        *("--train-until", "2011-12", "--json", str(numbers), "--pictures", str(pictures)),
        home=tmp_path,
    )
    assert result.exit_code == 0, result.output
    found = json.loads(numbers.read_text())
    assert (found["variable"], found["units"]) == ("warmth", "K")
    assert found["first_init"] == "2012-01"
    assert found["n_init_months"] == 23
    ours, damped = found["methods"]["tidenet"], found["methods"]["damped-persistence"]
    assert ours["msss"][0] > 0.3  # memory of 0.8: at most 0.64
    assert found["methods"]["climatology"]["msss"] == [0.0, 0.0]
    difference = np.subtract(ours["msss"], damped["msss"])
    assert ours["msss_minus_damped"] == pytest.approx(difference, abs=2e-5)
    assert ours["msss_low"][0] < ours["msss"][0] < ours["msss_high"][0]
    assert ours["scores"]["rmse"][0] == pytest.approx(0.6, rel=0.4)
    assert set(ours["seasons"]) == {"year", "DJF", "MAM", "JJA", "SON"}
    assert_every_score_has_an_interval(ours["seasons"], n_leads=2, n_members=found["members"])
    assert {file.name for file in pictures.iterdir()} == {
        *("skill.png", "crpss.png", "ranks.png", "reliability.png", "roc.png")
    }
    assert "served: linear blend" in result.output
    assert not (tmp_path / "archive.db").exists(), "an evaluation leaves no archive behind"


def test_chosen_methods_and_numbers_alone_on_the_screen(field: Path, tmp_path: Path):
    result = evaluate(
        field, "--methods", "trend,ridge", "--json", "-", "--train-until", "2011-12", home=tmp_path
    )
    found = json.loads(result.stdout)
    assert set(found["methods"]) == {"trend", "ridge", "damped-persistence"}


def test_an_unknown_method_lists_the_known_ones(field: Path, tmp_path: Path):
    result = evaluate(field, "--methods", "oracle", home=tmp_path)
    assert result.exit_code == 1
    assert "linear-blend" in result.stderr


def test_a_cut_off_that_leaves_nothing_to_verify_is_refused(field: Path, tmp_path: Path):
    result = evaluate(field, "--train-until", "2013-12", "--methods", "trend", home=tmp_path)
    assert result.exit_code == 1
    assert "2013-12" in result.stderr


def test_weights_that_are_not_there_are_named(field: Path, tmp_path: Path):
    result = evaluate(
        field, "--methods", "trend", "--weights", "nowhere-1", "--train-until", "2011-12",
        home=tmp_path,
    )  # fmt: skip
    assert result.exit_code == 1
    assert "nowhere-1" in result.stderr


def test_months_leads_blocks_and_when_to_fit_again_follow_the_options(
    field: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import tidenet.training

    made: list[tuple[str, str, tuple[int, ...]]] = []

    def spy(name, record_of):
        real = getattr(tidenet.training, name)

        def call(*args, **kwargs):
            record = record_of(args)
            made.append((name, str(record.last_month), record.grid.shape))
            return real(*args, **kwargs)

        monkeypatch.setattr(tidenet.training, name, call)

    spy("train", lambda args: args[0])
    spy("refit", lambda args: args[1])
    result = evaluate(
        field,
        *("--train-until", "2011-12", "--until", "2012-11", "--leads", "1", "--coarsen", "2"),
        *("--refit-months", "4", "--retrain-months", "8"),
        *("--methods", "tidenet", "--json", "-"),
        home=tmp_path,
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["first_init"], found["n_init_months"]) == ("2012-01", 11)
    assert len(found["methods"]["tidenet"]["msss"]) == 1
    blocks = (6, 5)  # of 12 x 10 cells
    assert made == [
        ("train", "2011-12", blocks),
        ("refit", "2012-04", blocks),
        ("train", "2012-08", blocks),
    ]


def test_the_slow_references_are_evaluated_by_name_and_trained_once(
    field: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fitted: list[tuple[str, str]] = []

    def fit(name, record, n_leads, **options):
        fitted.append((name, str(record.last_month)))
        return fit_network_reference(name, record, n_leads, **options, n_epochs=1)

    # The command gives them the epochs that they need; one shows the way from it to the numbers.
    monkeypatch.setattr("tidenet.references.networks.fit_network_reference", fit)
    result = evaluate(
        field,
        *("--methods", "upstream-recipe,simvp", "--leads", "1", "--coarsen", "2", "--json", "-"),
        *("--train-until", "2008-12", "--until", "2009-02", "--refit-months", "1"),
        home=tmp_path,
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert not found["failed"]
    assert set(found["methods"]) == {"upstream-recipe", "simvp", "damped-persistence"}
    for skill in found["methods"].values():
        assert np.isfinite(skill["scores"]["rmse"][0])
    assert fitted == [("upstream-recipe", "2008-12"), ("simvp", "2008-12")]
