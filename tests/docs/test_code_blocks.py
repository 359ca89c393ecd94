import pytest
from sybil.example import SybilFailure

from scripts.documentation.code_blocks import Shell, iter_examples


@pytest.fixture
def evaluate(tmp_path):
    def run(page):
        for example in iter_examples(page, "page.md", Shell(tmp_path)):
            example.evaluate()

    return run


@pytest.mark.parametrize(
    "page",
    [
        pytest.param("```python\nimport math\n```\n\n```python\n>>> math.floor(1.5)\n1\n```\n", id="one-namespace"),
        pytest.param("```console\n$ mkdir a\n$ cd a\n$ pwd\n.../a\n```\n", id="commands-share-a-folder"),
        pytest.param("```console\n$ false\n$ echo $?\n1\n```\n", id="status-that-is-asked-for"),
        pytest.param('```python title="Not run here: it takes a day"\nraise ValueError\n```\n', id="reason-is-shown"),
        pytest.param("````markdown\n```python\nraise ValueError\n```\n````\n", id="block-shown-inside-a-block"),
        pytest.param('??? note "more"\n\n    ```python\n    one = 1\n    ```\n\n```python\none\n```\n', id="indented"),
        pytest.param("```toml\n[tool.mainstay]\nseconds = 60\n```\n", id="settings"),
        pytest.param("```sh\ncd / && pwd\n```\n", id="script"),
    ],
)
def test_good_page_passes(evaluate, page):
    evaluate(page)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        pytest.param("```python\n>>> 1 + 1\n3\n```\n", "Got:\n    2", id="other-result"),
        pytest.param("```console\n$ echo a\nb\n```\n", "printed:\na", id="other-output"),
        pytest.param("```console\n$ exit 3\n```\n", "exit status 3", id="failing-command"),
        pytest.param("```console\necho a\n```\n", "no command", id="no-prompt"),
        pytest.param("```bash\nfalse\ntrue\n```\n", "exit status 1", id="failing-script"),
        pytest.param("```toml\n[tool.mainstay]\nsecond = 60\n```\n", "did you mean 'seconds'", id="wrong-setting"),
        pytest.param("```json\n{\n```\n", "Expecting", id="broken-json"),
        pytest.param('```console title="Not run here"\n$ exit 3\n```\n', "exit status 3", id="title-without-reason"),
    ],
)
def test_wrong_page_fails(evaluate, page, said):
    with pytest.raises(SybilFailure, match=said):
        evaluate(page)


def test_error_in_python_is_raised(evaluate):
    with pytest.raises(ZeroDivisionError):
        evaluate("```python\n1 / 0\n```\n")


@pytest.mark.parametrize("language", ["", "pyhton"])
def test_block_must_say_a_known_language(evaluate, language):
    with pytest.raises(ValueError, match=r"page\.md, line 1, column 1: a block of"):
        evaluate(f"```{language}\nx\n```\n")
