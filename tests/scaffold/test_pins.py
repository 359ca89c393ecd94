import pytest


@pytest.fixture(scope="module")
def pins(script):
    return script("pins")


def test_this_repository_is_in_step(pins, capsys):
    assert pins.main([]) == 0, capsys.readouterr().out


def test_two_versions_of_a_package_are_a_finding(pins):
    files = {"dev.txt": pins.parse_constraints("ruff==0.17.6\n"), "lint.txt": pins.parse_constraints("ruff==0.17.5\n")}

    assert list(pins.constraint_problems(files)) == ["ruff: 0.17.6 in dev.txt, 0.17.5 in lint.txt; run nox -s lock"]


def test_versions_that_depend_on_the_platform_may_be_fewer_elsewhere(pins):
    both = pins.parse_constraints("numpy==2.4.6 ; python_version < '3.12' \\\nnumpy==2.5.0\n")

    assert not list(pins.constraint_problems({"dev.txt": both, "lint.txt": pins.parse_constraints("numpy==2.5.0")}))


@pytest.mark.parametrize("dependency", ["ruff", "ruff>=0.1", "unknown==1"])
def test_hook_dependency_must_be_pinned_from_the_constraints(pins, dependency):
    hooks = pins.parse_constraints("ruff==0.17.6")

    assert list(pins.hooks_without_pin(f"additional_dependencies: [{dependency}]", hooks))


@pytest.mark.parametrize(
    ("uses", "finding"),
    [
        pytest.param("actions/cache@v4", "full commit", id="tag"),
        pytest.param("actions/cache@abc1234 # v4.0.0", "full commit", id="short-commit"),
        pytest.param(f"actions/cache@{'a' * 40}", "full commit", id="no-version"),
        pytest.param(
            f"actions/cache@{'a' * 40} # v4.0.0\nuses: actions/cache@{'b' * 40} # v4.1.0", "2 revisions", id="two-pins"
        ),
    ],
)
def test_action_without_one_full_pin_is_a_finding(pins, uses, finding):
    assert any(finding in problem for problem in pins.action_problems({"ci.yml": f"uses: {uses}"}))


def test_action_with_one_full_pin_is_sound(pins):
    assert not list(pins.action_problems({"ci.yml": f"- uses: github/codeql-action/init@{'a' * 40} # v4.1.0"}))
