import platform

import pytest

from mainstay.commands.doctor import State, _check_gpu
from mainstay.workers.machine import accelerator_name, computing_traits, processor_name


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


def test_a_gpu_of_amd_is_an_accelerator_too(driver, tmp_path):
    for number, version in enumerate((0, 90010)):  # the first node is the processor
        node = tmp_path / "nodes" / str(number)
        node.mkdir(parents=True)
        (node / "properties").write_text(f"simd_count 0\ngfx_target_version {version}\n")

    assert accelerator_name(tmp_path / "nodes") == "AMD GPU, gfx version 90010"
    driver("echo 'NVIDIA A100'")
    assert accelerator_name(tmp_path / "nodes") == "NVIDIA A100"


def test_a_quick_look_does_not_ask_the_driver(driver):
    driver("exit 1")

    check = _check_gpu(quick=True)

    assert (check.state, check.found) == (State.OK, "there is an NVIDIA driver, which --quick does not query")


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


@pytest.fixture
def traits(tmp_path):
    """What a made-up machine would say of itself, and the files that it is described by."""
    info, devices, version = tmp_path / "cpuinfo", tmp_path / "devices", tmp_path / "version"
    info.write_text("processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: avx avx2\ncpu MHz\t\t: 2596.1\n")
    add_device(devices, kind="0x030200", model="0x2330")
    version.write_text("NVRM version: 1\n")
    return lambda: computing_traits(info, devices, version)


def add_device(devices, *, kind, model):
    device = devices / f"0000:00:{len(list(devices.glob('*'))):02x}.0"
    device.mkdir(parents=True)
    for name, text in {"class": kind, "vendor": "0x10de", "device": model}.items():
        (device / name).write_text(f"{text}\n")


def replace_in(file, old, new):
    file.write_text(file.read_text().replace(old, new))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda place: replace_in(place / "cpuinfo", "Some", "Other"), id="model"),
        pytest.param(lambda place: replace_in(place / "cpuinfo", "avx2", "avx512f"), id="instructions"),
        pytest.param(lambda place: replace_in(place / "version", "1", "2"), id="driver"),
        pytest.param(
            lambda place: add_device(place / "devices", kind="0x120000", model="0x1"), id="another-accelerator"
        ),
    ],
)
def test_what_may_change_a_result_changes_the_traits(tmp_path, driver, traits, change):
    before = traits()

    change(tmp_path)

    assert traits() != before


def test_gpus_count_as_their_driver_names_them(driver, traits):
    before = traits()

    driver("echo 'GPU 0: NVIDIA H100'")

    assert set(traits()) - set(before) == {"GPU 0: NVIDIA H100\n"}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda place: replace_in(place / "cpuinfo", "2596.1", "3200.0"), id="clock"),
        pytest.param(lambda place: add_device(place / "devices", kind="0x020000", model="0x1"), id="network-card"),
    ],
)
def test_what_changes_no_result_does_not_change_the_traits(tmp_path, driver, traits, change):
    before = traits()

    change(tmp_path)

    assert traits() == before
