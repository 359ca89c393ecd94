"""The examples of the page on several machines, whose workflow and scripts run on machines that are not here."""

import re
import shlex

import yaml

from mainstay import cli
from mainstay.measuring.sharding import Shard

LINE = re.compile(r'(?:^\$ |^|")(mainstay [^"\n]*(?:"[^"\n]*"[^"\n]*)*?)"?(?: &)?$', re.MULTILINE)
PLACEHOLDER = re.compile(r"\$\{\{.*?\}\}|\$SLURM_ARRAY_TASK_ID")


def test_every_command_of_the_page_is_one(root):
    page = (root / "docs" / "how-to" / "use-several-machines.md").read_text("utf-8")
    workflow = yaml.safe_load(re.search(r"```yaml title=.*?\n(.*?)```", page, re.DOTALL)[1])
    steps = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    scripts = re.findall(r"```(?:console|bash).*?\n(.*?)```", page, re.DOTALL)
    lines = [match[1] for text in [*steps, *scripts] for match in LINE.finditer(text)]

    names = []
    for line in lines:
        _, name, *arguments = shlex.split(PLACEHOLDER.sub("1", line))
        context = cli.main.commands[name].make_context(name, arguments)
        names.append(name)
        if name == "trials":
            assert Shard.parse(context.params["shard"]).count == workflow_shards(workflow)
    assert sorted(names) == ["gate", "judge", "judge", "judge", *["trials"] * 7], lines


def workflow_shards(workflow):
    return len(workflow["jobs"]["trials"]["strategy"]["matrix"]["shard"])
