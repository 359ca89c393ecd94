import importlib
import json
import os
import subprocess
import sys

import pytest

from mnist_reference.data.pictures import png
from mnist_reference.errors import MissingExtraError
from mnist_reference.extras import extra
from mnist_reference.using.checkpoint import save_checkpoint

COMMANDS = {
    "captum": ["predict", "digit.png", "--device", "cpu", "--explain", "out"],
    "tensorboard": ["train", "--data", "digits", "--device", "cpu", "--log-dir", "out"],
    "onnx": ["export", "--output", "out.onnx"],
    "onnxscript": ["export", "--output", "out.onnx"],
}
"""What needs which module."""

RUN_EACH_WITHOUT_ITS_MODULE = """
import contextlib, io, json, sys
from mnist_reference.__main__ import main
outcomes = {}
for module, command in json.loads(sys.argv[1]).items():
    sys.modules[module] = None  # importing it now fails as if it were not installed
    with contextlib.redirect_stderr(io.StringIO()) as message:
        status = main(command)
    outcomes[module] = [status, message.getvalue()]
    del sys.modules[module]
print(json.dumps(outcomes))
"""


def test_missing_module_names_the_extra():
    with pytest.raises(MissingExtraError) as refusal, extra("explain"):
        importlib.import_module("no_such_module")

    assert str(refusal.value) == "no_such_module is not installed\n  next: pip install 'mainstay[explain]'"


def test_other_errors_pass_through():
    with pytest.raises(ZeroDivisionError), extra("explain"):
        1 / 0  # noqa: B018


@pytest.mark.slow
def test_commands_without_their_extra_name_it_and_write_nothing(
    tmp_path, data_root, digits_data, perceptron, provenance
):
    (tmp_path / "digit.png").write_bytes(png(digits_data.test.images[0]))
    save_checkpoint(tmp_path / "mnist_reference.safetensors", perceptron, provenance)
    before = sorted(tmp_path.iterdir())

    command = [sys.executable, "-c", RUN_EACH_WITHOUT_ITS_MODULE, json.dumps(COMMANDS)]
    environment = os.environ | {"MNIST_REFERENCE_ROOT": str(data_root)}
    finished = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)

    assert json.loads(finished.stdout) == {
        module: [1, f"error: {module} is not installed\n  next: pip install 'mainstay[{name}]'\n"]
        for module, name in [
            ("captum", "explain"),
            ("tensorboard", "tensorboard"),
            ("onnx", "export"),
            ("onnxscript", "export"),
        ]
    }
    assert sorted(tmp_path.iterdir()) == before
