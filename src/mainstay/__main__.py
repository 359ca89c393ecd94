"""``python -m mainstay`` is the ``mainstay`` command."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:  # the working folder comes first, and its modules may have any name
        del sys.path[0]
    from mainstay.cli import entry_point

    entry_point()
