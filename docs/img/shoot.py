"""Take the pictures of the README: the first screen of a report, light and dark, desktop and phone.

    python docs/img/shoot.py errata-runs/demo/digits/report.html
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SHOTS = {"report": (1280, 800, "light"), "report-dark": (1280, 800, "dark"), "report-phone": (390, 844, "light")}


def main(page: Path, folder: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, (width, height, scheme) in SHOTS.items():
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=2
            )
            tab = context.new_page()
            tab.goto(page.resolve().as_uri())
            tab.screenshot(path=folder / f"{name}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
