"""What a flow takes over the function that it calls: the forecast, both in one process.

``python -m benchmarks.flow_overhead INIT_MONTH REPETITIONS`` is started by `operations`, with the
settings in its environment. It makes further forecasts from one month, each with a seed of its own
(the same one would be found in the archive), and prints seconds as JSON.
"""

import json
import logging
import sys
from statistics import median

from benchmarks.measure import now


def measure(init_month: str, repetitions: int) -> dict[str, float]:
    """Call function and flow in turns; return the median seconds of each, the first one apart."""
    from flows.monthly import forecast_months
    from flows.operations.forecast import forecast
    from flows.steady import workspace
    from storage.months import month

    logging.disable(logging.INFO)
    function, flow = [], []
    for k in range(repetitions + 1):
        started = now()
        forecast(workspace(), init=month(init_month), seed=1000 + k)
        function.append(now() - started)
        started = now()
        forecast_months(init=init_month, seed=2000 + k)
        flow.append(now() - started)
    return {"function": median(function[1:]), "flow": median(flow[1:])}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
