"""Results are safe before any picture is drawn, and no picture is needed."""

import pytest

import train_gan
import train_vae
from minigrad import random
from minigrad.training import Iteration, Run, report
from models import pictures
from tests.training.scripts import failing, main

pytestmark = pytest.mark.usefixtures("fashion")
FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize("script", [train_gan, train_vae])
def test_results_are_safe_before_anything_is_drawn_and_no_picture_is_needed(
    script, tmp_path, monkeypatch, capsys
):
    out = tmp_path / ("out" if script is train_gan else "out/vae-z10-run0")
    seen, said = [], []

    def figure(path, size):
        said.append(capsys.readouterr())
        table = said[-1].out.splitlines()
        seen.append((path.name, (out / "summary.json").exists(), len(table) == 3))
        raise FULL

    monkeypatch.setattr(report, "figure", figure)
    monkeypatch.setattr("PIL.Image.fromarray", failing(FULL))
    monkeypatch.setattr(Iteration, "every", lambda self, n: n != 1000)  # a picture at each
    with random.fork(0):
        script.main(["--iter_max", "2", "--out", str(tmp_path / "out")])
    assert seen == [("losses.png" if script is train_gan else "curves.png", True, True)]
    said.append(capsys.readouterr())
    assert f"are in {out}" in said[-1].out and not list(out.glob("*.png"))
    assert "".join(part.err for part in said).count(" was not drawn: OSError") == 4 + (
        script is train_vae
    )


def test_a_summary_that_fails_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "save_summary", failing(FULL))
    with pytest.raises(SystemExit, match="No space left on device; make room"):
        main("--out", tmp_path / "out")


def test_the_animation_has_our_pictures_in_the_order_of_their_iterations(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(pictures, "save_animation", lambda path, pictures: seen.extend(pictures))
    out = tmp_path / "out"
    out.mkdir()
    (out / "fake_news.png").write_text("mine")
    real = Run.steps

    def steps(self, *arguments, **settings):
        for iteration in (10_000, 9950):
            (out / f"fake_{iteration}.png").touch()
        return real(self, *arguments, **settings)

    monkeypatch.setattr(Run, "steps", steps)
    main("--out", out)
    assert [path.name for path in seen] == ["fake_9950.png", "fake_10000.png"]
