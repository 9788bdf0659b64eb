"""How many threads the kernels use: what is asked for, or as many as the system leaves."""

import os

import pytest

import minigrad
from minigrad import processors
from minigrad.kernels import threads
from tests.kernels.helpers import output


def test_the_number_of_threads_can_be_chosen():
    before = minigrad.get_num_threads()
    for wrong, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="set_num_threads: number = .* whole number of at least 1"):
            minigrad.set_num_threads(wrong)
    assert minigrad.get_num_threads() == before
    minigrad.set_num_threads(1)
    assert threads.team() == 0
    minigrad.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs an affinity mask")
def test_an_affinity_mask_is_respected():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    assert output(code + "import minigrad; print(minigrad.get_num_threads())") == "1"


@pytest.mark.parametrize("own, files, want", [
    ("0::/", {"cpu.max": "150000 100000"}, 2),
    ("0::/", {"cpu.max": "max 100000"}, 64),
    ("0::/a/b", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
    ("0::/a/b", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "50000 100000"}, 1),
    ("0::/gone", {}, 64),
    ("4:memory:/m\n1:cpu,cpuacct:/a\n0::/", {"cpu/a/cpu.cfs_quota_us": "400000",
                                             "cpu/a/cpu.cfs_period_us": "100000"}, 4),
    ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
    ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "rubbish"}, 64),
    (None, {"cpu.max": "100000 100000"}, 64),
])  # fmt: skip
def test_quotas_of_control_groups_are_respected(own, files, want, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)
    for name, content in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    if own is not None:
        (tmp_path / "own").write_text(own + "\n")
    assert processors.processors(tmp_path / "groups", tmp_path / "own") == want
