"""Schemathesis against the real server: no 5xx, nothing that the document does not say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from audit_stream.ledger import Ledger
from tests.server.live import Live, bearer, token_config
from tests.signed import LOG

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
ENDLESS = ("/stream", "/events/stream")
EXAMPLES = int(os.environ.get("AUDIT_STREAM_SCHEMA_EXAMPLES", "12"))


@pytest.fixture(scope="module", params=["open", "secured"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Live, dict[str, str]]]:
    """A server, and the headers that its callers send."""
    secured = request.param == "secured"
    config = token_config(boss=(["admin"], None)) if secured else ""
    headers = bearer("boss") if secured else {}
    with Live(tmp_path_factory.mktemp("schema") / "ledger.jsonl", config=config) as live:
        live.client.headers.update(headers)
        for _ in range(3):
            assert live.post().status_code == 201
        with Ledger(live.ledger) as ledger:
            ledger.checkpoints.sign(LOG.key, LOG)
        yield live, headers


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_conforms(served: tuple[Live, dict[str, str]], mode: GenerationMode) -> None:
    live, headers = served
    document = live.client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=live.url)
    operations = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in ENDLESS:
            continue
        operations += 1

        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def conforms(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS, headers=headers)

        try:
            conforms()
        except hypothesis.errors.Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE  # an operation that takes nothing
    assert operations == 20
