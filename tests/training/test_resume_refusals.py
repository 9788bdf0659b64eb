"""A checkpoint that cannot be gone on with is refused, and nothing was changed by then."""

import numpy as np
import pytest

from minigrad import optim, random
from minigrad.training import Abort, Run
from minigrad.training.batches import Batches
from minigrad.training.checkpoint import load, save
from models.vae import VAE
from tests.training.scripts import tree


def test_what_cannot_be_gone_on_with_leaves_no_lock(tmp_path):
    save(tmp_path / "checkpoint.safetensors", {"w": np.ones(2)}, iteration=3)
    for change, words in (
        (lambda: None, "made with"),
        (lambda: save(tmp_path / "checkpoint.safetensors", {}, lr=1), "no checkpoint, but weights"),
    ):
        change()
        before = tree(tmp_path)
        with pytest.raises(Abort, match=words):
            Run(tmp_path, {"lr": 1}, resume=True)
        assert tree(tmp_path) == before and not (tmp_path / ".lock").exists()


@pytest.mark.parametrize("line", ["{", "[]", "{}", "\xff", '{"iteration": 1, "seconds": "x"}'])
def test_damaged_metrics_are_named_with_their_line(line, tmp_path):
    save(tmp_path / "checkpoint.safetensors", {}, iteration=3)
    text = '{"iteration": 1, "seconds": 1}\n' + line + "\n"
    (tmp_path / "metrics.jsonl").write_bytes(text.encode("latin-1"))
    before = tree(tmp_path)
    with pytest.raises(Abort, match="line 2 of .*metrics.jsonl is damaged"):
        Run(tmp_path, {}, resume=True)
    assert tree(tmp_path) == before


def parts():
    with random.fork(0):
        vae = VAE(2, x_dim=6, hidden=3)
    return {"model": vae, "adam": optim.Adam(vae.parameters()), "batches": Batches(5, 2)}


def state(parts):
    """Of all that a step changes, and the generator, as bytes."""
    arrays = [a for part in parts.values() for a in part.state_dict().values()]
    return [array.tobytes() for array in (*arrays, *random.get_state().values())]


FAULTS = {
    "the optimiser's shape": lambda s: s | {"adam.means.1": np.zeros(77)},
    "the place in the epoch": lambda s: s | {"batches.position": np.array(-1)},
    "the generator": lambda s: s | {"random.half": np.array([2, 0])},
    "no generator": lambda s: {k: v for k, v in s.items() if not k.startswith("random")},
    "the numbers": lambda s: s | {"recent.nelbo": np.array(1.0)},
    "another part": lambda s: s | {"critic.0.weight": np.zeros(3)},
    "no batches": lambda s: {k: v for k, v in s.items() if not k.startswith("batches")},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_checkpoint_that_does_not_fit_changes_nothing(fault, tmp_path):
    """The model comes first, and would have been loaded by then."""
    with random.fork(1):
        other = parts()
        for p in other["model"].parameters():
            p.copy_(p.data + 1)
        next(other["batches"])
        with Run(tmp_path, **other) as run:
            for iteration in run.steps(9, checkpoint=3):
                iteration.log(nelbo=1.0)
                if iteration == 4:
                    break
        changed = state(other)
    good, metadata = load(tmp_path / "checkpoint.safetensors")
    assert metadata == {"iteration": 3} and good["recent.nelbo"].tolist() == [1, 1, 1]
    save(tmp_path / "checkpoint.safetensors", FAULTS[fault](good), **metadata)
    ours = parts()
    before, files = state(ours), tree(tmp_path)
    with pytest.raises(Abort, match="checkpoint.safetensors is of another model"):
        Run(tmp_path, resume=True, **ours)
    assert state(ours) == before and tree(tmp_path) == files
    save(tmp_path / "checkpoint.safetensors", good, **metadata)
    with random.fork(0), Run(tmp_path, resume=True, **ours) as run:
        assert state(ours) == changed and run.iteration == 3
        for iteration in run.steps(4):
            iteration.log(nelbo=5.0)
        assert run.metrics[-1]["nelbo"] == 2  # the mean of 1, 1, 1 and 5
