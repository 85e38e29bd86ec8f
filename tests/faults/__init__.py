"""Real faults against real workers and a real Kafka: what must hold afterwards is in docs/faults.md."""
