"""``python -m mainstay`` is the ``mainstay`` command."""

from mainstay.cli import entry_point

if __name__ == "__main__":
    entry_point()
