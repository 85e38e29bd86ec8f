"""From an event to its features: the contract, account state, windows and the catalogue. No Kafka, no model."""
