import re
from dataclasses import replace

import pytest

from mainstay.reports.html import MAX_DRAWN_PAIRS, render_html


def test_policy_allows_the_style_and_the_script_of_the_page_only(run):
    page = render_html(run)

    policy = page.split('Content-Security-Policy" content="')[1].split('"')[0]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert policy.count("sha256-") == 2
    assert page.count("<style") == page.count("<script") == 1
    assert " style=" not in page


def test_page_names_nothing_outside_itself(run):
    page = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", render_html(run))

    assert "//" not in page


def test_flipped_digits_are_shown_with_label_and_both_predictions(failing):
    page = render_html(failing)

    assert page.count("data:image/png;base64,") == len(failing.workloads[0].flips[0].examples)
    assert "label 4: 4 → 9" in page


def test_added_modules_are_listed_under_their_count(runs):
    assert "<li><code>torch.fx.passes.shape_prop</code></li>" in render_html(runs["passing"])


def test_pairs_beyond_the_bound_are_left_to_the_document(many_findings):
    page = render_html(many_findings(60, 200))

    assert page.count("<figcaption>degradation in each pair") == MAX_DRAWN_PAIRS // 200
    assert page.count("they are in the run document") == 60 - MAX_DRAWN_PAIRS // 200


@pytest.mark.slow
def test_page_of_the_largest_gate_stays_small(many_findings):
    assert len(render_html(many_findings(500, 200)).encode()) < 3_000_000


def test_run_without_findings_has_a_page(runs):
    assert "No metric was judged." in render_html(replace(runs["error"], findings=(), workloads=()))
