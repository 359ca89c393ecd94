import os
import shutil
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from mainstay.project.configuration import Configuration
from mainstay.records.errors import EnvironmentBuildError, Interrupted, UsageError
from mainstay.records.trials import Side
from mainstay.revisions.layers import DEFAULT_LIMIT, Layer, cache_limit, describe_cache, evict, iter_layers
from mainstay.revisions.resolution import Resolution, resolve
from mainstay.revisions.workspace import Seals, open_layers
from mainstay.store.integrity import take_manifest, write_manifest
from tests.revisions.small_packages import ensure_dependencies, publish, tool, write_more

# --- building and verifying a layer --------------------------------------------------------------------------------


def test_a_layer_is_built_once(shelf, trees):
    first = ensure_dependencies(tool(), trees[Side.BASELINE])
    inode = (first / "tool.py").stat().st_ino

    assert ensure_dependencies(tool(), trees[Side.CANDIDATE]) == first
    assert (first / "tool.py").read_text() == "VERSION = '1.0'\n"
    assert list(first.glob("__pycache__/tool.*.pyc"))
    assert (first / "tool.py").stat().st_ino == inode


def test_no_file_of_a_layer_is_shared_with_the_cache_of_uv_or_another_environment(shelf, trees):
    layer = ensure_dependencies(tool(), trees[Side.BASELINE])

    installed = [path for path in layer.rglob("*") if path.is_file()]
    assert installed
    assert {path.stat().st_nlink for path in installed} == {1}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda layer: (layer / "evil.pth").write_text("import evil"), id="a-pth-file-more", marks=pytest.mark.slow
        ),
        pytest.param(lambda layer: (layer / "tool.py").write_text("VERSION = '1.1'\n"), id="a-module-of-equal-length"),
        pytest.param(lambda layer: (layer / "tool.py").unlink(), id="a-module-less", marks=pytest.mark.slow),
        pytest.param(lambda layer: next(layer.glob("__pycache__/tool.*")).write_bytes(b""), id="bytecode"),
        pytest.param(lambda layer: (layer / "tool.py").chmod(0o600), id="a-mode", marks=pytest.mark.slow),
        pytest.param(lambda layer: os.utime(layer / "tool.py", (0, 0)), id="a-time-that-outdates-bytecode"),
        pytest.param(lambda layer: (layer.parents[2] / "pyvenv.cfg").write_text("home = /"), id="the-environment"),
        pytest.param(shutil.rmtree, id="everything", marks=pytest.mark.slow),
    ],
)
def test_a_changed_layer_is_thrown_away_and_built_again_and_the_reader_is_told(shelf, trees, change):
    layer = ensure_dependencies(tool(), trees[Side.BASELINE])
    before = {path.name for path in layer.iterdir()}

    change(layer)
    with Layer(tool()) as again:
        again.ensure(trees[Side.BASELINE])

    assert {path.name for path in layer.iterdir()} == before
    assert (layer / "tool.py").read_text() == "VERSION = '1.0'\n"
    (note,) = again.notes
    assert f"the cached dependencies {tool().digest[:8]} were thrown away: it had been changed" in note
    with Layer(tool()) as third:
        third.ensure(trees[Side.BASELINE])
    assert not third.notes


@pytest.mark.parametrize(
    ("built_before", "change", "path"),
    [
        pytest.param((), lambda layer: (layer / "evil.pth").write_text("import evil"), "evil.pth", id="built-here"),
        pytest.param((tool(),), lambda layer: (layer / "tool.py").unlink(), "tool.py", id="built-by-another-gate"),
    ],
)
def test_a_layer_that_is_changed_with_its_manifest_while_a_gate_uses_it_is_thrown_away(
    shelf, trees, built_before, change, path
):
    for resolution in built_before:
        ensure_dependencies(resolution, trees[Side.BASELINE])
    with Layer(tool()) as layer:
        change(layer.ensure(trees[Side.BASELINE]))
        write_manifest(Path(f"{layer.place}.json"), take_manifest(layer.place))

        (changed,) = Seals([layer]).find_changes()

    assert changed.startswith("the cached dependencies (")
    assert changed.endswith(f"/{path})")
    assert not layer.place.exists()


def test_a_layer_whose_manifest_does_not_read_is_built_again(shelf, trees):
    layer = ensure_dependencies(tool(), trees[Side.BASELINE])
    (layer / "evil.pth").touch()
    Path(f"{layer.parents[2]}.json").write_text("{}")

    ensure_dependencies(tool(), trees[Side.BASELINE])

    assert not (layer / "evil.pth").exists()


def test_a_copy_of_a_layer_that_was_restored_is_as_good_as_the_layer(shelf, trees, cache):
    layer = ensure_dependencies(tool(), trees[Side.BASELINE])
    shutil.copytree(cache, cache.with_name("saved"), symlinks=True)
    shutil.rmtree(cache)
    cache.with_name("saved").rename(cache)
    inode = (layer / "tool.py").stat().st_ino

    with Layer(tool()) as restored:
        restored.ensure(trees[Side.BASELINE])

    assert not restored.notes
    assert (layer / "tool.py").stat().st_ino == inode


def test_a_layer_that_another_gate_uses_is_built_again_once_that_has_ended(shelf, trees):
    with Layer(tool()) as other:
        layer = other.ensure(trees[Side.BASELINE])
        (layer / "evil.pth").touch()
        answers = iter([False, False, True])
        with pytest.raises(Interrupted):
            ensure_dependencies(tool(), trees[Side.BASELINE], is_interrupted=lambda: next(answers))
        assert (layer / "evil.pth").exists()

    ensure_dependencies(tool(), trees[Side.BASELINE])

    assert not (layer / "evil.pth").exists()


# --- the size of the cache -----------------------------------------------------------------------------------------


def used(layer, seconds):
    """Say when a layer was used last."""
    os.utime(f"{layer.parents[2]}.lock", (seconds, seconds))


def versions_kept():
    """The versions of the package whose layers are in the cache."""
    return sorted(path.read_text().split("'")[1] for cached in iter_layers() for path in cached.place.rglob("tool.py"))


def test_layers_that_were_not_used_for_longest_are_removed_first(shelf, trees):
    for version, seconds in (("1.0", 2_000), ("2.0", 1_000)):
        used(ensure_dependencies(tool(version), trees[Side.BASELINE]), seconds)
    sizes = [cached.num_bytes for cached in iter_layers()]

    evict(sum(sizes))
    assert versions_kept() == ["1.0", "2.0"]
    evict(sum(sizes) - 1)
    assert versions_kept() == ["1.0"]
    evict(0)
    assert versions_kept() == []


def test_a_layer_is_used_anew_by_each_gate(shelf, trees):
    for version, seconds in (("1.0", 1_000), ("2.0", 2_000)):
        used(ensure_dependencies(tool(version), trees[Side.BASELINE]), seconds)

    ensure_dependencies(tool("1.0"), trees[Side.BASELINE])
    evict(max(cached.num_bytes for cached in iter_layers()))

    assert versions_kept() == ["1.0"]


def test_no_layer_is_removed_while_a_gate_uses_it(shelf, trees):
    with Layer(tool("1.0")) as layer:
        used(layer.ensure(trees[Side.BASELINE]), 0)
        ensure_dependencies(tool("2.0"), trees[Side.BASELINE])

        evict(0)

        assert versions_kept() == ["1.0"]
        assert not layer.find_changes()


def test_a_build_makes_room_and_keeps_what_it_made(shelf, trees, monkeypatch):
    monkeypatch.setenv("MAINSTAY_CACHE_LIMIT", "1 kB")
    ensure_dependencies(tool("1.0"), trees[Side.BASELINE])
    ensure_dependencies(tool("2.0"), trees[Side.BASELINE])

    assert versions_kept() == ["2.0"]
    assert describe_cache(1_000).startswith("sets of dependencies: 1, 0.0 GB; above 0.0 GB (MAINSTAY_CACHE_LIMIT)")


def test_what_was_killed_halfway_and_resolutions_of_other_days_are_removed(shelf, trees, cache):
    layer = ensure_dependencies(tool(), trees[Side.BASELINE])
    Path(f"{layer.parents[2]}.json").unlink()
    kept, old = (cache / "resolutions" / name for name in ("kept.json", "old.json"))
    kept.parent.mkdir()
    for file in (kept, old):
        file.touch()
    os.utime(old, (0, 0))

    evict(DEFAULT_LIMIT)

    assert not layer.exists()
    assert [file.exists() for file in (kept, old)] == [True, False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", DEFAULT_LIMIT), ("0", 0), ("1000", 1000), ("2kb", 2000), ("1.5 GB", 1_500_000_000), ("30G", 30_000_000_000)],
)
def test_the_limit_of_the_cache_is_read_with_its_unit(text, expected):
    assert cache_limit({"MAINSTAY_CACHE_LIMIT": text}) == expected


@pytest.mark.parametrize("text", ["much", "-1", "30 GiB", "1e9"])
def test_a_limit_that_is_no_size_is_refused_by_its_variable(text):
    with pytest.raises(UsageError, match=f"MAINSTAY_CACHE_LIMIT is '{text}'"):
        cache_limit({"MAINSTAY_CACHE_LIMIT": text})


# --- layers that gates share ---------------------------------------------------------------------------------------


def test_a_layer_whose_build_was_killed_is_built_again(shelf, trees):
    resolution = Resolution(side=Side.BASELINE, pins=("tool==1.0",))
    layer = ensure_dependencies(resolution, trees[Side.BASELINE])
    (layer / "tool.py").unlink()
    Path(f"{layer.parents[2]}.json").unlink()

    ensure_dependencies(resolution, trees[Side.BASELINE])

    assert (layer / "tool.py").read_text() == "VERSION = '1.0'\n"


def test_gates_at_the_same_time_share_a_layer(shelf, trees):
    resolution = Resolution(side=Side.BASELINE, pins=("pytest==9.0", "tool==1.0"))
    found = []

    def build():
        found.append(ensure_dependencies(resolution, trees[Side.BASELINE]))

    gates = [threading.Thread(target=build) for _ in range(3)]
    for gate in gates:
        gate.start()
    for gate in gates:
        gate.join()

    assert len(found) == 3
    assert len(set(found)) == 1


@pytest.fixture
def of_another_gate(cache):
    """A resolution whose layer another gate is building, and the lock that it holds."""
    resolution = Resolution(side=Side.BASELINE, pins=("tool==1.0",))
    place = cache / "environments" / f"{resolution.digest[:32]}.lock"
    place.parent.mkdir(parents=True)
    with FileLock(place) as lock:
        yield resolution, lock


def test_an_interrupted_gate_does_not_wait_for_a_layer_that_another_builds(trees, of_another_gate):
    resolution, _ = of_another_gate
    answers = iter([False, True])

    with pytest.raises(Interrupted):
        ensure_dependencies(resolution, trees[Side.BASELINE], is_interrupted=lambda: next(answers))


def test_a_layer_that_another_gate_gives_up_is_built(shelf, trees, of_another_gate):
    resolution, lock = of_another_gate

    layer = ensure_dependencies(resolution, trees[Side.BASELINE], is_interrupted=lambda: bool(lock.release()))

    assert (layer / "tool.py").exists()


# --- whom a failure is blamed on -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of_candidate", "spoilt", "side"),
    [
        pytest.param(("tool==1.0",), "tool", None, id="a-layer-of-both"),
        pytest.param(("gauge==1.0", "tool==1.0"), "tool", None, id="a-package-of-both"),
        pytest.param(("gauge==1.0", "tool==1.0"), "gauge", Side.CANDIDATE, id="a-package-of-the-candidate"),
    ],
)
def test_only_a_package_that_the_candidate_alone_has_is_blamed_on_it(shelf, trees, of_candidate, spoilt, side):
    publish(shelf, "gauge", "1.0")
    for wheel in (shelf / spoilt).glob("*.whl"):
        wheel.write_bytes(b"no archive")
    resolutions = [tool(), Resolution(side=Side.CANDIDATE, pins=of_candidate)]

    with open_layers(resolutions) as layers, pytest.raises(EnvironmentBuildError) as caught:
        layers[resolutions[1].digest].ensure(trees[Side.CANDIDATE])

    assert "installing the dependencies failed" in caught.value.fact
    assert (caught.value.side, caught.value.exit_status) == (side, 1 if side else 4)


def test_a_revision_is_blamed_for_its_own_settings_of_an_installation(shelf, trees):
    for tree in trees.values():
        write_more(tree)
    write_more(trees[Side.CANDIDATE], **{"pyproject.toml": '[tool.uv.pip]\nonly-binary = ["pytest"]\n'})
    found = resolve(trees, dict.fromkeys(Side, Configuration()))
    write_more(trees[Side.CANDIDATE], **{"pyproject.toml": '[tool.uv.pip]\nno-binary = ["tool"]\n'})

    with open_layers(found.values()) as layers:
        layers[found[Side.BASELINE].digest].ensure(trees[Side.BASELINE])
        with pytest.raises(EnvironmentBuildError) as caught:
            layers[found[Side.CANDIDATE].digest].ensure(trees[Side.CANDIDATE])

    assert caught.value.side is Side.CANDIDATE


def test_a_revision_is_blamed_for_what_another_index_serves_it(shelf, trees, tmp_path):
    publish(tmp_path / "other", "tool", "1.0")
    index = f'[[tool.uv.index]]\nname = "other"\nurl = "{(tmp_path / "other").as_uri()}"\nexplicit = true\n'
    write_more(trees[Side.CANDIDATE], **{"pyproject.toml": index})
    served = (f"tool==1.0 from {(tmp_path / 'other').as_uri()}",)
    found = [tool(), Resolution(side=Side.CANDIDATE, pins=("tool==1.0",), served=served)]
    (tmp_path / "other" / "tool" / "tool-1.0-py3-none-any.whl").write_bytes(b"no archive")

    with open_layers(found) as layers, pytest.raises(EnvironmentBuildError) as caught:
        layers[found[1].digest].ensure(trees[Side.CANDIDATE])

    assert caught.value.side is Side.CANDIDATE
