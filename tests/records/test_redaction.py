import json

import pytest

from mainstay.records.errors import StoreError
from mainstay.records.redaction import without_credentials, without_secrets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://me:word@host/simple", "https://****@host/simple"),
        ("git+https://ghp_token@host/a.git@v1", "git+https://****@host/a.git@v1"),
        ("https://me:w@rd@host", "https://****@host"),
        ("redis://me:word@host and socks5://:word@host", "redis://****@host and socks5://****@host"),
        ("ssh://git@host/a and git@host:a", "ssh://git@host/a and git@host:a"),
        ("https://host/a, mail me@host", "https://host/a, mail me@host"),
        ("file:///a@b/c", "file:///a@b/c"),
        ("https://****@host", "https://****@host"),
    ],
)
def test_credentials_in_addresses_are_hidden_and_nothing_else(text, expected):
    assert without_credentials(text) == expected
    assert json.loads(without_credentials(json.dumps([text, "next@"]))) == [expected, "next@"]


@pytest.mark.parametrize(
    ("environ", "printed", "expected"),
    [
        ({"UV_INDEX_OURS_PASSWORD": "long-word"}, "x long-word y", "x **** y"),
        ({"UV_DEFAULT_INDEX": "https://me:long%21word@host"}, "long%21word, long!word", "****, ****"),
        ({"HF_TOKEN": "long-word", "NPM_TOKEN": "long-word-2"}, "long-word-2 long-word", "**** ****"),
        *(
            ({name: "long-word"}, "long-word", "****")
            for name in (
                *("PGPASSWORD", "MYSQL_PWD", "SMTP_PASS", "REDIS_PASSWD", "KEY_PASSPHRASE", "GITHUB_PAT"),
                *("SECRET_KEY", "DJANGO_SECRET_KEY", "DEPLOY_PRIVATE_KEY", "OPENAI_API_KEY", "aws_secret_access_key"),
            )
        ),
        *(
            ({name: "/long/word"}, "/long/word", "/long/word")
            for name in ("PWD", "OLDPWD", "PATH", "PYTHONPATH", "COMPASS", "SSH_ASKPASS", "PRIMARY_KEY", "SECRETARY")
        ),
        ({"DEPLOY_PRIVATE_KEY": "-- BEGIN --\nMIIEvgIBADAN"}, "key: MIIEvgIBADAN\n-- END --", "key: ****\n-- END --"),
        ({"A_TOKEN": "test"}, "a test", "a test"),
        ({"TOKENIZERS": "parallelism"}, "parallelism", "parallelism"),
    ],
)
def test_secrets_of_the_environment_are_hidden_wherever_they_stand(environ, printed, expected):
    assert without_secrets(printed, environ) == expected


def test_no_error_tells_a_secret(monkeypatch):
    monkeypatch.setenv("OURS_TOKEN", "long-word")

    error = StoreError("long-word", looked_in="https://me:pw@host", next_step="use long-word")

    assert str(error) == "****\n  looked in: https://****@host\n  next: use ****"
    assert error.args == ("****",)
