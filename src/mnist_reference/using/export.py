"""Export of a trained model to a file that runs without this package's source, checked against the model.

Both formats have one input ``images``, (N, 28, 28) float32 in [0, 1] for any N, and give the logits, (N, 10).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from mnist_reference.data.shapes import IMAGE_SIDE
from mnist_reference.errors import OutputError, UnknownNameError, nearest
from mnist_reference.extras import extra
from mnist_reference.files import output
from mnist_reference.seeding import generator

EXAMPLE_BATCH_SIZE = 2
"""Batch size used for tracing: the tracer treats 0 and 1 specially, and any other size stands for all."""

NUM_CHECKED = 5
"""Number of random images on which a file must agree with the model; it differs from the traced batch size."""

TOLERANCE = 1e-4
"""Largest accepted difference of a logit, relative to the largest logit, since float32 sums depend on their order."""

Exporter = Callable[[nn.Module, Path], None]
"""Function that writes a model on the CPU to a path, atomically."""


def export_program(model: nn.Module, path: Path) -> None:
    """Write a model with ``torch.export``, for ``torch.export.load``.

    Args:
        model: Model on the CPU; its computation in ``eval()`` mode is exported.
        path: Path of the ``.pt2`` file, which is written atomically.

    Raises:
        OutputError: If it cannot be written, or does not compute what the model does.
    """
    model = _for_inference(model)
    program = torch.export.export(model, (_example(),), dynamic_shapes=_any_batch())
    with output(path, "the exported model") as temporary:
        with temporary.open("wb") as file:
            torch.export.save(program, file)
        with temporary.open("rb") as file:
            reloaded = torch.export.load(file).module()
        require_agreement(model, reloaded)


def export_onnx(model: nn.Module, path: Path) -> None:
    """Write a model in the ONNX format, weights included.

    The reference evaluator of the format checks the file before it is kept.

    Args:
        model: Model on the CPU; its computation in ``eval()`` mode is exported.
        path: Path of the ``.onnx`` file, which is written atomically.

    Raises:
        MissingExtraError: If the extra ``export`` is not installed.
        OutputError: If it cannot be written, or does not compute what the model does.
    """
    with extra("export"):
        import onnx
        import onnx.reference
        import onnxscript  # noqa: F401 - torch's exporter is written in it
    model = _for_inference(model)
    exported = torch.onnx.export(
        model,
        (_example(),),
        dynamo=True,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=_any_batch(),
        verbose=False,
    )
    assert exported is not None  # None is for the older exporter
    with output(path, "the exported model") as temporary:
        temporary.write_bytes(exported.model_proto.SerializeToString())
        reloaded = onnx.load(temporary)
        onnx.checker.check_model(reloaded, full_check=True)
        evaluator = onnx.reference.ReferenceEvaluator(reloaded)

        def run(images: Tensor) -> Tensor:
            (logits,) = evaluator.run(["logits"], {"images": images.numpy()})
            return torch.from_numpy(logits)

        require_agreement(model, run)


EXPORTERS: Mapping[str, Exporter] = {".pt2": export_program, ".onnx": export_onnx}
"""Exporters by the suffix of the file."""


def exporter_for(path: Path) -> Exporter:
    """The exporter for the suffix of a file.

    Raises:
        UnknownNameError: If there is none.

    Example:
        >>> exporter_for(Path("model.onnx")).__name__
        'export_onnx'
    """
    if path.suffix not in EXPORTERS:
        raise UnknownNameError(
            f"no export format for the suffix {path.suffix!r} of {path.name!r}",
            looked_in=__name__,
            next_step=nearest(path.suffix, EXPORTERS),
        )
    return EXPORTERS[path.suffix]


@torch.no_grad()
def require_agreement(model: nn.Module, exported: Callable[[Tensor], Tensor]) -> None:
    """Refuse an exported model whose logits are not those of the model.

    Args:
        model: Model on the CPU, in ``eval()`` mode.
        exported: Function that takes images, (N, 28, 28) float32, and gives logits.

    Raises:
        OutputError: If they differ; the message states the largest difference.
    """
    images = torch.rand(NUM_CHECKED, IMAGE_SIDE, IMAGE_SIDE, generator=generator(0, "check of an export"))
    expected = model(images)  # (NUM_CHECKED, 10)
    difference = float((exported(images) - expected).abs().max())
    if not difference <= TOLERANCE * float(expected.abs().max()):  # NaN is no agreement
        raise OutputError(
            f"the exported model differs from the model by up to {difference:.3g} in a logit",
            next_step="nothing was written; report it with the versions of torch and onnx",
        )


def _for_inference(model: nn.Module) -> nn.Module:
    """A copy in ``eval()`` mode, with its weights in contiguous order as in files."""
    return deepcopy(model).to(memory_format=torch.contiguous_format).eval()


def _example() -> Tensor:
    return torch.zeros(EXAMPLE_BATCH_SIZE, IMAGE_SIDE, IMAGE_SIDE)


def _any_batch() -> dict[str, dict[int, torch.export.Dim]]:
    return {"images": {0: torch.export.Dim("batch")}}
