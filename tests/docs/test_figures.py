import json

import pytest

from scripts.documentation.figures import FigureError, replace_figures


@pytest.fixture
def root(tmp_path):
    rows = [{"noise": "normal", "n": 1, "rate": 0.0123}, {"noise": "normal", "n": 6, "rate": 0.5}]
    rows += [{"noise": "drift, couples", "n": 6, "rate": 0.25}]
    (tmp_path / "a.json").write_text(json.dumps({"commit": "abc", "seconds": 0.0042, "rows": rows}))
    return tmp_path


@pytest.mark.parametrize(
    ("macro", "text"),
    [
        ('{{ figure("a.json", "commit") }}', "abc"),
        ('{{ figure("a.json", "rows[noise=normal,n=1].rate", ".1%") }}', "1.2%"),
        ('{{ figure("a.json", "rows[noise=drift, couples,n=6].rate") }}', "0.25"),
        ('{{ figure("a.json", "rows.1.n") }}', "6"),
        ('{{ figure("a.json", "seconds", ".1f", scale=1000) }} ms', "4.2 ms"),
        ('{{figure("a.json",\n  "commit")}}', "abc"),
        (r'\{{ figure("b.json", "x") }}', '{{ figure("b.json", "x") }}'),
        ("key: ${{ hashFiles('a') }}", "key: ${{ hashFiles('a') }}"),
    ],
)
def test_macro_becomes_the_figure(root, macro, text):
    assert replace_figures(macro, root) == text


@pytest.mark.parametrize(
    ("macro", "said"),
    [
        pytest.param('figure("b.json", "commit")', "no file b.json", id="file"),
        pytest.param('figure("a.json", "rows.0.rte")', "a.json: rows.0.rte is not there; there is noise, n", id="key"),
        pytest.param('figure("a.json", "rows.3.n")', "there is 3 items", id="index"),
        pytest.param('figure("a.json", "rows[noise=normal].n")', "names 2 of 3 items", id="ambiguous"),
        pytest.param('figure("a.json", "rows")', "not one value but 3", id="table"),
        pytest.param('figure("a.json", "commit", ".1%")', "Unknown format code", id="format"),
        pytest.param('figure("a.json", "commit", round=1)', "unknown argument round", id="argument"),
        pytest.param('figure("a.json")', "expected a file, a path", id="arguments"),
        pytest.param('chart("a.json")', "there is verdicts, noise", id="chart"),
        pytest.param("chart('noise')", "unknown macro", id="chart in other quotes"),
        pytest.param('figur("a.json", "commit")', "unknown macro", id="macro"),
    ],
)
def test_figure_that_does_not_exist_is_an_error(root, macro, said):
    with pytest.raises(FigureError, match=said):
        replace_figures(f"{{{{ {macro} }}}}", root)


def test_page_gives_a_chart_a_caption_of_its_own(root):
    drawn = replace_figures('{{ chart("neuron", "一个神经元 & 激活函数") }}', root)

    assert '<title id="neuron-title">一个神经元 &amp; 激活函数</title>' in drawn
    assert "<figcaption>一个神经元 &amp; 激活函数</figcaption>" in drawn
    assert "A neuron" not in drawn
