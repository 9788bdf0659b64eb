"""Make docs/explorer.gif, the moving picture in the README: `python -m docs.explorer`.

It needs Chromium and MNIST. With the folder of a training run it shows the trained autoencoder.
"""

import argparse
import io
import tempfile
from pathlib import Path

from PIL import Image

from minigrad import random
from minigrad.explore import explore
from minigrad.explore.__main__ import made
from tests.explore.chromium import chromium

SIZE = (1360, 850)
OUT = Path(__file__).parent / "explorer.gif"


def frames(run):
    """Yield the pictures, each with its milliseconds: x x + x in full, then every other step."""
    with tempfile.TemporaryDirectory() as folder, chromium(*SIZE) as driver:
        for name in ("square", "vae"):
            f, inputs = made(name, run if name == "vae" else None)
            with random.fork(0):
                page = explore(f, *inputs, path=Path(folder, f"{name}.html"))
            driver.get(page.as_uri())
            last = driver.execute_script("return Number(slider.max)")
            for step in [*range(0, last, 1 if name == "square" else 2), last]:
                driver.execute_script(f"go({step})")
                shot = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
                yield shot, 1400 if name == "square" else 2000 if step == last else 350


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", help="the folder of a run of train_vae.py")
    pictures, durations = zip(*frames(parser.parse_args().run), strict=True)
    sheet = Image.new("RGB", (SIZE[0], 2 * SIZE[1]))  # all hues: values blue, cotangents orange
    for i, picture in enumerate((pictures[3], pictures[-1])):
        sheet.paste(picture, (0, i * SIZE[1]))
    palette = sheet.quantize(80)
    first, *rest = (picture.quantize(palette=palette, dither=0) for picture in pictures)
    first.save(OUT, save_all=True, append_images=rest, duration=durations, loop=0, optimize=True)
    print(f"{OUT}: {len(pictures)} pictures, {OUT.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
