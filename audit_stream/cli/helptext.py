"""What `--help` prints: plain sections that read well at 80 columns, in a pipe as on a terminal.

Typer's own form draws boxes, breaks examples into paragraphs, and costs an import of rich. This
one takes the same declarations: panels become sections, and epilogs (examples, exit codes) stand
as they were written.
"""

from __future__ import annotations

import shutil
import textwrap
from typing import Any

from audit_stream.cli.forms import use_colour
from audit_stream.cli.streams import Output

_WIDEST = 88
_NAME_COLUMN = 28


def install(command: Any) -> None:
    """Give `command` and all commands below it this form of help."""
    command.format_help = lambda ctx, formatter: formatter.write(help_of(command, ctx))
    for each in getattr(command, "commands", {}).values():
        install(each)


def help_of(command: Any, ctx: Any) -> str:
    """Return the help of a Click command."""
    page = _Page()
    page.paragraph(f"Usage: {ctx.command_path} {_usage(command, ctx)}")
    for paragraph in (command.help or "").split("\n\n"):
        page.paragraph(paragraph)
    for title, rows in _sections(command, ctx).items():
        page.section(title, rows)
    for block in (command.epilog or "").strip("\n").split("\n\n"):
        page.verbatim(block)
    return page.text()


def _usage(command: Any, ctx: Any) -> str:
    arguments = [p.make_metavar(ctx) for p in command.params if p.param_type_name == "argument"]
    if hasattr(command, "commands"):
        return "COMMAND …"
    return " ".join([*arguments, "[OPTIONS]"])


def _sections(command: Any, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """Return the rows of (name, help) by title, in the order of declaration; the rest last."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for each in getattr(command, "commands", {}).values():
        if not each.hidden:
            title = getattr(each, "rich_help_panel", None)
            row = (each.name, each.get_short_help_str(200))
            sections.setdefault(title if isinstance(title, str) else "Commands", []).append(row)
    general: list[tuple[str, str]] = []
    for parameter in command.get_params(ctx):
        if getattr(parameter, "hidden", False):
            continue
        if parameter.param_type_name == "argument":
            row = (parameter.make_metavar(ctx), parameter.help or "")
            sections.setdefault("Argument", []).append(row)
            continue
        title = getattr(parameter, "rich_help_panel", None)
        row = (_option_names(parameter, ctx), parameter.help or "")
        (sections.setdefault(title, []) if isinstance(title, str) else general).append(row)
    if general:
        sections["Options"] = [*sections.pop("Options", []), *general]
    return sections


def _option_names(option: Any, ctx: Any) -> str:
    names = ", ".join(sorted(option.opts, key=len))
    if all(name.startswith("--") for name in option.opts):
        names = "    " + names
    if option.is_flag or option.count:
        return names
    metavar = option.make_metavar(ctx)
    return f"{names} {'N' if metavar.startswith('<int') else metavar}"


class _Page:
    """Text laid out for the width of the terminal; headings bold where there is one."""

    def __init__(self) -> None:
        output = Output()
        columns = shutil.get_terminal_size((80, 24)).columns if output.terminal else 80
        self._width = min(max(columns, 40), _WIDEST)
        self._bold = "\x1b[1m{}\x1b[0m" if use_colour(output) else "{}"
        self._blocks: list[str] = []

    def paragraph(self, text: str) -> None:
        if text.strip():
            self._blocks.append(textwrap.fill(" ".join(text.split()), self._width))

    def section(self, title: str, rows: list[tuple[str, str]]) -> None:
        lines = [self._bold.format(f"{title}:")]
        column = min(max(len(name) for name, _ in rows) + 4, _NAME_COLUMN)
        for name, text in rows:
            wrapped = textwrap.wrap(" ".join(text.split()), self._width - column) or [""]
            first = f"  {name}".ljust(column)
            if len(name) > column - 4:
                lines.append(f"  {name}")
                first = " " * column
            lines.append((first + wrapped[0]).rstrip())
            lines.extend(" " * column + line for line in wrapped[1:])
        self._blocks.append("\n".join(lines))

    def verbatim(self, text: str) -> None:
        """Add lines as they are; a first line that ends in a colon is a heading."""
        if not text.strip():
            return
        first, _, rest = text.partition("\n")
        if first.endswith(":") and not first.startswith(" "):
            text = self._bold.format(first) + ("\n" + rest if rest else "")
        self._blocks.append(text)

    def text(self) -> str:
        return "\n\n".join(self._blocks) + "\n"
