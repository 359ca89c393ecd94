"""The end of a run: its document is written, and the journal says that it cannot be resumed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mainstay.records.runs import Run
from mainstay.store.documents import run_to_json
from mainstay.store.journal import RunFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutcome:
    """A run that has ended.

    Attributes:
        run: The run.
        path: File that its document was written to.
    """

    run: Run
    path: Path


def finish(folder: RunFolder, run: Run) -> RunOutcome:
    """Write the document of a run, and end its journal.

    Args:
        folder: Folder of the run.
        run: The run.

    Raises:
        StoreError: If one of them cannot be written.
    """
    path = folder.write("run.json", run_to_json(run))
    folder.journal.append("finish", verdict=run.verdict, exit_status=run.exit_status)
    return RunOutcome(run=run, path=path)
