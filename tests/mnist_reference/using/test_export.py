import subprocess
import sys

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from mnist_reference.errors import OutputError, UnknownNameError
from mnist_reference.models.networks import PerceptronConfig, initialised
from mnist_reference.using.export import export_onnx, export_program, exporter_for, require_agreement

BATCH_SIZES = [1, 2, 7, 100]

RUN_WITHOUT_SOURCE = """
import sys
sys.modules["mnist_reference"] = None
import torch
program = torch.export.load(sys.argv[1]).module()
torch.save(program(torch.load(sys.argv[2])), sys.argv[3])
"""


@pytest.fixture(scope="module")
def model():
    return initialised(PerceptronConfig(), seed=1)


@pytest.fixture(scope="module")
def program_path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "model.pt2"
    export_program(model, path)
    return path


@pytest.fixture(scope="module")
def onnx_path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    export_onnx(model, path)
    return path


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_exported_program_computes_what_the_model_does(model, program_path, batch_size):
    images = torch.rand(batch_size, 28, 28)

    program = torch.export.load(program_path).module()

    torch.testing.assert_close(program(images), model(images))


@pytest.mark.slow
def test_exported_program_runs_without_the_source(model, program_path, tmp_path):
    images = torch.rand(3, 28, 28)
    torch.save(images, tmp_path / "images.pt")

    command = [sys.executable, "-c", RUN_WITHOUT_SOURCE, program_path, tmp_path / "images.pt", tmp_path / "logits.pt"]
    subprocess.run(command, check=True)

    torch.testing.assert_close(torch.load(tmp_path / "logits.pt"), model(images))


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_onnx_runtime_computes_what_the_model_does(model, onnx_path, batch_size):
    images = torch.rand(batch_size, 28, 28)

    session = onnxruntime.InferenceSession(onnx_path)
    (logits,) = session.run(["logits"], {"images": images.numpy()})

    torch.testing.assert_close(torch.from_numpy(logits), model(images).detach())


@pytest.mark.slow
def test_onnx_file_is_valid_and_whole(onnx_path):
    onnx.checker.check_model(onnx_path, full_check=True)

    assert list(onnx_path.parent.iterdir()) == [onnx_path]  # the weights are in it, not beside it


def test_export_that_computes_something_else_is_refused(model):
    with pytest.raises(OutputError, match=r"differs from the model by up to 0\.1 in a logit"):
        require_agreement(model, lambda images: model(images) + torch.eye(5, 10) * 0.1)


def test_export_that_gives_nan_is_refused(model):
    with pytest.raises(OutputError, match="differs from the model by up to nan"):
        require_agreement(model, lambda images: model(images) * float("nan"))


def test_refused_export_leaves_the_file_that_was_there(tmp_path):
    class Forgetful(nn.Module):
        """Computes something else once it has been traced."""

        def forward(self, images):
            return images.flatten(1)[:, :10] * (1.0 if torch.compiler.is_exporting() else 2.0)

    path = tmp_path / "model.pt2"
    path.write_text("earlier")

    with pytest.raises(OutputError, match="differs from the model"):
        export_program(Forgetful(), path)

    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_convolutions_and_normalisation_are_exported_whatever_their_layout(tmp_path):
    model = nn.Sequential(nn.Unflatten(1, (1, 28)), nn.Conv2d(1, 3, 5), nn.BatchNorm2d(3), nn.Flatten(), nn.Dropout())
    model.to(memory_format=torch.channels_last)
    model(torch.rand(4, 28, 28))  # moves the running statistics away from where they started
    images = torch.rand(3, 28, 28)

    export_program(NamedInput(model), tmp_path / "model.pt2")

    assert model.training
    torch.testing.assert_close(torch.export.load(tmp_path / "model.pt2").module()(images), model.eval()(images))


class NamedInput(nn.Module):
    """Calls its input as the reference models do."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images)


def test_unknown_suffix_names_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match=r"no export format for the suffix '.onx'.*\n.*\n.*did you mean .onnx"):
        exporter_for(tmp_path / "model.onx")


def test_folder_that_cannot_be_made_is_explained(tmp_path, model):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(OutputError, match="the exported model cannot be written"):
        export_program(model, tmp_path / "file" / "model.pt2")
