import ast
import tomllib

import pytest

from experiments import examples

NAMES = sorted(folder.name for folder in examples.FOLDER.iterdir() if (folder / "pyproject.toml").exists())


@pytest.fixture(params=NAMES)
def example(request):
    return examples.FOLDER / request.param


@pytest.fixture
def results():
    return examples._read(examples.RESULTS)


def test_there_is_an_example_for_each_field_of_the_article():
    assert set(examples.BUMPS) == set(NAMES) == {"pictures", "text", "speech", "recommendation", "medicine"}


def test_an_example_pins_what_its_model_comes_from(example):
    project = tomllib.loads((example / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bump = examples.BUMPS[example.name]

    assert f"{bump.package}=={bump.old}" in project["dependencies"]
    assert all("==" in dependency for dependency in project["dependencies"])


def test_an_example_has_one_evaluation_workload(example):
    tree = ast.parse((example / "benchmarks" / "test_evaluation.py").read_text(encoding="utf-8"))
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]

    (decorator,) = [decorator for test in tests for decorator in test.decorator_list]

    assert isinstance(decorator, ast.Call)
    assert ast.unparse(decorator.func) == "pytest.mark.evaluation"
    assert {"metric", "margin"} <= {keyword.arg for keyword in decorator.keywords}


def test_an_example_is_small_and_explained(example):
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in example.rglob("*.py"))
    readme = (example / "README.md").read_text(encoding="utf-8")
    bump = examples.BUMPS[example.name]

    assert lines <= 170
    assert f"{bump.old} to {bump.new}" in readme


def test_a_repository_of_an_example_changes_only_the_version(tmp_path):
    repository = examples.Repository("text", tmp_path / "text")
    before = (tmp_path / "text" / "pyproject.toml").read_text(encoding="utf-8")

    repository.bump(examples.BUMPS["text"])

    after = (tmp_path / "text" / "pyproject.toml").read_text(encoding="utf-8")
    assert before.replace("py3langid==0.3.0", "py3langid==0.4.0") == after != before


def test_a_version_that_is_not_required_is_not_bumped(tmp_path):
    repository = examples.Repository("text", tmp_path / "text")

    with pytest.raises(ValueError, match="does not require"):
        repository.bump(examples.Bump(package="py3langid", old="9", new="10"))


def test_a_gate_that_wrote_no_run_document_is_wrong():
    broken = examples.outcome(4, None, "no\nindex")

    assert broken == {"exit_status": 4, "verdict": None, "said": "no index"}
    assert examples.is_wrong({"unchanged": broken, "bumped": broken})
    assert examples.is_wrong({"unchanged": {"verdict": "inconclusive"}, "bumped": {"verdict": "pass"}})
    assert not examples.is_wrong({"unchanged": {"verdict": "pass"}, "bumped": {"verdict": "fail"}})


def test_it_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    gated = []

    def gate(name, bump, folder):
        gated.append(name)
        verdicts = {"unchanged": {"verdict": "pass"}, "bumped": {"verdict": "fail"}}
        return {"example": name, "old": bump.old, "new": bump.new, "flips": [{"item": name}], **verdicts}

    monkeypatch.setattr(examples, "gate_example", gate)
    output = tmp_path / "examples.json"

    assert examples.main(["speech", "--output", str(output)]) == 0
    assert examples.main(["--output", str(output)]) == 0

    rows = examples._read(output)
    assert gated == ["speech", "pictures", "text", "recommendation", "medicine"]
    assert list(rows) == list(examples.BUMPS)
    assert rows["speech"]["flips"] == [{"item": "speech"}]


def test_the_results_are_those_of_the_examples(results):
    assert [(name, row["package"], row["old"], row["new"]) for name, row in results.items()] == [
        (name, bump.package, bump.old, bump.new) for name, bump in examples.BUMPS.items()
    ]
    assert not any(map(examples.is_wrong, results.values()))


def test_the_flips_that_are_shown_are_some_of_those_counted(results):
    for name, row in results.items():
        flips = [flip["flip"] for flip in row["flips"]]
        for kind in ("lost", "gained"):
            assert flips.count(kind) == min(row["bumped"][kind], examples.SHOWN), name
