"""The HTML report in a browser: quiet, accessible, usable by keyboard, on a desk and on a phone."""

import subprocess

import pytest

SCHEMES = ("light", "dark")
WIDTHS = (1280, 390)
STATE = "row => [row.dataset.verdict, row.hidden]"


def focus_by_keyboard(page, selector):
    """Press Tab until an element has the focus."""
    for _ in range(100):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"{selector} is not reached by Tab")


def rows(page):
    return page.locator("table.findings tbody tr").evaluate_all(f"rows => rows.map({STATE})")


def shown(page):
    return [verdict for verdict, hidden in rows(page) if not hidden]


def test_page_asks_for_nothing_and_complains_about_nothing(open_page, golden_page):
    opened = open_page(golden_page)
    opened.page.mouse.wheel(0, 20_000)

    assert opened.foreign_requests == []
    assert opened.complaints == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_no_violation(open_page, golden_page, axe, scheme, width):
    page = open_page(golden_page, width=width, scheme=scheme, bypass_csp=True).page
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    page.evaluate(axe)

    violations = page.evaluate("axe.run()")["violations"]

    assert [(found["id"], [node["target"] for node in found["nodes"]]) for found in violations] == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_page_fits_its_width(open_page, golden_page, screenshot, scheme, width):
    page = open_page(golden_page, width=width, scheme=scheme).page

    picture = screenshot(page, f"{golden_page.stem}-{width}-{scheme}")

    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert picture.startswith(b"\x89PNG")


def test_verdict_and_reason_are_seen_without_scrolling(open_page, golden_page):
    page = open_page(golden_page, width=390).page

    assert page.locator("h1").bounding_box()["y"] < 200
    assert page.locator(".why").bounding_box()["y"] < 300


def test_columns_sort_by_keyboard(open_page, failing_page):
    page = open_page(failing_page).page
    before = shown(page)

    focus_by_keyboard(page, "th[data-sort=rank] button")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")

    assert shown(page) == before[::-1]
    assert page.locator("th[data-sort=rank]").get_attribute("aria-sort") == "descending"


@pytest.mark.parametrize(("key", "kind"), [("pairs", float), ("degradation", float), ("name", str)])
def test_each_column_sorts_by_its_own_values(open_page, failing_page, key, kind):
    page = open_page(failing_page).page

    page.locator(f"th[data-sort={key}] button").press("Enter")

    values = page.locator("table.findings tbody tr").evaluate_all(f"rows => rows.map(row => row.dataset.{key})")
    assert list(map(kind, values)) == sorted(map(kind, values))
    assert page.locator("th[aria-sort]").count() == 1


def test_values_behind_a_plot_sort_by_keyboard(open_page, failing_page):
    page = open_page(failing_page).page
    values = page.locator("details.values", has_text="top1_accuracy").first
    page.locator("details.finding", has=page.locator("details.values")).first.locator("> summary").press("Enter")
    values.locator("summary").press("Enter")

    values.get_by_role("button", name="degradation").press("Enter")

    degradations = values.locator("tbody tr td:last-child").all_text_contents()
    assert list(map(float, degradations)) == sorted(map(float, degradations))
    assert values.locator("th[aria-sort=ascending]").text_content() == "degradation"


def test_names_of_dependencies_sort_and_their_versions_do_not(open_page, failing_page):
    page = open_page(failing_page).page
    table = page.get_by_role("region", name="Dependencies and files that differ")

    assert table.get_by_role("button").all_text_contents() == ["kind", "name"]
    table.get_by_role("button", name="name").press("Enter")
    table.get_by_role("button", name="name").press("Enter")

    assert table.locator("tbody th").all_text_contents() == ["numpy", "einops"]


def test_text_filters_rows_and_their_details_by_keyboard(open_page, failing_page):
    page = open_page(failing_page).page

    focus_by_keyboard(page, "#filter")
    page.keyboard.type("TOP1")

    assert shown(page) == ["fail"]
    assert page.locator("#shown").text_content() == "1 of 5 findings"
    assert page.locator("details.finding:visible").count() == 1


def test_verdicts_filter_by_keyboard(open_page, failing_page):
    page = open_page(failing_page).page

    focus_by_keyboard(page, "#verdict")
    page.keyboard.type("waived")
    page.keyboard.press("Enter")

    assert shown(page) == ["waived"]


def test_link_opens_the_finding_it_names(open_page, failing_page):
    page = open_page(failing_page).page
    target = page.locator("table.findings tbody tr").last.get_attribute("data-target")
    assert page.locator(f"#{target}").get_attribute("open") is None

    page.locator(f"a[href='#{target}']").press("Enter")

    page.locator(f"#{target}[open]").wait_for()  # a change of the address is told to the page a moment later
    assert page.locator(f"#{target}").get_attribute("open") is not None


def test_link_to_a_term_opens_its_explanation(open_page, failing_page):
    page = open_page(failing_page).page

    page.locator("a.term", has_text="Margin").press("Enter")

    page.locator("#terms[open]").wait_for()
    assert page.locator("#term-margin").is_visible()


def test_verdict_next_steps_and_findings_come_first_and_all_else_is_folded(open_page, golden_page):
    page = open_page(golden_page).page

    heads = page.locator("h1, h2").all_text_contents()
    assert heads[1:4] == ["Next", "Findings", "What changed"]
    assert page.locator("details[open]").count() == 0


def test_everything_is_unfolded_in_print_and_folded_again(open_page, failing_page):
    page = open_page(failing_page).page
    closed = page.locator("details:not([open])").count()

    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    unfolded = page.locator("details:not([open])").count()
    page.evaluate("dispatchEvent(new Event('afterprint'))")

    assert (unfolded, page.locator("details:not([open])").count()) == (0, closed)
    page.emulate_media(media="print")
    assert not page.locator(".controls").is_visible()


def test_hostile_texts_do_nothing(open_page, hostile_page):
    opened = open_page(hostile_page)

    assert opened.foreign_requests == []
    assert opened.complaints == []
    assert opened.page.locator("script").count() == 1
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 1280


def test_large_page_filters_and_sorts(open_page, large_page):
    page = open_page(large_page).page

    page.locator("#filter").fill("test_499.py")
    page.locator("th[data-sort=pairs] button").click()

    assert page.locator("#shown").text_content() == "1 of 500 findings"
    assert page.locator("th[data-sort=pairs]").get_attribute("aria-sort") == "ascending"


@pytest.mark.in_repository
def test_pages_are_valid_html(golden_page, hostile_page, validator):
    checked = subprocess.run(
        [*validator, str(golden_page), str(hostile_page)], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stdout
