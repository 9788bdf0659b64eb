"""The explorer's pages in a real browser: `make test-browser` runs this, plain pytest does not."""

import json
import random as python_random

import numpy as np
import pytest

import minigrad as mg
from minigrad import random
from minigrad.explore import explore
from minigrad.explore.__main__ import EXAMPLES, made
from tests.explore.chromium import chromium, resize
from tests.explore.evil import function_named
from tests.explore.seen import EDGES, PANEL


@pytest.fixture(scope="module")
def driver():
    with chromium() as driver:
        driver.get("about:blank")
        yield driver


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A function that returns the page of an example, made once."""
    folder, known = tmp_path_factory.mktemp("pages"), {}

    def page(name):
        if name not in known:
            f, inputs = made(name)
            with random.fork(0):
                known[name] = explore(f, *inputs, path=folder / f"{name}.html")
        return known[name]

    return page


@pytest.fixture
def visit(driver, pages):
    """A function that opens an example's page, or one at a path; afterwards all must be well."""

    def open_page(page):
        resize(driver, 1280, 800)
        for log in ("browser", "performance"):  # what came before is read, and gone
            driver.get_log(log)
        driver.get((pages(page) if page in EXAMPLES else page).as_uri())
        return driver

    yield open_page
    assert [entry for entry in driver.get_log("browser") if entry["level"] != "INFO"] == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"].endswith("BeSent")]
    assert asked and all(url.startswith(("file:", "data:")) for url in asked), asked


def press(driver, *keys):
    from selenium.webdriver import ActionChains

    for key in keys:
        ActionChains(driver).send_keys(key).perform()


def says(driver):
    return driver.find_element("id", "says").text


def count(driver):
    return driver.find_element("id", "count").text


def click(driver, name):
    driver.find_element("id", name).click()


def choose(driver, node):
    """Click on a node, wherever it is, and return what the panel says of its values."""
    driver.execute_script(
        "view.querySelector(`[data-op='${arguments[0]}']`).click()", node
    )  # fmt: skip
    return driver.execute_script(PANEL)


def highlighted(driver):
    """How many nodes and folded boxes are seen as those of this step: by an outline."""
    return driver.execute_script(
        "return [...view.querySelectorAll('.node')].filter((e) => e.checkVisibility() &&"
        " getComputedStyle(e).outline.includes('solid 3px')).length"
    )


def shares(driver):
    """The numbers beside the edges."""
    texts = driver.find_elements("css selector", "#function .edge text")
    return [e.text for e in texts if e.is_displayed()]


def same(figure, array):
    """Whether the panel's figure has the array's numbers, or its least and its largest."""
    array = np.asarray(array)
    if figure["cells"]:
        numbers = np.array([float(cell) for cell in figure["cells"]]).astype(array.dtype)
        return np.array_equal(numbers, array.ravel(), equal_nan=True)
    ends = [array.dtype.type(float(figure["stats"][name])) for name in ("min", "max")]
    return ends == [array.min(), array.max()]


@pytest.mark.parametrize("name", EXAMPLES)
def test_steps_to_the_end_and_back_show_what_minigrad_computes(name, visit):
    from selenium.webdriver import Keys

    driver = visit(name)
    f, inputs = made(name)
    with random.fork(0):
        inputs = [mg.Tensor(x, requires_grad=True) if isinstance(x, float) else x for x in inputs]
        loss = f(*inputs)
    results = [node.result(0) for node in mg.graph(loss).nodes]
    cotangents = mg.grad(loss, results, retain_graph=True, allow_unused=True)
    arrived = [i for i, g in enumerate(cotangents) if g is not None]
    results, cotangents = [results[i] for i in arrived], [cotangents[i] for i in arrived]
    numbers = driver.execute_script(
        "return [...document.querySelectorAll('#function-steps li')]"
        ".filter((e) => e.textContent.startsWith('Back')).map((e) => e.dataset.op)"
    )
    numbers.reverse()  # the latest is pulled back first
    assert len(numbers) == len(results)
    if driver.find_element("id", "fold").text == "unfold all":
        click(driver, "fold")
    press(driver, Keys.END)
    assert says(driver).startswith(f"Back, {len(results)} of {len(results)}")
    picks = python_random.Random(0).sample(range(len(results)), min(10, len(results)))
    for i in picks:
        told = choose(driver, numbers[i])
        value, cotangent = (x for _, kind, figures in told[:2] for x in figures[-1:])
        assert same(value, results[i].data), told
        assert same(cotangent, cotangents[i].data), told
    press(driver, Keys.HOME)
    assert says(driver).startswith("Before the first step")
    told = choose(driver, numbers[picks[0]])
    assert not any(figures for _, _, figures in told)
    total = int(count(driver).split()[-1])
    for step in range(1, total + 1):
        press(driver, Keys.ARROW_RIGHT)
        assert count(driver) == f"{step} of {total}"
        if step > 12:
            break
    assert highlighted(driver) == 1


def test_the_example_of_the_core_step_by_step(visit):
    from selenium.webdriver import Keys

    driver, told, seen = visit("square"), [], []
    for _ in range(6):
        told.append(says(driver))
        parts = driver.find_elements("css selector", "#function :is(.value, .g)")
        shown = [e.text for e in parts if e.value_of_css_property("visibility") == "visible"]
        seen.append(" ".join(shown))
        press(driver, Keys.ARROW_RIGHT)
    assert told == [
        "Before the first step: inputs and parameters have values.",
        "Forward, 1 of 2: v1 = multiply(x, x), which is 9.",
        "Forward, 2 of 2: v2 = add(v1, x), which is 12.",
        "The loss: it is 12. Backpropagation begins with v̄2 = 1.",
        "Back, 1 of 2: add sends 1 to v1 and 1 to x. x̄ = 1 + … so far.",
        "Back, 2 of 2: multiply sends 3 to x and 3 to x. x̄ = 1 + 3 + 3 = 7.",
    ]
    assert seen == ["3", "3 9", "3 9 12", "3 9 12 1", "3 9 1 12 1", "3 7 9 1 12 1"]
    assert sorted(shares(driver)) == ["1", "1", "3", "3"]
    press(driver, Keys.ARROW_LEFT)
    assert says(driver) == told[4]


def test_each_of_two_uses_has_its_own_share(visit, tmp_path, driver):
    visit(explore(lambda x: x - x, 3.0, path=tmp_path / "page.html"))
    press(driver, "\ue010")
    assert says(driver).endswith("subtract sends 1 to x and -1 to x. x̄ = 1 + -1 = 0.")
    assert shares(driver) == ["1", "-1"]


def test_the_slider_and_the_buttons_step(visit):
    from selenium.webdriver import Keys

    driver = visit("xor")
    slider = driver.find_element("id", "slider")
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert count(driver).startswith("2 of ")
    assert slider.get_attribute("aria-valuetext").startswith("2 of ")
    slider.send_keys(Keys.END)
    assert says(driver).startswith("Back, 7 of 7")
    slider.click()  # in the middle
    assert count(driver) in ("7 of 15", "8 of 15")
    for name, start in (("first", "0 of"), ("next", "1 of"), ("last", "15 of"), ("previous", "14")):
        click(driver, name)
        assert count(driver).startswith(start)
    click(driver, "first")
    click(driver, "play")
    assert driver.find_element("id", "play").text == "pause"
    driver.implicitly_wait(5)
    driver.find_element("css selector", "#slider[aria-valuetext^='2 of']")
    driver.implicitly_wait(0)
    driver.find_element("id", "next").send_keys(" ")  # presses the button, and plays no further
    assert driver.find_element("id", "play").text == "pause"
    driver.find_element("tag name", "body").click()
    press(driver, " ")
    assert driver.find_element("id", "play").text == "play"


def test_boxes_fold_by_mouse_and_by_keyboard(visit):
    from selenium.webdriver import Keys

    driver = visit("vae")

    def seen():
        nodes = driver.find_elements("css selector", "#function .node")
        return sum(node.is_displayed() for node in nodes)

    few = seen()
    encoder = driver.find_element("xpath", "//summary[.//b[text()='encoder']]")
    box = encoder.find_element("xpath", "..")
    assert box.get_attribute("open") is None
    encoder.click()
    more = seen()
    assert more > few and box.get_attribute("open")
    focused = driver.switch_to.active_element
    assert focused == encoder
    focused.send_keys(Keys.ENTER)
    assert seen() == few
    press(driver, "f")
    assert seen() > more and driver.find_element("id", "fold").text == "fold all"
    press(driver, "f")
    assert seen() == few and driver.find_element("id", "fold").text == "unfold all"


@pytest.mark.parametrize("name", ["xor", "vae"])
def test_edges_go_from_what_is_seen_to_what_is_seen(name, visit):
    driver = visit(name)
    counts = []
    for _ in range(2):
        found = driver.execute_async_script(EDGES)
        for start, end, leaves, arrives in found:
            assert start < 2 and end < 2 and leaves and arrives
        counts.append(len(found))
        click(driver, "fold")
    assert len({*counts}) == 2 and min(counts) > 4


def test_the_view_scrolls_to_the_step(visit):
    driver = visit("vae")
    click(driver, "fold")
    view = "return document.getElementById('function').scrollTop"
    assert driver.execute_script(view) == 0
    press(driver, "\ue010")
    press(driver, "\ue011")
    for _ in range(31):  # to the loss, which is at the bottom
        press(driver, "\ue014")
    assert driver.execute_script(view) > 500 and highlighted(driver) == 1


def test_the_switch_shows_the_graph_of_the_gradient(visit):
    driver = visit("square")
    click(driver, "switch")
    labels = [e.text for e in driver.find_elements("css selector", "#gradient .node b")]
    assert "add(g4, g3)" in labels and "ones_like(v2)" in labels
    assert says(driver) == "Gradient, 7 of 7: g5 = add(g4, g3), which is 7, x̄."
    choose(driver, "0")  # x: in this graph its cotangent is the result of a node
    cotangents = driver.find_elements("css selector", "#gradient .g, #told .cotangent")
    assert cotangents and not any(part.is_displayed() for part in cotangents)
    press(driver, "g")
    nodes = driver.find_elements("css selector", ".node")
    assert sum(node.is_displayed() for node in nodes) == 3


def test_names_and_code_are_text(visit, tmp_path, driver):
    evil = "</script><script>window.hacked = 1</script><img src=x onerror=hacked=1>"
    visit(explore(function_named(evil), 3.0, path=tmp_path / "page.html"))
    press(driver, "\ue014")
    assert driver.execute_script("return window.hacked") is None
    panel = driver.find_element("id", "panel").text
    assert evil in panel and "window.hacked = 2" in panel
    assert driver.find_element("tag name", "h1").text.startswith(evil)


def test_infinities_and_nan_are_shown(visit, tmp_path, driver):
    path = explore(lambda x: mg.log(x).sum(), [0.1, 0.0, -1.0], path=tmp_path / "page.html")
    visit(path)
    press(driver, "\ue010")
    value, cotangent = choose(driver, "1")[:2]
    assert value[2][0]["cells"] == ["-2.3025851", "-inf", "nan"]
    assert value[2][0]["stats"]["NaN"] == "1" and cotangent[2][0]["cells"] == ["1", "1", "1"]


@pytest.mark.parametrize("name", ["square", "vae"])
def test_a_phone_is_wide_enough_and_everything_has_a_name(name, visit):
    driver = visit(name)
    resize(driver, 360, 740)
    wide = "return [document.documentElement.scrollWidth, document.body.scrollWidth]"
    assert driver.execute_script(wide) == [360, 360]
    nameless = driver.execute_script(
        "return [...document.querySelectorAll('button, input, [role], [tabindex=\"0\"]')]"
        ".filter((e) => !e.hidden && !(e.ariaLabel || e.textContent.trim() || e.labels?.length"
        " || e.id === 'says')).map((e) => e.outerHTML)"
    )
    assert nameless == []
    for element in driver.find_elements("css selector", ":is(header, footer) button"):
        if element.is_displayed():
            assert element.rect["x"] >= 0
            assert element.rect["x"] + element.rect["width"] <= 360
            assert element.rect["height"] >= 30


@pytest.mark.usefixtures("mnist")
def test_the_moving_picture_of_the_readme_can_be_made():
    from docs import explorer

    pictures = explorer.frames(None)
    picture, milliseconds = next(pictures)
    pictures.close()
    assert picture.size == explorer.SIZE and milliseconds > 100


def test_it_is_dark_where_that_is_wanted(pages):
    with chromium(dark=True) as driver:
        driver.get(pages("square").as_uri())
        paper = "return getComputedStyle(document.body).backgroundColor"
        assert driver.execute_script(paper) == "rgb(21, 24, 28)"
        feature = {"name": "prefers-color-scheme", "value": "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        assert driver.execute_script(paper) == "rgb(253, 252, 249)"
