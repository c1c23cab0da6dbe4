"""Training TIDE-Net: windows, samples, losses, the loop; the names that callers use."""

from tidenet.training.fit import Trained, refit, train, train_and_hold_out
from tidenet.training.progress import TrainingProgress

__all__ = ["Trained", "TrainingProgress", "refit", "train", "train_and_hold_out"]
