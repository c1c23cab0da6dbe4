"""Which months a network may learn from and which it is checked on."""

from dataclasses import dataclass

import numpy as np

from tidenet.errors import NotEnoughMonthsError


@dataclass(frozen=True)
class Windows:
    """Init positions on the time axis of the fitting and the validation windows.

    A window with init position ``i`` reads the months ``i - n_history + 1 .. i`` and is held
    against the months ``i + 1 .. i + n_leads``.

    Parameters
    ----------
    fitting, validation
        Integer positions, ascending.
    n_fitting_months
        Months from the start of the record that may be fitted on; no later month is read before
        validation.
    """

    fitting: np.ndarray
    validation: np.ndarray
    n_fitting_months: int


def init_positions(first: int, last: int, n_history: int, n_leads: int) -> np.ndarray:
    """Return the init positions whose whole window lies in ``first..last`` (both included)."""
    return np.arange(first + n_history - 1, last - n_leads + 1)


def split_windows(n_months: int, n_history: int, n_leads: int, validation_months: int) -> Windows:
    """Split by time, with a gap as long as a window between fitting and validation.

    The targets of the validation windows are the last ``validation_months`` months; their inputs
    may lie in the gap. No month of a fitting window is in the gap or later.

    Raises
    ------
    NotEnoughMonthsError
        If no fitting window is left, or fewer than 24 months to fit a climatology on.
    """
    window = n_history + n_leads
    n_fitting = n_months - validation_months - window
    fitting = init_positions(0, n_fitting - 1, n_history, n_leads)
    if n_fitting < 24 or len(fitting) == 0:
        least = max(24, window) + validation_months + window
        raise NotEnoughMonthsError(
            "The record is too short to train on.",
            found=f"{n_months} months",
            expected=f"at least {least} ({max(24, window)} to fit on, a gap of {window} and "
            f"{validation_months} for validation)",
            remedy="Ingest earlier months, or use fewer validation months or a shorter window.",
        )
    first_target = n_months - validation_months
    validation = np.arange(first_target - 1, n_months - n_leads)
    return Windows(fitting, validation, n_fitting)
