"""Entities: what events of many accounts may have in common, and by which number each kind goes."""

from typing import Final

ENTITY_KINDS: Final = ("device", "ip", "merchant", "beneficiary", "bin", "email")
"""Kinds of entities; a row holds the index. An entity of a kind is named by the hash of its identifier, never 0."""

DEVICE, IP, MERCHANT, BENEFICIARY, BIN, EMAIL = range(len(ENTITY_KINDS))
