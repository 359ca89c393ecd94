"""Contracts for import-linter: who may import whom, as a table.

import-linter's own contracts list what is forbidden, so a new folder is free until someone remembers it. Here a
row lists what is allowed, and a folder without a row is a finding. The rows stand in ``pyproject.toml``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from importlinter import Contract, ContractCheck, fields, output

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from grimp import ImportGraph


class ImportTable(Contract):
    """Each part of a package imports only the parts that its row names.

    A part is a folder or a module of the package; ``folder.module`` gives one module of a folder a row of its own, which
    then holds in place of the folder's. Such a module may import the rest of its folder, and not the other way round.
    """

    package: Any = fields.StringField()  # import-linter puts the value itself here
    rows: Any = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Compare every import between the parts with the table."""
        findings = sorted(set(self._findings(graph)))
        return ContractCheck(kept=not findings, metadata={"findings": findings})

    def _findings(self, graph: ImportGraph) -> Iterator[str]:
        allowed = dict(self._parsed_rows())
        for name in {*allowed, *(target for targets in allowed.values() for target in targets)}:
            if f"{self.package}.{name}" not in graph.modules:
                yield f"the table names {self.package}.{name}, which does not exist"
        for module in sorted(graph.find_descendants(self.package)):
            importer = self._part(module, allowed)
            if not importer:
                yield f"{self.package}.{self._relative(module).partition('.')[0]} has no row in the table"
                continue
            for imported in graph.find_modules_directly_imported_by(module):
                target = self._relative(imported)
                if target and not self._is_allowed(importer, target, allowed):
                    yield f"{module} imports {imported}; its row allows: {', '.join(allowed[importer]) or 'nothing'}"

    def _parsed_rows(self) -> Iterator[tuple[str, list[str]]]:
        for row in self.rows:
            parts, _, targets = row.partition("->")
            for part in parts.split():
                yield part, targets.split()

    def _is_allowed(self, importer: str, target: str, allowed: Mapping[str, list[str]]) -> bool:
        """Whether a part may import a module of the package."""
        part = self._part(f"{self.package}.{target}", allowed)
        return _is_inside(importer, part) or any(
            _is_inside(target, name) and (part == name or not _is_inside(part, name)) for name in allowed[importer]
        )

    def _part(self, module: str, allowed: Mapping[str, list[str]]) -> str:
        """The part with a row that a module belongs to, the innermost one; empty if there is none."""
        relative = self._relative(module)
        return max((name for name in allowed if _is_inside(relative, name)), key=len, default="")

    def _relative(self, module: str) -> str:
        """The name of a module inside the package; empty for one of another package."""
        prefix = f"{self.package}."
        return module.removeprefix(prefix) if module.startswith(prefix) else ""

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line for each import that the table does not allow."""
        for finding in check.metadata["findings"]:
            output.print_error(finding)


class StandardLibraryOnly(Contract):
    """Packages import themselves, the standard library and the few packages named, nothing else."""

    packages: Any = fields.ListField(subfield=fields.StringField())
    except_for: Any = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Compare every import of the packages with the standard library of this Python."""
        allowed = sys.stdlib_module_names | set(self.except_for)
        findings = [
            f"{module} imports {imported}"
            for package in self.packages
            for module in sorted({package, *graph.find_descendants(package)})
            for imported in sorted(graph.find_modules_directly_imported_by(module))
            if imported.partition(".")[0] not in allowed and not _is_inside(imported, package)
        ]
        return ContractCheck(kept=not findings, metadata={"findings": findings})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line for each import from outside."""
        for finding in check.metadata["findings"]:
            output.print_error(finding)


def _is_inside(module: str, part: str) -> bool:
    """Whether a module is a part or lies in it.

    Example:
        >>> _is_inside("reports.text", "reports"), _is_inside("reportsx", "reports"), _is_inside("reports", "")
        (True, False, False)
    """
    return bool(part) and (module == part or module.startswith(f"{part}."))
