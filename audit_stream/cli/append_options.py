"""What `append` can be told: one table, and the small parser for its everyday form.

`cli.append_command` builds the Typer command from the same table, so the two parsers cannot
drift apart; a test runs a corpus of argument lists through both and compares everything. Only
the standard library is needed here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

LEDGER_VARIABLE = "AUDIT_STREAM_LEDGER"
CONFIG_VARIABLE = "AUDIT_STREAM_CONFIG"
LOCK_VARIABLE = "AUDIT_STREAM_LOCK_TIMEOUT"
LEDGER_HELP = f"The ledger file; {LEDGER_VARIABLE} if not given."
CONFIG_HELP = (
    f"The configuration; if not given, {CONFIG_VARIABLE} or the audit-stream.toml beside the "
    "ledger."
)


class Option:
    """One option. `many` collects every use of it, `flag` takes no value, `everyday` ones are
    known to the small parser; `short` is a one-letter form that only Typer knows; `panel` is its
    heading in the help."""

    __slots__ = ("everyday", "flag", "help", "many", "metavar", "name", "panel", "short")

    def __init__(
        self,
        name: str,
        panel: str,
        help: str,
        *,
        metavar: str = "",
        short: str = "",
        many: bool = False,
        flag: bool = False,
        everyday: bool = False,
    ) -> None:
        self.name = name
        self.panel = panel
        self.help = help
        self.metavar = metavar
        self.short = short
        self.many = many
        self.flag = flag
        self.everyday = everyday

    @property
    def field(self) -> str:
        """The name in the request."""
        return self.name[2:].replace("-", "_")

    @property
    def default(self) -> Any:
        """The value when the option is not given."""
        if self.flag:
            return False
        return () if self.many else None


_EVENT, _BATCH, _KINDS, _OTHER = "One event", "Many events", "Vocabulary", "Options"

OPTIONS = (
    Option("--kind", _EVENT, "What happened, like request_denied.", metavar="KIND", everyday=True),
    Option("--source", _EVENT, "The producing service.", metavar="NAME", everyday=True),
    Option("--payload", _EVENT, "The payload, a JSON object.", metavar="JSON", everyday=True),
    Option(
        "--payload-file", _EVENT, "Read the payload from a file ('-' is stdin).", metavar="FILE"
    ),
    Option(
        "--set",
        _EVENT,
        "Set one payload member: JSON if it parses as JSON, else a string; dots nest. Repeatable.",
        metavar="KEY=VALUE",
        many=True,
        everyday=True,
    ),
    Option(
        "--timestamp",
        _EVENT,
        "When it happened, RFC 3339 with an offset; now if not given.",
        metavar="TIME",
        everyday=True,
    ),
    Option(
        "--expect-head",
        _EVENT,
        "Append only if the ledger's last hash is this one (64 zeros: it is empty).",
        metavar="HASH",
        everyday=True,
    ),
    Option(
        "--batch",
        _BATCH,
        "Append NDJSON lines {kind, source, payload?, timestamp?} from a file ('-' is stdin, also "
        "a long-lived pipe). --kind and --source fill in for lines that lack them.",
        metavar="FILE",
    ),
    Option("--skip-invalid", _BATCH, "Go on past bad lines; report them, and exit 2.", flag=True),
    Option("--allow-kind", _KINDS, "Allow one more kind. Repeatable.", metavar="KIND", many=True),
    Option("--any-kind", _KINDS, "Allow every kind of the right form.", flag=True),
    Option("--config", _OTHER, CONFIG_HELP, metavar="FILE"),
    Option(
        "--quiet", _OTHER, "Do not print the stored events.", short="-q", flag=True, everyday=True
    ),
)

_EVERYDAY = {option.name: option for option in OPTIONS if option.everyday}


class AppendRequest:
    """What an `append` command line asks for: `ledger`, and one attribute an option."""

    def __init__(self, ledger: str, values: Mapping[str, Any]) -> None:
        self.ledger = ledger
        for option in OPTIONS:
            setattr(self, option.field, values.get(option.field, option.default))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AppendRequest) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash(self.ledger)

    def __repr__(self) -> str:
        return f"AppendRequest({vars(self)!r})"


def parse_everyday(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> AppendRequest | None:
    """Parse the everyday form; None for anything that Typer had better look at."""
    values: dict[str, Any] = {}
    ledgers: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if not argument.startswith("-"):
            ledgers.append(argument)
            continue
        name, equals, value = argument.partition("=")
        option = _EVERYDAY.get(name)
        if option is None:
            return None
        if option.flag:
            if equals or option.field in values:
                return None
            values[option.field] = True
            continue
        if not equals:
            value = next(waiting, "")
            if not value or value.startswith("-"):
                return None
        if option.many:
            values[option.field] = (*values.get(option.field, ()), value)
        elif option.field in values:
            return None
        else:
            values[option.field] = value
    if not ledgers and environment.get(LEDGER_VARIABLE):
        ledgers.append(environment[LEDGER_VARIABLE])
    if len(ledgers) != 1 or not ledgers[0]:
        return None
    values["config"] = environment.get(CONFIG_VARIABLE) or None
    return AppendRequest(ledgers[0], values)
