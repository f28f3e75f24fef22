"""The core: flow, decide, evolve, route, check, replay. Pure and synchronous."""
