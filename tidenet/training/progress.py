"""What training tells whoever waits for it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingProgress:
    """Where training stands after an epoch.

    Parameters
    ----------
    epoch, n_epochs
        Epoch just finished, from 1, and the most there will be.
    loss
        Mean training loss of the epoch.
    validation_loss, best_validation_loss
        Area-weighted mean squared error of the standardised anomaly on the validation block, now
        and at its best so far.
    seconds
        Seconds since training began.
    """

    epoch: int
    n_epochs: int
    loss: float
    validation_loss: float
    best_validation_loss: float
    seconds: float
