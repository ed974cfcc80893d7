"""Which wallet an agent signs with: from its document and the environment, by the existing names.

``AGENT_<NAME>_PRIVATE_KEY``, ``AGENT_<NAME>_USER``, ``AGENT_<NAME>_SIGNER`` with NAME upper-cased or
as written; else the shared ``SHARED_ASTER_SIGNER_PRIVATE_KEY`` (also ``SHARED_ASTER_PRIVATE_KEY``),
``SHARED_ASTER_USER``, ``SHARED_ASTER_SIGNER``. Addresses of the document come before the environment's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.keys import PrivateKey
from aster_tui.domain.trading import account_key


class KeyProblem(Exception):
    """An agent's wallet cannot be used. The text says why and what to do, and never holds a key."""


@dataclass(frozen=True, slots=True)
class AgentKeys:
    """What an agent signs with: the account (user), the signer's address if configured, and the key."""

    user: str
    signer: str | None
    key: PrivateKey
    source: str


def find_keys(agent: AgentDocument, environment: Mapping[str, str]) -> AgentKeys:
    """The agent's user, signer and key.

    Raises:
        KeyProblem: something is missing or malformed.
    """
    own = {part: _own(agent.name, part, environment) for part in ("USER", "SIGNER", "PRIVATE_KEY")}
    shared_key = environment.get("SHARED_ASTER_SIGNER_PRIVATE_KEY") or environment.get(
        "SHARED_ASTER_PRIVATE_KEY"
    )
    user = agent.user_address or own["USER"] or environment.get("SHARED_ASTER_USER")
    variable = f"AGENT_{agent.name.upper()}_PRIVATE_KEY"
    secret, source = (own["PRIVATE_KEY"], variable) if own["PRIVATE_KEY"] else (shared_key, "the shared key")
    signer = agent.signer_address or own["SIGNER"]
    if signer is None and not own["PRIVATE_KEY"]:
        signer = environment.get("SHARED_ASTER_SIGNER")
    if not user:
        raise KeyProblem(
            f"{agent.name} has no account: set asterUserAddress or AGENT_{agent.name.upper()}_USER"
        )
    if not secret:
        raise KeyProblem(f"{agent.name} has no key: set {variable}; its account cannot be read until then")
    try:
        key = PrivateKey.parse(secret)
    except ValueError as error:
        raise KeyProblem(f"{agent.name}: {source}: {error}") from None
    return AgentKeys(user=user, signer=signer, key=key, source=source)


def with_addresses(agent: AgentDocument, environment: Mapping[str, str]) -> AgentDocument:
    """The agent with the addresses the environment gives where its document has none."""
    user = agent.user_address or _own(agent.name, "USER", environment) or environment.get("SHARED_ASTER_USER")
    if agent.paper or user == agent.user_address:
        return agent
    return replace(agent, user_address=user)


def check_signer(agent: str, configured: str | None, derived: str) -> None:
    """Refuse a key whose address is not the configured signer.

    Raises:
        KeyProblem: they differ.
    """
    if configured and account_key(configured) != account_key(derived):
        raise KeyProblem(
            f"{agent}: the key belongs to {derived}, but the configured signer is {configured}: "
            "set the right key or correct asterSignerAddress"
        )


def agents_in(environment: Mapping[str, str]) -> tuple[AgentDocument, ...]:
    """The agents an environment names (``AGENT_<NAME>_USER``), treated as real: for when MongoDB is away."""

    def one(name: str) -> AgentDocument:
        return AgentDocument(
            agent_id=f"env:{name}",
            name=name,
            strategy="(from the environment)",
            balance=Decimal(0),
            paper=False,
            user_address=environment.get(f"AGENT_{name}_USER"),
            signer_address=environment.get(f"AGENT_{name}_SIGNER"),
        )

    return tuple(one(name) for name in _named(environment))


def _named(environment: Mapping[str, str]) -> Iterable[str]:
    for variable in sorted(environment):
        if variable.startswith("AGENT_") and variable.endswith("_USER") and environment[variable]:
            yield variable.removeprefix("AGENT_").removesuffix("_USER")


def _own(name: str, part: str, environment: Mapping[str, str]) -> str | None:
    for spelled in (name.upper(), name):
        value = environment.get(f"AGENT_{spelled}_{part}")
        if value:
            return value
    return None
