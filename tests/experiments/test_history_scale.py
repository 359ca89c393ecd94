from experiments.history_scale import keep, kept_runs, make_commits
from mainstay.commands import history


def test_both_tools_get_a_run_of_each_commit(tmp_path):
    commits = make_commits(tmp_path, 30)

    keep(tmp_path, list(kept_runs(commits)))

    found = history.read(tmp_path, remote=".", environ={})
    assert [run.candidate.commit for run in found.runs] == commits[1:]
    assert found.unread == ()
