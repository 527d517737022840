"""The page in a real browser: what a person does with it, and what data must never do to it."""

import csv
import io
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import chromium, opened, photograph
from conftest import TOKEN
from gateway_events import application, call
from playwright.sync_api import Browser, Error, Page, expect
from served_model import fail, listening
from werkzeug.wrappers import Request, Response

from deploy_endpoint.api import app, contract
from pipelines.predictive_maintenance import schema

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True}
HEADER = ",".join(schema.COLUMN_NAMES)
ROWS = [
    "L,298.1,308.6,1408,46.3,3",
    "M,302.3,311.5,1284,66.7,208",
    "H,299.2,310.1,1551,42.8,0",
    "L,298.9,309.1,2861,4.6,143",
    "L,340.5,390.1,1500,41.0,10",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "STAGE_URL" in os.environ and "STAGE_TOKEN" not in os.environ,
        reason="STAGE_TOKEN is missing",
    ),
]
scripted = pytest.mark.skipif("STAGE_URL" in os.environ, reason="needs an endpoint that it scripts")
access = os.environ.get("STAGE_TOKEN", TOKEN)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if "STAGE_URL" in os.environ:
        yield os.environ["STAGE_URL"].rstrip("/") + "/"
        return
    request.getfixturevalue("stage")
    with listening(application) as url:
        yield f"{url}/"


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with opened(browser, url, viewport={"width": 1280, "height": 900}) as page:
        enter(page)
        yield page


def enter(page: Page, token: str = access) -> None:
    page.get_by_label("Token", exact=True).fill(token)
    page.get_by_role("button", name="Continue").click()


def fill(page: Page, **texts: str) -> None:
    for word, text in texts.items():
        page.get_by_label(re.compile(f"^{word}")).fill(text)


def upload(page: Page, text: str, name: str = "machines.csv") -> None:
    page.get_by_text("A csv file", exact=True).click()
    files = {"name": name, "mimeType": "text/csv", "buffer": text.encode()}
    page.locator("#choose").set_input_files(files)


def test_the_token_is_asked_for_once_and_kept_in_this_tab_only(browser: Browser, url: str) -> None:
    with opened(browser, url) as page:
        expect(page.get_by_role("dialog")).to_be_visible()
        photograph(page, "token")
        enter(page, "not-the-token")
        expect(page.get_by_role("alert")).to_contain_text("not accepted")
        enter(page)
        expect(page.get_by_role("heading", name="Machine failure", exact=True)).to_be_visible()
        page.reload()
        expect(page.get_by_role("button", name="Predict")).to_be_visible()
        kept = "[localStorage.length, document.cookie, location.href]"
        assert page.evaluate(kept) == [0, "", url]
        page.get_by_role("button", name="Forget token").click()
        expect(page.get_by_role("dialog")).to_be_visible()


def test_an_example_gets_the_answer_that_it_must_get(page: Page) -> None:
    example = page.get_by_role("button", name="Example 1")
    risk = example.inner_text()
    example.click()
    result = page.get_by_role("region", name="Result")
    expect(result).to_contain_text(risk)
    expect(result).to_contain_text("Machine failure expected")
    expect(result).to_contain_text(re.compile(r"reaches the model's threshold of \d"))
    expect(result).to_contain_text(re.compile(r"Took\d+ ms, \d+ ms of it the model"))
    expect(result).to_contain_text("Version")
    expect(page.locator("#serving")).to_contain_text("in service")
    photograph(page, "answer-light")


def test_the_page_is_usable_with_the_keyboard_alone(page: Page) -> None:
    page.get_by_label("L", exact=True).focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("M", exact=True)).to_be_checked()
    for text in ("298.1", "308.6", "1551", "42.8", "0"):
        page.keyboard.press("Tab")
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Result")).to_contain_text("No machine failure expected")
    page.get_by_role("radio", name="One row").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#drop")).to_be_visible()


def test_every_control_has_a_name(page: Page) -> None:
    expect(page.get_by_role("button", name="Predict")).to_be_visible()
    controls = page.locator("input:visible:not([aria-hidden]), button:visible").all()
    assert len(controls) > 15
    for control in controls:
        assert control.evaluate(
            "e => (e.labels?.[0]?.textContent ?? e.ariaLabel ?? e.textContent).trim()"
        )
    tree = page.locator("#form").aria_snapshot()
    assert 'group "Type"' in tree
    assert 'textbox "Air temperature"' in tree


def test_an_error_stands_at_the_field_that_caused_it(page: Page) -> None:
    fill(page, Torque="501", Air="warm", Rotational="1551.5")
    page.get_by_role("button", name="Predict").click()
    torque = page.get_by_label(re.compile("^Torque"))
    expect(torque).to_have_attribute("aria-invalid", "true")
    expect(torque).to_have_accessible_description(re.compile("Must be a number from 0 to 500 Nm."))
    expect(page.get_by_label(re.compile("^Air"))).to_be_focused()
    expect(page.get_by_role("region", name="Result")).not_to_contain_text("%")
    photograph(page, "errors-light")
    fill(page, Torque="42")
    expect(torque).to_have_attribute("aria-invalid", "false")


def test_a_value_outside_the_training_data_is_marked_and_told(page: Page) -> None:
    fill(page, Air="300", Torque="400", Process="390")
    expect(page.get_by_text("outside training")).to_have_count(2)
    page.get_by_role("button", name="Predict").click()
    result = page.get_by_role("region", name="Result")
    expect(result).to_contain_text("Take this answer with care")
    expect(result).to_contain_text("Torque [Nm]: 400.0, but the training data goes from")
    photograph(page, "warnings-light")
    fill(page, Torque="40")
    expect(result).to_have_class(re.compile("old"))


def test_a_slider_sets_the_number(page: Page) -> None:
    slider = page.locator(".field", has_text="Torque").locator("input[type=range]")
    slider.evaluate("e => { e.value = 123; e.dispatchEvent(new Event('input', {bubbles: true})) }")
    expect(page.get_by_label(re.compile("^Torque"))).to_have_value("123")


def test_a_csv_gets_a_table_and_a_file_with_scores(page: Page, tmp_path: Path) -> None:
    text = "\n".join([f"Note,{HEADER}", *(f'"a, ""{n}""",{row}' for n, row in enumerate(ROWS))])
    upload(page, text)
    table = page.get_by_role("table")
    expect(table.locator("tbody tr")).to_have_count(len(ROWS))
    expect(page.locator("td.far")).to_have_count(2)
    expect(page.locator("#table")).to_contain_text("Not used: Note")
    photograph(page, "csv-light")
    with page.expect_download() as waited:
        page.get_by_role("button", name="Download with scores").click()
    assert waited.value.suggested_filename == "machines-scores.csv"
    waited.value.save_as(tmp_path / "scores.csv")
    written = (tmp_path / "scores.csv").read_text()
    read = list(csv.DictReader(io.StringIO(written)))
    assert [each["Note"] for each in read] == [f'a, "{n}"' for n in range(len(ROWS))]
    assert all(0 <= float(each["score"]) <= 1 for each in read)
    assert {each["predicted_label"] for each in read} <= {"0", "1"}
    page.get_by_label("Highest risk first").uncheck()
    assert table.locator("tbody th").all_inner_texts() == ["1", "2", "3", "4", "5"]


def test_a_large_csv_is_shown_piece_by_piece(page: Page) -> None:
    upload(page, "\n".join(ROWS * 200))
    expect(page.locator("tbody tr")).to_have_count(100)
    page.get_by_role("button", name="Show more of 1,000 rows").click()
    expect(page.locator("tbody tr")).to_have_count(200)


def test_a_bad_csv_is_refused_line_by_line(page: Page) -> None:
    upload(page, "\n".join([HEADER, ROWS[0], "X,298,308,1500,40,1", "L,298,308,abc,40,-1"]))
    alert = page.locator("#table [role=alert]")
    expect(alert).to_contain_text("machines.csv was not used")
    expect(alert.locator("li")).to_have_count(3)
    expect(alert).to_contain_text("Row 3, column Rotational speed [rpm]: must be a whole number")
    photograph(page, "csv-errors-light")
    upload(page, "x" * 1_000_001)
    expect(alert).to_contain_text("may have at most 1,000 kB")


def test_a_file_can_be_dropped(page: Page) -> None:
    page.get_by_text("A csv file", exact=True).click()
    data = page.evaluate_handle(
        "text => { const data = new DataTransfer();"
        " data.items.add(new File([text], 'dropped.csv')); return data }",
        "\n".join(ROWS),
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": data})
    expect(page.locator("tbody tr")).to_have_count(len(ROWS))


def test_copy_as_curl_gives_a_command_without_the_token(browser: Browser, url: str) -> None:
    with opened(browser, url, permissions=["clipboard-read", "clipboard-write"]) as page:
        enter(page)
        page.get_by_text("M", exact=True).click()
        page.get_by_role("button", name="Copy as curl").click()
        expect(page.locator("#copied")).to_contain_text("Copied")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith(f"curl '{url}predict'")
        assert access not in copied
        body = copied.rpartition("-d '")[2].removesuffix("'")
        assert json.loads(body)["instances"][0]["Type"] == "M"


@scripted
def test_an_answer_that_comes_too_late_does_not_replace_a_newer_one(stage, page: Page) -> None:
    first, last = (page.get_by_role("button", name=f"Example {n}") for n in (1, 8))
    risk = last.inner_text()
    with page.expect_response("**/predict"):
        first.click()
    waiting = threading.Event()

    def answer(request: Request) -> Response:
        if len(stage.runtime.seen) == 2:
            waiting.wait(5)
        return stage.runtime.model(request)

    stage.runtime.answer = answer
    first.click()
    with page.expect_response("**/predict"):
        last.click()
    result = page.get_by_role("region", name="Result")
    expect(result.locator(".score")).to_have_text(risk)
    with page.expect_response("**/predict"):
        waiting.set()
    page.wait_for_timeout(200)
    expect(result.locator(".score")).to_have_text(risk)


@scripted
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ThrottlingException", "more requests than it takes"),
        ("ServiceUnavailable", "not in service"),
        ("ModelError", "The model failed"),
    ],
)
def test_a_failure_is_told_in_plain_words(stage, page: Page, code: str, words: str) -> None:
    stage.runtime.answer = lambda _: fail(code, 500, status=400)
    page.get_by_role("button", name="Predict").click()
    result = page.get_by_role("region", name="Result")
    expect(result).to_contain_text(words)
    expect(result).not_to_contain_text("%")


def test_without_a_network_the_page_says_so(page: Page) -> None:
    expect(page.get_by_role("button", name="Predict")).to_be_visible()
    page.context.set_offline(True)
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("region", name="Result")).to_contain_text("cannot be reached")


@scripted
def test_data_never_becomes_markup(stage, browser: Browser, monkeypatch) -> None:
    """Neither what the model's document says, nor a file's name and fields, nor an error."""
    evil = "<img src=x onerror=\"document.title='owned'\">"
    document = json.loads(json.dumps(stage.document))
    document["label"] = f"Failure {evil}"
    document["columns"][0]["description"] = evil
    document["columns"][0]["categories"] = ["L", "M", "H", evil]
    document["columns"][1]["unit"] = evil
    monkeypatch.setitem(vars(app.stage), "contract", contract.parse(document))
    with listening(application) as url, opened(browser, url) as page:
        enter(page)
        expect(page.get_by_role("heading", level=1)).to_contain_text("<img")
        page.get_by_role("button", name="Example 1").click()
        expect(page.get_by_role("region", name="Result")).to_contain_text("expected")
        upload(page, f"{HEADER},{evil.replace(',', '')}\n{ROWS[0]},{evil}", f"{evil[:9]}.csv")
        expect(page.locator("tbody tr")).to_have_count(1)
        upload(page, f"{HEADER}\n{ROWS[0]}\nX{evil},1,2,3,4,5", "bad.csv")
        expect(page.locator("#table [role=alert]")).to_contain_text("<img")
        assert page.locator("img").count() == 1, "the page's own"
        assert "owned" not in page.title().replace(evil, "")


@scripted
def test_the_browser_itself_forbids_markup_from_text_and_what_is_elsewhere(
    browser: Browser, url: str
) -> None:
    with opened(browser, url, complains=True) as page:
        for attempt in ("document.body.innerHTML = '<b>x</b>'", "document.write('x')"):
            with pytest.raises(Error, match="TrustedHTML"):
                page.evaluate(attempt)
        violated = page.evaluate(
            "new Promise(done => { document.addEventListener('securitypolicyviolation',"
            " event => done(event.effectiveDirective));"
            " const image = document.createElement('img');"
            " image.src = 'https://example.invalid/x.png'; document.body.append(image) })"
        )
        assert violated == "img-src"


@scripted
def test_the_page_and_its_files_have_strict_headers_and_are_not_sent_twice(stage) -> None:
    for path in ("/", "/assets/app.js", "/assets/style.css", "/assets/icon.svg"):
        answered = call("GET", path)
        assert answered.status == 200
        policy = answered.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answered.headers["x-content-type-options"] == "nosniff"
        assert answered.headers["referrer-policy"] == "no-referrer"
        assert answered.headers["x-frame-options"] == "DENY"
        again = call("GET", path, if_none_match=answered.headers["etag"])
        assert (again.status, again.text) == (304, "")


def test_every_address_in_the_page_is_relative_and_there(stage) -> None:
    text = call("GET", "/").text
    links = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert links
    for link in links:
        assert not re.match(r"/|[a-z]+:", link), "the API may live under a path of its own"
        assert call("GET", f"/{link}").status == 200
    assert "<style" not in text
    assert not re.search(r"\son[a-z]+=|\sstyle=|<script(?![^>]*src=)", text)


def test_it_is_as_good_in_the_dark_and_on_a_phone(browser: Browser, url: str) -> None:
    dark = {"color_scheme": "dark"}
    for name, how in {
        "dark": dark | {"viewport": {"width": 1280, "height": 900}},
        "phone": PHONE,
        "phone-dark": PHONE | dark,
    }.items():
        with opened(browser, url, **how) as page:
            enter(page)
            page.get_by_role("button", name="Example 1").click()
            expect(page.get_by_role("region", name="Result")).to_contain_text("expected")
            wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            assert not page.evaluate(wide), "nothing may be wider than the screen"
            photograph(page, f"answer-{name}")
            upload(page, "\n".join(ROWS))
            expect(page.get_by_role("table")).to_be_visible()
            assert not page.evaluate(wide)
            photograph(page, f"csv-{name}")
