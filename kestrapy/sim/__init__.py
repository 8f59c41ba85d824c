"""A whole cluster in one thread, on virtual time and a simulated log; see ``sim.world``."""
