"""No training: PyTorch imported and the data set in memory as it is stored, to compare the memory of a training with.

python -m experiments.peers.bare_torch --data FOLDER
"""

from __future__ import annotations

from experiments.peers.common import Clock, mnist_split, parsed_options


def main() -> None:
    """Load and print what it took."""
    options = parsed_options(__doc__)
    clock = Clock()
    import torch

    clock.imported()
    tensors = [torch.from_numpy(array) for split in ("train", "t10k") for array in mnist_split(options.data, split)]
    clock.ready()
    clock.print_report("bare", None)
    del tensors  # held until the memory is read


if __name__ == "__main__":
    main()
