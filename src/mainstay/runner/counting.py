"""Deterministic counts of a workload."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from .digests import RecordingError
from .importing import is_within, probe_import
from .lazy import refuse_lazy_function, refuse_lazy_result
from .protocol import CountedName, Recorded
from .recording import RecordedValues, json_number
from .torch_counting import METRICS, Tally, count_call, count_kernels


class Counts(RecordedValues):
    """Deterministic counts of a workload; ``deterministic`` markers gate it.

    Args:
        roots: Import roots of the project, whose own modules are not counted as imported; none under plain ``pytest``.
        check: Function that refuses modules of another revision.

    Example:
        >>> counts = Counts()
        >>> counts.record(tokens=50257)
        >>> counts.values
        {'tokens': 50257.0}
    """

    def __init__(
        self, roots: Sequence[str] = (), check: Callable[[Mapping[str, str | None]], None] = lambda _: None
    ) -> None:
        super().__init__()
        self.names: dict[str, list[CountedName]] = {}
        self._roots = tuple(roots)
        self._check = check

    def parameters(self, model: Any) -> int:
        """Record ``parameters``: the number of trainable parameters of a torch module, counting shared ones once."""
        count = int(sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad))
        self.record(parameters=count)
        return count

    def flops(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Record ``flops``: the operations in one call of a function, forward and backward; return its result.

        Raises:
            RecordingError: If torch is not loaded.
        """
        if "torch" not in sys.modules:
            raise RecordingError("flops are counted by torch, which this workload does not use")
        refuse_lazy_function(function)
        counter = importlib.import_module("torch.utils.flop_counter").FlopCounterMode(display=False)
        with counter:
            result = function(*args, **kwargs)
        refuse_lazy_result(result)
        self.record(flops=counter.get_total_flops())
        return result

    def torch(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Mapping[str, float]:
        """Record what one call of a function makes torch do, at the level of operators; return these counts.

        The function is called twice, and twice more if PyTorch's compiler is loaded, as it is once there is an optimiser:
        it must have data for four calls. The second call is counted; the other two give ``graph_breaks`` and ``recompiles``.
        Recorded are ``synchronisations``, ``blocking_transfers``, ``operators``, ``copies``, ``autograd_calls``,
        ``allocations``, ``live_tensors``, ``live_tensor_bytes``, ``kept_tensors``, ``graph_breaks`` and ``recompiles``, each
        with the names and places of what was counted.

        Raises:
            RecordingError: If torch is not loaded.
        """
        return self._record_tally(count_call(function, *args, **kwargs), METRICS)

    def kernels(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> int:
        """Record ``kernel_launches``: the kernels that one call runs on the CUDA device; return their number.

        The workload is skipped where torch sees no such device.

        Raises:
            RecordingError: If torch is not loaded.
        """
        torch = sys.modules.get("torch")
        if torch is not None and not torch.cuda.is_available():
            pytest.skip("kernel_launches needs a CUDA device, and torch sees none")
        counted = self._record_tally(count_kernels(function, *args, **kwargs), ("kernel_launches",))
        return int(counted["kernel_launches"])

    def _record_tally(self, tally: Tally, metrics: Sequence[str]) -> Mapping[str, float]:
        """Record some metrics of a tally."""
        numbers = {metric: tally.number(metric) for metric in metrics}
        self.record(**numbers)
        self.names |= {metric: tally.names(metric) for metric in metrics}
        return numbers

    def imports(self, module: str) -> int:
        """Record ``imported_modules``: the number of modules from outside the project that an import loads.

        Under plain ``pytest`` the project is unknown, and its own modules count too.

        Args:
            module: Full name of the module that is imported, in a fresh interpreter.
        """
        imported = probe_import(module)
        self._check(imported.modules)
        names = sorted(name for name in imported.modules if not is_within(name, self._roots))
        self.record(imported_modules=len(names))
        self.names["imported_modules"] = [
            CountedName(name=name, number=1, file="", function="", line=0, code="") for name in names
        ]
        return len(names)

    def file_size(self, path: str | os.PathLike[str]) -> int:
        """Record ``checkpoint_bytes``: the size of a file that the workload has written."""
        size = os.path.getsize(path)
        self.record(checkpoint_bytes=size)
        return size

    def recorded(self) -> Recorded:
        """Content of the event that goes to the gate."""
        return {"values": {name: json_number(value) for name, value in self.values.items()}, "names": self.names}
