"""What running out of memory looks like."""

import torch
from accelerate.utils.memory import should_reduce_batch_size

from tidenet.errors import TidenetError


class NotEnoughMemoryError(TidenetError):
    """Not even one window at a time fits into the memory of the device."""


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that memory, of the GPU or the machine, did not suffice."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return should_reduce_batch_size(error) or "not enough memory" in str(error)
