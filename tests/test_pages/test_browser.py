"""A page in a real Chromium: nothing is loaded, nothing foreign runs, hover works, phone and dark mode are readable."""

import itertools
import json
import os
import re
import shutil
from pathlib import Path

import pytest

import mmlgd

webdriver = pytest.importorskip('selenium.webdriver', reason='needs selenium (extra `tests`)')
ui = pytest.importorskip('selenium.webdriver.support.ui')
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
DRIVER = shutil.which('chromedriver')
pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason='needs Chromium and its chromedriver'),
    pytest.mark.xdist_group('browser'),  # one browser at a time
]
NAMES = [
    '<img src=x onerror=alert(1)>',
    '</script><script>alert(2)</script>',
    '<b>bold</b> $x$',
    '<a href="https://example.com">link</a>',
    '%{x} {{7*7}} &amp;',
]


@pytest.fixture
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ('--headless=new', '--disable-gpu', '--disable-dev-shm-usage', '--window-size=1200,900'):
        options.add_argument(argument)
    if hasattr(os, 'geteuid') and os.geteuid() == 0:
        options.add_argument('--no-sandbox')  # Chromium has none for root
    options.set_capability('goog:loggingPrefs', dict(browser='ALL', performance='ALL'))
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(work_dir, evaluated, compared, proven, labelled, tmp_path):
    """Every kind of section, and hostile words wherever others can put words."""
    for k, name in enumerate(NAMES[:2]):
        file = next((labelled / f'{k}').iterdir())
        file.rename(file.with_name(name.replace('/', '\u2215') + '.png'))
    run = work_dir('<i>run', names=NAMES, device='<script>alert(3)</script>')
    (run / 'recipe').mkdir()
    (run / 'recipe/pretrain.py').write_text("_base_ = 'mmlgd::a.py'\n")  # its path is long, and a phone is narrow
    values = {'random': {'0': 1.0}, f'<u>lgd</u>{"g" * 80}': {'<s>': 2.0, '0': 3.0}}
    results = [evaluated('<em>e', NAMES[0], NAMES[1]), proven('<q>p', NAMES[1])]
    results.append(compared(values, '<q>c', '<tt>mAP<'))
    return mmlgd.report([run, *results], images=labelled, out=tmp_path / 'report.html')


def test_in_a_browser(browser, page):
    browser.get(page.as_uri())
    wait = ui.WebDriverWait(browser, 20)
    charts = browser.execute_script("return document.querySelectorAll('.chart').length")
    wait.until(lambda driver: driver.execute_script("return document.querySelectorAll('.main-svg').length") >= charts)
    assert charts >= 6

    # Hover shows a value.
    drag = browser.find_element('css selector', '.plot .nsewdrag')
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", drag)
    places = itertools.cycle((20, 40, 60))

    def hover(driver):  # plotly answers to movement
        webdriver.ActionChains(driver).move_to_element_with_offset(drag, next(places), 5).perform()
        return _text(driver, '.plot .hoverlayer')

    assert re.search(r'class names : [\d.]+', wait.until(hover))

    # Words of others are words.
    tags = 'b, i, u, s, em, q, tt, img[src="x"], .plot a, a[href^="http"]'
    assert browser.execute_script(f"return document.querySelectorAll('{tags}').length") == 0
    assert browser.execute_script("return document.querySelectorAll('script').length") == charts + 2
    body = browser.find_element('tag name', 'body').text
    assert NAMES[0] in body and '<script>alert(3)</script>' in body
    assert '<u>lgd</u>' in _text(browser, '.plot .ytick')

    # The page has no other address, and says no error.
    assert browser.get_log('browser') == []
    messages = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
    sent = [one['params']['request']['url'] for one in messages if one['method'] == 'Network.requestWillBeSent']
    assert {url for url in sent if not url.startswith('data:')} == {page.as_uri()}

    # A phone scrolls in one direction, and dark mode is dark.
    size = dict(width=390, height=800, deviceScaleFactor=1, mobile=True)
    browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', size)
    wait.until(lambda driver: driver.execute_script('return document.documentElement.scrollWidth') <= 390)
    width = "return Math.max(...[...document.querySelectorAll('.numbers tbody th')].map((one) => one.offsetWidth))"
    assert browser.execute_script(width) < 200  # a long name leaves room for its figures
    light = _colours(browser)
    feature = dict(name='prefers-color-scheme', value='dark')
    browser.execute_cdp_cmd('Emulation.setEmulatedMedia', dict(features=[feature]))
    wait.until(lambda driver: _colours(driver) != light)
    assert [sum(one) > 382 for one in light] == [True, False, False]
    assert [sum(one) > 382 for one in _colours(browser)] == [False, True, True]


def test_the_policy_stops_what_slips_through(browser, page):
    """If a name were ever written as HTML, it could neither run nor ask for anything."""
    told = page.read_text(encoding='utf-8').replace(
        '<main>', '<main><img src="http://127.0.0.1:9/x"><script>window.bad = 1</script>'
    )
    Path(page).write_text(told, encoding='utf-8')
    browser.get(page.as_uri())
    assert browser.execute_script('return window.bad') is None
    assert sum('Content Security Policy' in entry['message'] for entry in browser.get_log('browser')) == 2


def _text(driver, selector):
    script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent).join(' ')"
    return driver.execute_script(script, selector)


def _colours(driver):
    """Background, ink, and the ink of a chart's numbers, as sums of their channels."""
    script = """
        const color = (selector, key) => getComputedStyle(document.querySelector(selector))[key];
        return [color('body', 'backgroundColor'), color('body', 'color'), color('.xtick text', 'fill')]
    """
    return [[int(part) for part in text.strip('rgb()').split(',')] for text in driver.execute_script(script)]
