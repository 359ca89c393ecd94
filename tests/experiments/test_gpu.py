"""The script that asks one GPU everything, on a CPU: only the driver's readings are faked."""

import json
import math
import sys
import time
from functools import partial
from types import SimpleNamespace

import pytest

from experiments.gpu import __main__ as script
from experiments.gpu.campaign import campaign_results, make_specs, pair_measurer, run_campaign
from experiments.gpu.gauges import NvmlGauge, Reading, Watch, is_throttled, load_gauge
from experiments.gpu.seeds import compare
from tests.experiments.faked_gpu import FakedGauge
from tests.mnist_reference import conftest as reference

mnist_mirror, mnist_root = reference.mnist_mirror, reference.mnist_root
"""Fixtures: a copy of MNIST beside the repository, or where ``MNIST_MIRROR`` says, and a folder made from it."""


HOT = ("too warm, by hardware",)


def nothing(_):
    """Keep nothing."""


def measured(ratio, noise=0.001):
    """A pair whose candidate takes so many times as long, but for a noise that repeats itself."""
    return lambda pair: (1.0, ratio * math.exp(noise * (-1) ** pair))


@pytest.mark.parametrize(("ratio", "verdict"), [(1.0, "pass"), (1.1, "fail"), (1.05, "inconclusive")])
def test_a_campaign_is_judged_as_the_gate_judges(ratio, verdict):
    results = run_campaign(measured(ratio), FakedGauge(), planted=0, num_pairs=8, seconds=60, keep=nothing)

    assert results["verdict"] == verdict
    assert results["mean_change"] == pytest.approx(ratio - 1)
    assert (results["num_pairs"], results["num_discarded"]) == (8, 0)


def test_a_pair_with_throttling_is_discarded_as_a_whole_and_told():
    kept = []

    def measure(pair):
        time.sleep(0.15)  # longer than from one reading to the next
        return 1.0, 2.0 if pair == 1 else 1.0

    gauge = FakedGauge(*[()] * 3, (), (), HOT, *[()] * 3)

    results = run_campaign(measure, gauge, planted=0, num_pairs=3, seconds=60, keep=kept.append)

    assert (results["num_pairs"], results["num_discarded"]) == (3, 1)
    assert results["mean_change"] == 0
    spoiled = next(pair for pair in results["pairs"] if pair["is_discarded"])
    assert spoiled["reasons"] == list(HOT)
    assert spoiled["clock_mhz"]["least"] == 900
    assert kept[-1] == results


@pytest.mark.parametrize("log_ratio", [-0.5, 0.0, 0.5])
def test_whether_a_pair_is_discarded_does_not_depend_on_what_it_showed(log_ratio):
    readings = [Reading(clock_mhz=1, memory_clock_mhz=1, power_w=1.0, temperature_c=1, reasons=HOT)]

    assert is_throttled(readings)
    assert campaign_results([{"log_ratio": log_ratio, "is_discarded": True}], planted=0)["num_pairs"] == 0


def test_a_power_cap_spoils_no_pair_since_both_revisions_have_it():
    cap = Reading(clock_mhz=1, memory_clock_mhz=1, power_w=1.0, temperature_c=1, reasons=("power cap",))

    assert not is_throttled([cap])


def test_no_pair_is_begun_that_may_not_end_in_time():
    now = iter(range(0, 1000, 10))

    results = run_campaign(
        measured(1.0), FakedGauge(), planted=0, num_pairs=20, seconds=100, keep=nothing, clock=partial(next, now)
    )

    assert 1 <= results["num_pairs"] <= 4


@pytest.mark.slow
def test_planted_steps_are_timed_by_the_gates_own_workers(tmp_path):
    specs = make_specs(tmp_path, planted=20, device="cpu", width=32)

    baseline, candidate = pair_measurer(specs, seconds=0.2)(0)

    assert candidate > baseline > 0


def test_seeds_trained_in_one_call_come_to_the_same_weights():
    results = compare(num_seeds=3, num_steps=4, batch_size=8, device="cpu", synchronize=lambda: None)

    assert results["largest_difference_of_a_weight"] < 1e-6
    assert results["times_as_fast"] > 0


def test_a_watch_reads_before_during_and_after():
    with Watch(FakedGauge((), HOT, ()), interval_s=0.01) as watch:
        time.sleep(0.1)

    assert len(watch.readings) >= 3
    assert is_throttled(watch.readings)


def test_what_nvml_says_is_told_in_words(monkeypatch):
    nvml = SimpleNamespace(
        NVML_CLOCK_SM=1,
        NVML_CLOCK_MEM=2,
        NVML_TEMPERATURE_GPU=0,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: f"device {index}",
        nvmlDeviceGetName=lambda device: f"a GPU, {device}",
        nvmlSystemGetDriverVersion=lambda: "600",
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda _: 0x1 | 0x4 | 0x40,
        nvmlDeviceGetClockInfo=lambda _, kind: {1: 1980, 2: 3201}[kind],
        nvmlDeviceGetPowerUsage=lambda _: 300_500,
        nvmlDeviceGetTemperature=lambda _, kind: 60,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")

    gauge = NvmlGauge()

    assert gauge.name() == "a GPU, device 3, driver 600"
    assert gauge.read() == Reading(
        clock_mhz=1980,
        memory_clock_mhz=3201,
        power_w=300.5,
        temperature_c=60,
        reasons=("power cap", "too warm, by hardware"),
    )


def test_a_gauge_is_found_by_its_place():
    assert load_gauge("tests.experiments.faked_gpu:FakedGauge").read().clock_mhz == 1980


def writing(scratch, name, text, then=""):
    code = f"import json, pathlib, time; pathlib.Path({str(scratch / name)!r}).write_text({text!r}); {then}"
    return [sys.executable, "-c", code]


@pytest.mark.slow
def test_a_step_that_hangs_or_fails_costs_no_other_step_its_results(tmp_path):
    kept = []
    commands = {
        "first": writing(tmp_path, "first.json", '{"verdict": "pass"}'),
        "hangs": writing(tmp_path, "hangs.json", '{"num_pairs": 2}', then="time.sleep(600)"),
        "fails": [sys.executable, "-c", "raise SystemExit('no device')"],
        "last": writing(tmp_path, "last.json", '{"verdict": "fail"}'),
    }
    start = time.monotonic()

    results = script.run_steps(
        commands,
        dict.fromkeys(commands, 60.0) | {"hangs": 5.0},
        scratch=tmp_path,
        keep=lambda each: kept.append(dict(each)),
    )

    assert time.monotonic() - start < 300
    assert results["first"]["problem"] == results["last"]["problem"] == ""
    assert (results["first"]["verdict"], results["last"]["verdict"]) == ("pass", "fail")
    assert results["hangs"]["problem"] == "ended after 5 s"
    assert results["hangs"]["num_pairs"] == 2, "what it had written by then"
    assert "exit status 1: no device" in results["fails"]["problem"]
    assert [len(each) for each in kept] == [1, 2, 3, 4]


def test_no_step_begins_when_the_time_of_all_is_up(tmp_path):
    now = iter([0.0, 700.0, 700.0, 700.0])

    results = script.run_steps(
        {"late": [sys.executable, "-c", "raise SystemExit(1)"]},
        {"late": 60.0},
        scratch=tmp_path,
        keep=nothing,
        clock=partial(next, now),
    )

    assert results["late"]["problem"] == "not begun: the time was up"


def test_the_seconds_of_all_steps_fit_in_ten_minutes():
    assert sum(step.seconds for step in script.STEPS.values()) <= script.TOTAL_S - script.SPARE_S


@pytest.mark.slow
def test_tests_that_fail_or_of_which_none_run_are_a_problem_of_the_script(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k no_such_test")
    output = tmp_path / "gpu.json"
    gauge = "tests.experiments.faked_gpu:FakedGauge"

    status = script.main(["--device", "cpu", "--gauge", gauge, "--only", "tests", "--small", "--output", str(output)])

    found = json.loads(output.read_text())["tests"]
    assert (status, found["problem"], found["exit_status"]) == (1, "pytest ended with status 5", 5)
    assert "tests: " in capsys.readouterr().out


@pytest.mark.slow
def test_the_whole_script_runs_on_a_processor(tmp_path, mnist_root):
    output = tmp_path / "gpu.json"
    options = ["--device", "cpu", "--gauge", "tests.experiments.faked_gpu:FakedGauge", "--small"]

    status = script.main([*options, "--data", str(mnist_root), "--output", str(output)])

    results = json.loads(output.read_text())
    assert {name: results[name]["problem"] for name in script.STEPS} == dict.fromkeys(script.STEPS, "")
    assert status == 0
    assert results["provenance"]["gpu"] == "a GPU that no machine has"
    assert results["seeds"]["num_seeds"] == script.SMALL.num_seeds
    assert results["peers"]["steady_epoch_s"].keys() == set(script.PEERS)
    assert results["planted_10"]["planted"] == 0.1
