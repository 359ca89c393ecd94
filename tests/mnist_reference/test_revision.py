import pytest

from mnist_reference.revision import source_revision
from tests.repositories import git

pytestmark = pytest.mark.usefixtures("own_git_settings")


@pytest.fixture
def checkout(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "model.py").write_text("one")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    git(tmp_path, "tag", "v1")
    return tmp_path


def test_clean_checkout_is_its_commit(checkout):
    assert source_revision(checkout / "package") == git(checkout, "rev-parse", "HEAD")


def test_changed_checkout_is_marked_dirty(checkout):
    (checkout / "package" / "model.py").write_text("two")

    assert source_revision(checkout / "package") == git(checkout, "rev-parse", "HEAD") + "-dirty"


def test_package_installed_within_a_checkout_is_not_that_checkout(checkout):
    installed = checkout / "venv" / "site-packages" / "package"
    installed.mkdir(parents=True)
    (installed / "model.py").write_text("one")

    assert source_revision(installed) is None


def test_folder_outside_any_repository_has_no_revision(tmp_path):
    assert source_revision(tmp_path) is None
