"""Write the bill of materials of the reference model, a CycloneDX ML-BOM.

    python scripts/model_bom.py FILE

It names the model, how it is trained, the data that it learns from and what was measured, from ``docs/results``. A
release ships no weights: the bill describes what ``python -m mnist_reference train`` makes. It holds no clock and no
random number, so the same tree gives the same bytes.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

LAYER_WIDTHS = (784, 128, 64, 10)
"""Of the perceptron, from its inputs to its outputs."""

MNIST_SHA256 = "d12716d8071d25c242099aa9bd9abd96cd041cdea64c0d1db3e8a2f48bfc1c3b"
"""Of the tensors of MNIST, as :mod:`mnist_reference.data.datasets` pins them; importing that needs torch."""

MODEL, MNIST, DIGITS = "model:perceptron", "data:mnist", "data:digits"


def num_parameters(widths: tuple[int, ...]) -> int:
    """Count the weights and biases of fully connected layers.

    Example:
        >>> num_parameters((2, 3, 1))
        13
    """
    return sum(before * after + after for before, after in pairwise(widths))


def model_bom(version: str, measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bill as CycloneDX 1.6.

    Args:
        version: Of the project.
        measured: Content of ``docs/results/faults.json``.
    """
    unmodified = measured["mnist"]["unmodified"]
    figures = [
        ("top-1 accuracy", "top1_accuracy", "test split of MNIST"),
        ("negative log-likelihood in nat", "negative_log_likelihood", "test split of MNIST"),
    ]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": "package",
                "name": "mainstay",
                "version": version,
                "licenses": [{"license": {"id": "MIT"}}],
            }
        },
        "components": [
            {
                "type": "machine-learning-model",
                "bom-ref": MODEL,
                "name": "perceptron of mnist_reference",
                "version": version,
                "description": "Names the digit of an image of 28 by 28 pixels. Trained by its user: no weights are published.",
                "licenses": [{"license": {"id": "MIT"}}],
                "modelCard": {
                    "modelParameters": {
                        "approach": {"type": "supervised"},
                        "task": "image classification",
                        "architectureFamily": "multilayer perceptron",
                        "modelArchitecture": f"{' - '.join(map(str, LAYER_WIDTHS))}, ReLU between the layers",
                        "datasets": [{"ref": MNIST}, {"ref": DIGITS}],
                        "inputs": [{"format": "image, 28 by 28, white on black, from 0 to 1"}],
                        "outputs": [{"format": "ten logits"}],
                    },
                    "quantitativeAnalysis": {
                        "performanceMetrics": [
                            {
                                "type": f"{label}, mean over seeds",
                                "value": f"{unmodified[name]['mean']:.6g}",
                                "slice": where,
                            }
                            for label, name, where in figures
                        ]
                    },
                    "considerations": {
                        "useCases": ["Teaching, and testing tools that compare models"],
                        "technicalLimitations": [
                            "Names one of ten digits for every picture, one without a digit included",
                            "Was not measured on shifted, rotated or adversarial pictures",
                        ],
                        "ethicalConsiderations": [
                            {
                                "name": "Writers of other places and times are not represented in the data",
                                "mitigationStrategy": "It must not decide anything that matters",
                            }
                        ],
                    },
                    "properties": [
                        {"name": "mainstay:parameters", "value": str(num_parameters(LAYER_WIDTHS))},
                        {"name": "mainstay:measured-at-commit", "value": measured["mnist"]["commit"]},
                        {"name": "mainstay:measured-with-torch", "value": measured["mnist"]["versions"]["torch"]},
                    ],
                },
            },
            _data(MNIST, "MNIST", "70,000 images of handwritten digits; tensors-sha256 is of the tensors of all splits")
            | {"properties": [{"name": "mainstay:tensors-sha256", "value": MNIST_SHA256}]},
            _data(
                DIGITS,
                "digits of scikit-learn",
                "1,797 images of handwritten digits, in place of MNIST where there is none",
            ),
        ],
        "dependencies": [
            {"ref": "package", "dependsOn": [MODEL]},
            {"ref": MODEL, "dependsOn": [MNIST, DIGITS]},
            {"ref": MNIST},
            {"ref": DIGITS},
        ],
    }


def _data(reference: str, name: str, description: str) -> dict[str, Any]:
    kind = [{"type": "dataset", "name": name, "description": "Described in docs/explanation/data-set-card.md"}]
    return {"type": "data", "bom-ref": reference, "name": name, "description": description, "data": kind}


def schema_problem(document: str) -> str:
    """Say where a bill does not fit CycloneDX's own schema, or nothing."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(document)
    return "" if problem is None else str(problem.data)


def main(target: Path) -> int:
    """Write the bill, unless it does not fit the schema."""
    root = Path(__file__).resolve().parents[1]
    version = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    measured = json.loads((root / "docs" / "results" / "faults.json").read_text("utf-8"))
    document = json.dumps(model_bom(version, measured), indent=2) + "\n"
    if problem := schema_problem(document):
        print(f"the bill of materials does not fit its schema: {problem}")
        return 1
    target.write_text(document, "utf-8")
    print(f"wrote {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
