"""What to do as soon as the workload's own code has imported a module."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class LoadHook(MetaPathFinder):
    """Calls a function once, after a module has been imported for the first time.

    Args:
        name: Name of the module.
        then: The function.
    """

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self._name = name
        self._then = then

    def install(self) -> None:
        """Wait for the import."""
        sys.meta_path.insert(0, self)

    def remove(self) -> None:
        """Wait no longer."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that the other finders give, whose loader calls the function when the module has run."""
        if fullname != self._name:
            return None
        self.remove()
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute, then = spec.loader.exec_module, self._then

            def execute_then(module: ModuleType) -> None:
                execute(module)
                then()

            spec.loader.exec_module = execute_then  # type: ignore[method-assign]  # of this loader alone
        return spec
