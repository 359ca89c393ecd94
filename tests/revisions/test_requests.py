import pytest

from mainstay.revisions.requests import _own_package
from tests.revisions.small_packages import write


@pytest.mark.parametrize("line", ["{address}", "core @ {address}"])
def test_a_member_of_the_workspace_is_a_folder_of_the_tree_wherever_that_lies(tmp_path, line):
    tree = tmp_path / "tree/pkgs/a"
    write(tmp_path, **{"tree/.git": "", "tree/pkgs/a/pyproject.toml": "", "tree/pkgs/core/pyproject.toml": ""})

    inside = _own_package(line.format(address=(tmp_path / "tree/pkgs/core").as_uri()), tree)
    outside = _own_package(line.format(address=tmp_path.as_uri()), tree)

    assert (inside, outside, _own_package("numpy==2.0", tree)) == ("../core", "", "")
