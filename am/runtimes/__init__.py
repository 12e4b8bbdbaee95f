"""What each framework wants to find in its environment: pure functions, one file a framework."""
