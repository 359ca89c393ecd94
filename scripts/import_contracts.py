"""Contracts for import-linter: who may import whom, as a table.

import-linter's own contracts list what is forbidden, so a new module is free until someone remembers it. Here a
row lists what is allowed, and a module without a row is a finding. The rows stand in ``pyproject.toml``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from importlinter import Contract, ContractCheck, fields, output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grimp import ImportGraph


class ImportTable(Contract):
    """Each direct child of a package imports only the siblings that its row names."""

    package: Any = fields.StringField()  # import-linter puts the value itself here
    rows: Any = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Compare every import between the children with the table."""
        findings = sorted(set(self._findings(graph)))
        return ContractCheck(kept=not findings, metadata={"findings": findings})

    def _findings(self, graph: ImportGraph) -> Iterator[str]:
        allowed = dict(self._parsed_rows())
        for module in sorted(graph.find_descendants(self.package)):
            importer = self._child(module)
            if importer not in allowed:
                yield f"{self.package}.{importer} has no row in the table"
                continue
            for imported in graph.find_modules_directly_imported_by(module):
                target = self._child(imported)
                if target and target != importer and target not in allowed[importer]:
                    yield f"{module} imports {imported}; its row allows: {', '.join(allowed[importer]) or 'nothing'}"

    def _parsed_rows(self) -> Iterator[tuple[str, list[str]]]:
        for row in self.rows:
            modules, _, targets = row.partition("->")
            for module in modules.split():
                yield module, targets.split()

    def _child(self, module: str) -> str:
        prefix = f"{self.package}."
        return module.removeprefix(prefix).partition(".")[0] if module.startswith(prefix) else ""

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line for each import that the table does not allow."""
        for finding in check.metadata["findings"]:
            output.print_error(finding)


class StandardLibraryOnly(Contract):
    """Modules import the standard library and the few packages named, nothing else."""

    modules: Any = fields.ListField(subfield=fields.StringField())
    except_for: Any = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Compare every import of the modules with the standard library of this Python."""
        allowed = sys.stdlib_module_names | set(self.except_for)
        findings = [
            f"{module} imports {imported}"
            for module in self.modules
            for imported in sorted(graph.find_modules_directly_imported_by(module))
            if imported.partition(".")[0] not in allowed
        ]
        return ContractCheck(kept=not findings, metadata={"findings": findings})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line for each import from outside."""
        for finding in check.metadata["findings"]:
            output.print_error(finding)
