"""A browser without a window, for the tests of the explorer's pages and for docs/explorer.py."""

import shutil
import tempfile
from contextlib import contextmanager

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium(width=1280, height=800, dark=False):
    """Yield Selenium's driver of a browser of its own, with a profile of its own."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, PROGRAMS)), "")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for word in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
            options.add_argument(f"--{word}")
        options.add_argument(f"--user-data-dir={profile}")
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        driver = webdriver.Chrome(options, service)
        try:
            resize(driver, width, height)
            feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
            yield driver
        finally:
            driver.quit()


def resize(driver, width, height):
    """Give the page this many pixels; a window can't be as narrow as a phone."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
