"""Suites of asv: what is collected, and what its functions are given; the functions are called, not timed."""

import pytest

from mainstay.runner.asv_suites import AsvPlugin

CONFTEST = """
import pytest

@pytest.fixture
def benchmark():
    return lambda function, *arguments: function(*arguments)
"""


@pytest.fixture
def run(pytester):
    """Runs a suite without its gate; gives the outcome of each of its functions."""

    def run(suite):
        pytester.makeconftest(CONFTEST)
        pytester.makepyfile(suite=suite)
        ran = pytester.inline_run("-p", "no:cacheprovider", "-p", "no:benchmark", plugins=[AsvPlugin(("suite.py",))])
        reports = [report for reports in ran.listoutcomes() for report in reports]
        return {report.nodeid.partition("::")[2]: report.outcome for report in reports}

    return run


@pytest.mark.parametrize(
    ("value", "other"),
    [
        ("{'window': 10}", "{'window': 11}"),
        ("('rolling', {'window': 10})", "('rolling', {'window': 11})"),
        ("[1]", "[2]"),
        ("Ambiguous(ValueError)", "Ambiguous(ValueError)"),
        ("Ambiguous(RuntimeError)", "Ambiguous(RuntimeError)"),
    ],
)
def test_parameters_may_be_any_objects_and_are_skipped_by_equality(run, value, other):
    ran = run(f"""
        class Ambiguous:  # as arrays and tensors are
            def __init__(self, error):
                self.error = error

            def __eq__(self, other):
                raise self.error("has no truth value")

        VALUES = [{value}, {other}]

        class Sums:
            params = (["a", "b"], VALUES)

            def time_it(self, name, value):
                assert name == "a" or value is VALUES[0]

            time_it.skip_params = [("b", VALUES[1])]

            def time_all(self, name, value): ...
    """)

    every = ["a-param0", "a-param1", "b-param0", "b-param1"]
    assert ran == {
        **{f"Sums::time_it[{name}]": "passed" for name in every[:3]},
        **{f"Sums::time_all[{name}]": "passed" for name in every},
    }


@pytest.mark.parametrize(("returned", "given"), [("None", ()), ("0", (0,)), ("[]", ([],)), ("{'a': 1}", ({"a": 1},))])
def test_what_a_cache_returns_is_passed_on_unless_it_is_none(run, returned, given):
    assert run(f"""
        class Cached:
            params = [1, 2]

            def setup_cache(self):
                return {returned}

            def setup(self, *arguments):
                assert arguments[:-1] == {given}

            def time_it(self, *arguments):
                assert arguments[:-1] == {given} and arguments[-1] in (1, 2)
    """) == {"Cached::time_it[1]": "passed", "Cached::time_it[2]": "passed"}


def test_a_cache_is_made_once_for_each_class_and_module_and_every_call_has_its_own_copy(run):
    ran = run("""
        made = []

        def setup_cache():
            made.append("module")
            return []

        def time_first(cache):
            assert not cache and made.count("module") == 1
            cache.append("changed")

        def time_second(cache):
            time_first(cache)

        class Base:
            params = [1, 2]
            size = 1

            def setup_cache(self):
                made.append(type(self).__name__)
                return [self.size]

            def time_it(self, cache, n):
                assert cache == [self.size] and made.count(type(self).__name__) == 1
                cache.clear()

            def track_it(self, cache, n):
                self.time_it(cache, n)
                return n

        class Larger(Base):
            size = 2
    """)

    assert len(ran) == 2 + 2 * 4
    assert set(ran.values()) == {"passed"}


def test_what_is_no_function_of_the_suite_is_not_collected(run):
    assert run("""
        import functools
        from abc import ABC, abstractmethod
        from time import time_ns

        time_partial = functools.partial(sum, [1])

        class TimeBase(ABC):
            @abstractmethod
            def make(self): ...

            def time_made(self):
                self.make()

        class TimeSums:
            time_limit = len

            class TimeInner: ...

        class TimeMade(TimeBase):
            def make(self): ...

            @classmethod
            def time_class(cls): ...

            @staticmethod
            def time_static(): ...
    """) == {f"TimeMade::{name}": "passed" for name in ("time_made", "time_class", "time_static")}


def test_parameters_are_those_of_an_instance(run):
    assert run("""
        class Sums:
            def __init__(self):
                self.params = [10, 20]
                self.param_names = ["size"]
                self.skip_params = [(20,)]

            def time_sum(self, size):
                assert size == 10

        class Empty:
            def __init__(self):
                self.params = [3]

            def __len__(self):
                return 0

            def time_it(self, n):
                assert n == 3
    """) == {"Sums::time_sum[10]": "passed", "Empty::time_it[3]": "passed"}


def test_a_class_without_instances_fails_where_it_is_measured_and_not_where_it_is_skipped(run):
    assert run("""
        class Broken:
            def __init__(self):
                raise RuntimeError("no instance can be made")

            def time_it(self): ...

        class Skipped(Broken):
            skip_benchmark = True

        def time_other(): ...
    """) == {"Broken::time_it": "failed", "Skipped::time_it": "skipped", "time_other": "passed"}
