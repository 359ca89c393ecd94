r"""Takes out of a page what is there for its tests, and fills in where the repository lies.

- A block that is not run says why in its title, see ``code_blocks.py``. A reader has no use for that title.
- ``OWNER/mainstay`` stands for the repository; a published site knows which it is.

Example:
    >>> page = '```console title="Not run here: it downloads"\n$ git clone https://github.com/OWNER/mainstay\n```'
    >>> print(for_readers(page, "https://github.com/sailors/mainstay/"))
    ```console
    $ git clone https://github.com/sailors/mainstay
    ```
"""

from __future__ import annotations

import re

HOST = "https://github.com/"
PLACEHOLDER = "OWNER/mainstay"
NOTE_FOR_TESTS = re.compile(r'^(\s*`{3,}.*?) title="Not run here: [^"]*"', re.MULTILINE)


def for_readers(markdown: str, repository: str | None) -> str:
    """Return a page without notes for its tests.

    Args:
        markdown: The page.
        repository: Address of the repository; the placeholder stays without one on GitHub.
    """
    markdown = NOTE_FOR_TESTS.sub(r"\1", markdown)
    if not repository or not repository.startswith(HOST):
        return markdown
    return markdown.replace(PLACEHOLDER, repository.removeprefix(HOST).strip("/"))
