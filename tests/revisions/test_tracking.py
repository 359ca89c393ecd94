"""A repository's content does not choose where mainstay writes."""

import pytest

from mainstay import cli
from mainstay.commands.bisect import BisectOptions, bisect
from mainstay.commands.history_page import write_page
from mainstay.commands.trials import measure_shard, trials_options
from mainstay.measuring.loop import SilentObserver
from mainstay.records.errors import GitError
from mainstay.revisions.tracking import refuse_tracked_folder, refuse_tracked_links
from tests.repositories import git

pytestmark = pytest.mark.usefixtures("own_git_settings")


@pytest.fixture
def outside(tmp_path):
    """A folder of the user's, with a file that nobody may change."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "profile").write_text("export A=1\n")
    yield tmp_path / "outside"
    assert [(place.name, place.read_text()) for place in (tmp_path / "outside").iterdir()] == [
        ("profile", "export A=1\n")
    ]


@pytest.fixture
def root(tmp_path):
    """A repository with a commit."""
    git(tmp_path, "init", "--initial-branch=main", "project")
    git(tmp_path / "project", "commit", "--allow-empty", "-m", "first")
    return tmp_path / "project"


def track_link(root, name, target):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).symlink_to(target)
    git(root, "add", "--force", name)
    git(root, "commit", "-m", f"Add {name}")


@pytest.mark.parametrize(
    "name", ["report.html", "gate/report.html", "gate/../near/report.html", "home/gate/report.html"]
)
def test_an_output_to_which_a_tracked_link_leads_is_refused(root, outside, name):
    if name == "report.html":
        track_link(root, "report.html", outside / "profile")
    else:
        track_link(root, "gate", outside)
    (root / "near").symlink_to("gate")
    (root / "home").symlink_to(root)

    with pytest.raises(GitError, match="is a link that git tracks"):
        refuse_tracked_links(root / name)


@pytest.mark.parametrize("name", ["link", "loop", "file", "folder/report.html", "elsewhere/report.html", "absent/a"])
def test_links_of_the_user_and_what_is_none_are_written_to(root, tmp_path, name):
    (root / "link").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")
    (root / "file").write_text("old")
    track_link(root, "folder/within", "..")
    git(root, "add", "file")
    (tmp_path / "elsewhere").symlink_to(root)

    refuse_tracked_links(root / name)
    refuse_tracked_links(tmp_path / name)


def test_a_report_and_a_feed_are_not_written_through_a_tracked_link(root, outside, tmp_path, capsys, monkeypatch):
    track_link(root, "gate", outside)
    track_link(root, "history.atom", outside / "profile")
    monkeypatch.chdir(root)

    status = cli.run(["report", str(tmp_path / "run.json"), "--html", "gate/report.html"])
    with pytest.raises(GitError, match="history.atom is a link that git tracks"):
        write_page(root, root / "history.html", title=None, remote=None, environ={})

    assert status == 4
    assert "gate is a link that git tracks" in capsys.readouterr().err


@pytest.mark.parametrize("link", ["pieces", "pieces/shard-1-of-2", "pieces/shard-1-of-2/journal.jsonl"])
def test_a_piece_is_not_written_through_a_tracked_link(root, outside, link):
    track_link(root, link, outside / "profile" if link.endswith(".jsonl") else outside)

    with pytest.raises(GitError, match="tracked by git|that git tracks"):
        measure_shard(root, trials_options(shard="1/2", output=root / "pieces"), environ={}, observer=SilentObserver())


def test_a_folder_outside_of_a_repository_is_not_tracked(tmp_path, root):
    (root / "kept").mkdir()
    (root / "kept" / "a").write_text("a")
    git(root, "add", "kept/a")

    refuse_tracked_folder(tmp_path / "kept")
    refuse_tracked_folder(root / "new" / "folder")
    with pytest.raises(GitError, match="kept is tracked by git"):
        refuse_tracked_folder(root / "kept")


@pytest.mark.parametrize("link", [".mainstay", ".mainstay/.gitignore", ".mainstay/bisections"])
def test_a_search_writes_to_no_runs_that_git_tracks(root, outside, link):
    track_link(root, link, outside / "profile" if link.endswith("ignore") else outside)

    with pytest.raises(GitError, match="is tracked by git"):
        bisect(root, BisectOptions(good="HEAD~1", bad="HEAD"), measure=lambda *_, **__: None)


@pytest.mark.parametrize("pieces", [["--pieces"], []], ids=["pieces", "results"])
@pytest.mark.parametrize("link", [".mainstay", ".mainstay/judgements"])
def test_a_judgement_is_not_written_through_a_tracked_link(root, outside, pieces, link, capsys):
    track_link(root, link, outside)

    assert cli.run(["judge", "-C", str(root), "a", "b", *pieces]) == 4
    assert f"{link.rpartition('/')[2]} is a link that git tracks" in capsys.readouterr().err
