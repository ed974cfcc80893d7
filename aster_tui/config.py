"""Settings: flags, then environment, then ``.env.local``, then the TOML file, then the profile.

A wrong setting becomes one :class:`SettingsError` line that names the setting and where it stands,
never a traceback, and never the value of a secret.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from aster_tui import locations
from aster_tui.domain.symbols import symbol_of

ProfileName = Literal["mainnet", "testnet", "practice"]

#: What a profile fills in where nothing else says otherwise. Hosts and chain ids as published mid-2026.
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "mainnet": {
        "rest_url": "https://fapi.asterdex.com",
        "ws_url": "wss://fstream.asterdex.com",
        "chain_id": 1666,
    },
    "testnet": {
        "rest_url": "https://fapi.asterdex-testnet.com",
        "ws_url": "wss://fstream5.asterdex-testnet.com",
        "chain_id": 714,
    },
    "practice": {
        "rest_url": "http://127.0.0.1:8899",
        "ws_url": "ws://127.0.0.1:8899",
        "chain_id": 1666,
    },
}


#: Variables that hold a secret, by their endings.
SECRET_ENDINGS = ("PRIVATE_KEY", "_PASSWORD", "_KEY_COMMAND")
#: Stands among an agent's variables for a file whose keys were not used because others can read it.
REFUSED_FILE = "AGENT__REFUSED_FILE"


class SettingsError(Exception):
    """A setting is wrong. The text is one line for people."""


class Settings(BaseSettings):
    """Every setting with its meaning; the environment name is ``ASTER_TUI_`` and the field's name."""

    model_config = SettingsConfigDict(
        env_prefix="ASTER_TUI_", extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True
    )

    profile: ProfileName = "testnet"
    """Which network the defaults are for: mainnet, testnet or practice. Mainnet is never a default."""

    rest_url: str = ""
    """Base address of the REST API."""

    ws_url: str = ""
    """Base address of the streams."""

    chain_id: int = Field(default=0, ge=0)
    """EIP-712 chain id that goes into every signature."""

    nonce_window_s: int = Field(default=10, ge=1, le=600)
    """How far a nonce may be from server time, in seconds; after it an unseen order was never placed."""

    signature_scheme: Literal["eip712", "legacy-abi"] = "eip712"
    """How requests are signed: the typed message of 2026, or the scheme before it, which some still speak."""

    mongodb_uri: SecretStr | None = Field(default=None, validation_alias="MONGODB_URI")
    """Address of the agents' MongoDB (it holds a password, so it is shown nowhere)."""

    mongodb_database: str = "asterroyale"
    """Database name, where the address names none."""

    initial_balance: Decimal = Field(default=Decimal(1000), gt=0)
    """What an agent started with, in USD: the base of its PnL."""

    sync_seconds: int = Field(default=30, ge=5, le=3600)
    """Every how many seconds real agents are synced into MongoDB without being asked."""

    stale_seconds: int = Field(default=5, ge=1, le=300)
    """After how many silent seconds a feed counts as stale."""

    read_only: bool = False
    """Watch only: no trading method, no database write."""

    no_keys: bool = False
    """Load no key at all: MongoDB and public streams only (implies read_only)."""

    disarm_minutes: int = Field(default=10, ge=1, le=240)
    """After how many minutes without a key an armed console disarms itself."""

    max_order_percent: Decimal = Field(default=Decimal(20), gt=0, le=100)
    """Safeguard: the largest order, in percent of the agent's balance."""

    max_positions: int = Field(default=5, ge=1, le=100)
    """Safeguard: how many positions an agent may have open."""

    max_exposure_percent: Decimal = Field(default=Decimal(70), gt=0, le=100)
    """Safeguard: all positions together, in percent of balance × max_leverage."""

    max_leverage: int = Field(default=10, ge=1, le=125)
    """Safeguard: the highest leverage."""

    price_collar_percent: Decimal = Field(default=Decimal(2), ge=0, le=100)
    """Safeguard: how far a decision's price may be from the mark; 0 switches it off."""

    stale_price_seconds: int = Field(default=5, ge=1, le=600)
    """Safeguard: how old the mark price may be."""

    stale_balance_seconds: int = Field(default=120, ge=1, le=3600)
    """Safeguard: how old the balance may be."""

    daily_loss_percent: Decimal = Field(default=Decimal(10), ge=0, le=100)
    """Safeguard: after this loss in a UTC day nothing new is opened; 0 switches it off."""

    orders_per_minute: int = Field(default=20, ge=0, le=1000)
    """Safeguard: orders of an agent that add risk, per minute; 0 switches it off."""

    duplicate_seconds: int = Field(default=30, ge=0, le=3600)
    """Safeguard: for how long the same order is taken for a duplicate."""

    allow_symbols: str = ""
    """Safeguard: the symbols to trade, separated by commas; empty for all."""

    deny_symbols: str = ""
    """Safeguard: symbols not to trade, separated by commas."""

    decision_max_age_seconds: int = Field(default=60, ge=1, le=86_400)
    """How old a queued decision may be when its turn comes."""

    close_unprotected: bool = True
    """Whether a position whose stop or target cannot be placed is closed at once."""

    fall_back_to_paper: bool = True
    """Whether an agent goes on on paper after an order of it failed."""

    protective_price: Literal["MARK_PRICE", "CONTRACT_PRICE"] = "MARK_PRICE"
    """The price that triggers stops and targets."""

    trade_without_database: bool = True
    """Whether a worker that cannot reach MongoDB goes on with the agents it holds."""

    paper_slippage_bp: Decimal = Field(default=Decimal(2), ge=0, le=1000)
    """Paper: how much worse than the mark a fill is, in basis points."""

    paper_fee_percent: Decimal = Field(default=Decimal("0.04"), ge=0, le=5)
    """Paper: the fee of each fill, in percent of its notional."""

    notify: SecretStr | None = None
    """Whom to tell of alarms: addresses as apprise writes them, separated by spaces (they hold secrets)."""

    when_terminal_goes: Literal["end", "stay"] = "end"
    """What the console's engine does when its terminal hangs up: end in order, or go on until SIGTERM. A
    close-all that runs is finished either way."""

    state_dir: Path | None = None
    """Folder of logs, journal and remembered console state (default: the XDG state folder)."""

    theme: Literal["dark", "light", "colour-blind", "high-contrast"] = "dark"
    """Console: the theme to begin with; one that is chosen in the console is remembered."""

    mouse: bool = True
    """Console: whether it takes the mouse; without, the terminal selects text as ever."""

    keys: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)
    """Console: other keys for actions, such as ``"sync.one" = "f5"``; the palette shows the ids."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much goes into the log file."""

    @field_validator("rest_url")
    @classmethod
    def _http(cls, value: str) -> str:
        return _checked_url(value, ("http", "https"))

    @field_validator("ws_url")
    @classmethod
    def _websocket(cls, value: str) -> str:
        return _checked_url(value, ("ws", "wss"))

    @field_validator("mongodb_uri")
    @classmethod
    def _mongodb(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("must start with mongodb:// or mongodb+srv://")
        return value

    @field_validator("keys", mode="before")
    @classmethod
    def _keys(cls, value: object) -> object:
        return _flat(value) if isinstance(value, dict) else value

    @property
    def network(self) -> str:
        """The word the header shows: what the addresses really are, not what the profile claims."""
        host = urlsplit(self.rest_url).hostname or ""
        if host in ("127.0.0.1", "localhost", "::1"):
            return "PRACTICE"
        if "testnet" in host:
            return "TESTNET"
        # An address nobody knows is treated as the most dangerous thing it can be.
        return "MAINNET"

    def symbols(self, name: str) -> frozenset[str]:
        """The symbols of a list setting, in the exchange's spelling."""
        words = str(getattr(self, name)).replace(",", " ").split()
        return frozenset(symbol_of(word) for word in words)

    @property
    def state_folder(self) -> Path:
        """The state folder in force."""
        return self.state_dir or locations.state_folder()

    @property
    def watching(self) -> bool:
        """Whether this process may change nothing."""
        return self.read_only or self.no_keys

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the flags come through here; :func:`load` names the files and adds the rest."""
        return (init_settings,)


def _flat(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """``sync.one = "f5"`` without quotes is a table in a table to TOML: the same is meant."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return flat


def _checked_url(value: str, schemes: tuple[str, ...]) -> str:
    if not value:
        return value
    parts = urlsplit(value)
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"must be an address starting with {' or '.join(f'{s}://' for s in schemes)}")
    return value.rstrip("/")


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    toml: Path | None = None,
    env_file: Path | None = None,
) -> Settings:
    """The settings in force.

    Args:
        flags: what the command line said, by field name; None values are not said.
        toml: the settings file (default: the XDG one).
        env_file: the ``.env.local`` (default: in the working folder).

    Raises:
        SettingsError: one line naming the wrong setting.
    """
    toml_path = toml or locations.config_file()
    env_path = env_file or locations.env_file()
    said = {name: value for name, value in (flags or {}).items() if value is not None}
    from_env = EnvSettingsSource(Settings)()
    from_dotenv = DotEnvSettingsSource(Settings, env_file=env_path, env_file_encoding="utf-8")()
    from_toml = _read_toml(toml_path)
    merged = {**from_toml, **_by_field(from_dotenv), **_by_field(from_env), **said}
    profile = merged.get("profile", Settings.model_fields["profile"].default)
    if isinstance(profile, str) and profile in PROFILES:
        merged = {**PROFILES[profile], **from_toml.get("profiles", {}).get(profile, {}), **merged}
    merged.pop("profiles", None)
    try:
        return Settings(**merged)
    except ValidationError as error:
        raise SettingsError(_one_line(error, said, from_env, from_dotenv, toml_path, env_path)) from None


def _by_field(values: Mapping[str, Any]) -> dict[str, Any]:
    """Sources speak of MONGODB_URI by its alias; merge by field name."""
    return {("mongodb_uri" if name.upper() == "MONGODB_URI" else name): v for name, v in values.items()}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {path}: {error}") from None
    profiles = values.get("profiles", {})
    if not isinstance(profiles, dict) or not all(isinstance(table, dict) for table in profiles.values()):
        raise SettingsError(f"settings file {path}: [profiles.NAME] must be tables")
    for where, table in (("", values), *((f"profiles.{n}.", t) for n, t in profiles.items())):
        _refuse_unknown(path, where, table)
    return values


def _refuse_unknown(path: Path, where: str, table: Mapping[str, Any]) -> None:
    import difflib

    known = [*Settings.model_fields, "profiles"] if not where else list(Settings.model_fields)
    for name in table:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"settings file {path}: unknown setting {where}{name}{hint}")


def _one_line(
    error: ValidationError,
    flags: Mapping[str, Any],
    env: Mapping[str, Any],
    dotenv: Mapping[str, Any],
    toml: Path,
    env_file: Path,
) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "?"
    field = "mongodb_uri" if name == "MONGODB_URI" else name
    variable = "MONGODB_URI" if field == "mongodb_uri" else f"ASTER_TUI_{field.upper()}"
    if field in flags:
        where = f"--{field.replace('_', '-')}"
    elif field in _by_field(env):
        where = f"{variable} in the environment"
    elif field in _by_field(dotenv):
        where = f"{variable} in {env_file}"
    else:
        where = f"{field} in {toml}"
    message = first["msg"].removeprefix("Value error, ")
    return f"setting {where}: {message}"


def agent_environment(env_file: Path | None = None) -> dict[str, str]:
    """The variables that name agents' addresses and keys (``AGENT_…``, ``SHARED_ASTER_…``).

    The environment comes before ``.env.local``. Values are secrets: hand them to
    :class:`aster_tui.domain.keys.PrivateKey` and keep nothing.
    """
    from dotenv import dotenv_values

    path = env_file or locations.env_file()
    found = {name: value for name, value in dotenv_values(path).items() if value} if path.is_file() else {}
    secret = [name for name in found if name.upper().endswith(SECRET_ENDINGS)]
    if secret and path.stat().st_mode & 0o077:
        # Keys that anybody on this machine can read are nobody's any more.
        for name in secret:
            del found[name]
        found[REFUSED_FILE] = str(path)
    found.update({name: value for name, value in os.environ.items() if value})
    return {n: v for n, v in found.items() if n.upper().startswith(("AGENT_", "SHARED_ASTER_"))}
