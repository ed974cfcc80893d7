"""Which accounts a close-all closes, and with what keys: from what is known without any database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aster_tui.aster.signing import Signer
from aster_tui.aster.venue import Wallet
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.trading import Position, account_key
from aster_tui.engine.key_sources import KeyProblem
from aster_tui.engine.keys import (
    SHARED_ID,
    agents_in,
    check_signer,
    find_keys,
    has_plain_key,
    shared_agent,
    with_addresses,
)
from aster_tui.engine.remembered import recall


@dataclass(frozen=True, slots=True)
class Target:
    """One account. ``agents`` are all that are known to trade on it, by name.

    ``open_wallet`` finds the key and raises KeyProblem; where it is ``slow`` it may block, as a keystore does
    for a second. ``hints`` is what a live stream knows to be open.
    """

    account: str
    agents: tuple[AgentDocument, ...]
    open_wallet: Callable[[], Wallet]
    hints: tuple[Position, ...] = ()
    slow: bool = True

    @property
    def key(self) -> str:
        """The account in the form it is compared in."""
        return account_key(self.account)

    @property
    def names(self) -> tuple[str, ...]:
        """Its agents' names."""
        return tuple(agent.name for agent in self.agents)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be closed. ``others`` are agents that were not chosen and share a chosen one's account,
    ``unknown`` the names that no real agent has, ``known`` those there are."""

    targets: tuple[Target, ...]
    unknown: tuple[str, ...] = ()
    without_account: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


def known_here(environment: Mapping[str, str], state_folder: Path, network: str) -> tuple[AgentDocument, ...]:
    """The agents known without the database: those the environment names, and those remembered from the last
    connection; all treated as real. An account that all agents share is in it though nobody is named."""
    remembered = recall(state_folder, network)
    names = {agent.name.upper() for agent in remembered}
    named = {agent.name.upper(): agent for agent in agents_in(environment)}
    found = [*remembered, *(agent for name, agent in named.items() if name not in names)]
    addressed = tuple(with_addresses(agent, environment) for agent in found)
    shared = shared_agent(environment)
    if shared is None or _accounts(addressed) & _accounts((shared,)):
        return addressed
    return (*addressed, shared)


def merged(
    here: Iterable[AgentDocument], there: Iterable[AgentDocument], environment: Mapping[str, str]
) -> tuple[AgentDocument, ...]:
    """The agents known here with those the database knows, whose word goes before what is remembered; one
    that the environment or this machine treats as real stays real. Several agents may have one name: each of
    their accounts is in it."""
    told = [with_addresses(agent, environment) for agent in there]
    real = [agent for agent in told if agent.on_account and agent.user_address]
    names, accounts = {agent.name.upper() for agent in real}, _accounts(real)
    kept = [
        agent
        for agent in here
        if agent.name.upper() not in names
        and not (agent.agent_id == SHARED_ID and _accounts((agent,)) <= accounts)
    ]
    names |= {agent.name.upper() for agent in kept}
    return (*kept, *real, *(agent for agent in told if agent.name.upper() not in names))


def _accounts(agents: Iterable[AgentDocument]) -> set[str]:
    return {account_key(agent.user_address) for agent in agents if agent.user_address}


def scope_of(
    agents: Iterable[AgentDocument],
    names: Iterable[str],
    environment: Mapping[str, str],
    chain_id: int,
    state_folder: Path,
) -> Scope:
    """The accounts of the agents called ``names``, of all without one."""
    real = sorted((agent for agent in agents if agent.on_account), key=lambda agent: agent.name)
    asked = sorted(set(names))
    wanted = {name.lower() for name in asked}
    called = {agent.name.lower() for agent in real}
    chosen = [agent for agent in real if not wanted or agent.name.lower() in wanted]
    accounts: dict[str, list[AgentDocument]] = {}
    for agent in real:
        if agent.user_address:
            accounts.setdefault(account_key(agent.user_address), []).append(agent)
    keys = dict.fromkeys(account_key(agent.user_address) for agent in chosen if agent.user_address)
    targets = tuple(
        Target(
            accounts[key][0].user_address or key,
            tuple(accounts[key]),
            wallet_opener(accounts[key], environment, chain_id, state_folder),
            slow=not all(has_plain_key(agent.name, environment) for agent in accounts[key]),
        )
        for key in keys
    )
    names_chosen = {agent.name for agent in chosen}
    others = {agent.name for target in targets for agent in target.agents} - names_chosen
    return Scope(
        targets,
        tuple(name for name in asked if name.lower() not in called),
        tuple(agent.name for agent in chosen if not agent.user_address),
        tuple(sorted(others)),
        tuple(agent.name for agent in real),
    )


def wallet_opener(
    agents: Iterable[AgentDocument], environment: Mapping[str, str], chain_id: int, state_folder: Path
) -> Callable[[], Wallet]:
    """Finds the key of an account: the first of its agents' that works."""
    candidates = tuple(agents)

    def find() -> Wallet:
        problems: list[str] = []
        for agent in candidates:
            try:
                keys = find_keys(agent, environment, state_folder)
                signer = Signer(keys.key, chain_id)
                check_signer(agent.name, keys.signer, signer.address)
            except KeyProblem as problem:
                problems.append(str(problem))
            else:
                return Wallet(keys.user, signer)
        raise KeyProblem("; ".join(dict.fromkeys(problems)) or "no agent is known to have its key")

    return find
