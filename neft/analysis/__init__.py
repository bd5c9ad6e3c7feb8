"""Studies of neurons beside scores: utilization, ranks, arrays for figures."""
