"""A real browser for tests: pages are opened from files, as a reader opens them, and driven by `browser/driver.mjs`."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.graders import browser_install

HERE = Path(__file__).with_name("browser")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",
]
"""Tests run as root on some machines, where Chromium wants `--no-sandbox`; the rest keeps it from asking anybody."""


class Browser:
    """One Chromium for many pages. Fails where there is none: a page that nobody looked at is not checked."""

    def __init__(self) -> None:
        program = browser_install.program()
        assert program is not None, "the browser is not installed: run `make graders`"
        home = self._home = tempfile.TemporaryDirectory(prefix="isthmus-browser-", ignore_cleanup_errors=True)
        settings = {
            "modules": f"{program.parent}/",
            "program": str(program),
            "flags": _FLAGS,
            "env": {
                "LD_LIBRARY_PATH": str(program.parent / "lib"),
                "FONTCONFIG_FILE": str(program.parent / "fonts.conf"),
                "HOME": home.name,
                "XDG_CACHE_HOME": home.name,
                "TMPDIR": home.name,
            },
        }
        self._driver = subprocess.Popen(
            ["node", str(HERE / "driver.mjs"), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.version: str = self._answer()
        self._files = 0

    def open(self, html: str, **context: Any) -> Page:
        """A page in a context of its own; `context` as Playwright's `newContext` takes it."""
        self._files += 1
        file = Path(self._home.name, f"{self._files}.html")
        file.write_text(html, encoding="utf-8")
        return Page(self, self.ask(open=file.as_uri(), context=context), file.as_uri())

    def visit(self, url: str, **context: Any) -> Page:
        """A page that a server gives, in a context of its own."""
        return Page(self, self.ask(open=url, context=context), url)

    def ask(self, **request: Any) -> Any:
        assert self._driver.stdin is not None
        self._driver.stdin.write(json.dumps(request) + "\n")
        self._driver.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._driver.stdout is not None
        line = self._driver.stdout.readline()
        assert line, f"the browser's driver ended with {self._driver.wait(10)}"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["ok"]

    def close(self) -> None:
        """End the driver, which ends the browser."""
        assert self._driver.stdin is not None
        self._driver.stdin.close()
        try:
            self._driver.wait(10)
        except subprocess.TimeoutExpired:
            self._driver.kill()
        self._home.cleanup()


@dataclass
class Page:
    browser: Browser
    number: int
    url: str

    def call(self, method: str, *args: Any) -> Any:
        return self.browser.ask(page=self.number, call=method, args=list(args))

    def js(self, expression: str) -> Any:
        """What an expression comes to on the page."""
        return self.call("evaluate", expression)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.call("keyboard.press", key)

    def type(self, text: str) -> None:
        self.call("keyboard.type", text)

    def axe(self, **options: Any) -> dict[str, Any]:
        return self.browser.ask(page=self.number, axe=options or {"resultTypes": ["violations"]})

    def seen(self) -> dict[str, list[str]]:
        """Requests, dialogs, console messages and errors since it was opened."""
        return self.browser.ask(page=self.number, seen=True)

    def forget(self) -> None:
        """Delete the cookies of its context, as if every session had ended."""
        self.browser.ask(page=self.number, forget=True)

    def close(self) -> None:
        self.browser.ask(page=self.number, close=True)
