"""What a graphics card can do at most, measured, and what an operation moves."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.measure import now


def card_limits() -> tuple[float, float]:
    """Return TFLOP/s of a large bfloat16 matrix product and GB/s of a large copy."""
    side, repeats = 8192, 20
    a = torch.randn(side, side, device="cuda", dtype=torch.bfloat16)
    big = torch.empty(2**30, device="cuda", dtype=torch.uint8)
    target = torch.empty_like(big)
    product = _per_call(lambda: a @ a, repeats)
    copy = _per_call(lambda: target.copy_(big), repeats)
    return 2 * side**3 / product / 1e12, 2 * big.numel() / copy / 1e9


def _per_call(work: Any, repeats: int) -> float:
    work()
    torch.cuda.synchronize()
    began = now()
    for _ in range(repeats):
        work()
    torch.cuda.synchronize()
    return (now() - began) / repeats


class ByteCounter(TorchDispatchMode):
    """Counts the bytes that operators read and write; views count for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            for leaf in tree_leaves((args, kwargs, out)):
                if isinstance(leaf, torch.Tensor):
                    self.bytes += leaf.numel() * leaf.element_size()
        return out
