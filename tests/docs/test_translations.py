import pytest

from scripts.documentation.translations import note_original, stale_pages


@pytest.fixture
def project(tmp_path):
    (tmp_path / "docs" / "zh").mkdir(parents=True)
    (tmp_path / "docs" / "index.md").write_text("# Home\n")
    page = tmp_path / "docs" / "zh" / "index.md"
    page.write_text("---\noriginal: docs/index.md\noriginal_sha256:\n---\n# 首页\n", "utf-8")
    note_original(tmp_path, page)
    return tmp_path


def test_page_is_in_step_once_noted(project):
    assert list(stale_pages(project, project / "docs" / "zh")) == []


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        pytest.param("docs/index.md", "# Home, sweet\n", "docs/index.md changed since", id="original-changed"),
        pytest.param("docs/zh/index.md", "# 首页\n", "lacks original:", id="names-no-original"),
        pytest.param(
            "docs/zh/index.md",
            "---\noriginal: docs/a.md\noriginal_sha256: 0\n---\n",
            "is not there",
            id="lost-original",
        ),
    ],
)
def test_page_that_is_behind_is_listed(project, file, text, said):
    (project / file).write_text(text, "utf-8")

    (problem,) = stale_pages(project, project / "docs" / "zh")

    assert problem.startswith("docs/zh/index.md: ")
    assert said in problem
