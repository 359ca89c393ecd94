"""A shard that is continued."""

from types import SimpleNamespace
from typing import Any

import pytest

from mainstay.commands import trials
from mainstay.measuring.sharding import Shard
from mainstay.records.errors import PieceError
from mainstay.store.journal import PIECES, RunFolder


@pytest.fixture
def refuse(tmp_path, monkeypatch):
    """Continue a piece whose shared data differ by now, after an attempt with these forbidden changes."""
    folder = RunFolder(tmp_path / "shard-1-of-2", PIECES)
    folder.path.mkdir()
    monkeypatch.setattr(trials, "find_difference", lambda first, second: "the data: data is a and b")

    def refuse(*tampering):
        folder.journal.append("checked", tampering=tampering)
        session: Any = SimpleNamespace(folder=folder)
        nothing: Any = None
        trials._refuse_other_conditions(session, Shard(1, 2), nothing, nothing)

    return refuse


def test_a_shard_is_not_continued_under_other_conditions(refuse):
    with pytest.raises(PieceError, match="the piece of shard 1/2 was begun under other conditions; they differ in the"):
        refuse()


def test_a_shard_whose_workers_changed_its_data_is_continued_since_nothing_can_pass(refuse):
    refuse("the shared input data")
