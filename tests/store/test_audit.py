"""The audit's chains: every process writes one of its own, and what was changed afterwards is found."""

from __future__ import annotations

import json
from pathlib import Path

from aster_tui.domain.audit import AuditLine
from aster_tui.store.audit import AuditFile, chains


def test_a_chain_that_was_tampered_with_is_found(tmp_path: Path) -> None:
    line = AuditLine(0, 1, "op", "box", "console", "r", "asked", "buy everything")
    first, second = AuditFile(tmp_path, "box"), AuditFile(tmp_path, "box")
    for _ in range(3):
        first.append(line)
        second.append(line)  # a process beside it writes a chain of its own
    first.close()
    third = AuditFile(tmp_path, "box")
    assert third.append(line).seq == 4  # goes on with the one that is free
    assert [(len(lines), wrong) for _, lines, wrong in chains(tmp_path)] == [(4, ""), (3, "")]
    path = tmp_path / "audit" / "audit-1.jsonl"
    rows = path.read_text().splitlines()
    for broken, words in (
        ([rows[0], rows[1].replace("everything", "nothing"), *rows[2:]], "line 2: its content was changed"),
        ([rows[0], *rows[2:]], "line 2: it does not follow"),
        ([rows[0], rows[1], "garbage"], "line 3 is no line"),
    ):
        path.write_text("\n".join(broken) + "\n")
        assert words in next(iter(chains(tmp_path)))[2]
    assert json.loads(rows[0])["previous"] == "0" * 64
