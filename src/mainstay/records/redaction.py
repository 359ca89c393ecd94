"""Removal of credentials from texts that are stored or shown.

What uv, git and a project's own commands print may hold the address of a private index with its password, or a token
of the environment. Every error, every line of a journal and every run document passes through here.

- :func:`without_credentials`: a text whose addresses hold none.
- :func:`without_secrets`: a text in which, besides, no secret of an environment stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

HIDDEN = "****"
"""What stands in place of a secret."""

USERINFO = re.compile(
    r"""(?:(?<=http://)|(?<=https://))[^\s/"'<>\\]+@|(?<=://)[^\s/:@"'<>\\]*:[^\s/"'<>\\]+@""", re.IGNORECASE
)
"""User and password in an address; a user without password is one only for HTTP, where it may be a token."""

SECRET_NAME = re.compile(
    r"PASSWORD$|PASSWD$|PASSPHRASE$|(?:^|_)(?:TOKEN|SECRET|PAT|PASS|(?:API_?|ACCESS_|SECRET_|PRIVATE_|SIGNING_|"
    r"ENCRYPTION_)KEY)$|_PWD$",
    re.IGNORECASE,
)
"""Name of a variable that holds a secret, such as ``PGPASSWORD``, ``HF_TOKEN`` or ``GITHUB_PAT``, but not ``OLDPWD``."""

MIN_SECRET = 8
"""Characters of the shortest value that is taken for a secret; a shorter one may be a word of any text."""


def without_credentials(text: str) -> str:
    """Hide user and password in the addresses of a text.

    Args:
        text: Any text, such as a message or a JSON document, which stays one.

    Example:
        >>> without_credentials("no answer from https://me:word@host/simple, nor from ssh://git@host/a")
        'no answer from https://****@host/simple, nor from ssh://git@host/a'
    """
    return USERINFO.sub(f"{HIDDEN}@", text) if "://" in text else text


def without_secrets(text: str, environ: Mapping[str, str]) -> str:
    """Hide user and password in the addresses of a text, and the secrets of an environment wherever they stand.

    Args:
        text: What a program printed.
        environ: The environment that it had.

    Example:
        >>> without_secrets("token s3cr3t-token", {"HF_TOKEN": "s3cr3t-token"})
        'token ****'
    """
    for secret in sorted(_secrets(environ), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return without_credentials(text)


def _secrets(environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in environ.items():
        passwords = [found[0][:-1].rpartition(":")[2] for found in USERINFO.finditer(value)]
        named = value.splitlines() if SECRET_NAME.search(name) else []  # of a key, a part may be printed
        for secret in (*passwords, *named):
            yield from (form for form in {secret, unquote(secret)} if len(form) >= MIN_SECRET)
