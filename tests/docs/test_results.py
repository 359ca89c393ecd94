import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from scripts.documentation import results
from scripts.documentation.releases import Release, parse_changelog, render_feed, render_releases_page
from scripts.documentation.samples import VERDICTS, render_samples_page, sample_reports

RESULTS = Path(results.__file__).parents[2] / "docs" / "results"
CHANGELOG = "# Changelog\n\n## 0.2.0 (2027-01-31)\n\n### Added\n\n- A <b>.\n\n## 0.1.0 (2026-12-01)\n\n- The first.\n"
ATOM = {"": "http://www.w3.org/2005/Atom"}


@pytest.fixture(scope="module")
def pages():
    return results.result_pages(RESULTS)


def test_every_file_of_results_has_a_page(pages):
    files = {file.stem.replace("_", "-") for file in RESULTS.glob("*.json")}

    assert set(pages) == files
    assert pages["faults"].startswith("# Injected faults\n")
    assert "<svg" in pages["operating-characteristics"]


def test_every_page_begins_with_its_finding(pages):
    for name, page in pages.items():
        _, _, finding, *_ = page.splitlines()
        assert re.fullmatch(r"\*\*.*\d.*\*\*", finding), name


def test_index_says_of_each_page_what_was_measured(pages):
    index = results.index_page(RESULTS)

    for name in pages:
        (said,) = re.findall(rf"^- \[.+\]\({name}\.md\)\. (.+)$", index, re.MULTILINE)
        assert said.endswith(".")
        assert len(said.split()) > 3


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"cases": [{"case": "slow", "gates": 2, "wanted": 5}]}, id="a case of a campaign"),
        pytest.param({"candidates": 98, "planned": 300}, id="a whole campaign"),
    ],
)
def test_what_is_not_finished_gets_no_page(tmp_path, document):
    (tmp_path / "new.json").write_text(json.dumps(document))

    with pytest.raises(SystemExit, match=r"new.json: (2 of 5 gates|98 of 300 candidates) are no result"):
        results.result_pages(tmp_path)


def test_cases_that_are_not_measured_yet_are_named_and_not_shown():
    gates = [{"case": "clean", "verdict": "pass"}, {"case": "slow", "verdict": "fail"}]
    document = {
        "cases": [{"case": "clean", "gates": 1, "wanted": 1}],
        "not_measured_yet": ["slow", "heavy"],
        "gates": gates,
    }

    page = results.render_page("a", document, where="a.json")

    assert page.count("slow") == page.count("Not measured yet: slow; heavy.") == 1
    assert "| clean | pass |" in page


def test_a_mean_without_an_interval_is_said_to_be_exact():
    page = results.render_page("a", {"rows": [{"degradation": {"mean": 0.0, "interval": None}}]}, where="a.json")

    assert "| 0 (exact) |" in page


def test_page_of_an_unknown_file_shows_all_that_it_holds(tmp_path):
    document = {
        "machine": "a|b",
        "rows": [{"name": "x", "time": {"mean": 0.25, "low": 0.125}}, {"name": "y", "kept": True}],
        "by_size": {"small": {"n": 1}, "large": {"n": 2000}},
        "degradations": [0.5] * 20,
    }
    (tmp_path / "gpu_speed.json").write_text(json.dumps(document))

    page = results.result_pages(tmp_path)["gpu-speed"]

    assert page.startswith("# Gpu speed\n")
    assert "| machine | a\\|b |" in page
    assert "| name | time mean | time low | kept |" in page
    assert "| x | 0.25 | 0.125 |  |" in page
    assert "| large | 2,000 |" in page
    assert "20 values." in page


def test_mean_with_its_interval_is_one_cell():
    page = results.render_page(
        "a", {"rows": [{"gain": {"mean": 0.25, "interval": [0.125, 0.375], "values": [1, 2]}}]}, where="a.json"
    )

    assert "| gain |" in page
    assert "| 0.25 (0.125 to 0.375) |" in page


def test_with_and_without_is_one_cell_and_rounding_errors_are_nothing():
    gain = {"on": 0.75, "off": 0.75, "difference": 2.5e-308, "interval": [-0.125, 0.125], "differences": [0.1, -0.1]}

    page = results.render_page("a", {"rows": [{"accuracy": gain}]}, where="a.json")

    assert "| 0.75 → 0.75: 0 (-0.125 to 0.125) |" in page


def test_sentence_in_a_cell_keeps_a_width_to_be_read_at():
    sentence = "one word after the other, " * 4 + "end"

    page = results.render_page("a", {"rows": [{"name": "x", "said": sentence}]}, where="a.json")

    assert f'| x | <span class="sentence">{sentence}</span> |' in page


def test_long_table_is_folded():
    page = results.render_page("a", {"rows": [{"n": n} for n in range(100)]}, where="a.json")

    assert '??? note "100 rows"' in page


def test_sample_page_links_to_a_report_of_each_verdict(root):
    folder = root / "docs" / "samples"

    page, reports = render_samples_page(folder), sample_reports(folder)

    assert set(reports) == {f"{name}.html" for name in VERDICTS}
    assert all(f"(reports/{name})" in page for name in reports)
    assert all(report.lower().startswith("<!doctype html>") for report in reports.values())


def test_feed_has_an_entry_for_each_release():
    releases = parse_changelog(CHANGELOG)

    feed = ElementTree.fromstring(render_feed(releases, "https://example.org/"))

    assert [entry.findtext("title", namespaces=ATOM) for entry in feed.findall("entry", ATOM)] == [
        "mainstay 0.2.0",
        "mainstay 0.1.0",
    ]
    assert feed.findtext("updated", namespaces=ATOM) == "2027-01-31T00:00:00Z"
    link = feed.find("entry/link", ATOM).get("href")
    assert link == "https://example.org/project/releases/#v0.2.0"


@pytest.mark.parametrize(
    ("releases", "said"),
    [([], "There is no release yet."), ([Release("0.1.0", "2026-12-01", "- The first.")], "{: #v0.1.0 }")],
)
def test_page_of_releases(releases, said):
    assert said in render_releases_page(releases)


def only(values):
    """The one value of several that there is."""
    (value,) = values
    return value


def test_the_readme_states_the_figures_of_the_real_gates(root):
    results = json.loads((root / "docs" / "results" / "clean_changes.json").read_text("utf-8"))
    clean, loaded = (
        next(case for case in results["cases"] if case["case"] == f"beside {load}")
        for load in ("no other process", "two busy processes")
    )
    text = " ".join((root / "README.md").read_text("utf-8").split())

    assert (
        f"Of {clean['gates']} real gates of unchanged code on an Intel Xeon with 2 cores, {clean['fail']} failed, "
        f"{clean['pass']} passed and {clean['inconclusive']} ended *inconclusive*, in {clean['seconds_mean']:.0f} s on average "
        f"(commit `{only(clean['commits'])[:12]}`)"
    ) in text
    assert (
        f"beside two busy processes, {loaded['pass']} of {loaded['gates']} passed and {loaded['fail']} failed, "
        f"in {loaded['seconds_mean']:.0f} s (commit `{only(loaded['commits'])[:12]}`)"
    ) in text
    assert {*clean["machines"], *loaded["machines"]} == {"Intel(R) Xeon(R) Processor, 2 cores"}
