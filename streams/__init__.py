"""How events move: the fold over a log, files and Kafka at its two ends, the simulator and the command line."""
