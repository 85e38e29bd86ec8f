"""Features to a score to a decision: the supervised model, the online detector, calibration, policy and reasons."""
