"""The page of the node in a real browser: drop, see, move the operating point. Skips without Chromium."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom")
pytest.importorskip("starlette")

from tests.browser import emulate, start
from tests.pneumonia.reading_room.node.stand_in import Archive, node, radiograph, send, until
from tests.pneumonia.reading_room.node.web.phantom import NAME, Finder, phantom

from pneumonia.reading_room.node.settings import Settings

AXE = os.environ.get("AXE_CORE", "")  # path of axe-core's axe.min.js, which is under MPL-2.0 and no part of the project
TOKEN = "a-token-of-more-than-twenty-characters"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    yield from start(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def drawn():
    return phantom()


@pytest.fixture
def started_page(tmp_path, browser, drawn):
    """Starts a node with a page, and opens it."""
    archive, nodes = Archive(), []

    def begin(**web):
        settings = {
            "host": "127.0.0.1",
            "port": 0,
            "folder": str(tmp_path / "node"),
            "peers": {"ARCHIVE": {"host": "127.0.0.1", "port": archive.port}},
            "accept": {"secondary_capture": True},
            "status": {"port": 0},
            "limits": {"free_disk_mib": 0, "seconds": 3},
            "web": {"port": 0, **web},
        }
        made = node(Settings.model_validate(settings), Finder(drawn[1]))
        nodes.append(made)
        made.start()
        emulate(browser, 1280, "light")
        browser.get(f"http://127.0.0.1:{made.page.port}/")
        until(lambda: visible(browser, "login") or visible(browser, "room"))
        until(lambda: made.health()["images"] and not made.health().get("notes"))
        browser.get_log("browser")
        return made

    yield begin
    browser.get("about:blank")
    for made in nodes:
        made.stop()
    archive.close()


@pytest.fixture
def at(started_page):
    return started_page()


def visible(browser, element):
    return browser.execute_script("const e = document.getElementById(arguments[0]); return e && !e.hidden;", element)


def text(browser, element):
    return browser.execute_script("return document.getElementById(arguments[0]).textContent", element)


def drop(browser, data: bytes):
    """As a person does with the mouse: a file is let go over the page."""
    browser.execute_script(
        """
        const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([bytes], "Roe.dcm"));
        for (const kind of ["dragover", "drop"])
          document.getElementById("drop").dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
        """,
        base64.b64encode(data).decode(),
    )


def shown(browser):
    return browser.execute_script(
        """
        const text = (id) => document.getElementById(id).textContent;
        const texts = (selector) => [...document.querySelectorAll(selector)].map((place) => place.textContent);
        const numbers = (rect) => ["x", "y", "width", "height"].map((name) => Number(rect.getAttribute(name)));
        return {
            verdict: text("verdict"), score: text("score"), count: text("count"), value: text("value"),
            tags: texts(".frame .tag"), boxes: [...document.querySelectorAll("#boxes rect")].map(numbers),
            states: texts("#rows .state"),
            scores: [...document.querySelectorAll("#rows td.number")].map((place) => place.innerText),
            reasons: texts("#rows td:nth-child(2) small"),
            drops: texts("#drops li"), viewed: !document.getElementById("shown").hidden,
        };
        """
    )


def press(browser, element, *keys):
    from selenium.webdriver.common.by import By

    browser.find_element(By.CSS_SELECTOR, element).send_keys(*keys)


def test_drop_see_and_move_the_operating_point(at, browser, drawn):
    from selenium.webdriver.common.keys import Keys

    data, truth = drawn
    drop(browser, data)
    until(lambda: shown(browser)["viewed"] and shown(browser)["states"] == ["Answered"])
    seen = shown(browser)
    assert seen["drops"] == ["The file: in the queue"]
    assert seen["verdict"] == "Opacity: 2 boxes"
    assert (seen["score"], seen["count"], seen["value"]) == ("0.731", "2", "0.25")
    assert seen["tags"] == ["0.82", "0.41"]
    assert seen["boxes"][0] == pytest.approx(truth[0], abs=1e-3)
    assert seen["boxes"][1:] == [[300, 250.5, 90, 120]]
    assert seen["scores"] == ["0.73\n2 boxes"]
    press(browser, "#threshold", Keys.HOME)
    assert shown(browser)["tags"] == ["0.82", "0.41", "0.18"]
    press(browser, "#threshold", Keys.END)
    none = shown(browser)
    assert (none["tags"], none["verdict"], none["scores"]) == ([], "No opacity at this point", ["0.73\nno box"])
    assert none["score"] == "0.731"
    press(browser, "#reset", Keys.ENTER)
    again = shown(browser)
    assert (again["tags"], again["value"]) == (["0.82", "0.41"], "0.25")
    # The picture is the image, and the boxes lie on it.
    until(lambda: browser.execute_script("return document.getElementById('picture').naturalWidth"))
    natural, box, frame = browser.execute_script(
        """
        const picture = document.getElementById("picture");
        const place = (part) => { const at = part.getBoundingClientRect(); return [at.left, at.top, at.width]; };
        return [[picture.naturalWidth, picture.naturalHeight], place(document.querySelector("#boxes rect")), place(picture)];
        """
    )
    assert natural == [512, 512]
    scale = frame[2] / 512
    assert [box[0] - frame[0], box[1] - frame[1]] == pytest.approx([truth[0][0] * scale, truth[0][1] * scale], abs=3)
    assert NAME not in browser.page_source
    assert browser.get_log("browser") == []
    for name in ("images", "incoming", "results"):
        assert list((at.queue.folder / name).iterdir()) == []  # nothing of a patient is kept


def test_images_from_a_pacs_are_there_with_state_and_reason(at, browser):
    send(at.listener.port, [radiograph(1), radiograph(2, ViewPosition="LL")])
    until(lambda: sorted(shown(browser)["states"]) == ["Answered", "Not analysed"])
    assert "view: not said to be one of AP, PA" in shown(browser)["reasons"]
    browser.execute_script("document.querySelector('[data-kind=good]').closest('tr').querySelector('.open').click()")
    until(lambda: shown(browser)["viewed"])
    assert shown(browser)["count"] == "2"
    assert browser.get_log("browser") == []


def test_what_is_no_image_is_said(at, browser):
    drop(browser, b"nothing of the kind")
    until(lambda: shown(browser)["drops"] == ["The file: It cannot be read as a DICOM file."])
    assert shown(browser)["states"] == []
    # The browser notes every answer that is no success; the page itself writes nothing.
    assert [entry for entry in browser.get_log("browser") if "status of 422" not in entry["message"]] == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light"), (1280, "dark"), (390, "dark")])
def test_it_is_readable_on_every_screen_and_for_everyone(at, browser, drawn, width, scheme):
    emulate(browser, width, scheme)
    send(at.listener.port, [radiograph(1), radiograph(2, ViewPosition="LL")])
    drop(browser, drawn[0])
    until(lambda: shown(browser)["viewed"] and len(shown(browser)["states"]) == 3)
    until(lambda: browser.execute_script("return document.getElementById('picture').naturalWidth"))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    background, ink = browser.execute_script(
        "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color];"
    )
    paper, letters = (sum(map(int, colour[4:-1].split(","))) / 3 for colour in (background, ink))
    assert (paper < 60 < 200 < letters) if scheme == "dark" else (letters < 60 < 200 < paper)
    if os.environ.get("SCREENSHOTS"):
        browser.save_screenshot(str(Path(os.environ["SCREENSHOTS"]) / f"{width}-{scheme}.png"))
    if not AXE:
        pytest.skip("axe-core is not there: AXE_CORE names its axe.min.js")
    browser.execute_script(Path(AXE).read_text(encoding="utf-8"))
    found = browser.execute_async_script("axe.run().then(arguments[0]);")["violations"]
    assert [(each["id"], each["impact"], [part["html"][:120] for part in each["nodes"]]) for each in found] == []


def test_every_control_is_reached_by_tab(at, browser, drawn):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    drop(browser, drawn[0])
    until(lambda: shown(browser)["viewed"])
    seen = []
    for _ in range(8):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        seen.append(browser.execute_script("const e = document.activeElement; return e.id || e.className;"))
    assert {"file", "open", "threshold", "with-boxes"} <= set(seen)


def test_arrows_move_through_the_list(at, browser):
    from selenium.webdriver.common.keys import Keys

    send(at.listener.port, [radiograph(1), radiograph(2)])
    until(lambda: shown(browser)["states"] == ["Answered", "Answered"])
    press(browser, "#rows .open", Keys.ENTER)
    first = text(browser, "view-title")
    browser.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert text(browser, "view-title") != first
    browser.switch_to.active_element.send_keys(Keys.ARROW_UP)
    assert text(browser, "view-title") == first


def test_a_token_opens_the_page_and_a_patient_is_shown_where_the_settings_say_so(
    started_page, tmp_path, browser, drawn
):
    tokens = tmp_path / "tokens"
    tokens.write_text(f"WEB {TOKEN}\n")
    tokens.chmod(0o600)
    started_page(token_file=str(tokens), show_patient=True)
    assert visible(browser, "login")
    press(browser, "#token", "wrong", "\n")
    until(lambda: text(browser, "login-said") == "That is no token for this page.")
    browser.get_log("browser")
    press(browser, "#token", TOKEN, "\n")
    until(lambda: visible(browser, "room"))
    drop(browser, drawn[0])
    until(lambda: shown(browser)["viewed"])
    assert NAME in text(browser, "patient")
    assert browser.execute_script("return document.cookie") == ""  # no script can read it
    assert browser.get_log("browser") == []
    press(browser, "#leave", "\n")
    until(lambda: visible(browser, "login"))
    assert NAME not in browser.page_source
