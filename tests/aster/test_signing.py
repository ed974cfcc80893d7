"""Our signatures against independent vectors, and against eth-account's."""

from __future__ import annotations

import json
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest

from aster_tui.aster import legacy_signing
from aster_tui.aster.reference_signing import reference_signature
from aster_tui.aster.signing import MESSAGE_TYPEHASH, Signer, domain_separator
from aster_tui.aster.venue import Wallet
from aster_tui.domain.keys import PrivateKey

VECTORS = json.loads((Path(__file__).parent / "data" / "signing.json").read_text())
KEY = PrivateKey.parse(VECTORS["private_key"])


def test_published_constants() -> None:
    assert domain_separator(1666).hex() == "a95d0a7a6f3f17fcebb0c2336645385ce79cde7523f71ab147fdb7f15e9f37f9"
    assert domain_separator(714).hex() == "fad01b07bed5729a04dbb977fd86da612eba71d668660bf12cf10b3d65b74d94"
    assert MESSAGE_TYPEHASH.hex() == "c4cfb57eea370ef2a92403a7e865b2de262d7ca272333665b54ad7e6a602ef68"


def test_golden_signatures() -> None:
    assert len(VECTORS["eip712"]) == 60
    for vector in VECTORS["eip712"]:
        signer = Signer(KEY, vector["chain_id"])
        assert signer.address == VECTORS["signer"]
        assert signer.sign(vector["msg"]) == vector["signature"]
        assert reference_signature(KEY, vector["chain_id"], vector["msg"]) == vector["signature"]


def test_a_thousand_random_messages_and_keys_sign_as_eth_account_does() -> None:
    rng = random.Random(20260724)
    alphabet = "abcXYZ0189&=%.:/_-+ ßλ中🚀\n"
    for number in range(1000):
        key = PrivateKey(rng.getrandbits(256).to_bytes(32, "big")) if number % 50 == 0 else KEY
        chain_id = rng.choice((1666, 714, 1, 2**40))
        message = "".join(rng.choice(alphabet) for _ in range(rng.choice((0, 1, 31, 32, 33, 200, 2000))))
        assert Signer(key, chain_id).sign(message) == reference_signature(key, chain_id, message)


def test_the_hot_path_does_not_import_eth_account() -> None:
    code = "import sys, aster_tui.aster.rest, aster_tui.aster.streams; sys.exit('eth_account' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_signer_and_a_wallet_show_no_key() -> None:
    signer = Signer(KEY, 1666)
    wallet = Wallet(VECTORS["user"], signer)
    secret = VECTORS["private_key"][2:]
    assert (
        secret not in f"{signer!r} {wallet!r} {wallet} {vars(signer) if hasattr(signer, '__dict__') else ''}"
    )
    for held in (signer, wallet):
        with pytest.raises(TypeError):
            pickle.dumps(held)


def test_the_published_vector_of_the_legacy_scheme() -> None:
    vector = VECTORS["legacy_abi"]
    parameters = list(reversed(json.loads(vector["json"]).items()))  # any order: the keys are sorted
    signer = Signer(KEY, 1666)
    assert legacy_signing.message_of(parameters) == vector["json"]
    digest = legacy_signing.digest(vector["json"], VECTORS["user"], signer.address, vector["nonce"])
    assert f"0x{digest.hex()}" == vector["keccak"]
    signature = legacy_signing.sign(signer, VECTORS["user"], parameters, vector["nonce"])
    assert signature == vector["signature"]
