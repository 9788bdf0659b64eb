"""minigrad.training.Run for a model of one's own: what a loop logs, saves and refuses."""

import json
import os
import signal
import time

import numpy as np
import pytest

from minigrad import Tensor, nn, optim, random
from minigrad.training import Abort, Batches, Interrupted, Iteration, Run


def parts():
    with random.fork(0):
        model = nn.Linear(2, 1)
    return {"model": model, "adam": optim.Adam(model.parameters()), "batches": Batches(6, 2)}


def learn(run, until, **settings):
    """A loop whose loss depends on all that a checkpoint holds; yields each iteration."""
    model, adam, batches = run.parts.values()
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    for iteration in run.steps(until, progress=False, **settings):
        loss = (model(Tensor(x[next(batches)] + random.normal((2, 2)))) ** 2).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        iteration.log(loss=loss)
        yield iteration


def lines(folder):
    """metrics.jsonl without its times."""
    text = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in text]


@pytest.fixture(autouse=True)
def generator():
    with random.fork(0):
        yield


def test_metrics_are_means_since_the_line_before_and_the_last_iteration_has_one(tmp_path):
    with Run(tmp_path) as run:
        for iteration in run.steps(5, record=2, progress=False):
            time.sleep(0.001)
            iteration.log(loss=Tensor(float(iteration)), twice=2 * iteration)
            if iteration.every(4) or iteration.last:
                iteration.log(rare=iteration)
        assert lines(tmp_path) == [
            {"iteration": 2, "loss": 1.5, "twice": 3.0},
            {"iteration": 4, "loss": 3.5, "twice": 7.0, "rare": 4.0},
            {"iteration": 5, "loss": 5.0, "twice": 10.0, "rare": 5.0},
        ]
        assert [line["loss"] for line in run.metrics] == [1.5, 3.5, 5.0]
        summary = run.save_summary(results={"a": {"b": 1.0}})
        assert summary["seconds"] == run.metrics[-1]["seconds"] > 0
    assert summary == json.loads((tmp_path / "summary.json").read_text())
    assert summary["iterations"] == 5 and summary["results"] == {"a": {"b": 1.0}}


def test_an_iteration_is_its_number():
    iteration = Iteration(12, 12, None)
    assert (iteration, f"{iteration:04d}", iteration.last) == (12, "0012", True)
    assert [n for n in range(1, 13) if iteration.every(n)] == [1, 2, 3, 4, 6, 12]
    assert not Iteration(11, 12, None).last


@pytest.mark.parametrize("stopped_at", [1, 3, 4])
def test_a_loop_that_is_left_at_any_point_goes_on_to_the_same_bits(stopped_at, tmp_path):
    """By a signal, whose checkpoint is that of its iteration; the means span the stop."""
    with Run(tmp_path / "whole", **parts()) as run:
        for _ in learn(run, 7, record=5, checkpoint=100):
            pass
        want = run.parts["model"].state_dict()
    with random.fork(0):
        with pytest.raises(Interrupted, match="signal 15 and saved in .*; resume goes on there"):
            with Run(tmp_path / "part", **parts()) as run:
                for iteration in learn(run, 7, record=5, checkpoint=100):
                    if iteration == stopped_at:
                        os.kill(os.getpid(), signal.SIGTERM)
        assert run.iteration == stopped_at
    with random.fork(99), Run(tmp_path / "part", resume=True, **parts()) as run:
        assert run.iteration == stopped_at
        for _ in learn(run, 7, record=5, checkpoint=100):
            pass
        found = run.parts["model"].state_dict()
    assert all((found[name] == want[name]).all() for name in want)
    assert lines(tmp_path / "part") == lines(tmp_path / "whole")


def test_leaving_by_break_or_by_an_error_gives_back_signals_and_folder(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with Run(tmp_path, **parts()) as run:
        for _ in learn(run, 9):
            assert signal.getsignal(signal.SIGINT) is not before
            break
        assert signal.getsignal(signal.SIGINT) is before
        for _ in learn(run, 9, checkpoint=1):  # from the start again: nothing was done as a whole
            pass
        assert run.iteration == 9
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), Run(tmp_path, resume=True, **parts()) as run:
            steps = run.steps(20, progress=False)  # held by a name, as in a debugger
            next(steps)
            1 / 0  # noqa: B018
        assert signal.getsignal(signal.SIGINT) is before


def test_stop_makes_an_iteration_the_last_one(tmp_path):
    with Run(tmp_path, **parts()) as run:
        for iteration in learn(run, 9):
            if iteration == 4:
                iteration.stop()
        assert run.iteration == 4 and [line["iteration"] for line in run.metrics] == [4]
    with Run(tmp_path, resume=True, **parts()) as run:
        assert [int(i) for i in run.steps(6, progress=False)] == [5, 6]


def test_after_a_stop_the_same_run_can_go_on(tmp_path):
    """In a notebook, where the run outlives its loop."""
    with Run(tmp_path, **parts()) as run:
        with pytest.raises(Interrupted):
            for iteration in learn(run, 9):
                if iteration == 2:
                    os.kill(os.getpid(), signal.SIGTERM)
        assert [int(i) for i in run.steps(5, progress=False)] == [3, 4, 5]


def test_a_new_loop_ends_the_one_before_and_a_closed_run_has_none(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with Run(tmp_path, **parts()) as run:
        first = run.steps(9, progress=False)
        next(first)
        assert [int(i) for i in run.steps(2, progress=False)] == [1, 2]
        assert next(first, None) is None
        assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(RuntimeError, match="the run was closed; make another"):
        run.steps(9)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_that_ends_leaves_the_lock_to_its_parent(tmp_path):
    with Run(tmp_path, **parts()) as run:
        child = os.fork()
        if child == 0:
            run._lock.release()
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(Abort, match="another process or thread"):
            Run(tmp_path, resume=False)


def test_settings_may_have_any_other_name_and_states_are_looked_at_before_the_first_step(tmp_path):
    settings = {"path": "a", "arrays": [1, 2], "self": None}
    with Run(tmp_path / "a", settings, **parts()) as run:
        for _ in run.steps(1, progress=False):
            pass
    with Run(tmp_path / "a", settings, resume=True, **parts()) as run:
        assert run.iteration == 1

    class Part(nn.Module):
        def state_dict(self):
            return {"name": "text"}

    with pytest.raises(ValueError, match="part.name has dtype <U4; it must be bool"):
        Run(tmp_path / "b", part=Part())
    assert not (tmp_path / "b").exists()


def test_a_longer_loop_goes_on_in_the_same_run(tmp_path):
    with Run(tmp_path, **parts()) as run:
        assert [int(i) for i in run.steps(2, progress=False)] == [1, 2]
        assert [int(i) for i in run.steps(4, progress=False)] == [3, 4]
        assert [line["iteration"] for line in run.metrics] == [2, 4]
        with pytest.raises(Abort, match="is at iteration 4 already; 3 was asked for"):
            run.steps(3)


@pytest.mark.parametrize("number", [np.nan, np.inf, Tensor(-np.inf)])
def test_a_number_that_is_not_finite_ends_the_run(number, tmp_path):
    with pytest.raises(Abort, match="loss is (nan|inf|-inf) at iteration 2: .* smaller step"):
        with Run(tmp_path) as run:
            for iteration in run.steps(9, progress=False):
                iteration.log(loss=number if iteration == 2 else 1)
    assert run.iteration == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"path": os}, "as JSON has them"),
        ({"pair": (1, 2)}, "as JSON has them"),  # it would come back as a list, and never fit
        ({1: 2}, "as JSON has them"),
        ({"lr": np.inf}, "as JSON has them"),
        ({"iteration": 3}, "none called iteration"),
        ({"sha256": "x"}, "none called iteration or sha256"),
        ([1], "must be a dictionary"),
    ],
)
def test_settings_that_a_checkpoint_cannot_hold_are_refused_at_once(settings, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        Run(tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def test_parts_without_a_state_and_with_names_of_ours_are_refused_at_once(tmp_path):
    with pytest.raises(TypeError, match=r"Run: x is a ndarray; a part must have state_dict\(\)"):
        Run(tmp_path / "run", x=np.ones(2))
    for name in ("random", "recent", "a.b"):
        with pytest.raises(ValueError, match=f"a part can't be called {name}"):
            Run(tmp_path / "run", **{name: nn.ReLU()})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("settings", [{"until": 0}, {"record": 0}, {"checkpoint": 2.5}])
def test_steps_that_make_no_sense_are_refused(settings, tmp_path):
    with Run(tmp_path) as run, pytest.raises((TypeError, ValueError), match="Run.steps: "):
        run.steps(**({"until": 3} | settings))


def test_names_that_every_line_has_are_refused(tmp_path):
    with Run(tmp_path) as run:
        for iteration in run.steps(1, progress=False):
            with pytest.raises(ValueError, match="every line has seconds already"):
                iteration.log(seconds=3)


def test_files_that_are_named_move_along_with_an_earlier_run(tmp_path):
    for _ in range(2):
        with Run(tmp_path / "run", files=("confusion*.png",)) as run:
            for _ in run.steps(1, progress=False):
                (run.folder / "confusion3.png").write_bytes(b"ours")
                (run.folder / "other.png").write_bytes(b"theirs")
    assert sorted(p.name for p in (tmp_path / "run.1").iterdir()) == [
        ".lock", "checkpoint.safetensors", "confusion3.png", "metrics.jsonl",
    ]  # fmt: skip
    assert (tmp_path / "run" / "other.png").exists()
