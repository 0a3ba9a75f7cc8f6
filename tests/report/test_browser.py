"""The report in a real browser: phone and desktop, light and dark, with the keyboard, without a network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from errata.report.page import write_report

pytestmark = pytest.mark.browser

REQUIRED = os.environ.get("ERRATA_REQUIRE_BROWSER") == "1"
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}

CONTRAST = """
() => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const over = (top, under) => {
    const a = top.length > 3 ? top[3] : 1;
    return [0, 1, 2].map(i => top[i] * a + under[i] * (1 - a));
  };
  const lum = rgb => {
    const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => { const [x, y] = [lum(a), lum(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const backdrop = element => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    let under = [255, 255, 255];
    for (const layer of layers.reverse()) if (layer.length) under = over(layer, under);
    return under;
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement, style = getComputedStyle(element);
    if (!node.textContent.trim() || !element.getClientRects().length) continue;
    if (["SCRIPT", "STYLE", "TITLE", "DESC"].includes(element.tagName.toUpperCase())) continue;
    if (element.closest("svg")) {
      if (element.tagName !== "text") continue;
      // Text in a picture lies on a block; the darkest block is what it has to be read on.
      const box = element.closest("svg").querySelector(":scope > rect");
      const under = backdrop(element.closest("svg").parentElement);
      const fill = box ? getComputedStyle(box) : null;
      const drawn = fill && fill.fill !== "none";
      const colour = drawn ? over([...parse(fill.fill).slice(0, 3), +fill.fillOpacity], under) : under;
      const on = element.classList.contains("dot-text") ? parse(getComputedStyle(element.previousElementSibling).fill)
        : element.closest("svg").querySelector(":scope > .column") ? under : colour;
      const found = ratio(parse(style.fill).slice(0, 3), on);
      if (found < 4.5) poor.push([node.textContent.trim().slice(0, 30), found.toFixed(2)]);
      continue;
    }
    const under = backdrop(element);
    const found = ratio(over(parse(style.color), under), under);
    if (found < 4.5) poor.push([node.textContent.trim().slice(0, 30), found.toFixed(2)]);
  }
  return poor;
}
"""


def chromium_path():
    found = next(
        (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None
    )
    return os.environ.get("ERRATA_CHROMIUM") or found


@pytest.fixture(scope="module")
def browser():
    playwright = (
        pytest.importorskip("playwright.sync_api") if not REQUIRED else __import__("playwright.sync_api").sync_api
    )
    path = chromium_path()
    if path is None and not REQUIRED:
        pytest.skip("no Chromium on this machine")
    assert path is not None, "ERRATA_REQUIRE_BROWSER=1, and there is no Chromium"
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=path, args=options)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory, table_run, image_run, nothing_run, house_run):
    folder = tmp_path_factory.mktemp("pages")
    several = [table_run, image_run, nothing_run]
    runs = {
        "table": [table_run],
        "image": [image_run],
        "nothing": [nothing_run],
        "house": [house_run],
        "several": several,
    }
    return {name: write_report(diagnoses, folder / f"{name}.html") for name, diagnoses in runs.items()}


def opened(browser, path: Path, size="desktop", scheme="light", **options):
    """The page offline; whatever it asks for or complains of is kept in `page.complaints`."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **options)
    context.set_offline(True)
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.complaints.append(request.url) if not _own(request.url, path) else None)
    page.goto(path.as_uri())
    return page


def _own(url, path):
    return url == path.as_uri() or url.startswith("data:")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["table", "image", "nothing", "house", "several"])
def test_nothing_overflows_and_nothing_complains(browser, pages, name, size):
    page = opened(browser, pages[name], size)
    for _ in range(2):
        widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert widths[0] <= widths[1]
        page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    outside = page.evaluate("""[...document.querySelectorAll('h1,h2,h3,h4,p,li,summary,figure,dl')].filter(
      part => part.getClientRects().length && part.getBoundingClientRect().right > innerWidth + 1
        && !part.closest('.scroll,.hidden,.x-tick')).map(part => part.textContent.slice(0, 40))""")
    assert outside == []
    assert page.complaints == []
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["table", "image", "nothing"])
def test_every_text_can_be_read(browser, pages, name, scheme):
    page = opened(browser, pages[name], scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    assert page.evaluate(CONTRAST) == []
    page.context.close()


def test_the_worst_findings_are_on_the_first_screen(browser, pages):
    page = opened(browser, pages["table"])
    bottom = page.evaluate("document.querySelector('.worst').getBoundingClientRect().bottom")
    assert bottom <= SIZES["desktop"][1]
    assert page.evaluate("document.querySelectorAll('.worst > li').length") == 3
    assert page.evaluate("document.querySelectorAll('.worst .six tbody tr').length") == 18
    page.context.close()


def test_the_keyboard_opens_what_is_folded(browser, pages):
    page = opened(browser, pages["table"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.startsWith('Use this rule')"):
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.open")
    assert page.locator("details[open] .code pre").first.inner_text() == 'city = "cairo" and age > 60.5'
    page.context.close()


def test_a_row_leads_to_the_table_of_rows(browser, pages):
    page = opened(browser, pages["table"])
    page.locator(".examples a").first.click()
    page.wait_for_selector(".rows[open]")
    assert page.evaluate("document.activeElement.tagName") == "TR"
    assert "repaid" in page.evaluate("document.activeElement.innerText")
    page.context.close()


def test_copying(browser, pages):
    page = opened(browser, pages["table"])
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    page.locator(".code button").first.click()
    # A function to wait for would be evaluated in the page again and again, which its policy forbids.
    page.wait_for_selector(".code button:text-is('Copied')")
    assert page.evaluate("navigator.clipboard.readText()") == 'city = "cairo" and age > 60.5'
    page.context.close()


def test_everything_is_there_without_javascript(browser, pages):
    page = opened(browser, pages["table"], java_script_enabled=False)
    page.locator("summary", has_text="How this was tested").first.click()
    assert page.locator("dt", has_text="q-value").first.is_visible()
    assert page.locator("button").count() == 0
    page.context.close()


def test_print_opens_what_is_folded(browser, pages, tmp_path):
    page = opened(browser, pages["table"], scheme="dark")
    page.emulate_media(media="print")
    assert page.locator("dt", has_text="q-value").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.pdf(path=tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").stat().st_size > 10_000
    page.context.close()
