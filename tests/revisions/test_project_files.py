from mainstay.revisions.project_files import expand_group, script_names
from tests.revisions.small_packages import write


def test_groups_are_known_by_any_spelling_of_their_names():
    groups = {"Benchmarks": ["pytest", {"include-group": "Bench_Deps"}], "bench-deps": ["tool"]}

    assert expand_group({"dependency-groups": groups}, "benchmarks") == ["pytest", "tool"]


def test_groups_that_uv_refuses_are_left_to_it():
    groups = {"benchmarks": [{"include-group": "benchmarks"}, {"include": "more"}, "tool"]}

    assert expand_group({"dependency-groups": groups}, "benchmarks") == ["tool"]


def test_scripts_are_installed_as_they_lie_but_for_tests_and_workloads(tmp_path):
    tree = tmp_path / "tree"
    texts = dict.fromkeys(
        ["train.py", "models/net.py", "perf/test_a.py", "tests/test_b.py", "setup.py", "docs/conf.py", "test_c.py"], ""
    )
    write(tree, **texts)

    names = script_names(tree, {"tool": {"mainstay": {"workloads": "perf"}}})

    assert names == ["models", "train"]
    write(tree, **{"src/inner/__init__.py": ""})
    assert script_names(tree, {}) == ["src/inner"]
