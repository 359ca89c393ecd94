"""What a visitor sees first is real: the picture is drawn from a committed gate, and the command gives the verdict that is told."""

import doctest
import re
import shlex

import pytest

from mainstay import cli
from mainstay.reports.view import view_run
from mainstay.store.documents import run_from_json
from scripts.documentation import terminal_picture
from scripts.documentation.for_readers import for_readers

HOME_PAGES = ["README.md", "docs/index.md", "docs/zh/index.md"]
JUDGE = re.compile(r"^(?:\$ |\.venv/bin/)mainstay (judge .*?)(?: \|\| .*)?$", re.MULTILINE)
SHOWN = re.compile(r"^mainstay judge: .*\n(?:  .*\n)+", re.MULTILINE)


@pytest.mark.parametrize("theme", terminal_picture.THEMES)
def test_picture_of_a_gate_is_drawn_from_the_sample(theme):
    picture = (terminal_picture.PICTURES / f"gate-{theme}.svg").read_text("utf-8")

    assert picture == terminal_picture.render(theme)
    assert "FAIL:" in picture
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|url\((?!#)", picture)


@pytest.mark.parametrize("version", ["before", "after"])
def test_stored_results_score_every_image_of_every_repeat_once(root, version):
    head, *rows = (root / "docs" / "samples" / f"{version}.csv").read_text("utf-8").split()

    assert head == "task,id,repeat,score"
    scored = {tuple(row.split(",")[1:3]) for row in rows}
    assert scored == {(f"image-{image}", str(repeat)) for image in range(360) for repeat in range(5)}
    assert len(rows) == len(scored)


@pytest.mark.parametrize("page", HOME_PAGES)
def test_first_verdict_is_the_one_that_the_page_shows(root, tmp_path, capsys, page):
    text = (root / page).read_text("utf-8")
    ((command,), (shown,)) = (pattern.findall(text) for pattern in (JUDGE, SHOWN))
    arguments = [str(root / word) if word.startswith("docs/") else word for word in shlex.split(command)]

    status = cli.run([*arguments, "-C", str(tmp_path)])

    assert status == 1
    report = capsys.readouterr().out
    assert doctest.OutputChecker().check_output(f"{shown}...\n", report, doctest.ELLIPSIS)


@pytest.mark.parametrize("page", HOME_PAGES)
def test_minutes_of_the_gate_in_the_picture_are_those_of_the_sample(root, page):
    run = run_from_json(terminal_picture.RUN.read_text("utf-8"), where="sample")

    minutes, cores = round(sum(run.phases_s.values()) / 60), run.machine.num_cores

    told = {f"The gate took {minutes} minutes on {cores} cores.", f"在 {cores} 个核上用了 {minutes} 分钟"}
    assert any(sentence in (root / page).read_text("utf-8") for sentence in told)


@pytest.mark.parametrize("page", HOME_PAGES)
def test_picture_is_told_to_those_who_do_not_see_it(root, page):
    text = (root / page).read_text("utf-8")
    run = run_from_json(terminal_picture.RUN.read_text("utf-8"), where="sample")
    told = [*re.findall(r'alt="([^"]+)"', text), *re.findall(r"!\[([^]]+)\]\(\S+gate-", text)]

    assert told
    for row in view_run(run).shown:
        size = row.bounded_change.split()[0]
        assert all(row.label in alternative and size in alternative for alternative in told)
    assert "0.00005" in run.candidate.subject
    assert "0.00005" in text
    assert round(sum(run.phases_s.values()) / 60) == 4, "the pages say how many minutes it took"


def test_reader_of_the_site_sees_no_note_for_tests(root):
    noted = [page for page in (root / "docs").rglob("*.md") if "Not run here" in page.read_text("utf-8")]

    assert noted
    assert not [page.name for page in noted if "Not run here" in for_readers(page.read_text("utf-8"), None)]


@pytest.mark.parametrize(
    ("repository", "address"),
    [
        ("https://github.com/sailors/mainstay/", "https://github.com/sailors/mainstay\n"),
        ("https://example.org/mainstay", "https://github.com/OWNER/mainstay\n"),
        ("", "https://github.com/OWNER/mainstay\n"),
        (None, "https://github.com/OWNER/mainstay\n"),
    ],
)
def test_published_site_names_its_repository(repository, address):
    assert for_readers("https://github.com/OWNER/mainstay\n", repository) == address
