"""What a visitor sees first is real: the picture is drawn from a committed gate, and the command gives the verdict that is told."""

import re

import pytest

from scripts.documentation import terminal_picture


@pytest.mark.parametrize("theme", terminal_picture.THEMES)
def test_picture_of_a_gate_is_drawn_from_the_sample(theme):
    picture = (terminal_picture.PICTURES / f"gate-{theme}.svg").read_text("utf-8")

    assert picture == terminal_picture.render(theme)
    assert "FAIL:" in picture
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|url\((?!#)", picture)


@pytest.mark.parametrize("version", ["before", "after"])
def test_stored_results_score_every_image_of_every_repeat_once(root, version):
    head, *rows = (root / "docs" / "samples" / "evaluation" / f"{version}.csv").read_text("utf-8").split()

    assert head == "task,id,repeat,score"
    scored = {tuple(row.split(",")[1:3]) for row in rows}
    assert scored == {(f"image-{image}", str(repeat)) for image in range(360) for repeat in range(5)}
    assert len(rows) == len(scored)
