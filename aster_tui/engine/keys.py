"""Which wallet an agent signs with: from its document, the environment, and where keys are kept.

Addresses: the document's, then ``AGENT_<NAME>_USER`` and ``AGENT_<NAME>_SIGNER``, then
``SHARED_ASTER_USER`` and ``SHARED_ASTER_SIGNER``. The key, first found first: ``AGENT_<NAME>_PRIVATE_KEY``;
``AGENT_<NAME>_KEYSTORE`` (a Web3 Secret Storage file; its password in ``AGENT_<NAME>_PASSWORD`` or the file
``AGENT_<NAME>_PASSWORD_FILE``, for all agents ``SHARED_ASTER_PASSWORD`` or ``SHARED_ASTER_PASSWORD_FILE``);
``AGENT_<NAME>_KEY_COMMAND`` (a command that prints it); ``AGENT_<NAME>_KEYRING`` (the keyring's service,
``1`` for aster-tui; the name is the agent's); a keystore that ``aster-tui keys import`` made;
``SHARED_ASTER_SIGNER_PRIVATE_KEY`` (also ``SHARED_ASTER_PRIVATE_KEY``). NAME is upper-cased or as written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from aster_tui.config import REFUSED_FILE
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.keys import PrivateKey
from aster_tui.domain.trading import account_key
from aster_tui.engine.key_sources import (
    KEYRING_SERVICE,
    KeyProblem,
    from_command,
    from_keyring,
    from_keystore,
    keystore_path,
    password_file,
)

_SHARED_KEYS = ("SHARED_ASTER_SIGNER_PRIVATE_KEY", "SHARED_ASTER_PRIVATE_KEY")
#: The id of the agent that stands for those on the shared account.
SHARED_ID = "env:SHARED"


@dataclass(frozen=True, slots=True)
class AgentKeys:
    """What an agent signs with: the account (user), the signer's address if configured, and the key."""

    user: str
    signer: str | None
    key: PrivateKey
    source: str


def find_keys(agent: AgentDocument, environment: Mapping[str, str], state: Path | None = None) -> AgentKeys:
    """The agent's user, signer and key. It may take a second, and blocks.

    Args:
        state: the state folder, where imported keystores are.

    Raises:
        KeyProblem: something is missing or malformed.
    """
    user = agent.user_address or _own(agent.name, "USER", environment) or environment.get("SHARED_ASTER_USER")
    if not user:
        raise KeyProblem(
            f"{agent.name} has no account: set asterUserAddress or AGENT_{agent.name.upper()}_USER"
        )
    try:
        found = _own_key(agent.name, environment, state)
        signer = agent.signer_address or _own(agent.name, "SIGNER", environment)
        if found is None:
            found = _shared_key(environment)
            signer = signer or environment.get("SHARED_ASTER_SIGNER")
    except KeyProblem as problem:
        raise KeyProblem(f"{agent.name}: {problem}") from None
    if found is None:
        refused = environment.get(REFUSED_FILE)
        if refused:
            why = f"{refused} can be read by others, so its keys are not used"
            raise KeyProblem(f"{agent.name}: {why}: chmod 600 {refused}")
        raise KeyProblem(
            f"{agent.name} has no key: set AGENT_{agent.name.upper()}_PRIVATE_KEY;"
            " its account cannot be read until then"
        )
    key, source = found
    return AgentKeys(user=user, signer=signer, key=key, source=source)


def _own_key(name: str, environment: Mapping[str, str], state: Path | None) -> tuple[PrivateKey, str] | None:
    if secret := _own(name, "PRIVATE_KEY", environment):
        return _parsed(secret, f"AGENT_{name.upper()}_PRIVATE_KEY"), "the environment"
    if path := _own(name, "KEYSTORE", environment):
        return from_keystore(Path(path).expanduser(), lambda: _password(name, environment)), path
    if command := _own(name, "KEY_COMMAND", environment):
        return _parsed(from_command(command), "the key command's output"), "a command"
    if service := _own(name, "KEYRING", environment):
        service = KEYRING_SERVICE if service in ("1", "true", "yes") else service
        return _parsed(from_keyring(service, name), "the keyring's secret"), "the keyring"
    imported = keystore_path(state, name) if state is not None else None
    if imported is not None and imported.is_file():
        return from_keystore(imported, lambda: _password(name, environment)), str(imported)
    return None


def _shared_key(environment: Mapping[str, str]) -> tuple[PrivateKey, str] | None:
    for variable in _SHARED_KEYS:
        if secret := environment.get(variable):
            return _parsed(secret, variable), "the shared key"
    return None


def _parsed(secret: str, source: str) -> PrivateKey:
    try:
        return PrivateKey.parse(secret)
    except ValueError as error:
        raise KeyProblem(f"{source}: {error}") from None


def _password(name: str, environment: Mapping[str, str]) -> str:
    for found in (_own(name, "PASSWORD", environment), environment.get("SHARED_ASTER_PASSWORD")):
        if found:
            return found
    for path in (_own(name, "PASSWORD_FILE", environment), environment.get("SHARED_ASTER_PASSWORD_FILE")):
        if path:
            return password_file(Path(path).expanduser())
    raise KeyProblem(f"its keystore wants a password: set AGENT_{name.upper()}_PASSWORD_FILE")


def with_addresses(agent: AgentDocument, environment: Mapping[str, str]) -> AgentDocument:
    """The agent with the addresses the environment gives where its document has none."""
    user = agent.user_address or _own(agent.name, "USER", environment) or environment.get("SHARED_ASTER_USER")
    if not agent.on_account or user == agent.user_address:
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


def shared_agent(environment: Mapping[str, str]) -> AgentDocument | None:
    """What stands for the agents on the account that all share, where nobody names them: for when MongoDB is
    away. None where there is no such account, or no key of it."""
    user = environment.get("SHARED_ASTER_USER")
    if not user or not any(environment.get(variable) for variable in _SHARED_KEYS):
        return None
    return AgentDocument(
        agent_id=SHARED_ID,
        name="SHARED",
        strategy="(from the environment)",
        balance=Decimal(0),
        paper=False,
        user_address=user,
    )


def _named(environment: Mapping[str, str]) -> Iterable[str]:
    for variable in sorted(environment):
        if variable.startswith("AGENT_") and variable.endswith("_USER") and environment[variable]:
            yield variable.removeprefix("AGENT_").removesuffix("_USER")


def has_plain_key(name: str, environment: Mapping[str, str]) -> bool:
    """Whether an agent's key stands in the environment, so that finding it takes no time."""
    return _own(name, "PRIVATE_KEY", environment) is not None


def _own(name: str, part: str, environment: Mapping[str, str]) -> str | None:
    for spelled in (name.upper(), name):
        value = environment.get(f"AGENT_{spelled}_{part}")
        if value:
            return value
    return None
