import json
import subprocess

import pytest

from experiments import bisections


def log(root, form):
    command = ["git", "-C", str(root), "log", "--reverse", f"--format={form}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize(("part", "planted"), [("accuracy", "SHIFT = 0.41"), ("performance", "ROUNDS = 484")])
def test_the_planted_commit_alone_changes_the_model(tmp_path, part, planted):
    good, guilty = bisections.plant(tmp_path, 4, 3, part)

    commits = log(tmp_path, "%H")
    assert (commits[0], commits[3]) == (good, guilty)
    changed = ["git", "-C", str(tmp_path), "log", "--format=%H", "-S", planted, "--", "src/subject/model.py"]
    assert subprocess.run(changed, check=True, capture_output=True, text=True).stdout.split() == [guilty]


def test_searches_go_on_where_they_stopped(tmp_path, monkeypatch):
    made = []

    def search(size, number):
        made.append((size, number))
        own = {"named": True, "right": size == 8, "gates": 4, "minutes": 1.0}
        return {"commits": size, "search": number, "part": "accuracy", "mainstay": own, "git": own | {"gates": 3}}

    monkeypatch.setattr(bisections, "search", search)
    place = tmp_path / "bisections.json"

    assert bisections.main(["--output", str(place), "--minutes", "0"]) == 75
    assert bisections.main(["--output", str(place)]) == 0
    assert bisections.main(["--output", str(place)]) == 0

    assert made == [(8, n) for n in range(10)] + [(64, n) for n in range(5)] + [(512, 0)]
    first = json.loads(place.read_text())["summary"][0]
    assert (first["searches"], first["mainstay"]["right"], first["git"]["gates"]) == (10, 10, 3.0)
