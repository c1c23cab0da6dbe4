"""Training TIDE-Net: windows, samples, losses, the loop; the names that callers use."""

from tidenet.training.fit import Trained, train, train_and_hold_out
from tidenet.training.progress import TrainingProgress

__all__ = ["Trained", "TrainingProgress", "train", "train_and_hold_out"]
