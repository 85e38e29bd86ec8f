"""Entities: what events of many accounts may have in common, and by which number each kind goes."""

from typing import Final

ENTITY_KINDS: Final = ("device", "ip", "merchant", "beneficiary", "bin", "email_domain", "network")
"""Kinds of entities; a row holds the index. An entity of a kind is named by a number, never 0: the
hash of its identifier, of a BIN its digits, of a network what `features.network` makes of it."""

DEVICE, IP, MERCHANT, BENEFICIARY, BIN, EMAIL_DOMAIN, NETWORK = range(len(ENTITY_KINDS))
