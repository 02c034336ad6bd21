"""Write what the code already says into the documents: `python tools/make_docs.py [--check]`.

docs/errors.md, docs/findings.md, docs/commands.md, docs/hosts.md, docs/flags.md, docs/map.html
and docs/map.md are generated whole. With ``--check`` nothing is written; the status is 1 where a
file differs, and the command that mends it is printed. It is 1 too where a document has a
placeholder left in it, or a relative link that leads nowhere.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from sartor.cli import COMMANDS, nested, parser
from sartor.engines.facts import engines
from sartor.errors import all_errors
from sartor.evidence.snapshot import SNAPSHOT, open_snapshot
from sartor.facts import gpus
from sartor.flags.page import page as flags_page
from sartor.host.describe import EXAMPLE
from sartor.host.stated import KEYS
from sartor.matrix.shown import shown
from sartor.matrix.support import map_wheels
from sartor.report.map.markdown import Markdown
from sartor.report.map.page import Page
from sartor.schemas import DOCUMENTS, document_name
from sartor.verdict.findings import RULES, code_of, summary_of

ROOT = Path(__file__).resolve().parent.parent
MADE_BY = {"maker": "the engine's makers", "third-party": "a third party"}


def errors_page() -> str:
    """One row for each error class."""
    rows = [f"| {e.exit_code} | `{e.code}` | {e.summary} |" for e in all_errors()]
    return "\n".join(
        [
            "# Errors",
            "",
            "Every expected error has a code, an exit status and a way out (`hint:`).",
            "With `--json` it is one `sartor.error/1` document on stdout.",
            "Anything with a traceback is a defect.",
            "",
            "| exit status | code | when |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def findings_page() -> str:
    """One row for each rule of findings."""
    rows = [f"| `{code_of(rule)}` | {summary_of(rule)} |" for rule in RULES]
    return "\n".join(
        [
            "# Findings",
            "",
            "What `sartor inspect` says of a package or an environment besides its verdicts.",
            "A code never changes its meaning. An `error` fails on the machine that was asked for,",
            "a `warning` may fail there or elsewhere, a `note` is worth knowing.",
            "What a rule could not check is in `not_checked`.",
            "",
            "| code | when |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def commands_page() -> str:
    """The help text of each command, the documents they print, and the engines."""
    top = parser()
    lines = ["# Commands", "", "```", top.format_help().rstrip(), "```", ""]
    choices = next(a.choices for a in top._actions if isinstance(a.choices, dict))
    for name in COMMANDS:
        text = choices[name].format_help().rstrip()
        lines += [f"## sartor {name}", "", "```", text, "```", ""]
        for word, own in nested(choices[name]).items():
            text = own.format_help().rstrip()
            lines += [f"### sartor {name} {word}", "", "```", text, "```", ""]
    lines += ["## Documents", "", "`sartor schema` prints the JSON Schema of each:", ""]
    lines += [f"- `{document_name(d)}`: {(d.__doc__ or '').splitlines()[0]}" for d in DOCUMENTS]
    lines += [
        "",
        "## Engines and their lines",
        "",
        "`{version}` is a release of the line that its index lists.",
        "",
        "| engine | line | what it is | made by |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {e.name} | `{line.id}` | {line.label} | {MADE_BY[line.provenance]} |"
        for e in engines()
        for line in e.line
    ]
    return "\n".join([*lines, ""])


def hosts_page() -> str:
    """How a host is described: the keys and an example of each."""
    rows = [f"| `{key}` | `{key}={form.example}` |" for key, form in KEYS.items()]
    names = sorted({row.architecture for row in gpus()})
    return "\n".join(
        [
            "# Describing a host",
            "",
            f"`--host` takes a line (`{EXAMPLE}`),",
            "a `.toml` or `.json` file with the same keys, or what `sartor detect --json` printed",
            "on another machine (`-` reads it from stdin).",
            "What is not stated is *not checked*; it is never made up.",
            "",
            "GPUs stand by their names: `rtx-5090`, `NVIDIA H200`, `2x rtx-5090, rtx-3090`,",
            "`rtx-5090*2`, with a size `a100:40G`, as MIG instances `h100:mig-1g.10gb`,",
            "and one that is not known yet as `my-gpu:sm_130:48G`. `cpu-only` means that there is",
            "none.",
            f"Sartor knows {len(gpus())} GPUs: {', '.join(names)}.",
            "",
            "| key | example |",
            "|---|---|",
            *rows,
            "",
        ]
    )


@cache
def map_texts() -> tuple[str, str]:
    """The map of the snapshot that is shipped, as a page and as Markdown."""
    what = shown()
    page, text = Page(what), Markdown(what)
    snapshot = open_snapshot()
    if snapshot is None:
        raise SystemExit(f"there is no snapshot to map: {SNAPSHOT}")
    with snapshot:
        for wheel in map_wheels(snapshot.rows(), what.targets):
            page.add(wheel)
            text.add(wheel)
    return page.text(), text.text()


def map_page() -> str:
    """The map as a page of its own."""
    return map_texts()[0]


def map_markdown() -> str:
    """The map as Markdown."""
    return map_texts()[1]


PAGES = {
    "docs/errors.md": errors_page,
    "docs/findings.md": findings_page,
    "docs/commands.md": commands_page,
    "docs/hosts.md": hosts_page,
    "docs/flags.md": flags_page,
    "docs/map.html": map_page,
    "docs/map.md": map_markdown,
}

PLACEHOLDER = re.compile(r"\b(?:TRANSCRIPT|PLACEHOLDER)(?:_[A-Z]+)?\b")
LINK = re.compile(r"\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def documents(root: Path) -> list[Path]:
    """Every document of the project that people read."""
    found = [root / "README.md", root / "CONTRIBUTING.md", *sorted(root.glob("docs/**/*.md"))]
    return [path for path in found if path.exists()]


def defects(path: Path) -> list[str]:
    """One line for each placeholder left in a document and each relative link without a file."""
    text = path.read_text("utf-8")
    prose = FENCE.sub("", text)
    lines = [f"`{m[0]}` was never filled in" for m in PLACEHOLDER.finditer(text)]
    for target in LINK.findall(prose):
        file = target.partition("#")[0]
        if file and ":" not in file and not (path.parent / unquote(file)).exists():
            lines.append(f"the link to `{target}` leads nowhere")
    return lines


def report_defects(root: Path) -> int:
    """Print the defects of every document; returns how many there are."""
    found = [f"{p.relative_to(root)}: {line}" for p in documents(root) for line in defects(p)]
    for line in found:
        print(line, file=sys.stderr)
    return len(found)


def main() -> int:
    """Write or compare every page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true")
    check = options.parse_args().check
    os.environ["COLUMNS"] = "100"
    os.environ["NO_COLOR"] = "1"
    differing = []
    for name, page in PAGES.items():
        path, wanted = ROOT / name, page()
        if path.exists() and path.read_text("utf-8") == wanted:
            continue
        differing.append(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted, "utf-8")
            print(f"wrote {name}")
    if check and differing:
        print(f"these differ from the code: {', '.join(differing)}", file=sys.stderr)
        print("to make them agree: python tools/make_docs.py", file=sys.stderr)
    defective = report_defects(ROOT) if check else 0
    return 1 if check and (differing or defective) else 0


if __name__ == "__main__":
    sys.exit(main())
