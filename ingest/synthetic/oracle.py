"""The best possible forecast of the synthetic sea: it knows the true state and the true laws.

Given the drifting patches and the interannual index of the init month, the expected flux of a later
month is the flux of the patches carried on and faded and of the index faded, in the known season
and trend and under the mean wind. Nothing that is made from observations has a smaller expected
squared error; what it misses is the weather and the patches that are not born yet.
"""

from collections.abc import Collection, Iterator

import numpy as np

from ingest.synthetic.sea import SyntheticSea
from storage.months import Month


def oracle_forecasts(
    sea: SyntheticSea, init_months: Collection[Month], n_leads: int
) -> Iterator[tuple[Month, np.ndarray]]:
    """Forecast from many init months in one pass over the sea's history.

    Parameters
    ----------
    sea
        The sea; its seed is the history that is forecast.
    init_months
        Months to forecast from, in any order.
    n_leads
        Lead months.

    Yields
    ------
    tuple
        Init month, and the expected flux float32 (lead, lat, lon) of the months after it,
        mmol m-2 d-1, positive out of the sea; NaN on land. In the order of time.

    Raises
    ------
    SyntheticMonthError
        If an init month lies before the sea's first.
    """
    if not init_months:
        return
    wanted = set(init_months)
    for state in sea.states(min(wanted), max(wanted)):
        if state.month not in wanted:
            continue
        init_month, leads = state.month, []
        for _ in range(n_leads):
            state = sea.carried(state)
            leads.append(sea.expected_flux(state))
        yield init_month, np.stack(leads)
