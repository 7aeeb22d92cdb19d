"""The page in a real browser, opened from disk: by keyboard, on a phone, in the dark. Skips without Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.browser import emulate, start
from tests.pneumonia.report import report_project

from pneumonia.report import inputs as report_inputs
from pneumonia.report import page as report


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    yield from start(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    root = report_project.write(tmp_path_factory.mktemp("project"))
    inputs = report_inputs.read(
        root,
        report_project.ANSWERING,
        source="synthetic",
        image_size=report_project.SIZE,
        examples=2,
        params=report_project.PARAMS,
    )
    path = Path(root) / "index.html"
    path.write_text(report.render(inputs), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def page(browser, address):
    emulate(browser, 1280, "light")
    browser.get(address)
    return browser


def live(page):
    """The slider's table, the matrix, the badges, and the texts of the boxes that show."""
    return page.execute_script(
        """
        const texts = (selector) => [...document.querySelectorAll(selector)].map((place) => place.textContent);
        return {
            table: texts("#live [data-live]"), matrix: texts("#live-matrix b"), badges: texts(".badge"),
            boxes: texts(".found:not([style*=none]) text"), value: texts("#value")[0],
            dot: document.querySelector("#curves [data-chart=roc] .moving").getAttribute("cy"),
        };
        """
    )


def press(page, element, *keys):
    from selenium.webdriver.common.by import By

    page.find_element(By.CSS_SELECTOR, element).send_keys(*keys)


def test_it_opens_as_it_was_written_and_without_an_error(page, address):
    shown = live(page)
    # As written for a reader without scripts: the page's own HTML, before any script ran, says the same.
    html = Path(address.removeprefix("file://")).read_text(encoding="utf-8")
    for value in shown["table"]:
        assert f">{value}</b>" in html
    assert shown["matrix"] == ["1", "1", "1", "3"]
    assert shown["badges"] == ["missed", "false alarm", "found"]
    assert shown["boxes"] == ["opacity 0.75", "opacity 0.90"]
    assert page.get_log("browser") == []


def test_the_keyboard_moves_table_matrix_dot_and_overlays(page):
    from selenium.webdriver.common.keys import Keys

    before = live(page)
    press(page, "#threshold", Keys.END)  # calls least: at 1, above every score
    highest = live(page)
    assert highest["table"][:2] == ["0%", "100%"]
    assert highest["matrix"] == ["0", "2", "0", "4"]
    assert highest["badges"] == ["missed", "left alone", "missed"]
    assert highest["boxes"] == []
    assert float(highest["dot"]) == 280  # the bottom of the chart
    press(page, "#threshold", Keys.HOME)  # calls most: every study with any box
    lowest = live(page)
    assert lowest["matrix"] == ["2", "0", "1", "3"]
    assert lowest["table"][0] == "100%"
    assert lowest["badges"] == ["box elsewhere", "false alarm", "found"]
    assert sorted(lowest["boxes"]) == ["opacity 0.20", "opacity 0.75", "opacity 0.90"]
    assert float(lowest["dot"]) == 10
    press(page, "#threshold", Keys.ARROW_RIGHT)
    assert live(page)["value"] != lowest["value"]
    press(page, "#reset", Keys.ENTER)
    assert live(page) == before
    assert page.get_log("browser") == []


@pytest.mark.parametrize("width", [390, 1280])
def test_the_slider_stays_in_sight_over_cases_and_curves(browser, address, width):
    emulate(browser, width, "light")
    for place in ("case-3", "curves"):
        browser.get("about:blank")
        browser.get(f"{address}#{place}")
        top, height = browser.execute_script(
            "const box = document.getElementById('threshold').getBoundingClientRect(); return [box.top, innerHeight];"
        )
        assert 0 <= top < height / 2


def test_another_model_has_its_own_boxes_or_none(page):
    page.execute_script("document.querySelector('input[value=classifier]').click()")
    shown = live(page)
    assert shown["boxes"] == []
    assert shown["badges"] == ["missed", "false alarm", "called"]
    assert shown["table"][4:] == ["-", "-"]
    page.execute_script("document.querySelector('input[value=yolo]').click()")
    assert live(page)["boxes"] == ["opacity 0.75", "opacity 0.90"]


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_needs_no_sideways_scrolling(browser, address, width):
    emulate(browser, width, "light")
    browser.get(address)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    # What is wider than the screen scrolls in a box of its own.
    wide = browser.execute_script(
        """
        return [...document.querySelectorAll("main *")].filter((part) => part.getBoundingClientRect().right > innerWidth + 1
            && !part.closest(".scroll, nav ul, .visually-hidden, details:not([open])")).map((part) => part.outerHTML.slice(0, 80));
        """
    )
    assert wide == []


def test_dark_mode_is_dark_and_readable(browser, address):
    emulate(browser, 1280, "dark")
    browser.get(address)
    background, ink = browser.execute_script(
        "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color];"
    )
    dark, light = (sum(map(int, colour[4:-1].split(","))) / 3 for colour in (background, ink))
    assert dark < 60
    assert light > 200


def test_every_control_is_reached_by_tab(page):
    from selenium.webdriver.common.keys import Keys

    seen = []
    for _ in range(60):
        page.switch_to.active_element.send_keys(Keys.TAB)
        seen.append(
            page.execute_script("const e = document.activeElement; return e.id || e.name || e.className || e.tagName;")
        )
    assert {"skip", "model", "threshold", "SUMMARY"} <= set(seen)
