"""Pages in a browser: headless Chromium loads one, and gives back what its scripts have made of it."""

from __future__ import annotations

import html
import os
import re
import subprocess
from pathlib import Path

from services.tools import require_tool

# Of the page's own clock, which stands still while answers are waited for.
_BUDGET_MS = 20_000


def page_after_scripts(url: str, profile: Path) -> str:
    """The page as it is once its scripts have nothing left to do, as markup."""
    chromium = require_tool("chromium", debian="chromium")
    command = [
        *(chromium, "--headless=new", "--disable-gpu", f"--user-data-dir={profile}", "--no-first-run"),
        *(f"--virtual-time-budget={_BUDGET_MS}", "--dump-dom", url),
    ]
    if os.geteuid() == 0:
        command.insert(1, "--no-sandbox")  # which root has to say; the pages are our own
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def text_of(page: str, element: str) -> list[str]:
    """The texts of all elements of this name that are shown."""
    shown = re.sub(r"<template\b.*?</template>", "", page, flags=re.DOTALL)
    found = re.findall(rf"<{element}\b[^>]*>(.*?)</{element}>", shown, re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]*>", "", text)) for text in found]
