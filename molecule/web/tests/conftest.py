# Copyright (c) magicbroccoli contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two hosts, and a browser that is new for each test and reaches nothing else."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hosts import CA, TOP, Host
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as found
from selenium.webdriver.support.ui import WebDriverWait

INVENTORY = TOP / "molecule/web/inventory"
HOSTS = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["hosts"]
SCREENSHOTS = TOP / ".cache/screenshots"
SECONDS = 120
LOOP = asyncio.new_event_loop()
# Waits until what moves has come to its end.
STILL = """
const ends = document.getAnimations().filter((a) => a.effect.getTiming().iterations !== Infinity).map((a) => a.finished);
Promise.allSettled(ends).then(arguments[0]);
"""
# Phones are narrow, and say so. Each size has a language.
SIZES = {("en", 1280): (1280, 900, False), ("de", 390): (390, 844, True)}
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Site:
    """A host with one XMPP domain."""

    host: Host
    domain: str
    # The name under which its pages are.
    web: str
    address: str
    release: str

    def create(self, name: str) -> tuple[str, str]:
        """Make an account; returns its address and password."""
        jid, password = f"{name}-{secrets.token_hex(3)}@{self.domain}", secrets.token_urlsafe(18)
        self.host.out(f"prosodyctl adduser {jid}", stdin=f"{password}\n" * 2)
        return jid, password


def site_of(name: str) -> Site:
    values = HOSTS[name]
    domain = values["xmpp_domain"]
    web = values.get("xmpp_web_name", domain)
    return Site(Host(values["ansible_host"]), domain, web, values["ansible_host"], values["lab_release"])


@pytest.fixture(scope="session", params=[name for name, values in HOSTS.items() if "xmpp_domain" in values])
def site(request) -> Site:
    return site_of(request.param)


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    """The home folder of somebody whose browser trusts the lab's authority."""
    made = tmp_path_factory.mktemp("home")
    store = made / ".pki/nssdb"
    store.mkdir(parents=True)
    for command in (["-N", "--empty-password"], ["-A", "-n", "lab", "-t", "C,,", "-i", str(CA)]):
        subprocess.run(["certutil", "-d", f"sql:{store}", *command], check=True)
    return made


class Browser(webdriver.Chrome):
    """Chromium, which finds the names of a site and no others."""

    def __init__(self, site: Site, home: Path, profile: Path, language: str, width: int, scripts: bool):
        self.site, self.width, self.label = site, width, f"{site.release}-{language}-{width}"
        self.pictures: dict[str, Path] = {}
        names = (site.domain, f"*.{site.domain}")
        rules = ", ".join([*(f"MAP {name} {site.address}" for name in names), "MAP * ~NOTFOUND"])
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        for argument in (
            *ARGUMENTS,
            f"--user-data-dir={profile}",
            f"--host-resolver-rules={rules}",
            f"--lang={language}",
        ):
            options.add_argument(argument)
        preferences = {
            "intl.accept_languages": language,
            "profile.default_content_setting_values.javascript": 1 if scripts else 2,
        }
        options.add_experimental_option("prefs", preferences)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        environment = {**os.environ, "HOME": str(home), "LANGUAGE": language}
        super().__init__(options=options, service=Service("/usr/bin/chromedriver", env=environment))
        wide, high, mobile = SIZES[language, width]
        metrics = {"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": mobile}
        self.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def picture(self, name: str) -> None:
        """Keep a picture of the page, and see that nothing of it sticks out of the screen."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.execute_async_script(STILL)
        path = SCREENSHOTS / f"{name}-{self.label}.png"
        metrics = self.execute_cdp_cmd("Page.getLayoutMetrics", {})
        print(f"{path} of {metrics['cssContentSize']['width']} pixels")
        shot = self.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(shot["data"]))
        self.pictures[name] = path
        assert metrics["cssContentSize"]["width"] <= self.width

    def see(self, selector: str):
        """Wait for an element that can be seen."""
        return self.wait(found.visibility_of_element_located((By.CSS_SELECTOR, selector)))

    def wait(self, condition):
        # Of an element whose page is just going, Chromium knows nothing, and calls that an unknown error.
        return WebDriverWait(self, SECONDS, ignored_exceptions=[WebDriverException]).until(condition)

    def fill(self, **values: str) -> None:
        """Type into the fields of a form, send it, and wait for the page that comes."""
        before = self.find_element(By.TAG_NAME, "html")
        for name, value in values.items():
            field_ = self.find_element(By.NAME, name)
            field_.clear()
            field_.send_keys(value)
        self.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
        self.wait(found.staleness_of(before))
        self.see("h1")

    def complaints(self) -> set[str]:
        """What the console says of errors, without where."""
        return {entry["message"] for entry in self.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")}


@pytest.fixture
def browse(site, home, tmp_path) -> Callable[..., Browser]:
    """Open a browser."""
    opened: list[Browser] = []

    def run(language: str = "en", width: int = 1280, scripts: bool = True) -> Browser:
        profile = tmp_path / f"profile-{len(opened)}"
        opened.append(Browser(site, home, profile, language, width, scripts))
        return opened[-1]

    yield run
    for browser in opened:
        browser.quit()
