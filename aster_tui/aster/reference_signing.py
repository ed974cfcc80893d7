"""The same signature through eth-account: slower, written by others, and so the judge of ours.

Imports eth_account when called (0.7 s), so nothing on the start-up path may call it.
"""

from __future__ import annotations

from aster_tui.aster.signing import DOMAIN_NAME, DOMAIN_VERSION
from aster_tui.domain.keys import PrivateKey


def reference_signature(key: PrivateKey, chain_id: int, message: str) -> str:
    """The EIP-712 signature of ``Message(msg)``: ``0x`` and 65 bytes in hex."""
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    domain = {
        "name": DOMAIN_NAME,
        "version": DOMAIN_VERSION,
        "chainId": chain_id,
        "verifyingContract": "0x" + "0" * 40,
    }
    encoded = encode_typed_data(domain, {"Message": [{"name": "msg", "type": "string"}]}, {"msg": message})
    signed = Account.sign_message(encoded, key.reveal())
    return "0x" + bytes(signed.signature).hex()
