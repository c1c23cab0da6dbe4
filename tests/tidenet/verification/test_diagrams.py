"""Pictures of skill and calibration."""

import io

import numpy as np
import pytest

from storage.months import month
from tidenet.verification.bootstrap import interval
from tidenet.verification.diagrams import (
    rank_histograms,
    reliability_diagram,
    roc_diagram,
    skill_by_lead,
)
from tidenet.verification.monthly import monthly_sums, skill_against
from tidenet.verification.probability import ProbabilityRow, VerifiedMonth, probability_sums

SHAPE = (6, 5)
ALL = {"all": np.ones(SHAPE, bool)}


@pytest.fixture(scope="module")
def sums():
    rng = np.random.default_rng(0)
    rows = []
    for position in range(24):
        for lead in (1, 2, 3, 4):
            signal = rng.standard_normal(SHAPE)
            observed = signal + rng.standard_normal(SHAPE)
            held = VerifiedMonth(
                observed, ALL["all"], np.full(SHAPE, 1e6), np.zeros(SHAPE), np.full(SHAPE, 1.4)
            )
            for method, spread in (("good", 1.0), ("narrow", 0.3)):
                members = signal + spread * rng.standard_normal((9, *SHAPE))
                [found] = probability_sums(members, held, ALL, rng=rng, mean=signal)
                rows.append(ProbabilityRow(method, month("2012-01") + position, lead, found))
    return {name: monthly_sums(rows, name) for name in ("good", "narrow")}


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def drawn(figure) -> str:
    """Draw it, and return all that is written on it."""
    png = io.BytesIO()
    figure.savefig(png)
    assert png.getvalue().startswith(b"\x89PNG")
    words = [text.get_text() for text in figure.texts]
    for axis in figure.axes:
        words += [axis.get_title(), axis.get_xlabel(), axis.get_ylabel()]
        legend = axis.get_legend()
        words += [text.get_text() for text in legend.get_texts()] if legend else []
    return "\n".join([*words, figure.get_suptitle()])


def test_the_reliability_diagram_says_what_of_how_many_months_and_bends_where_overconfident(sums):
    figure = reliability_diagram(sums["narrow"], title="narrow, all leads", rng=rng())
    words = drawn(figure)
    assert "narrow, all leads" in words and "Observed frequency" in words
    assert "24 init months" in words and "blocks of 4 months" in words
    assert "base rate 0.5" in words
    [line] = [one for one in figure.axes[0].lines if one.get_marker() == "o"]
    probability, frequency = line.get_data()
    assert frequency[0] > probability[0] + 0.05 and frequency[-1] < probability[-1] - 0.05
    bars = figure.axes[1].patches
    assert sum(bar.get_height() for bar in bars) == pytest.approx(1)


def test_rank_histograms_have_a_panel_a_lead_and_one_scale(sums):
    figure = rank_histograms(sums["good"], title="ranks", rng=rng())
    assert "Members below the observed value" in drawn(figure)
    panels = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in panels] == ["Lead 1", "Lead 2", "Lead 3", "Lead 4"]
    assert len({axis.get_ylim() for axis in panels}) == 1
    for axis in panels:
        assert sum(bar.get_height() for bar in axis.patches) == pytest.approx(1)
        assert len(axis.patches) == 10


def test_neighbouring_ranks_are_put_together_for_the_regional_mean(sums):
    figure = rank_histograms(
        sums["good"], title="ranks", rng=rng(), name="regional_rank", most_bars=5
    )
    assert "Part of the months" in drawn(figure)
    panel = figure.axes[0]
    assert len(panel.patches) == 5
    assert 1 < panel.patches[0].get_width() < 2  # as wide as the two ranks that it stands for
    [flat] = [line for line in panel.lines if line.get_linestyle() == "--"]
    assert flat.get_ydata()[0] == pytest.approx(1 / 5)


def test_skill_by_lead_tells_methods_apart_without_colour(sums):
    crpss = skill_against("crps_climatology", "crps")
    found = {name: interval(one, crpss, rng=rng()) for name, one in sums.items()}
    figure = skill_by_lead(found, (1, 2, 3, 4), label="CRPSS", title="Skill")
    words = drawn(figure)
    assert "Lead (months)" in words and "CRPSS" in words
    assert "good\nnarrow" in words
    axis = figure.axes[0]
    lines = [line for line in axis.lines if line.get_marker() in ("o", "s")]
    assert len({line.get_color() for line in lines}) == 2
    assert len(lines[0].get_xdata()) == 4
    assert lines[0].get_ydata() == pytest.approx(found["good"].estimate)


def test_the_roc_diagram_states_the_areas_with_their_intervals(sums):
    words = drawn(roc_diagram(sums, title="leads 1 to 4", rng=rng()))
    assert "good: area 0." in words and " to 0." in words
    assert "Hit rate" in words and "False alarm rate" in words


def test_two_months_are_drawn_without_bars_and_the_picture_says_so(sums):
    short = sums["good"].months([month("2012-01"), month("2012-02")])
    assert "no bars: too few months" in drawn(rank_histograms(short, title="short", rng=rng()))
    assert "too few months" in drawn(reliability_diagram(short, title="short", rng=rng()))
    assert "too few months" in drawn(roc_diagram({"good": short}, title="short", rng=rng()))
