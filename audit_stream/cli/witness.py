"""`witness`: cosign what extends what was seen, on another host than the ledger's; and ask one.

The two sides talk over HTTP (`serve`, `ask`) or through files that anyone may carry (`request`,
`cosign`, `add`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from audit_stream.cli import app as application
from audit_stream.cli import exits
from audit_stream.cli.parameters import KeyFileOption, LedgerArgument
from audit_stream.cli.trust import last_note, load_private_key, print_document, read_file
from audit_stream.errors import InputError, MalformedError
from audit_stream.note import COSIGNATURE_V1, parse_key

if TYPE_CHECKING:
    from audit_stream.ledger import Ledger
    from audit_stream.note import VerifierKey
    from audit_stream.witness_keeper import Keeper

LogOption = Annotated[
    list[str],
    typer.Option("--log", metavar="VKEY", help="The public key of a log to witness. Repeatable."),
]
StateOption = Annotated[
    str,
    typer.Option(
        "--state",
        metavar="DIR",
        help="Where the witness remembers how far it has seen each log; made if missing. "
        "Losing it is losing the memory that makes a witness.",
    ),
]
WitnessKeyOption = Annotated[
    list[str],
    typer.Option("--witness-key", metavar="VKEY", help="The witness's public key. Repeatable."),
]


def register(app: typer.Typer) -> None:
    """Add `witness` to the application."""
    group = typer.Typer(no_args_is_help=True)
    app.add_typer(
        group,
        name="witness",
        help="Cosign other hosts' checkpoints, and have one's own cosigned (C2SP tlog-witness).",
        rich_help_panel=application.SIGN,
    )
    _register_witness(group)
    _register_log(group)


def _register_witness(group: typer.Typer) -> None:
    @group.command()
    def serve(
        key: KeyFileOption,
        log: LogOption,
        state: StateOption,
        host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
        port: Annotated[int, typer.Option(help="The port to listen on.", min=0, max=65535)] = 8094,
    ) -> int:
        """Witness over HTTP: POST /add-checkpoint."""
        from audit_stream.server.witness_app import run

        run(_keeper(key, log, state), host, port)
        return exits.OK

    @group.command(epilog=exits.EXIT_CODE_HELP)
    def cosign(
        request: Annotated[
            str, typer.Argument(metavar="REQUEST", help="What `witness request` printed.")
        ],
        key: KeyFileOption,
        log: LogOption,
        state: StateOption,
    ) -> int:
        """Witness a request in a file, and print the cosignature for `witness add`."""
        from audit_stream.witness import TREE_SIZE

        answer = _keeper(key, log, state).answer(read_file(request))
        if answer.status == 200:
            print_document(answer.body)
            return exits.OK
        said = answer.body.decode().strip()
        if answer.content_type == TREE_SIZE:
            said = f"{said} events of this log were cosigned here; ask with --old {said}"
        exits.complain(said)
        return exits.FAILED if answer.status in (403, 409, 422) else exits.USAGE


def _register_log(group: typer.Typer) -> None:
    @group.command()
    def request(
        ledger: LedgerArgument,
        old: Annotated[
            int,
            typer.Option(metavar="N", min=0, help="How many events the witness has cosigned."),
        ] = 0,
    ) -> int:
        """Print what asks a witness to cosign the last checkpoint."""
        with _open(ledger) as opened:
            print_document(opened.checkpoints.request(old))
        return exits.OK

    @group.command()
    def add(
        ledger: LedgerArgument,
        answer: Annotated[
            str, typer.Argument(metavar="ANSWER", help="What `witness cosign` printed.")
        ],
        witness_key: WitnessKeyOption,
        checkpoint: Annotated[
            str | None,
            typer.Option(
                metavar="FILE",
                help="The checkpoint that was cosigned; the last of LEDGER.checkpoints if not "
                "given.",
            ),
        ] = None,
    ) -> int:
        """Add a witness's cosignature to a checkpoint, and print the note. It is kept with the
        ledger if no newer checkpoint was made meanwhile."""
        from audit_stream import signing
        from audit_stream.witness import add_cosignatures

        with _open(ledger) as opened:
            note = opened.checkpoints.latest() if checkpoint is None else last_note(checkpoint)
            if note is None:
                raise InputError(f"{opened.checkpoints.path}: no checkpoint yet")
            keys = _keys(witness_key)
            return _stored(opened, add_cosignatures(note, read_file(answer), keys, signing.verify))

    @group.command()
    def ask(
        ledger: LedgerArgument,
        url: Annotated[str, typer.Argument(metavar="URL", help="The witness's submission prefix.")],
        witness_key: WitnessKeyOption,
    ) -> int:
        """Have a witness cosign the last checkpoint over HTTP, and print the note."""
        from audit_stream import transport
        from audit_stream.witness import TEXT, Answer

        transport.host_of(url)

        def post(body: bytes) -> Answer:
            return Answer(*transport.post(f"{url.rstrip('/')}/add-checkpoint", body, TEXT))

        with _open(ledger) as opened:
            return _stored(opened, opened.checkpoints.cosigned(post, _keys(witness_key)))


def _keeper(key: str, logs: list[str], state: str) -> Keeper:
    from audit_stream.policy import trust
    from audit_stream.witness_keeper import Keeper

    private = load_private_key(key)
    if private.key.algorithm != COSIGNATURE_V1:
        raise InputError(f"{key}: not a witness's key; `key new --witness` makes one")
    return Keeper(state, trust(*map(parse_key, logs)), private.key, private)


def _keys(texts: list[str]) -> tuple[VerifierKey, ...]:
    keys = tuple(map(parse_key, texts))
    for key in keys:
        if key.algorithm != COSIGNATURE_V1:
            raise MalformedError(f"{key.name!a} is not a witness key (algorithm 0x04)")
    return keys


def _open(path: str) -> Ledger:
    from audit_stream.config import Settings
    from audit_stream.ledger import Ledger

    return Ledger(path, settings=Settings())


def _stored(ledger: Ledger, data: bytes) -> int:
    if not ledger.checkpoints.add(data):
        exits.warn(
            f"{ledger.checkpoints.path}: a newer checkpoint was made meanwhile; keep this one in "
            "a file of its own"
        )
    print_document(data)
    return exits.OK
