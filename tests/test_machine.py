import platform

import pytest

from mainstay.doctor import State, _check_gpu
from mainstay.machine import accelerator_name, processor_name


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Put an nvidia-smi that runs a script on the path, and nothing else."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def install(script):
        command = tmp_path / "nvidia-smi"
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)

    return install


def test_no_driver_is_no_accelerator(driver):
    assert accelerator_name() == ""
    assert _check_gpu(quick=False).found == "no NVIDIA driver"


def test_the_first_gpu_gives_its_name(driver):
    driver("echo 'NVIDIA A100'; echo 'NVIDIA T4'")

    assert accelerator_name() == "NVIDIA A100"
    assert _check_gpu(quick=False).found == "NVIDIA A100"


def test_a_quick_look_does_not_ask_the_driver(driver):
    driver("exit 1")

    check = _check_gpu(quick=True)

    assert (check.state, check.found) == (State.OK, "there is an NVIDIA driver, which a quick look does not ask")


def test_a_driver_that_fails_is_a_warning(driver):
    driver("exit 9")

    assert accelerator_name() == ""
    assert _check_gpu(quick=False).state is State.WARNING


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor\t: 0\nmodel name\t: Some CPU\nmodel name\t: Other\n", "Some CPU"),
        ("processor\t: 0\n", platform.machine()),
    ],
)
def test_a_processor_is_named_by_its_model(tmp_path, text, name):
    info = tmp_path / "cpuinfo"
    info.write_text(text)

    assert processor_name(info) == name


def test_a_processor_that_is_not_described_has_a_name(tmp_path):
    assert processor_name(tmp_path / "absent") == (platform.processor() or platform.machine())
