"""Writes the pages of docs/ that are derived from the code: the command line and the list of methods.

    ./dev docs        writes them
    ./dev check       fails when one is out of step (tests/architecture/test_docs_in_step.py)
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path

DOCS = Path(__file__).resolve().parent
WRITTEN = "<!-- Written by ./dev docs; change the code, not this page. -->\n"
ENTRY = "import sys; from errata.cli import main; sys.argv[0] = 'errata'; main()"


def help_of(*words: str) -> str:
    """What `errata WORDS --help` prints, 100 columns wide and without colour."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ERRATA_")}
    environment |= {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "PYTHONPATH": str(DOCS.parent / "src")}
    done = subprocess.run(
        [sys.executable, "-c", ENTRY, *words, "--help"], capture_output=True, text=True, env=environment, check=True
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def verbs(text: str) -> list[str]:
    """The verbs that a help page lists, in its order."""
    _, _, listed = text.partition("\nCommands:\n")
    return re.findall(r"^  (\w[\w-]*)  ", listed, flags=re.MULTILINE)


def command_line() -> str:
    """docs/cli.md."""
    top = help_of()
    parts = ["# The command line\n", WRITTEN, f"```text\n{top}\n```\n"]
    parts += [f"## errata {verb}\n\n```text\n{help_of(verb)}\n```\n" for verb in verbs(top)]
    return "\n".join(parts)


def method_list() -> str:
    """docs/methods.md."""
    from errata.core.method import find_methods, info, load_method

    parts = ["# Methods\n", WRITTEN]
    for name, path in find_methods().items():
        # Entry points of packages that happen to be installed here are no part of these pages.
        if not path.startswith("errata.methods."):
            continue
        method = load_method(name)
        about = info(method)
        first = (method.__doc__ or "").strip().partition("\n\n")[0].replace("\n", " ")
        parts.append(f"## [{name}](methods/{name}.md)\n\n{re.sub(r' +', ' ', first)}\n")
        needs = ", ".join(f"`{need}`" for need in sorted(about.needs)) or "nothing beyond the data"
        parts.append(f"Family `{about.family}`; needs {needs}." + (f" {about.cite}." if about.cite else "") + "\n")
        rows = []
        for option in fields(method):
            default = option.default if option.default is not MISSING else "required"
            kind = str(option.type).replace("|", "\\|")
            rows.append(f"| `{option.name}` | `{default!r}` | `{kind}` |")
        if rows:
            parts.append("\n".join(["| option | default | type |", "|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def pages() -> Mapping[Path, str]:
    """Every generated page with the text it should have."""
    return {DOCS / "cli.md": command_line(), DOCS / "methods.md": method_list()}


def main() -> None:
    """Write every page that is out of step."""
    for path, text in pages().items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote docs/{path.name}")


if __name__ == "__main__":
    main()
