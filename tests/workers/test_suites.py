"""Suites that were written for other tools, and names that pytest allows: collected, selected and timed as they are."""

import importlib.util
import textwrap
from dataclasses import replace

import pytest

from mainstay.measuring.scheduling import draw_block_orders
from mainstay.records.executions import INTERLEAVED
from mainstay.records.selections import Selection
from mainstay.records.trials import Outcome, Side
from mainstay.workers.collecting import collect_workloads
from mainstay.workers.interleaved import MAX_ALTERNATIONS, TimedRequest, TimedTask, run_timed_pair
from mainstay.workers.pairs import PairRequest, run_pair
from tests.brief_warm_up import BRIEF_WARM_UP


@pytest.fixture
def gate_suite(make_specs, tmp_path):
    """Collects files of a suite and times all of it in one short pair; gives the trials by workload and side."""

    def gate_suite(files, ini="[pytest]\n", **settings):
        with_plugins = make_specs(ini, PYTEST_DISABLE_PLUGIN_AUTOLOAD="")  # pytest-benchmark is one of them
        specs = {side: replace(spec, **settings) for side, spec in with_plugins.items()}
        for name, text in {"conftest.py": BRIEF_WARM_UP, **files}.items():
            place = tmp_path / "measure" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(textwrap.dedent(text))
        collection = collect_workloads(specs[Side.CANDIDATE], ["benchmarks"])
        assert collection.problems == ()
        gated = {each.id: tuple(metric.name for metric in each.metrics) for each in collection.workloads}
        tasks = tuple(
            TimedTask(
                workload=each.id,
                seed=1,
                first=draw_block_orders("", "c", each.id, 0, MAX_ALTERNATIONS),
                gated=gated[each.id],
            )
            for each in collection.workloads
            if each.execution is INTERLEAVED and each.id not in collection.skipped
        )
        result = run_timed_pair(specs, TimedRequest(pair=0, tasks=tasks, seconds=0.02, limit_s=600.0))
        trials = {}
        for trial in result.trials:
            trials.setdefault(trial.workload, {})[trial.side] = trial
        for each in collection.workloads:
            if each.id not in trials and each.id not in collection.skipped:
                request = PairRequest(workload=each.id, seed=1, pair=0, sides=(Side.CANDIDATE,), gated=gated[each.id])
                trials[each.id] = {trial.side: trial for trial in run_pair(specs, request).trials}
        return trials

    return gate_suite


def wrong(trials):
    """What of some trials did not complete, and why."""
    return [
        (name, side, trial.outcome, trial.cause, trial.last_lines)
        for name, sides in trials.items()
        for side, trial in sides.items()
        if trial.outcome is not Outcome.COMPLETED or not trial.values.get("call_time", 0) > 0
    ]


IDS = {
    "unicode": "größe-数-🚀",
    "slashes": "a/b\\c",
    "brackets": "[x][y]]",
    "colons": "a::b::c",
    "spaces": "  two  words ",
    "newlines": "a\nb\r\n\tc",
    "quotes": "'\"`$(x)",
    "nul": "a\0b",
    "surrogate": "\ud800",
    "long": "x" * 5000,
    "empty": "",
    "dots": "../..",
    "percent": "%s %(a)s {b}",
    "right-to-left": "\u202eabc",
}


@pytest.mark.slow
@pytest.mark.parametrize("is_escaped", [pytest.param(True, id="escaped"), pytest.param(False, id="verbatim")])
def test_ids_may_have_any_characters(gate_suite, is_escaped):
    option = "disable_test_id_escaping_and_forfeit_all_rights_to_community_support = true\n"
    ids = IDS if is_escaped else {name: text for name, text in IDS.items() if name != "surrogate"}

    trials = gate_suite(
        {
            "benchmarks/test_a.py": f"""
                import pytest

                @pytest.mark.parametrize("text", {list(ids.values())!a}, ids={list(ids.values())!a})
                def test_it(benchmark, text):
                    benchmark(len, text)
            """
        },
        "[pytest]\n" + ("" if is_escaped else option),
    )

    assert len(trials) == len(ids)
    assert wrong(trials) == []


@pytest.mark.slow
def test_files_may_have_any_names(gate_suite):
    names = ["test_größe.py", "test_a b.py", "test_[x].py", "test_🚀.py", "test_a-b.c.py", "[y]/test_a.py"]

    trials = gate_suite(
        {f"benchmarks/deep er/{name}": "def test_it(benchmark): benchmark(len, '')\n" for name in names}
    )

    assert trials.keys() == {f"benchmarks/deep er/{name}::test_it" for name in names}
    assert wrong(trials) == []


@pytest.mark.parametrize(
    ("keyword", "marks", "chosen"),
    [
        ("größe", "", ["test_b[größe]"]),
        ("größe or TestGroup", "", ["TestGroup::test_c", "test_b[größe]"]),
        ("", "benchmark(group='slow')", ["TestGroup::test_c"]),
        ("", "own and not benchmark", ["test_b[größe]", "test_b[small]"]),
        ("small", "own", ["test_b[small]"]),
    ],
)
def test_expressions_select_what_pytest_selects(make_specs, tmp_path, keyword, marks, chosen):
    option = "disable_test_id_escaping_and_forfeit_all_rights_to_community_support = true\n"
    specs = make_specs(f"[pytest]\n{option}markers = own\n")
    (tmp_path / "measure" / "benchmarks" / "test_a.py").write_text(
        textwrap.dedent(
            """
            import pytest

            def test_a(benchmark): ...

            @pytest.mark.own
            @pytest.mark.parametrize("size", ["small", "größe"])
            def test_b(benchmark, size): ...

            class TestGroup:
                @pytest.mark.benchmark(group="slow")
                def test_c(self): ...
            """
        )
    )

    selection = Selection(keyword=keyword, marks=marks)
    collection = collect_workloads(specs[Side.CANDIDATE], ["benchmarks"], selection=selection)

    names = {workload.id.partition("::")[2] for workload in collection.workloads}
    assert names == {"test_a", "test_b[small]", "test_b[größe]", "TestGroup::test_c"}
    deselected = {name.partition("::")[2] for name in collection.deselected}
    assert sorted(names - deselected) == chosen


@pytest.mark.slow
def test_a_suite_of_pytest_benchmark_runs_as_it_is(gate_suite):
    trials = gate_suite(
        {
            "benchmarks/conftest.py": """
                import pytest

                def pytest_configure(config):
                    assert config.getoption("--benchmark-only") in (True, False)
                    assert config.getoption("benchmark_skip") in (True, False)

                @pytest.fixture
                def benchmark(benchmark):
                    benchmark.extra_info["wrapped"] = 1
                    return benchmark
            """,
            "benchmarks/test_a.py": """
                import time
                import pytest

                calls = []

                def numbers(size):
                    return list(range(size))

                @pytest.mark.benchmark(
                    group="g", timer=lambda: 0.0, min_rounds=2, max_time=0.1, warmup="auto", disable_gc=True, cprofile=True
                )
                class TestOptions:
                    @pytest.mark.parametrize("size", [1, 2])
                    def test_it(self, benchmark, size):
                        assert benchmark(numbers, size) == list(range(size))
                        assert (benchmark.group, benchmark.params) == ("g", {"size": size})
                        assert benchmark.stats.options["min_rounds"] == 2
                        assert benchmark.name == f"test_it[{size}]" and benchmark.fullname.endswith(benchmark.name)

                def test_decorator(benchmark):
                    @benchmark
                    def result():
                        return 7

                    assert result == 7

                def test_pedantic(benchmark):
                    def setup():
                        calls.append("setup")
                        return ([3, 1, 2],), {}

                    result = benchmark.pedantic(
                        sorted, setup=setup, teardown=lambda *_: calls.append("down"), rounds=8, warmup_rounds=2
                    )
                    assert result == [1, 2, 3]
                    assert calls.count("setup") == calls.count("down") <= 10

                def test_pedantic_iterations(benchmark):
                    assert benchmark.pedantic(numbers, args=(2,), kwargs={}, rounds=5, iterations=3) == [0, 1]

                def test_statistics(benchmark):
                    benchmark(numbers, 10)
                    stats = benchmark.stats.stats
                    assert 0 < stats.min <= stats.q1 <= stats.median <= stats.q3 <= stats.max
                    assert stats.iqr == stats.q3 - stats.q1 and ";" in stats.outliers and stats.ops > 0
                    assert benchmark.stats.as_dict()["extra_info"] == {"wrapped": 1}
            """,
        },
        "[pytest]\naddopts = --benchmark-disable --benchmark-columns=min --benchmark-timer=time.process_time -p no:xdist\n",
    )

    names = ["TestOptions::test_it[1]", "TestOptions::test_it[2]", "test_decorator", "test_pedantic"]
    names += ["test_pedantic_iterations", "test_statistics"]
    assert [name.partition("::")[2] for name in trials] == names
    assert wrong(trials) == []
    assert {trial.values["wrapped"] for sides in trials.values() for trial in sides.values()} == {1}


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": ""}, id="loaded"),
        pytest.param({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "", "PYTEST_ADDOPTS": "-p no:benchmark"}, id="left-out"),
        pytest.param({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, id="no-plugin-loaded"),
    ],
)
def test_a_conftest_reads_the_switches_of_pytest_benchmark_whether_it_is_loaded_or_not(make_specs, tmp_path, variables):
    specs = make_specs("[pytest]\n", **variables)
    folder = tmp_path / "measure" / "benchmarks"
    (folder / "conftest.py").write_text(
        "def pytest_configure(config):\n"
        "    assert config.getoption('--benchmark-disable') is False\n"
        "    assert config.getoption('benchmark_only') is False\n"
    )
    (folder / "test_a.py").write_text("def test_a(benchmark): ...\n")

    collection = collect_workloads(specs[Side.CANDIDATE], ["benchmarks"])

    assert collection.problems == ()
    assert [workload.id for workload in collection.workloads] == ["benchmarks/test_a.py::test_a"]


@pytest.mark.slow
def test_a_suite_of_pytest_codspeed_runs_without_the_plugin(gate_suite):
    trials = gate_suite(
        {
            "benchmarks/test_a.py": """
                import pytest

                @pytest.mark.benchmark
                def test_marked():
                    sum(range(100))

                @pytest.mark.codspeed_benchmark
                def test_marked_otherwise():
                    sum(range(100))

                @pytest.mark.benchmark(group="g", max_time=0.1, min_time=0.01)
                class TestGroup:
                    @pytest.fixture
                    def numbers(self):
                        return list(range(100))

                    @pytest.mark.parametrize("start", [0, 1])
                    def test_class(self, numbers, start):
                        assert sum(numbers, start) == 4950 + start

                def test_fixture(benchmark):
                    assert benchmark(sum, range(100)) == 4950

                def test_other_fixture(codspeed_benchmark):
                    assert codspeed_benchmark(sum, range(100)) == 4950
            """,
            "benchmarks/test_module.py": """
                import pytest

                pytestmark = [pytest.mark.benchmark]

                def test_module():
                    sum(range(100))
            """,
        },
        "[pytest]\naddopts = --codspeed\nstrict = true\n",
    )

    assert len(trials) == 7
    assert wrong(trials) == []


WEAVING = """
    import pytest

    class Encoder:
        def encode(self, value):
            return f"{value}"

    def total(value):
        return sum(range(value))

    def woven():
        return [value.__name__ for value in (total, Encoder.encode) if value.__name__ not in ("total", "encode")]

    def test_function(benchmark):
        benchmark.weave(f"{__name__}.total")
        assert total(10) == 45
        assert benchmark.stats.stats.rounds > 0

    def test_method(benchmark_weave):
        assert woven() == []
        benchmark_weave(Encoder.encode)
        assert Encoder().encode(3) == "3"

    def test_patch(benchmark):
        assert woven() == []
        benchmark.patch(f"{__name__}.total", lazy=False)
        assert total(10) == 45
"""

ASPECTLIB = """
    import importlib
    import sys

    class Rollback:
        def __init__(self, place, name, before):
            self.place, self.name, self.before = place, name, before

        def rollback(self):
            setattr(self.place, self.name, self.before)

    def weave(target, aspect, **options):
        if not isinstance(target, str):
            target = f"{target.__module__}.{target.__qualname__}"
        parts = target.split(".")
        module = next(".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in sys.modules)
        place = sys.modules[module]
        *above, name = parts[module.count(".") + 1:]
        for each in above:
            place = getattr(place, each)
        rollback = Rollback(place, name, getattr(place, name))
        setattr(place, name, aspect(rollback.before))
        return rollback
"""


@pytest.mark.slow
def test_a_woven_function_is_timed_where_it_is_called(gate_suite):
    is_installed = importlib.util.find_spec("aspectlib") is not None
    trials = gate_suite({"benchmarks/test_a.py": WEAVING, **({} if is_installed else {"aspectlib.py": ASPECTLIB})})

    assert [name.partition("::")[2] for name in trials] == ["test_function", "test_method", "test_patch"]
    assert wrong(trials) == []


ASV = """
    import functools

    from .common import Base, skip_for_params

    made = []

    def setup(*_):
        made.clear()

    def time_function():
        sum(range(100))

    def track_loss():
        return 0.25

    track_loss.unit = "nat"

    class Sorting(Base):
        params = [[10, 100], [len]]
        param_names = ["size", "order"]

        def setup(self, size, order):
            if size == 100:
                raise NotImplementedError("not yet")
            self.numbers = list(range(size))
            made.append(size)

        def teardown(self, size, order):
            made.pop()

        def time_sort(self, size, order):
            assert made == [size] and self.kept == 3
            sorted(self.numbers)

        def time_pop(self, size, order):
            assert len(self.numbers) == size
            self.numbers.pop()

        time_pop.number = 1

        def mem_list(self, size, order):
            return self.numbers

        def peakmem_list(self, size, order):
            return self.numbers * 2

    class Cached:
        params = [1, 2]
        param_names = ["n"]

        def setup_cache(self):
            return {"a": 1}

        def time_cached(self, cache, n):
            assert cache == {"a": 1} and n == 1

        time_cached.skip_params = [(2,)]

        def timeraw_import(self, cache, n):
            return "import json"

    class _Hidden:
        def time_hidden(self):
            raise RuntimeError

    def helper():
        raise RuntimeError
"""

ASV_COMMON = """
    def skip_for_params(params):
        return lambda function: function

    class Base:
        kept = 3
"""


@pytest.mark.slow
def test_a_suite_of_asv_is_gated_where_the_settings_name_its_files(gate_suite):
    files = {
        "__init__.py": "",
        "common.py": ASV_COMMON,
        "sorting.py": ASV,
        "test_more.py": "def test_it(benchmark): benchmark(len, '')\n",
    }

    trials = gate_suite({f"benchmarks/{name}": text for name, text in files.items()}, asv=("*.py",))

    found = {name.partition(".py::")[2]: next(iter(sides.values())) for name, sides in trials.items()}
    sorting = ["time_sort", "time_pop", "peakmem_list", "mem_list"]
    assert found.keys() == {
        "test_it",
        "time_function",
        "track_loss",
        "Cached::time_cached[1]",
        *(f"Sorting::{name}[{size}-len]" for name in sorting for size in (10, 100)),
    }
    assert [(name, trial.cause) for name, trial in found.items() if trial.outcome is Outcome.FAILED] == []
    for name in (
        "test_it",
        "time_function",
        "Cached::time_cached[1]",
        "Sorting::time_sort[10-len]",
        "Sorting::time_pop[10-len]",
    ):
        assert found[name].values["call_time"] > 0
    assert found["track_loss"].values == {"tracked": 0.25}
    assert found["Sorting::peakmem_list[10-len]"].values["peak_memory"] > 2**20
    size = found["Sorting::mem_list[10-len]"]
    assert size.values.get("object_bytes", 0) > 80 or "pympler" in size.cause
    for name in sorting:
        assert found[f"Sorting::{name}[100-len]"].outcome is Outcome.SKIPPED
        assert "not yet" in found[f"Sorting::{name}[100-len]"].cause


def test_a_suite_of_asv_is_no_suite_where_the_settings_do_not_name_it(gate_suite):
    assert gate_suite({"benchmarks/sorting.py": "raise RuntimeError"}) == {}
