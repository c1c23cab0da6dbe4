import pytest

from tidenet.errors import NotEnoughMonthsError
from tidenet.training.windows import init_positions, split_windows


def test_windows_lie_inside_their_span():
    positions = init_positions(10, 29, n_history=6, n_leads=3)
    assert positions[0] - 5 == 10
    assert positions[-1] + 3 == 29


def test_no_target_month_is_shared_and_a_gap_lies_between():
    split = split_windows(204, n_history=6, n_leads=6, validation_months=24)
    fitted = {month for i in split.fitting for month in range(i - 5, i + 7)}
    targets = {month for i in split.validation for month in range(i + 1, i + 7)}
    inputs = {month for i in split.validation for month in range(i - 5, i + 1)}
    assert targets == set(range(180, 204))
    assert not fitted & (targets | inputs)
    assert max(fitted) == split.n_fitting_months - 1
    assert min(targets) - max(fitted) - 1 == 12


def test_too_short_a_record_says_how_many_months_it_takes():
    with pytest.raises(NotEnoughMonthsError, match="at least 60"):
        split_windows(59, n_history=6, n_leads=6, validation_months=24)
    assert len(split_windows(60, 6, 6, 24).fitting) == 13
