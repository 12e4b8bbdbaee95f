"""What client, agent and executor agree on: job, states, events, wire. Standard library only, Python 3.7."""
