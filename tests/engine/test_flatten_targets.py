"""Whose accounts a close-all closes: nobody's is forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from aster_tui.domain.documents import AgentDocument
from aster_tui.engine.flatten.targets import known_here, merged, scope_of
from aster_tui.engine.remembered import remember

ONE, TWO, SHARED = (f"0x{digit * 40}" for digit in "123")
KEY = "0x" + "4f" * 32


def agent(name: str, user: str | None = None, *, paper: bool = False, key: str = "") -> AgentDocument:
    return AgentDocument(key or f"id-{name}", name, paper=paper, user_address=user)


def accounts(
    agents: Iterable[AgentDocument], environment: Mapping[str, str], folder: Path, *names: str
) -> dict[str, list[str]]:
    scope = scope_of(agents, names, environment, 1666, folder)
    return {target.account: [a.agent_id for a in target.agents] for target in scope.targets}


def test_agents_of_one_name_are_all_closed(tmp_path: Path) -> None:
    there = [agent("Sniper", ONE, key="a"), agent("sniper", TWO, key="b")]
    found = merged((), there, {})
    assert accounts(found, {}, tmp_path) == {ONE: ["a"], TWO: ["b"]}
    assert accounts(found, {}, tmp_path, "SNIPER") == {ONE: ["a"], TWO: ["b"]}
    remember(tmp_path, "TESTNET", there)
    assert accounts(known_here({}, tmp_path, "TESTNET"), {}, tmp_path) == {ONE: ["a"], TWO: ["b"]}


def test_the_databases_word_goes_before_what_is_remembered_and_who_is_real_here_stays(tmp_path: Path) -> None:
    here = [agent("Sniper", ONE, key="env:SNIPER"), agent("Crane", TWO, key="env:CRANE")]
    there = [agent("Sniper", ONE, key="a"), agent("Crane", paper=True, key="b"), agent("Sage", SHARED)]
    assert accounts(merged(here, there, {}), {}, tmp_path) == {
        TWO: ["env:CRANE"],
        SHARED: ["id-Sage"],
        ONE: ["a"],
    }


def test_an_agent_without_an_address_is_on_the_shared_account(tmp_path: Path) -> None:
    environment = {"SHARED_ASTER_USER": SHARED, "SHARED_ASTER_SIGNER_PRIVATE_KEY": KEY}
    there = [agent("Sniper", key="a"), agent("Crane", TWO, key="b")]
    # The database knows who trades on it.
    here = known_here(environment, tmp_path, "TESTNET")
    assert accounts(merged(here, there, environment), environment, tmp_path) == {TWO: ["b"], SHARED: ["a"]}
    # It does not answer, and nobody is remembered: the account is closed all the same.
    assert accounts(here, environment, tmp_path) == {SHARED: ["env:SHARED"]}
    # It does not answer, and they are remembered.
    remember(tmp_path, "TESTNET", there)
    here = known_here(environment, tmp_path, "TESTNET")
    assert accounts(here, environment, tmp_path) == {TWO: ["b"], SHARED: ["a"]}
    # Without its key it is nobody's here.
    assert known_here({"SHARED_ASTER_USER": SHARED}, tmp_path / "other", "TESTNET") == ()


def test_a_wallet_is_only_looked_for_on_the_loop_where_all_its_keys_stand_in_the_environment(
    tmp_path: Path,
) -> None:
    agents = [agent("Ann", ONE), agent("Ben", ONE)]
    plain = {"AGENT_ANN_PRIVATE_KEY": KEY}
    (target,) = scope_of(agents, (), plain, 1666, tmp_path).targets
    assert target.slow, "Ann's may be refused, and Ben's may be in a keystore"
    plain["AGENT_BEN_PRIVATE_KEY"] = KEY
    (target,) = scope_of(agents, (), plain, 1666, tmp_path).targets
    assert not target.slow
