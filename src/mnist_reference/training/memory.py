"""Help if a batch does not fit in the memory of its device: the error names a batch size that does."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mnist_reference.errors import MemoryExhaustedError

SIGNS = ("out of memory", "can't allocate memory", "not enough memory")
"""Error messages of the allocators of MPS and of the CPU, the last one on Windows; CUDA has an exception of its own."""


def within_memory(run: Callable[[], Tensor], try_batch: Callable[[int], None], *, batch_size: int) -> Tensor:
    """Run a computation over batches, and explain an error if they do not fit in the memory.

    Args:
        run: The computation.
        try_batch: Function that allocates the memory that training on batches of a given size needs.
        batch_size: Batch size of the computation.

    Raises:
        MemoryExhaustedError: If the batches do not fit; the message names a batch size that does, found by halving:
            half of the largest that fitted when tried, because a later training finds the memory in other pieces.
    """
    try:
        return run()
    except RuntimeError as error:
        if not is_exhaustion(error):
            raise
    # the error is released here, and with it the tensors in its traceback
    fitting = largest_fitting(try_batch, batch_size // 2)
    size = max(fitting // 2, min(fitting, 1))
    raise MemoryExhaustedError(
        f"a batch of {batch_size} does not fit in the memory",
        next_step=f"a batch_size of {size} fits" if size else "not even one example fits: take a smaller model",
    )


def largest_fitting(try_batch: Callable[[int], None], batch_size: int) -> int:
    """The first that fits of a size, its half, its quarter and so on; 0 if none does."""
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
