import pytest


@pytest.fixture(scope="module")
def check_links(script):
    return script("check_links")


@pytest.fixture
def page(tmp_path):
    (tmp_path / "other.md").write_text("# Title\n\n## Same\n\n## Same\n\n## With `code`, and: marks\n")

    def write(text):
        file = tmp_path / "page.md"
        file.write_text(text)
        return file

    return write


@pytest.mark.parametrize(
    "link",
    [
        "other.md",
        "other.md#title",
        "other.md#same-1",
        "other.md#with-code-and-marks",
        "#here",
        "https://example.org/nowhere",
    ],
)
def test_sound_link(check_links, page, tmp_path, link):
    file = page(f"# Here\n\n[x]({link})\n")

    assert not list(check_links.broken_links(tmp_path, [file]))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("[x](gone.md)", "no such file", id="file"),
        pytest.param("![x](gone.png)", "no such file", id="image"),
        pytest.param("[x](other.md#gone)", "no such heading", id="anchor"),
        pytest.param("[x][label]\n\n[label]: gone.md", "no such file", id="reference"),
        pytest.param("[x](../..)", "leaves the repository", id="outside"),
    ],
)
def test_broken_link_is_named(check_links, page, tmp_path, text, problem):
    (found,) = check_links.broken_links(tmp_path, [page(text)])

    assert problem in found


def test_code_is_not_a_link(check_links, page, tmp_path):
    assert not list(check_links.broken_links(tmp_path, [page("`[x](gone.md)`\n\n```\n[x](gone.md)\n```\n")]))
