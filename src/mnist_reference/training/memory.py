"""What to do when a batch does not fit in the memory of its device: say which one would."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mnist_reference.errors import MemoryExhaustedError

SIGNS = ("out of memory", "can't allocate memory", "not enough memory")
"""What the allocators say of MPS and of the CPU, the last on Windows; CUDA's has an exception of its own."""


def within_memory(run: Callable[[], Tensor], try_batch: Callable[[int], None], *, batch_size: int) -> Tensor:
    """What a computation over batches gives, if they fit in the memory.

    Args:
        run: The computation.
        try_batch: Asks for the memory that batches of some size take.
        batch_size: Of the computation.

    Raises:
        MemoryExhaustedError: If it does not fit; with a batch size that does, found by halving: half of the largest one
            that was tried and fitted, because a later training finds the memory in other pieces.
    """
    try:
        return run()
    except RuntimeError as error:
        if not is_exhaustion(error):
            raise
    # here the error is gone, and with it the tensors that its traceback held
    fitting = largest_fitting(try_batch, batch_size // 2)
    size = max(fitting // 2, min(fitting, 1))
    raise MemoryExhaustedError(
        f"a batch of {batch_size} does not fit in the memory",
        next_step=f"a batch_size of {size} fits" if size else "not even one example fits: take a smaller model",
    )


def largest_fitting(try_batch: Callable[[int], None], batch_size: int) -> int:
    """The first of a size, its half, its quarter and so on that fits; 0 if none does."""
    while batch_size:
        try:
            try_batch(batch_size)
        except RuntimeError as error:
            if not is_exhaustion(error):
                raise
        else:
            break
        batch_size //= 2
    return batch_size


def is_exhaustion(error: RuntimeError) -> bool:
    """Whether an error says that there is no memory left.

    Example:
        >>> is_exhaustion(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"))
        True
        >>> is_exhaustion(RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."))
        True
    """
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in SIGNS)
