import pytest

from mnist_reference.errors import DataError, MissingExtraError, OutputError, UnknownNameError, nearest


def test_message_gives_fact_place_and_next_step():
    error = DataError("no MNIST", looked_in="a folder", next_step="fetch it")

    assert str(error) == "no MNIST\n  looked in: a folder\n  next: fetch it"


def test_message_leaves_out_what_is_not_known():
    assert str(DataError("no MNIST")) == "no MNIST"


@pytest.mark.parametrize(
    ("error", "status"), [(UnknownNameError, 2), (DataError, 1), (OutputError, 1), (MissingExtraError, 1)]
)
def test_wrong_names_alone_are_usage_errors(error, status):
    assert error.exit_status == status


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        pytest.param("digts", "did you mean digits?", id="mistyped"),
        pytest.param("xyz", "known: digits, mnist", id="unlike-any"),
    ],
)
def test_hint_for_an_unknown_name(name, hint):
    assert nearest(name, ["mnist", "digits"]) == hint
